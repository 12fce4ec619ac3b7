"""Explanations as a step: what counted is put together by day, and how things stand is told.

Enters: nothing. Leaves: counts by placement, levers that were pulled a second time; explanations themselves are made as decisions are, by the process beside the server.
"""

from typing import TYPE_CHECKING

from explain.standing import of_explanations
from orchestration.pipeline.facts import Fact, Facts, key

if TYPE_CHECKING:
    from orchestration.wiring import House


async def explanations(house: "House") -> Facts:
    """Put the counts of reasons together and pull the newest levers once more; figures of what waits, and how far each placement's reasons moved."""
    gone = await house.explain.tallies.compact()
    pulled = await house.explain.recheck_levers(house.explain.settings.trial_sample)
    now = house.kernel.clock.now()
    async with house.kernel.db.reading() as conn:
        found = await of_explanations(conn, now)
    facts: dict[str, Fact] = {
        "made": found.made, "waiting": found.waiting, "refused": found.refused, "oldest_seconds": round(found.oldest_seconds), "rows_put_together": gone,
        "put_off": sum(found.put_off.values()),
        "levers_pulled_again": pulled,
    }  # fmt: skip
    for one in await house.explain.tallies.over(now):
        if one.psi is not None:
            facts[key(one.placement, "stability_index")] = round(one.psi, 4)
    return facts
