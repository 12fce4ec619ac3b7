"""Who holds an identifier, by the quickest who knows: the resident index, the hot index, Postgres.

Enters: identifiers as keyed hashes. Leaves: people and records by id. Whatever Postgres says is offered to the quicker ones, with the moment at
which it was asked; they refuse it when something changed meanwhile.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from identity.hot_index import Held, HotIndex
from identity.index import Index
from identity.residing import Residing
from kernel.db import Conn, Database

Ask = Callable[[Conn, Sequence[Index]], Awaitable[Mapping[Index, Held]]]


class Asking:
    """Advises: what is committed on an answer is fenced."""

    def __init__(self, db: Database, hot: HotIndex, residing: Residing, postgres: Ask) -> None:
        self._db = db
        self._hot = hot
        self._residing = residing
        self._postgres = postgres

    async def held(self, wanted: Sequence[Index]) -> Mapping[Index, Held]:
        """The holders of each, none for what nobody holds. With a full resident index no other process is asked."""
        known, rest, since = self._residing.get(wanted)
        if not rest:
            return known
        if self._residing.ready:  # what changed a moment ago: the hot index may hear of it later than we did
            async with self._db.reading() as conn:
                asked = await self._postgres(conn, rest)
            self._residing.put(asked, since=since)
            return {**known, **asked}
        found, moment = await self._hot.read(wanted)
        if cold := [index for index in wanted if index not in found]:
            async with self._db.reading() as conn:
                asked = await self._postgres(conn, cold)
            await self._hot.write(asked, since=moment)
            found |= asked
        return found
