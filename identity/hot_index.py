"""The hot identifier index: ``idx:{kind}:{hex blind index}`` -> who holds it, for requests that have no time for Postgres.

What enters: identifiers as kind and blind index. What leaves: people and records by id, never a word. It advises only: an
entry is written from Postgres, dropped after the commit that changed it, and forgotten after a while whatever happens.
Asking Postgres takes a while: who was overtaken by a change meanwhile does not write the old answer back, because a drop
leaves its moment behind, by the store's own clock, and ``write`` is told the moment at which reading began.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from identity.index import Index
from identity.residing import Residing
from identity.settings import IdentitySettings
from kernel.cache import Cache, CacheUnavailable
from kernel.ids import PersonId, RecordId
from kernel.log import get_logger

Held = Mapping[PersonId, RecordId]
Moment = int | None  # microseconds of the store's own clock; None when it was down

_MOST: Final = 50  # an identifier of more people is answered by Postgres: it names nobody anyway
_AT_ONCE: Final = 500  # entries a round trip
_DROPPED: Final = b"!"  # begins an entry that says when it was dropped
_DROPPED_SECONDS: Final = "300"  # longer than an answer of Postgres can be on its way
_CLEARED: Final = "identity-index-cleared"
_log = get_logger("identity.hot_index")

_NOW: Final = "local now = redis.call('TIME'); now = '!' .. now[1] .. string.format('%06d', now[2])\n"
_DROP: Final = _NOW + "for _, key in ipairs(KEYS) do redis.call('SET', key, now, 'EX', ARGV[1]) end"
_PUT: Final = """
local function late(held) return held and string.sub(held, 1, 1) == '!' and tonumber(string.sub(held, 2)) >= tonumber(ARGV[1]) end
if late(redis.call('GET', KEYS[1])) then return 0 end
for place = 2, #KEYS do
  if not late(redis.call('GET', KEYS[place])) then redis.call('SET', KEYS[place], ARGV[place + 1], 'PX', ARGV[2]) end
end
"""


class HotIndex:
    """Reads and writes the index; a store that is down is an empty one."""

    def __init__(self, cache: Cache, settings: IdentitySettings, residing: Residing | None = None) -> None:
        self._cache = cache
        self._residing = residing
        self._ttl = timedelta(seconds=settings.index_ttl_seconds)

    async def read(self, wanted: Sequence[Index]) -> tuple[dict[Index, Held], Moment]:
        """What is known hot (absent: ask Postgres), and the moment, for writing what Postgres says."""
        try:
            moment, values = await self._cache.get_many_at([_key(index) for index in wanted])
        except CacheUnavailable:
            return {}, None
        held = zip(wanted, values, strict=True)
        return {index: _unpack(value) for index, value in held if value and not value.startswith(_DROPPED)}, moment

    async def moment(self) -> Moment:
        """Take it before asking Postgres."""
        return (await self.read([]))[1]

    async def write(self, held: Mapping[Index, Held], *, since: Moment) -> None:
        """Remember what Postgres said to who asked after ``since``; what was dropped from then on stays dropped."""
        if since is None:
            return
        values = [(_key(index), _pack(people)) for index, people in held.items() if people and len(people) <= _MOST]
        terms = str(since), str(max(1, int(self._ttl.total_seconds() * 1000)))
        try:
            for start in range(0, len(values), _AT_ONCE):
                part = values[start : start + _AT_ONCE]
                await self._cache.script(_PUT, [_CLEARED, *(k for k, _ in part)], [*terms, *(v for _, v in part)])
        except CacheUnavailable:
            return  # it stays cold; nothing rests on it

    async def forget(self, indexes: Sequence[Index]) -> None:
        """Drop what changed, here and in this process's own memory; other processes hear it from Postgres."""
        if self._residing is not None:
            self._residing.drop(indexes)
        keys = [_key(index) for index in indexes]
        try:
            for start in range(0, len(keys), _AT_ONCE):
                await self._cache.together(_DROP, keys[start : start + _AT_ONCE], [_DROPPED_SECONDS])
        except CacheUnavailable as fault:
            _log.warning("index_not_dropped", code=fault.code, count=len(indexes))  # its entries age out

    async def clear(self) -> int:
        """Drop everything; for rebuilds and for a published graph. This process's own memory has heard of all that is committed when it returns."""
        try:
            await self._cache.script(_DROP, [_CLEARED], [_DROPPED_SECONDS])
            gone = await self._cache.delete_matching("idx:*")
        except CacheUnavailable as fault:
            _log.warning("index_not_dropped", code=fault.code)
            gone = 0
        if self._residing is not None:
            await self._residing.settle()
        return gone


def _key(index: Index) -> str:
    return f"idx:{index.kind}:{index.current.hex()}"


def _pack(held: Held) -> bytes:
    return ",".join(f"{person} {record}" for person, record in sorted(held.items())).encode()


def _unpack(value: bytes) -> dict[PersonId, RecordId]:
    pairs = (part.split(" ") for part in value.decode().split(","))
    return {PersonId(person): RecordId(record) for person, record in pairs}
