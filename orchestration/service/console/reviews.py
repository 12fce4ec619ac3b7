"""Significant decisions that a person asked somebody to look at (spec explain.E8), for officers.

Enters: nothing, or what came of one. Leaves: decisions by id with the day they were asked about, and where people can ask; what was found is an entry of the log.
"""

from typing import cast

from fastapi.responses import Response

from audit.access.principal import Scope
from explain.significant import OUTCOMES, Outcome
from kernel.canonical import Json
from kernel.errors import NotFound
from orchestration.service.console.decisions import checked_id
from orchestration.service.console.errors import FormIncomplete
from orchestration.service.console.guard import AtDesk, Desk
from orchestration.service.console.pages import View, act, page, see


@page("/looks", "looks.html", Scope.OFFICER)
async def looks(desk: AtDesk) -> View:
    """What waits for somebody, and what was looked at last."""
    significant, now = desk.house.explain.significant, desk.house.kernel.clock.now()
    return {
        "open": [{**one.as_json(), "days": (now - one.asked_at).days} for one in await significant.reviews()],
        "closed": [one.as_json() for one in await significant.reviews(closed=True, limit=50)],
        "names": dict(await desk.names()), "outcomes": list[Json](OUTCOMES),
        "placements": await _placements(desk),
    }  # fmt: skip


async def _placements(desk: Desk) -> Json:
    """Where a person can ask for a look."""
    try:
        catalogue = (await desk.house.decisions.shelf.current()).catalogue
    except NotFound:  # no catalogue was published yet
        return []
    return [one.name for one in catalogue.placements if one.significant_decision]


@act("/looks/{decision}/close", Scope.OFFICER)
async def close(desk: AtDesk, decision: str) -> Response:
    """Somebody looked."""
    outcome = await desk.field("outcome")
    if outcome not in OUTCOMES:
        raise FormIncomplete("expected what came of it from the list, got another word")
    await desk.house.explain.significant.close(
        checked_id(decision), cast("Outcome", outcome), actor=desk.principal.actor
    )
    return see("/console/looks")
