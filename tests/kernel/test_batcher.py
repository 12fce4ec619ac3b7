"""Every item gets exactly one answer, after its commit; a failing one harms nobody else."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.batcher import BatcherClosed, GroupCommit, WrongAnswerCount
from kernel.db import DatabaseUnavailable, TransactionConflict, after_commit
from kernel.errors import Conflict

pytestmark = pytest.mark.anyio


@pytest.fixture
async def table(kernel, engines, addresses):
    import psycopg

    with psycopg.connect(addresses.owner, autocommit=True) as conn:
        conn.execute("CREATE TABLE kernel.numbers (n int PRIMARY KEY, batch int)")
        conn.execute("GRANT SELECT, INSERT, DELETE ON kernel.numbers TO candor_app")
    return "kernel.numbers"


class Flush:
    """Inserts numbers; refuses multiples of seven as a value, breaks on negative ones."""

    def __init__(self):
        self.groups = []

    async def __call__(self, conn, items):
        self.groups.append(list(items))
        answers = []
        for n in items:
            if n < 0:
                raise ValueError("negative")
            if n % 7 == 0:
                answers.append(Conflict("expected no seven, got one"))
            else:
                await conn.execute("INSERT INTO kernel.numbers VALUES (%s, %s)", (n, len(self.groups)))
                answers.append(n * 10)
        return answers


async def stored(kernel):
    async with kernel.db.reading() as conn:
        return {row["n"] for row in await (await conn.execute("SELECT n FROM kernel.numbers")).fetchall()}


@pytest.mark.parametrize("pipelined", [False, True])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    numbers=st.lists(st.integers(-3, 60), unique=True, max_size=40),
    size=st.integers(1, 9),
    wait=st.sampled_from([0.0, 0.001]),
)
async def test_each_gets_its_own_answer(kernel, table, numbers, size, wait, pipelined):
    async with kernel.db.transaction() as conn:
        await conn.execute("DELETE FROM kernel.numbers")
    flush = Flush()
    batcher = GroupCommit(kernel.db, flush, max_items=size, max_wait=wait, pipelined=pipelined)
    answers = await asyncio.gather(*(batcher.submit(n) for n in numbers), return_exceptions=True)
    await batcher.close()
    for n, answer in zip(numbers, answers, strict=True):
        if n < 0:
            assert isinstance(answer, ValueError)
        elif n % 7 == 0:
            assert isinstance(answer, Conflict)
        else:
            assert answer == n * 10
    assert await stored(kernel) == {n for n in numbers if n > 0 and n % 7}
    assert all(len(group) <= size for group in flush.groups)


async def test_what_the_short_way_leaves_goes_the_long_way_and_its_accidents_harm_one_item_only(kernel):
    flushed = []

    async def flush(conn, items):
        flushed.extend(items)
        return [n * 100 for n in items]

    async def short(items):
        if 13 in items:
            raise ValueError("unlucky")
        return [n * 10 if n % 2 else None for n in items]

    batcher = GroupCommit(kernel.db, flush, short=short)
    found = await asyncio.gather(*(batcher.submit(n) for n in (1, 2, 3, 4, 13)), return_exceptions=True)
    assert found[:4] == [10, 200, 30, 400]
    assert isinstance(found[4], ValueError)
    assert sorted(flushed) == [2, 4]


async def test_items_that_arrive_together_share_a_commit(kernel, table):
    flush = Flush()
    batcher = GroupCommit(kernel.db, flush, max_items=64)
    await asyncio.gather(*(batcher.submit(n) for n in range(1, 65)), return_exceptions=True)
    assert len(flush.groups) == 1
    await batcher.submit(100)
    assert flush.groups[-1] == [100]


async def test_a_lone_item_waits_for_no_company_until_a_crowd_has_shown_that_there_is_some(kernel, table):
    batcher = GroupCommit(kernel.db, Flush(), max_items=5, max_wait=3600)
    await batcher.submit(1)
    await batcher.submit(2)
    await asyncio.gather(*(batcher.submit(n) for n in range(8, 12)))  # four: a crowd
    fifth = [asyncio.create_task(batcher.submit(n)) for n in range(15, 20)]  # now the group waits until it is full
    assert await asyncio.gather(*fifth) == [150, 160, 170, 180, 190]
    await batcher.close()


async def test_the_answer_comes_after_the_commit(kernel, table):
    batcher = GroupCommit(kernel.db, Flush())
    await batcher.submit(5)
    assert await stored(kernel) == {5}


async def test_a_failing_item_fails_alone(kernel, table):
    flush = Flush()
    batcher = GroupCommit(kernel.db, flush)
    answers = await asyncio.gather(*(batcher.submit(n) for n in (1, -1, 2)), return_exceptions=True)
    assert answers[0] == 10
    assert isinstance(answers[1], ValueError)
    assert answers[2] == 20
    assert flush.groups == [[1, -1, 2], [1], [-1], [2]]


async def test_a_constraint_that_breaks_at_commit_fails_alone(kernel, table):
    batcher = GroupCommit(kernel.db, Flush())
    await batcher.submit(1)
    answers = await asyncio.gather(batcher.submit(1), batcher.submit(2), return_exceptions=True)
    assert type(answers[0]).__name__ == "UniqueViolation"
    assert answers[1] == 20


async def test_a_flush_that_answers_too_few_is_rolled_back(kernel, table):
    async def short(conn, items):
        await conn.execute("INSERT INTO kernel.numbers VALUES (1, 1)")
        return []

    with pytest.raises(WrongAnswerCount):
        await GroupCommit(kernel.db, short).submit(1)
    assert await stored(kernel) == set()


async def test_a_withdrawn_item_is_not_written_and_the_others_are(kernel, table):
    gate = asyncio.Event()

    class Held(Flush):
        async def __call__(self, conn, items):
            await gate.wait()
            return await super().__call__(conn, items)

    flush = Held()
    batcher = GroupCommit(kernel.db, flush, max_items=1)
    first = asyncio.create_task(batcher.submit(1))
    await asyncio.sleep(0.02)
    second, third = asyncio.create_task(batcher.submit(2)), asyncio.create_task(batcher.submit(3))
    await asyncio.sleep(0)
    first.cancel()  # its group has begun: it is written, nobody is told
    second.cancel()  # still waiting: withdrawn
    gate.set()
    assert await third == 30
    await batcher.close()
    assert await stored(kernel) == {1, 3}


async def test_closing_finishes_what_waits_and_takes_nothing_more(kernel, table):
    batcher = GroupCommit(kernel.db, Flush(), max_wait=30.0)
    waiting = [asyncio.create_task(batcher.submit(n)) for n in (1, 2)]
    await asyncio.sleep(0)
    await batcher.close()
    assert [await task for task in waiting] == [10, 20]
    with pytest.raises(BatcherClosed):
        await batcher.submit(3)


async def test_when_the_connection_breaks_nothing_is_tried_twice(kernel, table, engines):
    calls = []

    async def broken(conn, items):
        calls.append(list(items))
        engines.admin.execute("SELECT pg_terminate_backend(%s)", (conn.info.backend_pid,))
        await conn.execute("SELECT 1")

    batcher = GroupCommit(kernel.db, broken)
    answers = await asyncio.gather(*(batcher.submit(n) for n in (1, 2)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [DatabaseUnavailable, DatabaseUnavailable]
    assert calls == [[1, 2]]


async def test_a_failing_act_after_the_commit_does_not_write_twice(kernel, table):
    flush = Flush()

    async def after(conn, items):
        async def fail():
            raise RuntimeError("late")

        after_commit(conn, fail)
        return await flush(conn, items)

    assert await GroupCommit(kernel.db, after).submit(1) == 10
    assert flush.groups == [[1]]


@pytest.mark.parametrize(("conflicts", "stands"), [(1, True), (2, True), (3, False)])
async def test_a_lone_item_that_loses_a_conflict_is_tried_again_a_few_times(kernel, table, conflicts, stands):
    left = [conflicts]

    async def flush(conn, items):
        await conn.execute("INSERT INTO kernel.numbers VALUES (%s, 1)", (items[0],))
        if left[0]:
            left[0] -= 1
            raise TransactionConflict("expected the transaction to go through, got another one in its way")
        return items

    commits = GroupCommit(kernel.db, flush)
    if stands:
        assert await commits.submit(5) == 5
    else:
        with pytest.raises(TransactionConflict):
            await commits.submit(5)
    assert await stored(kernel) == ({5} if stands else set())
    await commits.close()
