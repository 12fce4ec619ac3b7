"""What the floor touches: one key of the hot store, one row of Postgres. No room of Candor is in between."""

import asyncio
from contextlib import suppress
from typing import Any, Final

import psycopg
from redis.asyncio import Redis

_POOL: Final = 10
_AT_ONCE: Final = 1_000  # keys a command
_TABLE: Final = """
CREATE SCHEMA IF NOT EXISTS bench;
CREATE TABLE IF NOT EXISTS bench.floor (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL DEFAULT now(), score float8);
GRANT USAGE ON SCHEMA bench TO candor_app;
GRANT INSERT, SELECT ON bench.floor TO candor_app;
"""


def prepare(owner_url: str) -> None:
    """Make the table that the floor writes to, as its owner."""
    with psycopg.connect(owner_url, autocommit=True) as conn:
        conn.execute(_TABLE)


async def cool(redis_url: str) -> None:
    """Take from the hot store what it knows of people: profiles and advice."""
    redis: Redis = Redis.from_url(redis_url)
    try:
        for pattern in ("profile:*", "advice:*"):
            keys = [key async for key in redis.scan_iter(match=pattern, count=1000)]
            for start in range(0, len(keys), _AT_ONCE):
                await redis.unlink(*keys[start : start + _AT_ONCE])
    finally:
        await redis.aclose()


def unexplained(owner_url: str) -> int:
    """Decisions that nobody explained yet."""
    with psycopg.connect(owner_url, autocommit=True) as conn:
        row = conn.execute(
            "SELECT count(*) FROM decision.decisions d WHERE NOT EXISTS"
            " (SELECT FROM explain.explanations e WHERE e.decision_id = d.id)"
        ).fetchone()
    assert row is not None
    return int(row[0])


class Floor:
    """The least that a decision could cost here: one GET, one commit."""

    def __init__(self, database_url: str, redis_url: str) -> None:
        self._redis: Redis = Redis.from_url(redis_url)
        self._url = database_url
        self._free: asyncio.Queue[psycopg.AsyncConnection[Any]] = asyncio.Queue()

    async def open(self, key: str, words: bytes) -> None:
        """Connect, and put what is read."""
        for _ in range(_POOL):
            self._free.put_nowait(await psycopg.AsyncConnection.connect(self._url, autocommit=True))
        await self._redis.set(key, words)

    async def close(self) -> None:
        """Let go."""
        while not self._free.empty():
            await self._free.get_nowait().close()
        with suppress(OSError):
            await self._redis.aclose()

    async def get(self, key: str) -> bytes | None:
        """One GET."""
        words = await self._redis.get(key)
        return words if isinstance(words, bytes) else None

    async def commit(self, score: float) -> int:
        """One row, durable when this returns."""
        conn = await self._free.get()
        try:
            cursor = await conn.execute("INSERT INTO bench.floor (score) VALUES (%s) RETURNING id", (score,))
            row = await cursor.fetchone()
        finally:
            self._free.put_nowait(conn)
        assert row is not None
        return int(row[0])
