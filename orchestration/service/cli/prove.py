"""`candor why · receipt · verify · lineage · replay`: what was decided, why, and the proof of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Commands, Json, actor, group, in_house

if TYPE_CHECKING:
    from explain.contrast import Contrast
    from explain.reasons import PersonView
    from explain.views import AuditorView
    from orchestration.wiring import House

Decision = Annotated[str, typer.Argument(help="Id of the decision (dec_…).")]


def register(app: Commands) -> None:
    """Add the commands to the top level."""
    app.add("why")(why)
    app.add("replay")(replay)
    app.add("receipt")(receipt)
    app.add("verify")(verify)
    lineage = group("lineage", "From a message to its sources, and back.")
    lineage.add("decision")(lineage_decision)
    lineage.add("person")(lineage_person)
    lineage.add("record")(lineage_record)
    app.add_typer(lineage)


def why(
    decision: Decision,
    view: Annotated[str, typer.Option(help="person (plain words) or auditor (numbers).")] = "person",
    locale: Annotated[str, typer.Option(help="Language of the plain words: en or de.")] = "en",
    against: Annotated[str | None, typer.Option(help="A candidate (variant@channel), or nothing: what parts it from the choice, in numbers.")] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Why this person got this message, or none; with --against, why not that."""
    from kernel.errors import InvalidInput
    from orchestration.service.cli.render import auditor_view, contrast_view, person_view

    if view not in {"person", "auditor"}:
        raise InvalidInput(
            f"expected --view person or auditor, got {view!r}", code="unknown_view", remedy="Use one of the two."
        )

    if against is not None:
        other = against

        async def part(house: "House") -> "Contrast":
            await _note(house, decision)
            return await house.explain.contrast(decision, None, other)

        parted = in_house(part)
        if as_json:
            output.emit_json(parted.as_json())
        else:
            contrast_view(parted)
        return

    async def read(house: "House") -> "tuple[PersonView, AuditorView]":
        explanation = await house.explain.explain(decision)
        if view == "auditor":
            await _note(house, decision)
        return house.explain.person_view(await house.explain.hers(explanation), locale), house.explain.auditor_view(
            explanation
        )

    person, auditor = in_house(read)
    if as_json:  # field names of DSA Article 26; an absent number is null
        output.emit_json(person.as_json() if view == "person" else auditor.as_json())
    elif view == "person":
        person_view(person)
    else:
        auditor_view(auditor)


async def _note(house: "House", decision: str) -> None:
    """The numbers of a decision are values of a person, so reading them is an entry of the log, as over HTTP."""
    from audit.entries import NewEntry
    from audit.tags import Tag

    content = (await house.explain.explain(decision)).content
    if content is None:
        return
    about = {"decision": content.facts.decision_id}
    read = NewEntry(Tag.READ_PERSONAL, about, {"what": "explanation"}, key_id=content.facts.key_id, actor=actor())
    async with house.kernel.db.transaction() as conn:
        await house.audit.append(conn, [read])


def replay(decision: Decision, as_json: Json = False) -> None:
    """Decide again from what was recorded; compare the bytes."""
    result = in_house(lambda house: house.decisions.replay(decision, actor=actor()))
    if as_json:
        output.emit_json(result)
    else:
        output.facts("Replay", [("decision", decision), ("status", result.status), ("digest", result.digest)])
    if not result.ok:
        raise typer.Exit(1)


def receipt(
    decision: Decision,
    out: Annotated[Path, typer.Option("--out", help="File to write.")],
) -> None:
    """Write the file that proves what a decision rested on."""
    made = in_house(lambda house: house.receipt(decision))
    out.write_text(made.text, encoding="utf-8")
    output.say(f"receipt written to {out}; check it anywhere with: candor verify {out}")


def verify(
    file: Annotated[Path, typer.Argument(help="A receipt.")],
    key: Annotated[str | None, typer.Option(help="The verifier key you trust (`name+hash+base64`).")] = None,
    keys: Annotated[
        Path | None,
        typer.Option(help="With --key: the log's list of keys (GET /audit/keys), for receipts under its other keys."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a receipt offline. Needs no server, no database and no configuration."""
    from audit.receipt import verify_file

    listed = None if keys is None else output.existing(keys, "a list of keys").read_text(encoding="utf-8")
    verdict = verify_file(output.existing(file, "a receipt"), key, listed)
    if as_json:
        output.emit_json(verdict)
    else:
        for line in verdict.lines:
            output.out.print(line, soft_wrap=True)
        if verdict.ok and key is None:
            remedy = f"to know whose it is: candor verify {file} --key KEY; whoever keeps the log prints KEY with `candor audit key`"
            output.out.print(f"  → {remedy}", soft_wrap=True)
    if not verdict.ok or (key is not None and not verdict.trusted):
        raise typer.Exit(1)


def lineage_decision(decision: Decision, as_json: Json = False) -> None:
    """Everything a decision rested on and led to."""
    _lineage("decision", decision, as_json=as_json)


def lineage_person(
    person: Annotated[str, typer.Argument(help="Person id or kind:value.")], as_json: Json = False
) -> None:
    """Everything that names a person."""
    _lineage("person", person, as_json=as_json)


def lineage_record(
    record: Annotated[str, typer.Argument(help="Id of a source record (rec_…).")], as_json: Json = False
) -> None:
    """From a source record to every decision that used it."""
    _lineage("record", record, as_json=as_json)


def _lineage(kind: str, ref: str, *, as_json: bool) -> None:
    found = in_house(lambda house: house.lineage(kind, ref, actor=actor()))
    if as_json:
        output.emit_json(found)
        return
    rows = [
        (
            f"{e.at:%Y-%m-%d %H:%M:%S}",
            e.tag,
            e.leaf_index if e.leaf_index is not None else "pending",
            ", ".join(f"{k}:{v}" for k, vs in sorted(e.refs.items()) for v in vs[:3]),
        )
        for e in found
    ]
    output.table(f"Lineage of {kind} {ref}", ("at", "what", "leaf", "names"), rows)
