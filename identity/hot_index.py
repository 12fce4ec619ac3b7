"""The hot identifier index: ``idx:{kind}:{hex blind index}`` -> who holds it, for requests that have no time for Postgres.

What enters: identifiers as kind and blind index. What leaves: people and records by id, never a word. It advises only: an
entry is written from Postgres, dropped after the commit that changed it, and forgotten after a while whatever happens.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from identity.index import Index
from identity.settings import IdentitySettings
from kernel.cache import Cache, CacheUnavailable
from kernel.ids import PersonId, RecordId
from kernel.log import get_logger

Held = Mapping[PersonId, RecordId]

_MOST: Final = 50  # an identifier of more people is answered by Postgres: it names nobody anyway
_log = get_logger("identity.hot_index")


class HotIndex:
    """Reads and writes the index; a store that is down is an empty one."""

    def __init__(self, cache: Cache, settings: IdentitySettings) -> None:
        self._cache = cache
        self._ttl = timedelta(seconds=settings.index_ttl_seconds)

    async def read(self, wanted: Sequence[Index]) -> dict[Index, Held]:
        """What is known hot; absent: ask Postgres."""
        try:
            values = await self._cache.get_many([_key(index) for index in wanted])
        except CacheUnavailable:
            return {}
        return {index: _unpack(value) for index, value in zip(wanted, values, strict=True) if value is not None}

    async def write(self, held: Mapping[Index, Held]) -> None:
        """Remember what Postgres said."""
        values = {_key(index): _pack(people) for index, people in held.items() if people and len(people) <= _MOST}
        try:
            await self._cache.set_many(values, ttl=self._ttl)
        except CacheUnavailable:
            return  # it stays cold; nothing rests on it

    async def forget(self, indexes: Sequence[Index]) -> None:
        """Drop what changed."""
        try:
            await self._cache.delete([_key(index) for index in indexes])
        except CacheUnavailable as fault:
            _log.warning("index_not_dropped", code=fault.code, count=len(indexes))  # its entries age out

    async def clear(self) -> int:
        """Drop everything; for rebuilds and for a published graph."""
        try:
            return await self._cache.delete_matching("idx:*")
        except CacheUnavailable as fault:
            _log.warning("index_not_dropped", code=fault.code)
            return 0


def _key(index: Index) -> str:
    return f"idx:{index.kind}:{index.current.hex()}"


def _pack(held: Held) -> bytes:
    return ",".join(f"{person} {record}" for person, record in sorted(held.items())).encode()


def _unpack(value: bytes) -> dict[PersonId, RecordId]:
    pairs = (part.split(" ") for part in value.decode().split(","))
    return {PersonId(person): RecordId(record) for person, record in pairs}
