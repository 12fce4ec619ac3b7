"""`candor report lift`: what messages brought, against the people who were held out; visits and funnels are in `report_visits`."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.service.cli import output, report_features, report_reasons, report_visits
from orchestration.service.cli.experiment import show
from orchestration.service.cli.runtime import Commands, Json, in_house

if TYPE_CHECKING:
    from orchestration.learning.bias import Audited
    from orchestration.learning.held import Brought
    from orchestration.wiring import House


def register(app: Commands) -> None:
    """Add the commands of this group."""
    app.callback()(_group)
    app.add("lift")(report_lift)
    app.add("bias")(bias)
    report_visits.register(app)
    report_reasons.register(app)
    report_features.register_report(app)


def _group() -> None:
    """Reports."""


def report_lift(
    placement: Annotated[str | None, typer.Option(help="A placement with a holdout.")] = None,
    outcome: Annotated[str, typer.Option(help="Name of the event that counts.")] = "Order Completed",
    days: Annotated[float, typer.Option(min=0.01, help="How long after a decision an outcome counts.")] = 7.0,
    experiment: Annotated[
        str | None, typer.Option(help="An experiment instead: its treatment against its control.")
    ] = None,
    as_json: Json = False,
) -> None:
    """What messages brought, against those who were held out, or what an experiment says.

    The share with the outcome in both groups, the difference with its interval, and the smallest difference that groups of this size can show; the same for revenue.
    """
    if (placement is None) == (experiment is None):
        raise typer.BadParameter("expected exactly one of --placement and --experiment")
    if experiment is not None:
        name = experiment
        standing = in_house(lambda house: house.learning.experiments.status(name))
        if as_json:
            output.emit_json(standing.to_json())
        elif standing.report is not None:
            show(standing.report)
        return
    where = placement or ""
    found = in_house(lambda house: _lift(house, where, outcome, timedelta(days=days)))
    if as_json:
        output.emit_json(found.to_json())
        return
    shares, money = found.shares, found.revenue
    output.facts(
        f"{where}: {outcome} within {days:g} days",
        [
            ("treated", f"{shares.treated_hits:,} of {shares.treated:,}"),
            ("held out", f"{shares.held_hits:,} of {shares.held:,}"),
            (
                "difference",
                f"{shares.difference * 100:+.2f} points, 95 % interval {shares.low * 100:+.2f} to {shares.high * 100:+.2f}",
            ),
            ("smallest seen", f"{shares.mde * 100:.2f} points"),
        ],
    )
    if money is not None:
        output.facts(
            "Revenue a person",
            [
                ("treated", f"{money.treated:.2f}"),
                ("held out", f"{money.held:.2f}"),
                ("difference", f"{money.difference:+.2f}, 95 % interval {money.low:+.2f} to {money.high:+.2f}"),
                ("smallest seen", f"{money.mde:.2f}"),
            ],
        )
    if found.mixed:
        output.say(f"Counted on neither side, since they were known under ids of both: {found.mixed}.")


def bias(
    placement: Annotated[str, typer.Option(help="A placement of the catalogue.")],
    by: Annotated[list[str] | None, typer.Option("--by", help="A trait; region and age by default. Numbers and birth dates are told in bands of age.")] = None,
    days: Annotated[float, typer.Option(min=0.01, help="Decisions so many days back.")] = 90.0,
    purpose: Annotated[str, typer.Option(help="The purpose that looks; who does not permit it is in the group unknown.")] = "analytics",
    as_json: Json = False,
) -> None:  # fmt: skip
    """Who is shown something and who is not, by region and age, with intervals.

    Groups of fewer than twenty people are told of together or not at all. Intervals of differences are widened for the number of groups.
    """
    found = in_house(lambda house: _bias(house, placement, by or ["region", "age"], days, purpose))
    if as_json:
        output.emit_json({"placement": placement, "parts": [one.to_json() for one in found.parts], "people": found.people, "traits_there": dict(found.there)})  # fmt: skip
        return
    if not found.people:
        output.say(f"Nobody could have been shown something at {placement} in the last {days:g} days.")
        return
    output.table(
        f"{placement}: shown something, by group",
        ("by", "group", "people", "decisions", "shown", "low", "high", "less all others", "low", "high", ""),
        [
            (
                one.by, one.value, one.people, one.decisions, f"{one.shown:.3f}", f"{one.low:.3f}", f"{one.high:.3f}",
                *(("–", "–", "–") if found.alone(one) else (f"{one.apart:+.3f}", f"{one.apart_low:+.3f}", f"{one.apart_high:+.3f}")),
                "apart" if one.called else "",
            )
            for one in found.parts
        ],
    )  # fmt: skip
    output.say("Of people who could have been shown something; who did not permit it, was out of the segment or held out is not in it. Intervals are of 95 %.")  # fmt: skip
    if found.unknown:
        there = ", ".join(f"{name} (of {count:,})" for name, count in found.there.items()) or "none"
        output.say(f"Known of nobody under the purpose {purpose}: {', '.join(found.unknown)}. Traits that it may see of twenty people or more: {there}. Name some with --by, look under another purpose with --purpose, or let a source collect them for {purpose} too.")  # fmt: skip


async def _bias(house: "House", placement: str, traits: list[str], days: float, purpose: str) -> "Audited":
    from orchestration.learning.bias import audited

    (await house.decisions.shelf.current()).catalogue.placement(placement)
    now = house.kernel.clock.now()
    async with house.kernel.db.reading() as conn:
        return await audited(
            conn, house.identity, house.profiles, placement=placement, traits=traits, purpose=purpose,
            since=now - timedelta(days=days), now=now,
        )  # fmt: skip


async def _lift(house: "House", placement: str, outcome: str, window: timedelta) -> "Brought":
    """First decision of each person in the comparison; her outcomes afterwards, whoever sent them."""
    from kernel.errors import NotFound
    from orchestration.learning.held import brought

    (await house.decisions.shelf.current()).catalogue.placement(placement)
    async with house.kernel.db.reading() as conn:
        found = await brought(conn, house.identity, house.events, placement, outcome=outcome, window=window)
    if found is None:
        raise NotFound(
            f"expected decisions at '{placement}' about people who could have been treated, got none",
            code="nothing_to_compare",
            remedy=f"Decide first, for example: candor campaign start {placement}.",
        )
    return found
