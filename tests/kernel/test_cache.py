"""The hot store answers in bulk, and its loss is merely cold."""

import asyncio
from datetime import timedelta

import pytest

from kernel.cache import Cache, CacheUnavailable
from kernel.engines import EmbeddedValkey

pytestmark = pytest.mark.anyio


async def test_values_come_back_in_order_with_gaps(kernel):
    cache = kernel.cache
    await cache.set_many({"a": b"1", "b": b"\x00\xff"})
    assert await cache.get_many(["b", "none", "a"]) == [b"\x00\xff", None, b"1"]
    assert await cache.delete(["a", "none"]) == 1
    assert await cache.get_many(["a"]) == [None]
    assert await cache.get_many([]) == []
    await cache.set_many({})
    assert await cache.delete([]) == 0


async def test_values_end_with_their_time(kernel):
    await kernel.cache.set_many({"a": b"1"}, ttl=timedelta(milliseconds=30))
    assert await kernel.cache.get_many(["a"]) == [b"1"]
    await asyncio.sleep(0.06)
    assert await kernel.cache.get_many(["a"]) == [None]


async def test_a_pattern_sweeps_only_what_it_names(kernel):
    await kernel.cache.set_many({f"decisions:per_1:{n}": b"x" for n in range(1200)} | {"decisions:per_2:0": b"y"})
    assert await kernel.cache.delete_matching("decisions:per_1:*") == 1200
    assert await kernel.cache.get_many(["decisions:per_2:0"]) == [b"y"]


async def test_an_error_of_the_store_is_cold_for_that_call_only(kernel):
    await kernel.cache.set_many({"a": b"text"})
    with pytest.raises(CacheUnavailable):
        await kernel.cache.run(lambda redis: redis.lpush("a", "x"))
    assert kernel.cache.available
    assert await kernel.cache.get_many(["a"]) == [b"text"]
    assert await kernel.cache.ask(("GET", "a"), ("HGET", "none", "x")) == [b"text", None]
    with pytest.raises(CacheUnavailable):
        await kernel.cache.ask(("HGET", "a", "x"), ("GET", "a"))
    assert await kernel.cache.ask(("GET", "none"), ("GET", "a")) == [None, b"text"]  # no answer was left behind


async def test_it_goes_cold_when_the_server_stops_and_warm_when_it_is_back(engines):
    folder = engines.folder / "another-valkey"
    server = EmbeddedValkey(folder)
    await asyncio.to_thread(server.start)
    cache = Cache(server.url())
    try:
        await cache.set_many({"a": b"1"})
        await asyncio.to_thread(server.halt)
        with pytest.raises(CacheUnavailable):
            await cache.get_many(["a"])
        assert not cache.available
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(5):
            while not cache.available:
                await asyncio.sleep(0.02)
        assert await cache.get_many(["a"]) == [b"1"], "the append-only file survives a restart"
    finally:
        await cache.close()
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.halt)


async def test_a_server_that_hangs_costs_its_time_limit_once(tmp_path):
    async def silent(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(silent, path=str(tmp_path / "s"))
    cache = Cache(f"unix://{tmp_path}/s", timeout_ms=50)
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(CacheUnavailable):
        await cache.get_many(["a"])
    assert loop.time() - began < 1
    began = loop.time()
    with pytest.raises(CacheUnavailable):
        await cache.get_many(["a"])
    assert loop.time() - began < 0.005
    await cache.close()
    server.close()
    await server.wait_closed()


async def test_scripts_of_one_moment_go_together_in_the_order_of_asking_and_each_hears_its_own_fault(kernel):
    add = "redis.call('RPUSH', KEYS[1], ARGV[1])"
    asked = [kernel.cache.together(add, ["list"], [str(n)]) for n in range(5)]
    asked.insert(2, kernel.cache.together("return redis.call('NOSUCH')", ["list"], []))
    done = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(one) for one in done] == [type(None)] * 2 + [CacheUnavailable] + [type(None)] * 3
    assert await kernel.cache.run(lambda redis: redis.lrange("list", 0, -1)) == [b"0", b"1", b"2", b"3", b"4"]
    await kernel.cache.together(add, ["list"], ["5"])  # alone
    assert await kernel.cache.run(lambda redis: redis.llen("list")) == 6
