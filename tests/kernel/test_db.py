"""The pools refuse power they must not have, translate accidents, and come back after a restart."""

import asyncio

import psycopg
import pytest

from kernel.cache import Cache
from kernel.db import (
    AfterCommitFailed,
    Database,
    DatabaseUnavailable,
    StatementTimeout,
    TransactionConflict,
    UnsafeRole,
    after_commit,
)
from kernel.engines.postgres import OWNER
from kernel.errors import Unavailable

pytestmark = pytest.mark.anyio


def table(addresses):
    with psycopg.connect(addresses.owner, autocommit=True) as conn:
        conn.execute("CREATE TABLE kernel.numbers (n int PRIMARY KEY)")
        conn.execute("GRANT SELECT, INSERT ON kernel.numbers TO candor_app")


async def test_it_refuses_to_run_as_superuser(engines, addresses):
    name = addresses.database.split("/")[3].split("?")[0]
    database = Database(engines.postgres.url(name, "postgres"))
    with pytest.raises(UnsafeRole, match="superuser"):
        await database.open()
    await database.close()


async def test_it_refuses_to_run_as_owner_of_tables(engines, addresses):
    name = addresses.database.split("/")[3].split("?")[0]
    database = Database(engines.postgres.url(name, OWNER))
    with pytest.raises(UnsafeRole, match="owner"):
        await database.open()
    await database.close()


