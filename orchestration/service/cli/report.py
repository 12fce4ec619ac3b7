"""`candor report lift`: what messages brought, against the people who were held out; visits and funnels are in `report_visits`."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.service.cli import output, report_features, report_visits
from orchestration.service.cli.runtime import Commands, Json, in_house

if TYPE_CHECKING:
    from orchestration.decision.store import Row
    from orchestration.learning.lift import Lift
    from orchestration.wiring import House


def register(app: Commands) -> None:
    """Add the commands of this group."""
    app.callback()(_group)
    app.add("lift")(report_lift)
    report_visits.register(app)
    report_features.register_report(app)


def _group() -> None:
    """Reports."""


def report_lift(
    placement: Annotated[str, typer.Option(help="A placement with a holdout.")],
    outcome: Annotated[str, typer.Option(help="Name of the event that counts.")] = "Order Completed",
    days: Annotated[float, typer.Option(min=0.01, help="How long after a decision an outcome counts.")] = 7.0,
    as_json: Json = False,
) -> None:
    """What messages brought, against those who were held out.

    The share with the outcome in both groups, the difference with its interval, and the smallest difference that groups of this size can show.
    """
    found = in_house(lambda house: _lift(house, placement, outcome, timedelta(days=days)))
    if as_json:
        output.emit_json(found.to_json())
        return
    output.facts(
        f"{placement}: {outcome} within {days:g} days",
        [
            ("treated", f"{found.treated_hits:,} of {found.treated:,}"),
            ("held out", f"{found.held_hits:,} of {found.held:,}"),
            (
                "difference",
                f"{found.difference * 100:+.2f} points, 95 % interval {found.low * 100:+.2f} to {found.high * 100:+.2f}",
            ),
            ("smallest seen", f"{found.mde * 100:.2f} points"),
        ],
    )


async def _lift(house: "House", placement: str, outcome: str, window: timedelta) -> "Lift":
    """First decision of each person in the comparison; her outcomes afterwards, whoever sent them."""
    from kernel.errors import NotFound
    from kernel.ids import PersonId
    from orchestration.learning.lift import lift

    (await house.decisions.shelf.current()).catalogue.placement(placement)
    async with house.kernel.db.reading() as conn:
        rows = [row for row in await house.decisions.history(conn, placement=placement) if row.in_scope and row.person]
        first: dict[PersonId, Row] = {}
        for row in rows:
            first.setdefault(PersonId(str(row.person)), row)
        events = await house.events.of_people(conn, list(first))
    hits = {
        person: any(e.name == outcome and row.at <= e.event_time <= row.at + window for e in events.get(person, []))
        for person, row in first.items()
    }
    if not first:
        raise NotFound(
            f"expected decisions at '{placement}' about people who could have been treated, got none",
            code="nothing_to_compare",
            remedy=f"Decide first, for example: candor campaign start {placement}.",
        )
    treated = [person for person, row in first.items() if not row.held]
    held = [person for person, row in first.items() if row.held]
    return lift(
        treated=len(treated),
        treated_hits=sum(hits[p] for p in treated),
        held=len(held),
        held_hits=sum(hits[p] for p in held),
    )
