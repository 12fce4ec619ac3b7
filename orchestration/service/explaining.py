"""The explanation queue: decisions that have none yet get their explanation, off the decision's path.

Enters: an open house and when to stop. Leaves: explanations in Postgres. Run beside the routes by `workers`, or in a process of its own by `helper`.
"""

import asyncio
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Final

from kernel.errors import CandorError
from kernel.log import get_logger
from orchestration.service.pacing import Pace

if TYPE_CHECKING:
    from orchestration.wiring import House

_BATCH: Final = 50
_PIECE: Final = 5  # of a paced worker: what cannot be interrupted must be short
_PAUSE: Final = 1.0  # seconds between looks at an empty queue

log = get_logger("explaining")


async def explaining(house: "House", stop: asyncio.Event, *, paced: bool = False) -> None:
    """Make explanations of decisions that have none yet, oldest first, until `stop` is set. `paced`: step back while others need the machine."""
    try:
        async with house.kernel.db.reading() as conn:
            ruling = await house.learning.ruling(conn)
        await house.explain.prepare([one for one in ruling.values() if one is not None])
    except CandorError as fault:
        log.warning("explaining_unprepared", code=fault.code)  # it is loaded when the first decision asks
    settings = house.explain.settings
    pace = Pace(settings.room, settings.least_share) if paced else None
    while not stop.is_set():
        made, began = 0, perf_counter()
        try:
            made = await house.explain.explain_pending(_PIECE if paced else _BATCH)
        except CandorError as fault:
            log.error("explaining_paused", code=fault.code, remedy=fault.remedy)  # noqa: TRY400 - the remedy, not the stack
        pause = _PAUSE if not made else pace.rest(perf_counter() - began) if pace is not None else 0.0
        if pause > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)
