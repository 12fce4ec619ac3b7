"""All SQL, cache commands and Parquet of profiles.

Contract: SQL runs in the caller's transaction. Cache reads answer "absent" when the store is down, and cache writes are
dropped: what is hot can always be made again from Postgres. Parquet files carry person ids and numbers, never a word; they
are written beside and renamed, so that a reader sees a whole file or none.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from kernel.cache import Cache, CacheUnavailable
from kernel.db import Conn
from kernel.ids import PersonId
from kernel.log import get_logger

if TYPE_CHECKING:
    import pyarrow as pa
    from redis.asyncio import Redis

_PERSON: Final = "person_id"
_AT_ONCE: Final = 200  # profiles a round trip: half a megabyte, which also a busy store takes within its timeout
_DROPPED_SECONDS: Final = 300  # longer than making a profile from Postgres can take
_log = get_logger("profiles.store")

# A field of the key says when its profiles were dropped, by the store's own clock; what was read before that is not kept.
_DROP: Final = """
local now = redis.call('TIME')
for _, key in ipairs(KEYS) do
  redis.call('DEL', key)
  redis.call('HSET', key, 'dropped', now[1] .. string.format('%06d', now[2]))
  redis.call('EXPIRE', key, ARGV[1])
end
"""
_PUT: Final = """
local kept = 0
for place, key in ipairs(KEYS) do
  local dropped = redis.call('HGET', key, 'dropped')
  if not dropped or tonumber(dropped) < tonumber(ARGV[1]) then
    redis.call('HSET', key, ARGV[2], ARGV[3 + place])
    redis.call('PEXPIRE', key, ARGV[3])
    kept = kept + 1
  end
end
return kept
"""


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """A feature table as written: where, what of, and the digest of its rows."""

    file: str
    digest: str
    purpose: str
    feature_set: str
    at: datetime
    rows: int
    odd: Mapping[str, int]


class HotStore:
    """``profile:{person}`` -> a hash of purpose -> bytes; one key a person, so that one deletion forgets all purposes.

    A profile takes a while to make. One that was dropped meanwhile, because something happened, is not written back: ``write`` is told
    the moment at which making it began.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    async def read_with(self, person: PersonId, purpose: str, keys: Sequence[str]) -> list[bytes | None]:
        """The bytes of one, and after them the values of these keys of others; None where absent or cold; one round trip."""
        try:
            return await self._cache.ask(("HGET", _key(person), purpose), *(("GET", key) for key in keys))
        except CacheUnavailable:
            return [None] * (1 + len(keys))

    async def read(self, people: Sequence[PersonId], purpose: str) -> list[bytes | None]:
        """The bytes of each, None where absent or cold; one round trip."""
        if not people:
            return []

        async def ask(redis: "Redis") -> list[bytes | None]:
            async with redis.pipeline(transaction=False) as pipe:
                for person in people:
                    pipe.hget(_key(person), purpose)
                return list(await pipe.execute())

        try:
            return await self._cache.run(ask)
        except CacheUnavailable:
            return [None] * len(people)

    async def moment(self) -> int | None:
        """The store's own clock, microseconds; None when it is down."""
        try:
            seconds, more = await self._cache.run(lambda redis: redis.time())
        except CacheUnavailable:
            return None
        return int(seconds) * 1_000_000 + int(more)

    async def write(
        self, purpose: str, profiles: Mapping[PersonId, bytes], ttl: timedelta, *, since: int | None
    ) -> int:
        """Keep those that were not dropped since ``since``, a ``moment``; the number kept. Nothing without one."""
        if since is None:
            return 0
        kept = 0
        rows = list(profiles.items())
        for start in range(0, len(rows), _AT_ONCE):
            part = rows[start : start + _AT_ONCE]
            try:
                kept += await self._cache.run(partial(_put, purpose, part, ttl, since))
            except CacheUnavailable as fault:
                _log.warning("hot_profiles_not_kept", code=fault.code, count=len(profiles) - kept)
                break
        return kept

    async def forget(self, people: Sequence[PersonId]) -> None:
        """Drop all purposes of these."""
        try:
            for start in range(0, len(people), _AT_ONCE):
                keys = [_key(person) for person in people[start : start + _AT_ONCE]]
                await self._cache.together(_DROP, keys, [str(_DROPPED_SECONDS)])
        except CacheUnavailable as fault:
            _log.warning("hot_profiles_not_dropped", code=fault.code, count=len(people))

    async def clear(self) -> int:
        """Drop everybody's; the number of people dropped."""
        try:
            return await self._cache.delete_matching("profile:*")
        except CacheUnavailable as fault:
            _log.warning("hot_profiles_not_dropped", code=fault.code)
            return 0


