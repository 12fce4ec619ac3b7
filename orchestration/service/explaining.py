"""The explanation queue: decisions that have none yet get their explanation, off the decision's path.

Enters: an open house and when to stop. Leaves: explanations in Postgres. Run beside the routes by `workers`, or in a process of its own by `helper`.
"""

import asyncio
from typing import TYPE_CHECKING, Final

from kernel.errors import CandorError
from kernel.log import get_logger

if TYPE_CHECKING:
    from orchestration.wiring import House

_BATCH: Final = 50
_PAUSE: Final = 1.0  # seconds between looks at an empty queue

log = get_logger("explaining")


async def explaining(house: "House", stop: asyncio.Event) -> None:
    """Make explanations of decisions that have none yet, oldest first, until `stop` is set."""
    try:
        async with house.kernel.db.reading() as conn:
            ruling = await house.learning.ruling(conn)
        await house.explain.prepare([one for one in ruling.values() if one is not None])
    except CandorError as fault:
        log.warning("explaining_unprepared", code=fault.code)  # it is loaded when the first decision asks
    while not stop.is_set():
        made = 0
        try:
            made = await house.explain.explain_pending(_BATCH)
        except CandorError as fault:
            log.error("explaining_paused", code=fault.code, remedy=fault.remedy)  # noqa: TRY400 - the remedy, not the stack
        if not made:
            try:
                await asyncio.wait_for(stop.wait(), _PAUSE)
            except TimeoutError:
                continue
