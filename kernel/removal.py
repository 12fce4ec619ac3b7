"""Physical removal: after a key was destroyed, the bytes of its wrapped form leave the disk too.

What enters: nothing; the keys database knows what was destroyed. What leaves: what was done. A deleted row lies on in its page, on pages of its
index, in the write-ahead log and in full-page images there. So the living keys are moved, a batch at a time, to a space whose file is empty, and the
file they came from is truncated whole; then the log is turned and a checkpoint lets go of every older segment (docs/decisions/0029).

Nobody is kept out: who looks a key up sees it in exactly one of the spaces, who makes keys writes to the new one. A removal that was cut off is
ended by the next one. One runs at a time, in whatever process.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from kernel import keys_store as rows
from kernel.clock import Clock
from kernel.db import Database
from kernel.keys_store import Waiting
from kernel.log import get_logger

_BATCH: Final = 2_000  # keys a transaction; those who destroy keys meanwhile wait for it, tens of milliseconds

Told = Callable[[int, int], None]
"""Called with (moved, to be moved) as it goes on."""

_log = get_logger("kernel.removal")


class LogState(StrEnum):
    """What became of the write-ahead log."""

    CLEARED = "cleared"
    NOT_PERMITTED = "not_permitted"
    """Somebody else's Postgres: our role may not force a checkpoint. Its owner does (docs/keys.md)."""
    HELD_BACK = "held_back"
    """A replication slot, wal_keep_size or an archive keeps older segments; they go when it lets go."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What a removal did. `keys`: destroyed ones whose bytes are gone; `log`: see `LogState`; None when there was nothing to do or another one runs."""

    keys: int
    moved: int
    log: LogState | None
    busy: bool = False


class Removal:
    """One per process and event loop; stands at ``Kernel.removal``."""

    def __init__(self, keys_db: Database, clock: Clock, *, batch: int = _BATCH) -> None:
        self._db = keys_db
        self._clock = clock
        self._batch = batch

    async def waiting(self) -> Waiting:
        """What was destroyed and may still be found on the disk."""
        async with self._db.reading() as conn:
            return await rows.waiting(conn)

    async def last(self) -> rows.Removal | None:
        """The newest removal that ended."""
        async with self._db.reading() as conn:
            return await rows.last_removal(conn)

    async def run(self, told: Told | None = None) -> Removed:
        """Remove everything that was destroyed before this call. May be retried; a second one at the same time does nothing and says so."""
        async with rows.removing(self._db) as alone:
            if not alone:
                return Removed(0, 0, None, busy=True)
            if not (await self.waiting()).keys:
                return Removed(0, 0, None)
            moved = 0
            async with self._db.reading() as conn:
                current = await rows.current_space(conn)
                cut_off = await rows.littered(conn, 1 - current)
            if cut_off:
                moved += await self._empty(1 - current, told)
            async with self._db.reading() as conn:
                more = await rows.fresh(conn)
            if more:
                async with self._db.transaction() as conn:
                    await rows.change_space(conn, 1 - current)
                moved += await self._empty(current, told)
            log = await self._clear_log()
            async with self._db.transaction() as conn:
                keys = await rows.removed(conn, self._clock.now(), moved, log)
        _log.info("keys_removed", count=keys, state=log)
        return Removed(keys, moved, log)

    async def _empty(self, space: int, told: Told | None) -> int:
        async with self._db.reading() as conn:
            expected = await rows.size(conn, space)
        moved = 0
        while True:
            async with self._db.transaction() as conn:
                done = await rows.move(conn, space, self._batch)
            moved += done
            if told is not None and done:
                told(moved, max(moved, expected))
            if not done:
                async with self._db.transaction() as conn:
                    if await rows.truncate(conn, space):
                        return moved

    async def _clear_log(self) -> LogState:
        """Let go of every segment that was written so far."""
        async with self._db.transaction() as conn:
            if not await rows.may_turn_the_log(conn):
                return LogState.NOT_PERMITTED
            begun = await rows.turn_the_log(conn)
            await rows.checkpoint(conn)
            names = await rows.segments(conn)
            if await rows.reuses_segments(conn):
                # What lies ahead are old segments under new names: running through them fills them with zeros.
                for _ in [name for name in names if name[8:] > begun[8:]]:
                    await rows.turn_the_log(conn)
                await rows.checkpoint(conn)
                names = await rows.segments(conn)
        older = [name for name in names if name[8:] < begun[8:]]
        return LogState.HELD_BACK if older else LogState.CLEARED