async def _put(
    purpose: str, profiles: Sequence[tuple[PersonId, bytes]], ttl: timedelta, since: int, redis: "Redis"
) -> int:
    keys = [_key(person) for person, _ in profiles]
    milliseconds = max(1, int(ttl.total_seconds() * 1000))
    words = [words for _, words in profiles]
    return int(await redis.eval(_PUT, len(keys), *keys, str(since), purpose, str(milliseconds), *words))


def rows_digest(people: Sequence[PersonId], names: Sequence[str], rows: NDArray[np.float64]) -> str:
    """``sha256:`` of person ids, column names and the bits of the numbers, in order."""
    seen = hashlib.sha256(orjson.dumps([list(people), list(names), list(rows.shape)]))
    seen.update(np.ascontiguousarray(rows, dtype="<f8").tobytes())
    return f"sha256:{seen.hexdigest()}"


def arrow_table(people: Sequence[PersonId], names: Sequence[str], rows: NDArray[np.float64]) -> "pa.Table":
    """``person_id`` and one float64 column a feature."""
    import pyarrow as pa

    columns = [pa.array(people, pa.string()), *(pa.array(rows[:, place]) for place in range(len(names)))]
    return pa.Table.from_arrays(columns, names=[_PERSON, *names])


def write_parquet(file: Path, table: "pa.Table") -> None:
    """The whole table, atomically."""
    from pyarrow import parquet

    file.parent.mkdir(parents=True, exist_ok=True)
    half = file.with_suffix(".half")
    parquet.write_table(table, half)
    half.replace(file)


def read_table(file: Path) -> tuple[list[PersonId], list[str], NDArray[np.float64]]:
    """People, column names and ``float64[n, k]`` of a feature table."""
    from pyarrow import parquet

    table = parquet.read_table(file)
    names = [name for name in table.column_names if name != _PERSON]
    return table.column(_PERSON).to_pylist(), names, _numbers(table, names)


def _numbers(table: "pa.Table", names: Sequence[str]) -> NDArray[np.float64]:
    rows = np.empty((table.num_rows, len(names)), dtype=np.float64)
    for place, name in enumerate(names):
        rows[:, place] = table.column(name).to_numpy()
    return rows


def without(file: Path, names_of: Sequence[PersonId]) -> tuple[int, str, int] | None:
    """Take the rows of these ids out of a feature table: (rows taken, new digest, rows left); None when there is none."""
    import pyarrow as pa
    from pyarrow import compute, parquet

    if not file.exists():
        return None
    table = parquet.read_table(file)
    theirs = compute.is_in(table.column(_PERSON), pa.array(names_of, pa.string()))
    kept = table.filter(compute.invert(theirs))
    if kept.num_rows == table.num_rows:
        return None
    write_parquet(file, kept)
    names = [name for name in kept.column_names if name != _PERSON]
    rows = _numbers(kept, names)
    return table.num_rows - kept.num_rows, rows_digest(kept.column(_PERSON).to_pylist(), names, rows), kept.num_rows


async def keep_table(conn: Conn, table: FeatureTable, made_at: datetime) -> None:
    """Note a feature table; the same name again is the same moment made anew."""
    await conn.execute(
        "INSERT INTO profiles.feature_tables (file, digest, purpose, feature_set, at, rows, odd, made_at, changed_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (file) DO UPDATE SET digest = excluded.digest,"
        " rows = excluded.rows, odd = excluded.odd, made_at = excluded.made_at, changed_at = excluded.changed_at",
        (
            table.file,
            table.digest,
            table.purpose,
            table.feature_set,
            table.at,
            table.rows,
            orjson.dumps(dict(table.odd)).decode(),
            made_at,
            made_at,
        ),
    )


async def tables(conn: Conn) -> list[FeatureTable]:
    """Every feature table noted, newest moment last."""
    cursor = await conn.execute(
        "SELECT file, digest, purpose, feature_set, at, rows, odd FROM profiles.feature_tables ORDER BY at, file"
    )
    return [
        FeatureTable(r["file"], r["digest"], r["purpose"], r["feature_set"], r["at"], r["rows"], r["odd"])
        async for r in cursor
    ]


async def made(conn: Conn) -> dict[str, datetime]:
    """When the file of each feature table was written, which may be long after the moment that its rows are of."""
    cursor = await conn.execute("SELECT file, made_at FROM profiles.feature_tables")
    return {r["file"]: r["made_at"] async for r in cursor}


async def drop_tables(conn: Conn, files: Sequence[str]) -> None:
    """Forget these tables."""
    await conn.execute("DELETE FROM profiles.feature_tables WHERE file = ANY(%s)", (list(files),))


async def changed(conn: Conn, file: str, digest: str, rows: int, at: datetime) -> None:
    """Note that rows were taken out."""
    await conn.execute(
        "UPDATE profiles.feature_tables SET digest = %s, rows = %s, changed_at = %s WHERE file = %s",
        (digest, rows, at, file),
    )


def _key(person: PersonId) -> str:
    return f"profile:{person}"
