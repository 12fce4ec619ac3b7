"""`candor import WHAT FILE --map MAP.yaml`: files into the house, with progress, a report of refused rows, and resume."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Commands, Json, actor, in_house

if TYPE_CHECKING:
    from consent.effect import Effect
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
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask, after the effect of consents or suppressions was printed.")
    ] = False,
    refresh: Annotated[
        bool,
        typer.Option("--refresh", help="With catalogue: count anew what sources list, after the file or without one."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Import a file; run again, it resumes or does nothing.

    Consents and suppressions: what the file changes for people, by purpose and channel, is printed before anything is stored, and at a
    terminal you are asked.
    """
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
    _import(what, file, plan, dry_run=dry_run, yes=yes, as_json=as_json)
    if refresh:
        _refresh(as_json=as_json)


def _import(what: str, file: Path | None, plan: Path | None, *, dry_run: bool, yes: bool, as_json: bool) -> None:
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
    asking = not (dry_run or yes or as_json) and sys.stdin.isatty()
    report, foreseen = _run(
        what, file, plan, dry_run=dry_run, agreed=lambda effect: as_json or _agreed(effect, asking=asking)
    )
    if as_json:
        output.emit_json(output.plain(report) | ({"effect": foreseen} if foreseen is not None else {}))
        return
    if report is None:
        output.say("nothing was imported.")
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


def _agreed(effect: "Effect", *, asking: bool) -> bool:
    """Print what the file changes; whether to go on."""
    output.say(
        f"{effect.people:,} people are concerned; {effect.unheld:,} contacts nobody holds yet; {effect.refused:,} words cannot be taken."
    )
    rows = [
        (one.purpose, one.channel or "any", one.before, one.after, one.gain, one.lose)
        for one in effect.changes
        if one.gain or one.lose
    ]
    if rows:
        columns = ("purpose", "channel", "may before", "may after", "gain", "lose")
        output.table("Who gains and loses what", columns, rows)
    else:
        output.say("nobody gains or loses a permission.")
    return not asking or typer.confirm("Import it?", err=True)


def _run(
    what: str, file: Path, plan: Path, *, dry_run: bool, agreed: "Callable[[Effect], bool]"
) -> "tuple[ImportReport | None, Effect | None]":
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

    async def work(house: "House") -> "tuple[ImportReport | None, Effect | None]":
        effect = await house.importer.foresee(file, given)
        if effect is not None and not agreed(effect):
            return None, effect
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[rows]:,} rows"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=output.err, transient=True) as bar:
            task = bar.add_task(given.source, total=1.0, rows=0)
            report = await house.importer.run(
                file, given, dry_run=dry_run, progress=lambda p: bar.update(task, completed=p.fraction, rows=p.rows)
            )
        return report, effect

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
    from orchestration.decision.catalogue import parse, refuse_unknown_features
    from orchestration.settings import load
    from profiles import declarations
    from profiles.features import FeatureSet

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
        refuse_unknown_features(found, FeatureSet(declarations.load(load().profiles.features_file)).names)
        output.out.print(f"the catalogue is valid: {names}")
        return

    async def work(house: "House") -> object:
        async with house.kernel.db.transaction() as conn:
            return await house.decisions.publish_catalogue(conn, text, actor=actor())

    in_house(work)
    output.out.print(f"published: {names} ({found.digest[:19]}…)")
