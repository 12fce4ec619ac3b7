"""`candor retention …`: remove what is past its time; hold back what must stay."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Commands, Json, actor, in_house

if TYPE_CHECKING:
    from consent.retention import Report


def register(app: Commands) -> None:
    """Add the commands of this group."""
    app.add("run")(run)
    app.add("hold")(hold)
    app.add("lift")(lift)
    app.add("holds")(holds)
    app.add("columns")(columns)


def run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would go; change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Remove what the schedule says is past its time, but for what is held back; the counts are in the log."""
    report = in_house(lambda house: house.retention.preview() if dry_run else house.retention.run(actor=actor()))
    if as_json:
        output.emit_json({"dry_run": dry_run, **output.plain(report)})
        return
    _tell(report, dry=dry_run)


def columns(as_json: Json = False) -> None:
    """Every stored column: what kind of thing, what for, on which basis, until when. Stand-alone: no store."""
    from consent.columns import load as read
    from consent.schedule import load as schedule
    from orchestration.settings import load

    found = read(schedule(load().consent.retention_file))
    if as_json:
        output.emit_json(found)
        return
    rows = [(one.table, one.column, one.category, one.purpose, one.basis, one.until) for one in found]
    output.table("Columns", ("table", "column", "category", "for", "basis", "until"), rows)


def hold(
    person: Annotated[str, typer.Argument(help="per_… or kind:value.")],
    ground: Annotated[
        str, typer.Option(help="legal_claim, authority, legal_obligation or public_interest.")
    ] = "legal_claim",
    reference: Annotated[str, typer.Option(help="Number of the file it belongs to; no names.")] = "",
    until: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day it stands, UTC.")] = None,
    as_json: Json = False,
) -> None:
    """Hold a person's things back from retention and erasure."""
    from consent.holds import Ground, parse

    ends = until.replace(tzinfo=UTC) if until else None
    chosen: Ground = parse(ground, reference)
    placed = in_house(
        lambda house: house.rights.holds.place(person, chosen, actor=actor(), reference=reference, until=ends)
    )
    if as_json:
        output.emit_json(placed)
    else:
        output.facts("", [("hold", placed.id), ("person", placed.person), ("ground", placed.ground)])


def lift(
    hold_id: Annotated[str, typer.Argument(metavar="HOLD", help="Id of the hold (hld_…).")], as_json: Json = False
) -> None:
    """End a hold."""
    lifted = in_house(lambda house: house.rights.holds.lift(hold_id, actor=actor()))
    if as_json:
        output.emit_json(lifted)
    else:
        output.say(f"{lifted.id} does not hold any more")


def holds(as_json: Json = False) -> None:
    """Holds that stand."""
    found = in_house(lambda house: house.rights.holds.listed())
    if as_json:
        output.emit_json(found)
        return
    rows = [
        (h.id, h.person, h.ground, h.reference, h.placed_by, f"{h.placed_at:%Y-%m-%d}", f"{h.until:%Y-%m-%d}" if h.until else "")
        for h in found
    ]  # fmt: skip
    output.table("Holds", ("id", "person", "ground", "reference", "placed by", "since", "until"), rows)


def _tell(report: "Report", *, dry: bool) -> None:
    rows = [
        (
            line.kind,
            line.purpose or "",
            line.keep_days,
            f"{line.before:%Y-%m-%d}",
            line.due if dry else line.gone,
            line.held,
        )
        for line in report.lines
    ]
    title = "What would go" if dry else "What went"
    output.table(title, ("kind", "purpose", "kept, days", "from before", "would go" if dry else "gone", "held back"), rows)  # fmt: skip
    if report.held:
        held = ", ".join(f"{reason.replace('_', ' ')} {count}" for reason, count in sorted(report.held.items()))
        output.say(f"people held back, by reason: {held}")
    if report.unruled:
        output.say(f"kept for ever, because no rule names them: {', '.join(report.unruled)}")
