"""`candor audit …`: verify the log, sign a checkpoint, look at the newest entries."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Commands, Json, in_house

if TYPE_CHECKING:
    from audit.verification import Report
    from identity.ledger import Verified
    from orchestration.wiring import House


def register(app: Commands) -> None:
    """Add the commands of this group."""
    app.add("verify")(verify)
    app.add("checkpoint")(checkpoint)
    app.add("tail")(tail)
    app.add("export")(export)
    app.add("key")(key)


def verify(as_json: Json = False) -> None:
    """Derive the log again and compare it with what was signed; then every version of the identity graph with its entry in the log."""

    async def read(house: "House") -> "tuple[Report, Verified]":
        return await house.audit.verify_log(), await house.identity.ledger.verify()

    report, graph = in_house(read)
    ok = report.ok and graph.ok
    if as_json:
        output.emit_json(
            {**output.plain(report), "ok": ok, "graph": {"versions": graph.versions, "findings": graph.findings}}
        )
    else:
        for line in report.lines:
            output.out.print(line, soft_wrap=True)
        output.out.print(f"identity graph: {graph.versions} versions compared with the log", soft_wrap=True)
        for finding in graph.findings:
            output.out.print(f"FOUND {finding}", soft_wrap=True)
    if not ok:
        raise typer.Exit(1)


def checkpoint(
    republish: Annotated[
        bool, typer.Option("--republish", help="Write the published files anew from the database.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Take in waiting entries, sign a checkpoint and print it."""
    signed = in_house(lambda house: house.audit.republish() if republish else house.audit.sequence())
    if signed is None:
        output.say("The log is empty: nothing to sign yet.")
        return
    if as_json:
        output.emit_json(
            {"origin": signed.checkpoint.origin, "size": signed.size, "root": signed.root.hex(), "note": signed.note}
        )
    else:
        output.out.print(signed.note, end="", soft_wrap=True)


def tail(
    count: Annotated[int, typer.Option("-n", min=1, max=1000, help="How many entries.")] = 20,
    tag: Annotated[str | None, typer.Option(help="Only entries with this tag.")] = None,
    as_json: Json = False,
) -> None:
    """The newest entries; values stay sealed."""
    from audit.tags import Tag
    from kernel.errors import InvalidInput

    wanted = next((known for known in Tag if known == tag), None)
    if tag is not None and wanted is None:
        raise InvalidInput(
            f"expected a known tag, got {tag!r}", remedy=f"One of: {', '.join(Tag)}.", code="unknown_tag"
        )
    entries = in_house(lambda house: house.audit.entries(tag=wanted, limit=count))
    rows = [
        (e.leaf_index if e.leaf_index is not None else "pending", e.at.isoformat(timespec="seconds"), e.tag, e.entry_id)
        for e in entries
    ]
    if as_json:
        output.emit_json([dict(zip(("leaf_index", "at", "tag", "entry_id"), row, strict=True)) for row in rows])
    else:
        output.table("Newest entries", ("leaf", "at", "what", "entry"), rows)


def export(
    out: Annotated[Path, typer.Option("--out", help="Folder to write the published tiles and the checkpoint to.")],
) -> None:
    """Copy what is published, for someone who verifies alone."""
    import shutil

    from kernel.errors import Conflict
    from orchestration.settings import load

    published = load().kernel.data_dir / "published"
    if out.exists() and any(out.iterdir()):
        raise Conflict(
            "expected an empty or new folder, got one with files in it", remedy="Name another folder with --out."
        )
    shutil.copytree(published, out, dirs_exist_ok=True)
    output.say(f"published files copied to {out}")


def key() -> None:
    """The key that verifies this log; hand it to verifiers."""
    keys = in_house(lambda house: house.audit.verifier_keys())
    print(keys[-1].text)
