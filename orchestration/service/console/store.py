"""Tries of logging in, counted in the hot store: nothing of a person, and nothing that matters when it is gone."""

from typing import TYPE_CHECKING

from kernel.cache import Cache

if TYPE_CHECKING:
    from redis.asyncio import Redis


async def add_try(cache: Cache, key: str, seconds: int) -> int:
    """How many tries there were under this key since the first of the last `seconds`, this one too.

    Raises:
        CacheUnavailable: the hot store does not answer.
    """

    async def add(redis: "Redis") -> int:
        async with redis.pipeline(transaction=True) as pipe:
            pipe.incr(key)
            pipe.expire(key, seconds, nx=True)
            return int((await pipe.execute())[0])

    return await cache.run(add)
