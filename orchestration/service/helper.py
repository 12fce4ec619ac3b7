"""A process beside the server, of low priority: makes explanations, which load seconds of libraries and hold the interpreter, so that no request waits for them.

Enters: the settings of the environment, as for `candor up`. Leaves: explanations in Postgres. It ends when its standard input does: a server that was killed
leaves none behind. `Helper` is the server's side of it.
"""

import asyncio
import os
import sys
import threading
from contextlib import suppress
from typing import Final

from kernel.log import get_logger

NICE: Final = 19  # the least: whatever serves a request comes first
_GRACE_SECONDS: Final = 20.0
_PAUSES: Final = (1.0, 5.0, 30.0)  # seconds before it is started again after it died; the last one repeats

log = get_logger("helper")


class Helper:
    """Keeps the process alive while the server runs."""

    async def run(self, stop: asyncio.Event) -> None:
        """Start it, start it again when it dies, end it when `stop` is set."""
        died = 0
        while not stop.is_set():
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "orchestration.service.helper", stdin=asyncio.subprocess.PIPE
            )
            ended = asyncio.create_task(child.wait())
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait([ended, stopped], return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if stop.is_set():
                await _end(child, ended)
                return
            log.error("helper_died", status=str(child.returncode), remedy="It is started again by itself.")
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _PAUSES[min(died, len(_PAUSES) - 1)])
            died += 1


async def _end(child: asyncio.subprocess.Process, ended: asyncio.Task[int]) -> None:
    if child.stdin is not None:
        child.stdin.close()
    try:
        await asyncio.wait_for(asyncio.shield(ended), _GRACE_SECONDS)
    except TimeoutError:
        child.kill()
        await ended


def main() -> None:
    """`python -m orchestration.service.helper`."""
    from orchestration.service.cli.runtime import logging
    from orchestration.service.explaining import explaining
    from orchestration.settings import load
    from orchestration.wiring import open_house

    os.nice(NICE)
    settings = load()
    logging(settings, quiet=None)

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def wait() -> None:
            sys.stdin.buffer.read()
            loop.call_soon_threadsafe(stop.set)

        threading.Thread(target=wait, daemon=True).start()
        async with open_house(settings) as house:
            await explaining(house, stop, paced=True)

    # Interrupts are the server's to hear: it ends us through our input.
    with suppress(KeyboardInterrupt):
        asyncio.run(run())


if __name__ == "__main__":
    main()
