"""`candor import WHAT FILE --map MAP.yaml`: files into the house, with progress, a report of refused rows, and resume."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Commands, Json, actor, in_house

if TYPE_CHECKING:
    from events.importer import ImportReport
    from orchestration.wiring import House

KINDS = ("people", "events", "decisions", "consents", "suppressions", "catalogue")


def register(app: Commands) -> None:
    """Add the command to the top level."""
    app.add("import")(import_file)


def import_file(
    what: Annotated[str, typer.Argument(help=f"One of: {', '.join(KINDS)}.")],
    file: Annotated[
        Path | None,
        typer.Argument(help="CSV, JSON Lines or Parquet, also .gz or .zst; a catalogue is YAML, its items a feed."),
    ] = None,
    plan: Annotated[
        Path | None, typer.Option("--map", help="The MAP.yaml of this source; a YAML catalogue needs none.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and map every row, store nothing.")] = False,
    refresh: Annotated[
        bool,
        typer.Option("--refresh", help="With catalogue: count anew what sources list, after the file or without one."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Import a file; run again, it resumes or does nothing."""
    from kernel.errors import InvalidInput

    if refresh and (what != "catalogue" or dry_run):
        raise InvalidInput(
            "expected --refresh with catalogue and without --dry-run, got another way",
            code="refresh_misplaced",
            remedy="Count anew with: candor import catalogue --refresh.",
        )
    if refresh and file is None:
        _refresh(as_json=as_json)
        return
    _import(what, file, plan, dry_run=dry_run, as_json=as_json)
    if refresh:
        _refresh(as_json=as_json)


def _import(what: str, file: Path | None, plan: Path | None, *, dry_run: bool, as_json: bool) -> None:
    from kernel.errors import InvalidInput

    if what not in KINDS:
        raise InvalidInput(
            f"expected one of {', '.join(KINDS)}, got {what!r}",
            code="unknown_import",
            remedy="Name what the file holds.",
        )
    if file is None:
        raise InvalidInput(
            f"expected a file of {what}, got none", code="file_missing", remedy="Name the file after the kind."
        )
    if what == "catalogue" and plan is None:
        _catalogue(file, dry_run=dry_run)
        return
    if plan is None:
        raise InvalidInput(
            "expected --map MAP.yaml, got none",
            code="map_missing",
            remedy="Write a map for this source; examples are in examples/real/maps.",
        )
    report = _run(what, file, plan, dry_run=dry_run)
    if as_json:
        output.emit_json(report)
        return
    verb = "would import" if dry_run else "imported"
    output.out.print(
        f"{verb} {report.accepted:,} of {report.rows:,} rows from {report.source} "
        f"({report.duplicates:,} known already, {report.filtered:,} without permission, {report.rejected:,} refused)"
    )
    if report.resumed_at:
        output.say(f"earlier runs had done {report.resumed_at:,} rows.")
    if report.report:
        output.say(f"refused rows, with line, column and reason: {report.report}")


def _run(what: str, file: Path, plan: Path, *, dry_run: bool) -> "ImportReport":
    from events import mapping
    from kernel.errors import InvalidInput

    output.existing(file, f"a file of {what}")
    given = mapping.load(output.existing(plan, "a map"))
    if given.what != what:
        raise InvalidInput(
            f"expected a map whose `what` is {what}, got {given.what}",
            code="map_mismatch",
            remedy="Use the map of this file.",
        )

    async def work(house: "House") -> "ImportReport":
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[rows]:,} rows"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=output.err, transient=True) as bar:
            task = bar.add_task(given.source, total=1.0, rows=0)
            return await house.importer.run(
                file, given, dry_run=dry_run, progress=lambda p: bar.update(task, completed=p.fraction, rows=p.rows)
            )

    return in_house(work)


def _refresh(*, as_json: bool) -> None:
    from orchestration.decision.counting import Restocked

    async def work(house: "House") -> Restocked:
        async with house.kernel.db.transaction() as conn:
            return await house.decisions.refresh_sources(conn, house.kernel.clock.now())

    done = in_house(work)
    if as_json:
        output.emit_json(done)
        return
    output.out.print(
        f"counted {done.people:,} people: {done.lists:,} lists, {done.bundles:,} bundles over {done.items:,} items; "
        f"{done.published:,} contents published"
    )
    if done.unsaid:
        output.say(f"{done.unsaid:,} items lack a field that their template needs.")


def _catalogue(file: Path, *, dry_run: bool) -> None:
    from kernel.errors import InvalidInput
    from orchestration.decision.catalogue import parse

    try:
        text = output.existing(file, "a catalogue").read_text(encoding="utf-8")
    except UnicodeDecodeError as fault:
        raise InvalidInput(
            f"expected a catalogue in UTF-8, got other bytes at offset {fault.start}",
            code="not_utf8",
            remedy="Save the file as UTF-8.",
        ) from None
    found = parse(text)
    names = f"{len(list(found.variants()))} variants, {len(found.placements)} placements"
    if dry_run:
        output.out.print(f"the catalogue is valid: {names}")
        return

    async def work(house: "House") -> object:
        async with house.kernel.db.transaction() as conn:
            return await house.decisions.publish_catalogue(conn, text, actor=actor())

    in_house(work)
    output.out.print(f"published: {names} ({found.digest[:19]}…)")