async def test_the_app_role_cannot_change_what_it_does_not_own(kernel, addresses):
    table(addresses)
    for words in ("DROP TABLE kernel.numbers", "DELETE FROM kernel.numbers", "CREATE TABLE public.mine (n int)"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with kernel.db.transaction() as conn:
                await conn.execute(words)


async def test_reading_cannot_write(kernel, addresses):
    table(addresses)
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        async with kernel.db.reading() as conn:
            await conn.execute("INSERT INTO kernel.numbers VALUES (1)")


async def test_a_transaction_that_raises_leaves_nothing(kernel, addresses):
    table(addresses)
    with pytest.raises(RuntimeError):
        async with kernel.db.transaction() as conn:
            await conn.execute("INSERT INTO kernel.numbers VALUES (1)")
            raise RuntimeError
    async with kernel.db.reading() as conn:
        assert (await (await conn.execute("SELECT count(*) AS n FROM kernel.numbers")).fetchone()) == {"n": 0}


async def test_acts_follow_a_commit_and_no_rollback(kernel):
    done = []

    async def act():
        done.append(1)

    async with kernel.db.transaction() as conn:
        after_commit(conn, act)
        assert done == []
    assert done == [1]
    with pytest.raises(RuntimeError):
        async with kernel.db.transaction() as conn:
            after_commit(conn, act)
            raise RuntimeError
    assert done == [1]


async def test_a_cold_cache_after_the_commit_is_no_accident_and_a_defect_is(kernel):
    async def cold():
        raise Unavailable("expected a cache, got none")

    async def broken():
        raise KeyError

    async with kernel.db.transaction() as conn:
        after_commit(conn, cold)
    with pytest.raises(AfterCommitFailed):
        async with kernel.db.transaction() as conn:
            after_commit(conn, broken)


async def test_acts_after_the_commit_keep_their_order_and_only_those_that_say_so_wait_beside_each_other(kernel):
    said, beside = [], asyncio.Barrier(2)

    def act(name, *, meet=False):
        async def told():
            said.append(name)
            if meet:
                await beside.wait()
            said.append(name.upper())

        return told

    async with kernel.db.transaction() as conn:
        after_commit(conn, act("a"))
        after_commit(conn, act("b", meet=True), together=True)
        after_commit(conn, act("c", meet=True), together=True)
        after_commit(conn, act("d"))
    assert said[:4] == ["a", "A", "b", "c"]
    assert set(said[4:6]) == {"B", "C"}
    assert said[6:] == ["d", "D"]


async def test_a_long_statement_is_cancelled(addresses):
    database = Database(addresses.database, statement_timeout_ms=100)
    await database.open()
    with pytest.raises(StatementTimeout):
        async with database.reading() as conn:
            await conn.execute("SELECT pg_sleep(5)")
    await database.close()


async def test_a_deadlock_is_a_conflict(kernel, addresses):
    table(addresses)
    async with kernel.db.transaction() as conn:
        await conn.execute("INSERT INTO kernel.numbers VALUES (1), (2)")
    both = asyncio.Barrier(2)

    async def lock(first, second):
        async with kernel.db.transaction() as conn:
            await conn.execute("SELECT pg_advisory_xact_lock(%s)", (first,))
            await both.wait()
            await conn.execute("SELECT pg_advisory_xact_lock(%s)", (second,))

    answers = await asyncio.gather(lock(1, 2), lock(2, 1), return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["NoneType", TransactionConflict.__name__]


async def test_lost_connections_are_replaced(kernel, engines):
    async with kernel.db.transaction() as one, kernel.db.transaction() as two:
        pids = [one.info.backend_pid, two.info.backend_pid]
    for pid in pids:
        engines.admin.execute("SELECT pg_terminate_backend(%s, 1000)", (pid,))
    failed = 0
    for _ in range(6):
        try:
            async with kernel.db.transaction() as conn:
                await conn.execute("SELECT 1")
        except DatabaseUnavailable:
            failed += 1
            await asyncio.sleep(0.2)
    assert failed <= 1


async def test_an_absent_server_is_said_clearly(tmp_path):
    database = Database(f"postgresql://candor_app:hunter2@/candor?host={tmp_path}")
    with pytest.raises(DatabaseUnavailable) as caught:
        await database.open()
    assert "hunter2" not in str(caught.value)
    await database.close()


async def test_an_absent_cache_is_cold_at_once(tmp_path):
    cache = Cache(f"unix://{tmp_path}/none.sock")
    loop = asyncio.get_running_loop()
    for _ in range(2):
        with pytest.raises(Unavailable):
            await cache.get_many(["a"])
    began = loop.time()
    for _ in range(50):
        with pytest.raises(Unavailable):
            await cache.get_many(["a"])
    assert (loop.time() - began) / 50 < 0.005
    assert not cache.available
    await cache.close()


async def test_what_nobody_reads_in_a_pipelined_transaction_is_written_all_the_same(kernel, addresses):
    table(addresses)
    done = []

    async def told():
        done.append(1)

    async with kernel.db.transaction(pipelined=True) as conn:
        await conn.execute("INSERT INTO kernel.numbers VALUES (1)")
        asked = await conn.execute("SELECT n FROM kernel.numbers")
        await conn.execute("INSERT INTO kernel.numbers VALUES (2)")
        assert [row["n"] for row in await asked.fetchall()] == [1]
        after_commit(conn, told)
        assert done == []
    assert done == [1]
    async with kernel.db.reading() as conn:
        assert [
            row["n"] for row in await (await conn.execute("SELECT n FROM kernel.numbers ORDER BY 1")).fetchall()
        ] == [1, 2]


async def test_a_fault_that_nobody_waited_for_takes_the_whole_pipelined_transaction_back(kernel, addresses):
    table(addresses)
    done = []

    async def told():
        done.append(1)

    with pytest.raises(psycopg.errors.UniqueViolation):
        async with kernel.db.transaction(pipelined=True) as conn:
            after_commit(conn, told)
            await conn.execute("INSERT INTO kernel.numbers VALUES (1)")
            await conn.execute("INSERT INTO kernel.numbers VALUES (1)")
            await conn.execute("INSERT INTO kernel.numbers VALUES (2)")
    with pytest.raises(RuntimeError):
        async with kernel.db.transaction(pipelined=True) as conn:
            await conn.execute("INSERT INTO kernel.numbers VALUES (3)")
            raise RuntimeError
    assert done == []
    async with kernel.db.transaction() as conn:  # the connection is as good as before
        assert await (await conn.execute("SELECT n FROM kernel.numbers")).fetchall() == []
