"""What runs beside the routes: sequencer, dispatcher, triggers, the watch over experiments, chores of subject requests, explanation queue,
removal of destroyed keys, identifiers in memory, learners, records that settle.

Each ends when `stop` is set.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from kernel.errors import CandorError
from kernel.log import get_logger
from orchestration.service import rotation
from orchestration.service.explaining import explaining
from orchestration.service.helper import Helper

if TYPE_CHECKING:
    from orchestration.wiring import House

CHORES_PAUSE = 60.0  # seconds between rounds of what subject requests need
REMOVAL_PAUSE = 10.0  # seconds between looks at what was destroyed

log = get_logger("workers")


@asynccontextmanager
async def working(house: "House", *, apart: bool = False) -> AsyncIterator[None]:
    """Run the loops while the block runs; at its end they finish what they hold, then stop.

    `apart`: explanations are made by a process of their own, which finds this house by the settings of the environment.
    """
    stop = asyncio.Event()
    loops = [
        asyncio.create_task(house.audit.run_sequencer(stop), name="sequencer"),
        asyncio.create_task(house.channels.run_dispatcher(stop), name="dispatcher"),
        asyncio.create_task(house.triggers.run_worker(stop), name="triggers"),
        asyncio.create_task(house.learning.learners.run(stop), name="learners"),
        asyncio.create_task(chores(house, stop), name="subject_requests"),
        asyncio.create_task(removing(house, stop), name="removing"),
        asyncio.create_task(house.learning.rollouts.run(stop), name="rollouts"),
        asyncio.create_task(house.identity.residing.run(stop), name="residing"),
        asyncio.create_task(house.identity.settler.run(stop), name="settling"),
    ]
    house.explain.patient = not apart
    if house.explain.settings.ahead:
        loops.append(asyncio.create_task(Helper().run(stop) if apart else explaining(house, stop), name="explaining"))
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*loops)


async def chores(house: "House", stop: asyncio.Event) -> None:
    """What time brings to subject requests: alarms, packages that ran out, letters to processors."""
    while not stop.is_set():
        try:
            await house.rights.chores()
        except CandorError as fault:
            log.error("chores_paused", code=fault.code, remedy=fault.remedy)  # noqa: TRY400 - the remedy, not the stack
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), CHORES_PAUSE)


async def removing(house: "House", stop: asyncio.Event) -> None:
    """Remove the bytes of destroyed keys from the disk once the oldest has waited long enough; another process may be quicker."""
    kernel = house.kernel
    while not stop.is_set():
        try:
            waited = (await kernel.removal.waiting()).seconds
            if waited is not None and waited >= kernel.settings.removal_seconds:
                await rotation.remove(house, actor="system")
        except CandorError as fault:
            log.error("removal_paused", code=fault.code, remedy=fault.remedy)  # noqa: TRY400 - the remedy, not the stack
        try:
            await asyncio.wait_for(stop.wait(), min(REMOVAL_PAUSE, kernel.settings.removal_seconds + 0.1))
        except TimeoutError:
            continue
