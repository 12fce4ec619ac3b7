"""Keys made ahead of their use, so that whoever seals a new row need not wait for a commit in the keys database.

Enters: how many keys somebody needs. Leaves: their ids. A key lies here only after its commit: no word is ever sealed under one that could be lost. One that is
never used is a row that nothing hangs on. Nobody else knows its id, so nobody destroys it; a rotation wraps it anew like every other.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from kernel.errors import CandorError
from kernel.ids import KeyId
from kernel.log import get_logger

MOST: Final = 64  # kept ready: as many as the rows of a second at a brisk rate
_LOW: Final = MOST // 2  # from here on more are made, beside whoever takes some
_log = get_logger("kernel.keys_ahead")


class KeysAhead:
    """A small stock, filled by ``make``, which commits. Belongs to one event loop."""

    def __init__(self, make: Callable[[int], Awaitable[list[KeyId]]]) -> None:
        self._make = make
        self._ready: deque[KeyId] = deque()
        self._filling: asyncio.Task[None] | None = None

    async def take(self, count: int) -> list[KeyId]:
        """Durable keys, each given once. Many are made for the asker alone; the stock is for few at a time."""
        if count > _LOW:
            return await self._make(count)
        if len(self._ready) < count:
            # Not handed round: what is made here is the asker's, whatever others take meanwhile.
            made = await self._make(count + MOST)
            self._ready.extend(made[count:])
            return made[:count]
        taken = [self._ready.popleft() for _ in range(count)]
        if len(self._ready) < _LOW and (self._filling is None or self._filling.done()):
            self._filling = asyncio.get_running_loop().create_task(self._fill())
        return taken

    async def close(self) -> None:
        """Make no more."""
        if self._filling is not None:
            self._filling.cancel()
            with suppress(asyncio.CancelledError):
                await self._filling

    async def _fill(self) -> None:
        try:
            self._ready.extend(await self._make(MOST - len(self._ready)))
        except CandorError as fault:  # whoever finds the stock empty tries again, and hears of it
            _log.warning("no_keys_made_ahead", code=fault.code)
