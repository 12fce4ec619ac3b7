"""The hot store: Redis commands with a fuse, so that a dead cache is merely cold.

What enters: keys and bytes. What leaves: bytes, or ``CacheUnavailable``, which every caller treats as "not in the cache":
nothing lives here that cannot be rebuilt from Postgres. After a failure the fuse is open and calls fail at once (below a
millisecond); a task in the background asks for PING until the store answers again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar, cast

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from kernel.errors import Unavailable
from kernel.log import get_logger

T = TypeVar("T")

_PROBE_SECONDS: Final = (0.1, 0.2, 0.5, 1.0, 2.0)  # waits between PINGs while the fuse is open; the last one repeats
_DELETE_BATCH: Final = 500

_log = get_logger("kernel.cache")


class CacheUnavailable(Unavailable):
    """The hot store does not answer. Go on as if it were empty."""

    code = "cache_unavailable"
    remedy = "Candor goes on from Postgres, slower. See whether Valkey runs: `candor doctor`."


@dataclass(frozen=True, slots=True)
class _Asked:
    """A script that goes with others."""

    lua: str
    keys: list[str]
    words: list[str | bytes]
    answer: asyncio.Future[None]


class Cache:
    """A client of the hot store, for one event loop. Values are bytes; keys are text of the caller's own naming."""

    def __init__(self, url: str, *, timeout_ms: int = 250, max_connections: int = 64) -> None:
        seconds = timeout_ms / 1000
        self._client: Redis = Redis.from_url(
            url,
            socket_timeout=seconds,
            socket_connect_timeout=seconds,
            max_connections=max_connections,
            retry=Retry(NoBackoff(), 0),  # the fuse decides, not the driver
            health_check_interval=0,
        )
        self._probe: asyncio.Task[None] | None = None
        self._closed = False
        self._asked: list[_Asked] = []
        self._sending: set[asyncio.Task[None]] = set()

    @property
    def available(self) -> bool:
        """Whether the last thing heard from the store was an answer; costs nothing."""
        return self._probe is None and not self._closed

    async def run(self, work: Callable[[Redis], Awaitable[T]]) -> T:
        """Any other command: ``await cache.run(lambda redis: redis.incr(key))``, behind the same fuse.

        Raises:
            CacheUnavailable: no answer, or the fuse is open.
        """
        if not self.available:
            raise _cold()
        try:
            return await work(self._client)
        except (RedisConnectionError, RedisTimeoutError, OSError) as fault:
            self._blow(fault)
            raise _cold() from fault
        except RedisError as fault:
            # It answered, with an error (out of memory, loading…): cold for this call only.
            raise _refused(fault) from fault

    async def ask(self, *commands: Sequence[str]) -> list[Any]:
        """The raw answers of a few reading commands, in one round trip: what a request waits for goes past the driver's pipeline, which takes half as long again.

        Raises:
            CacheUnavailable: no answer, or an error for one of them.
        """

        async def work(redis: Redis) -> list[Any]:
            pool = redis.connection_pool
            conn = await pool.get_connection()  # type: ignore[no-untyped-call]
            try:
                await conn.send_packed_command(conn.pack_commands(commands))
                answers = [
                    await _answer(conn) for _ in commands
                ]  # all of them, so that none is left for who comes next
            finally:
                await pool.release(conn)
            for one in answers:
                if isinstance(one, ResponseError):
                    raise one
            return answers

        return await self.run(work)

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Values in the order of ``keys``, None where absent; one round trip."""
        if not keys:
            return []
        return cast("list[bytes | None]", await self.run(lambda redis: redis.mget(list(keys))))

    async def get_many_at(self, keys: Sequence[str]) -> tuple[int, list[bytes | None]]:
        """The same, and before it the store's own clock in microseconds: for who writes back later unless something was dropped meanwhile."""

        async def ask(redis: Redis) -> tuple[int, list[bytes | None]]:
            async with redis.pipeline(transaction=False) as pipe:
                pipe.time()  # first: what is told after it was true no earlier
                if keys:
                    pipe.mget(list(keys))
                (seconds, more), *values = await pipe.execute()
            return int(seconds) * 1_000_000 + int(more), values[0] if values else []

        return await self.run(ask)

    async def script(self, lua: str, keys: Sequence[str], words: Sequence[str | bytes]) -> object:
        """Run a script of ours on these keys, as one step of the store."""
        return await self.run(lambda redis: redis.eval(lua, len(keys), *keys, *words))

    async def together(self, lua: str, keys: Sequence[str], words: Sequence[str | bytes]) -> None:
        """As ``script``, on one way to the store with what others ask in the same moment, in the order of asking."""
        if not self.available:
            raise _cold()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[None] = loop.create_future()
        self._asked.append(_Asked(lua, list(keys), list(words), answer))
        if len(self._asked) == 1:  # whoever is ready to ask does so before this task begins
            sending = loop.create_task(self._send())
            self._sending.add(sending)
            sending.add_done_callback(self._sending.discard)
        await answer

    async def _send(self) -> None:
        asked, self._asked = self._asked, []

        async def ask(redis: Redis) -> list[object]:
            async with redis.pipeline(transaction=False) as pipe:
                for one in asked:
                    pipe.eval(one.lua, len(one.keys), *one.keys, *one.words)
                return list(await pipe.execute(raise_on_error=False))

        try:
            answers: Sequence[object] = await self.run(ask)
        except CacheUnavailable as fault:
            answers = [fault] * len(asked)
        except BaseException:
            for one in asked:
                one.answer.cancel()
            raise
        for one, said in zip(asked, answers, strict=True):
            if one.answer.done():
                continue  # nobody waits any more
            if isinstance(said, Exception):
                one.answer.set_exception(said if isinstance(said, CacheUnavailable) else _refused(said))
            else:
                one.answer.set_result(None)

    async def set_many(self, values: Mapping[str, bytes], *, ttl: timedelta | None = None) -> None:
        """Write all, each with the time to live if given; one round trip, not atomic."""
        if not values:
            return

        async def write(redis: Redis) -> None:
            async with redis.pipeline(transaction=False) as pipe:
                for key, value in values.items():
                    pipe.set(key, value, px=ttl)
                await pipe.execute()

        await self.run(write)

    async def delete(self, keys: Sequence[str]) -> int:
        """Delete all; the number that existed."""
        gone = 0
        for start in range(0, len(keys), _DELETE_BATCH):
            part = list(keys[start : start + _DELETE_BATCH])
            gone += int(await self.run(lambda redis, part=part: redis.unlink(*part)))  # type: ignore[misc]
        return gone

    async def delete_matching(self, pattern: str) -> int:
        """Delete every key that matches the glob ``pattern``. Walks the whole key space: for rebuilds, not for requests."""

        async def sweep(redis: Redis) -> int:
            gone = 0
            part: list[bytes] = []
            async for key in redis.scan_iter(match=pattern, count=1000):
                part.append(key)
                if len(part) >= _DELETE_BATCH:
                    gone += int(await redis.unlink(*part))
                    part.clear()
            return gone + (int(await redis.unlink(*part)) if part else 0)

        return await self.run(sweep)

    async def check(self) -> None:
        """One PING; raises ``CacheUnavailable``."""
        await self.run(_ping)

    async def close(self) -> None:
        """Stop probing and close the connections."""
        self._closed = True
        if self._probe is not None:
            self._probe.cancel()
            with suppress(asyncio.CancelledError):
                await self._probe
            self._probe = None
        await self._client.aclose()

    def _blow(self, fault: BaseException) -> None:
        if self._probe is None and not self._closed:
            _log.warning("cache_down", error_type=type(fault).__name__)
            self._probe = asyncio.get_running_loop().create_task(self._probe_until_back())

    async def _probe_until_back(self) -> None:
        tries = 0
        while True:
            await asyncio.sleep(_PROBE_SECONDS[min(tries, len(_PROBE_SECONDS) - 1)])
            tries += 1
            try:
                await _ping(self._client)
            except (RedisError, OSError):
                continue
            break
        self._probe = None
        _log.info("cache_back")


async def _answer(conn: AbstractConnection) -> Any:
    try:
        return await conn.read_response()
    except ResponseError as fault:
        return fault


async def _ping(redis: Redis) -> None:
    await redis.ping()


def _refused(fault: Exception) -> CacheUnavailable:
    return CacheUnavailable(f"expected the hot store to do it, got {type(fault).__name__}")


def _cold() -> CacheUnavailable:
    return CacheUnavailable("expected the hot store to answer, got none")
