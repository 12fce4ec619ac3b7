"""Experiments and rollouts: what runs, what a look says of each metric, every step with its evidence, and what placements bring against the people held out.

Enters: a name. Leaves: counts, estimates, intervals that hold at every look; never a person. Two acts that the HTTP API has too: let more people take part, where the evidence allows it, and stop.
"""

from datetime import timedelta
from typing import Any, Final, cast

from fastapi.responses import Response

from audit.access.principal import Scope
from kernel.canonical import Json
from kernel.errors import NotFound
from orchestration.learning.experiment import Declared, next_step
from orchestration.learning.experiment_store import RUNNING
from orchestration.learning.held import brought
from orchestration.learning.judging import Report, evidence, may_go_on
from orchestration.learning.planning import plan
from orchestration.service.console.guard import AtDesk
from orchestration.service.console.pages import View, act, page, see
from orchestration.service.console.words import READERS

SEERS: Final = READERS["experiments"]
_DAYS: Final = 7
_OUTCOME: Final = "Order Completed"


@page("/experiments", "experiments.html", *SEERS, api="/v1/experiments")
async def experiments(desk: AtDesk) -> View:
    """All of them, the newest first, and the placements with people who are held out."""
    house = desk.house
    try:
        placements = (await house.decisions.shelf.current()).catalogue.placements
    except NotFound:  # no catalogue was published yet
        placements = ()
    return {
        "experiments": [one.to_json() for one in await house.learning.experiments.every()],
        "holdouts": [
            {"placement": one.name, "holdout": one.holdout.name, "share": one.holdout.share} for one in placements if one.holdout
        ],
    }  # fmt: skip


@page("/holdouts/{placement}", "holdout.html", *SEERS)
async def holdout(desk: AtDesk, placement: str) -> View:
    """What messages of a placement brought against the people who are held out."""
    house = desk.house
    held = (await house.decisions.shelf.current()).catalogue.placement(placement).holdout
    async with house.kernel.db.reading() as conn:
        found = await brought(
            conn, house.identity, house.events, placement, outcome=_OUTCOME, window=timedelta(days=_DAYS)
        )
    return {
        "placement": placement, "outcome": _OUTCOME, "days": _DAYS, "share": held.share if held else None,
        "found": found.to_json() if found is not None else None,
    }  # fmt: skip


@page("/experiments/{name}", "experiment.html", *SEERS, api="/v1/experiments/{name}")
async def experiment(desk: AtDesk, name: str) -> View:
    """One, as it is looked at now."""
    room = desk.house.learning.experiments
    standing = await room.status(name)
    report, last = standing.report, standing.last
    runs = last.state in RUNNING
    step = next_step(last.share) if runs else None
    told = cast("dict[str, Any]", standing.to_json())
    seen = evidence(standing.declared, report, step) if report is not None and step is not None else None
    return {
        **told,
        "declared": standing.declared.document(),
        "runs": runs,
        "next": None,
        "step": step,
        "held": may_go_on(standing.declared, report, step) if report is not None and step is not None else None,
        "shown": seen.to_json() if seen is not None else None,
        "ahead": _ahead(standing.declared, report, last.share) if report is not None and step is not None else [],
        "names": dict(await desk.names()),
    }


def _ahead(declared: Declared, report: Report, share: float) -> list[Json]:
    """The steps of a rollout that lie ahead, by the traffic and the control's share of now: how many people, how many days, what must be ruled out."""
    base, people = abs(report.primary.control), sum(report.people.values())
    if (
        declared.kind != "rollout"
        or not people
        or not 0 < base < 1
        or report.primary.metric.kind not in {"share", "absent"}
    ):
        return []
    found = plan(declared, base, people / max(report.days, 1.0))
    here = report.people.get(declared.treatment.name, 0)
    return [
        {
            "share": one.share, "following": one.following, "may_lose": one.may_lose, "people": one.people, "days": one.days,
            "here": here if one.share == share else None,
        }
        for one in found.stages if one.share >= share
    ]  # fmt: skip


@act("/experiments/{name}/ramp", Scope.OPERATE)
async def ramp(desk: AtDesk, name: str) -> Response:
    """One step further, where the evidence allows it; the page says why not."""
    await desk.house.learning.experiments.ramp(name, actor=desk.principal.actor)
    return see(f"/console/experiments/{name}")


@act("/experiments/{name}/stop", Scope.OPERATE)
async def stop(desk: AtDesk, name: str) -> Response:
    """End it, for a reason that the log keeps."""
    reason = await desk.field("reason")
    await desk.house.learning.experiments.stop(name, actor=desk.principal.actor, reason=reason)
    return see(f"/console/experiments/{name}")
