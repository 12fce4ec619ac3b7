"""Keeping the resident index true: filled from Postgres, and told of every commit that changes who holds what.

Enters: notices of the tables themselves (migration 0032), from whichever process. Leaves: an index that answers like Postgres but for the
milliseconds that a notice of another process takes; this process's own commits are dropped before their caller goes on. When the notices
break off, or there are more identifiers than may lie in memory, the index is off and everybody asks as if there were none.
"""

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

import numpy as np

from identity import resident_store
from identity.index import Index, is_even
from identity.resident import KEY_BYTES, Held, Resident, Words, arrange
from identity.settings import IdentitySettings
from kernel.errors import Unavailable
from kernel.kernel import Kernel
from kernel.log import get_logger
from kernel.notices import Notices, listening

ALL: Final = "*"
CHANNEL: Final = "identity_index"
_HEARD: Final = "heard?"
_SETTLE_SECONDS: Final = 2.0
_LETTERS: Final = 2 * KEY_BYTES  # of a key in a notice
_PAGE: Final = 50_000  # identifiers read at a time
_LOOSE_SHARE: Final = 0.1  # of what is known; more changes than this, and all is read anew into the arrays
_LOOSE_LEAST: Final = 10_000
_PAUSE_SECONDS: Final = 1.0

_log = get_logger("identity.residing")


class TooMany(Exception):
    """More identifiers than the settings let into memory."""


class Residing:
    """Stands at ``Identity.residing``; one per process and event loop."""

    def __init__(self, kernel: Kernel, settings: IdentitySettings) -> None:
        self._kernel = kernel
        self._most = settings.resident_identifiers
        self.index = Resident()
        self._names: tuple[str, ...] = ()
        self._told: dict[str, asyncio.Event] | None = None  # while notices are heard: who waits for which of them
        self._stale = False
        self.full = asyncio.Event()  # set while it answers
        self._filled = self._heard = time.monotonic()

    @property
    def ready(self) -> bool:
        """Whether it answers: full, told of every change, and hashed with the one secret in force."""
        return self.index.ready and self._kernel.vault.index_names == self._names

    @property
    def age(self) -> float:
        """Seconds since all was read from Postgres; notices keep it true from then on."""
        return time.monotonic() - self._filled

    @property
    def lag(self) -> float:
        """Seconds since the connection of notices was last seen to stand: what was committed before that has been heard of."""
        return time.monotonic() - self._heard

    def get(self, wanted: Sequence[Index]) -> tuple[dict[Index, Held], list[Index], int]:
        """What is known here, what Postgres must be asked for, and the moment for ``put``."""
        known: dict[Index, Held] = {}
        asked: list[Index] = []
        if not self.ready:
            return known, list(wanted), self.index.moment
        for one in wanted:
            held = self.index.get(one.current[:KEY_BYTES])
            if held is None:
                asked.append(one)
            else:
                known[one] = held
        return known, asked, self.index.moment

    def put(self, answered: Mapping[Index, Held], *, since: int) -> None:
        """Remember what Postgres said."""
        if self.ready:
            for one, held in answered.items():
                self.index.put(one.current[:KEY_BYTES], held, since=since)

    def drop(self, indexes: Sequence[Index]) -> None:
        """This process changed these; its own readers must see it at once."""
        if self._told is not None:
            self.index.drop(key[:KEY_BYTES] for one in indexes for key in (one.current, one.older) if key is not None)

    async def settle(self) -> None:
        """Wait until every notice of what is committed by now was heard: for who changed too much to name it."""
        told = self._told
        if told is None:
            return
        mark = f"{_HEARD}{secrets.token_hex(8)}"
        heard = told[mark] = asyncio.Event()
        async with self._kernel.db.transaction() as conn:
            await conn.execute("SELECT pg_notify('identity_index', %s)", (mark,))
        try:
            await asyncio.wait_for(heard.wait(), _SETTLE_SECONDS)
        except TimeoutError:
            self._off()  # filled again when the notices flow again
            self._stale = True
        finally:
            told.pop(mark, None)

    async def run(self, stop: asyncio.Event) -> None:
        """Fill and follow until `stop`; a lost connection is waited out, with the index off."""
        while self._most and not stop.is_set():
            try:
                async with listening(self._kernel.db, CHANNEL) as notices:
                    self._told = {}
                    await self._follow(notices, stop)
            except Unavailable as fault:
                _log.warning("resident_index_off", code=fault.code)
            except TooMany:
                _log.warning("resident_index_off", code="too_many_identifiers", most=self._most)
                break
            finally:
                self._told = None
                self._off()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _PAUSE_SECONDS)

    async def _follow(self, notices: Notices, stop: asyncio.Event) -> None:
        filling: asyncio.Task[int] | None = asyncio.create_task(self.fill())
        try:
            while not stop.is_set():
                heard = await notices.heard()
                self._heard = time.monotonic()
                for said in heard:
                    if said == ALL:
                        self._stale = True
                        self._off()
                    elif said.startswith(_HEARD):
                        self._wake(said)
                    else:
                        self.index.drop(_keys(said))
                if self._stale:
                    self._stale = False
                    if filling is not None:  # what it read so far may be of before
                        filling.cancel()
                        await asyncio.wait([filling])
                    filling = asyncio.create_task(self.fill())
                if filling is not None and filling.done():
                    filling.result()
                    filling = None
                if filling is None and self.index.loose > max(_LOOSE_LEAST, _LOOSE_SHARE * self.index.size):
                    filling = asyncio.create_task(self.fill())
        finally:
            if filling is not None:
                filling.cancel()
                await asyncio.wait([filling])

    def _off(self) -> None:
        self.full.clear()
        self.index.off()

    def _wake(self, mark: str) -> None:
        waiting = (self._told or {}).get(mark)
        if waiting is not None:  # else another process waits for it
            waiting.set()

    async def fill(self) -> int:
        """Read all anew; the number of identifiers known. Changes meanwhile are kept apart, so nobody need wait for it.

        Raises:
            TooMany: more than the settings allow.
        """
        since, names = self.index.moment, self._kernel.vault.index_names
        even = is_even(names[0])
        parts: list[tuple[Words, Words, Words]] = []
        after, count = "", 0
        async with self._kernel.db.reading() as conn:
            while last := await resident_store.last_of_page(conn, after, _PAGE):
                parts.append(await resident_store.held(conn, after, last, even=even))
                count += len(parts[-1][0])
                if count > self._most:
                    raise TooMany
                after = last
        empty = np.empty((0, 2), np.uint64)
        keys, people, records = (np.concatenate([empty, *(part[i] for part in parts)]) for i in range(3))
        self._names = names if len(names) == 1 else ()
        arranged = await asyncio.to_thread(arrange, keys, people, records)
        self.index.fill(arranged, since=since)
        self._filled = time.monotonic()
        self.full.set()
        return self.index.size


def _keys(said: str) -> list[bytes]:
    words = bytes.fromhex(said)
    return [words[at : at + KEY_BYTES] for at in range(0, len(words), KEY_BYTES)]
