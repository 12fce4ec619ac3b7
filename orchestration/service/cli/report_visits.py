"""`candor report sessions|funnel`: visits and how far they came, counted over those who permit it."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Commands, Json, in_house

if TYPE_CHECKING:
    from collections.abc import Mapping

    from events.sessions import Session
    from kernel.ids import PersonId
    from orchestration.wiring import House

Purpose = Annotated[
    str, typer.Option(help="The purpose that the counting serves; who does not permit it is not counted.")
]
Since = Annotated[datetime | None, typer.Option(help="Events from this moment on (UTC).")]
Until = Annotated[datetime | None, typer.Option(help="Events up to this moment (UTC).")]
Gap = Annotated[
    float, typer.Option(min=0.1, help="Minutes of pause that begin a new visit, where events carry no session id.")
]


def register(app: Commands) -> None:
    """Add the commands to the group."""
    app.add("sessions")(sessions)
    app.add("funnel")(funnel)


def sessions(
    purpose: Purpose = "analytics",
    since: Since = None,
    until: Until = None,
    gap: Gap = 30.0,
    by: Annotated[str | None, typer.Option(help="A property of the first event, to count visits by.")] = None,
    as_json: Json = False,
) -> None:
    """Visits: how many, how long, how many of one event only."""
    from events.sessions import grouped, summary

    found = in_house(lambda house: _visits(house, purpose, since, until, gap))
    told = summary(found.values())
    groups = grouped((one for theirs in found.values() for one in theirs), by) if by else {}
    if as_json:
        output.emit_json({**output.plain(told), "by": {by: groups} if by else {}})
        return
    output.facts(
        f"Visits of those who permit {purpose}",
        [
            ("people", f"{told.people:,}"),
            ("events", f"{told.events:,}"),
            (
                "visits",
                f"{told.sessions:,}, {told.per_person:.2f} a person; {told.with_id:,} by the id that events carry",
            ),
            ("events of a visit", f"{told.events_median:g} (median)"),
            ("length", f"{told.seconds_median / 60:.1f} minutes (median)"),
            ("one event only", f"{told.bounced:.1%}"),
        ],
    )
    if by:
        output.table(f"By {by} of the first event", (by, "visits"), list(groups.items()))


def funnel(
    steps: Annotated[str, typer.Option(help="Names of events, in order, separated by commas.")],
    purpose: Purpose = "analytics",
    since: Since = None,
    until: Until = None,
    gap: Gap = 30.0,
    per: Annotated[str, typer.Option(help="session: steps within one visit. person: over all visits.")] = "session",
    as_json: Json = False,
) -> None:
    """How many came from step to step; other events may lie between."""
    from events import sessions as visits
    from kernel.errors import InvalidInput

    names = [one.strip() for one in steps.split(",") if one.strip()]
    if not names or per not in {"session", "person"}:
        raise InvalidInput(
            "expected --steps A,B,C and --per session or person, got something else",
            code="bad_funnel",
            remedy='For example: candor report funnel --steps "Product Viewed,Product Added,Order Completed".',
        )
    found = in_house(lambda house: _visits(house, purpose, since, until, gap))
    if per == "session":
        depths = [visits.reached(one.events, names) for theirs in found.values() for one in theirs]
    else:
        depths = [
            visits.reached(visits.ordered(e for one in theirs for e in one.events), names) for theirs in found.values()
        ]
    made = visits.funnel(depths, names)
    if as_json:
        output.emit_json({"per": per, "of": len(depths), "steps": made})
        return
    output.table(
        f"Of {len(depths):,} {'visits' if per == 'session' else 'people'}",
        ("step", "came", "of the step before", "of the first"),
        [(one.name, f"{one.count:,}", f"{one.of_before:.1%}", f"{one.of_first:.1%}") for one in made],
    )


async def _visits(
    house: "House", purpose: str, since: datetime | None, until: datetime | None, gap: float
) -> "Mapping[PersonId, list[Session]]":
    from events.sessions import sessions as parted

    async with house.kernel.db.reading() as conn:
        found = await house.events.under(conn, purpose, since=_utc(since), until=_utc(until))
    return {person: parted(events, timedelta(minutes=gap)) for person, events in found.items()}


def _utc(at: datetime | None) -> datetime | None:
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at
