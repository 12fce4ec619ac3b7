"""The resident index: pure, then on a real Postgres with the writer in another house."""

import asyncio
from contextlib import asynccontextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.clusters import Clusters
from identity.identifiers import Identifier
from identity.resident import Resident, arrange, ids_of, words_of
from kernel.ids import PersonId, RecordId, new_id

KEYS = [bytes([n]) * 16 for n in range(6)]
PEOPLE = [new_id("per") for _ in range(4)]
RECORD = new_id("rec")


def fill(index: Resident, truth: dict[bytes, set[int]], since: int) -> None:
    rows = [(key, PEOPLE[person], RECORD) for key, people in truth.items() for person in people]
    keys = words_of(np.array([key for key, _, _ in rows], "V16"))
    letters = lambda at: np.frombuffer("".join(r[at][4:] for r in rows).encode(), np.uint8).reshape(-1, 26)  # noqa: E731
    index.fill(arrange(keys, ids_of(letters(1)), ids_of(letters(2))), since=since)


def held(people: set[int]) -> dict[PersonId, RecordId]:
    return {PEOPLE[person]: RecordId(RECORD) for person in people}


def test_it_tells_one_holder_several_and_nobody():
    index = Resident()
    assert index.get(KEYS[0]) is None  # nothing is known before it is full
    fill(index, {KEYS[0]: {0}, KEYS[1]: {1, 2}}, 0)
    assert index.get(KEYS[0]) == held({0})
    assert index.get(KEYS[1]) == held({1, 2})
    assert index.get(KEYS[2]) == {}


def test_nothing_of_a_dropped_key_stays_in_the_arrays():
    index = Resident()
    fill(index, {KEYS[0]: {0}}, 0)
    index.drop([KEYS[0]])
    assert index.get(KEYS[0]) is None
    assert not index._rest.any()


ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("change"), st.sampled_from(KEYS), st.sets(st.integers(0, 3), max_size=2)),
        st.tuples(st.just("ask"), st.sampled_from(KEYS)),
        st.tuples(st.just("hear"), st.integers(0, 5)),
        st.tuples(st.just("begin fill")),
        st.tuples(st.just("end fill")),
    ),
    max_size=40,
)


@given(ACTS)
def test_whatever_overtakes_whatever_what_it_says_when_all_is_heard_is_what_postgres_says(acts):
    index, truth = Resident(), dict.fromkeys(KEYS, frozenset())
    fill(index, truth, 0)
    asked, filling = [], []
    for act in acts:
        if act[0] == "change":  # commits, and its notice is heard at once
            truth[act[1]] = frozenset(act[2])
            index.drop([act[1]])
        elif act[0] == "ask":  # Postgres has answered, but the answer is still on its way
            asked.append((act[1], truth[act[1]], index.moment))
        elif act[0] == "hear" and asked:
            key, people, since = asked.pop(act[1] % len(asked))
            index.put(key, held(people), since=since)
        elif act[0] == "begin fill":
            filling.append((dict(truth), index.moment))
        elif act[0] == "end fill" and filling:
            fill(index, *filling.pop(0))
            filling.clear()
        for key in KEYS:
            assert index.get(key) in (None, held(truth[key]))


@asynccontextmanager
async def residing(identity):
    stop = asyncio.Event()
    task = asyncio.create_task(identity.residing.run(stop))
    try:
        async with asyncio.timeout(10):
            await identity.residing.full.wait()
        yield
    finally:
        stop.set()
        await task


@pytest.fixture
def elsewhere(kernel):
    """The identity room of another process: it shares Postgres with ours and nothing else."""
    from audit.service import Audit
    from identity.service import Identity

    return Identity(kernel, Audit(kernel))


async def test_it_answers_like_postgres_and_hears_what_another_process_commits(kernel, identity, elsewhere, record):
    async with kernel.db.transaction() as conn:
        ids = await identity.add_records(
            conn, [record(str(n), ("login_id", f"u{n}"), ("email", "a@x.org")) for n in range(2)]
        )
    asked = [
        [Identifier("login_id", "u0")],
        [Identifier("login_id", "u1")],
        [Identifier("email", "a@x.org")],
        [Identifier("login_id", "u9")],
    ]

    async def both():
        async with kernel.db.reading() as conn:
            return await identity.resolve_hot(asked), await identity.resolve(conn, asked)

    async def agrees():
        async with asyncio.timeout(10):
            while True:
                mine, theirs = await both()
                if mine == theirs:
                    return mine
                await asyncio.sleep(0.01)

    async with residing(identity):
        mine, theirs = await both()
        assert mine == theirs
        assert mine[3].person is None
        async with kernel.db.transaction() as conn:  # our own commit is seen at once
            await identity.add_records(conn, [record("9", ("login_id", "u9"))])
        mine, theirs = await both()
        assert mine == theirs
        assert mine[3].person is not None
        async with kernel.db.transaction() as conn:  # another process's a moment later
            await elsewhere.publish(conn, Clusters(np.zeros(2, np.int64), ()), ids)
        await identity.residing.settle()
        found = await agrees()
        assert found[0].person == found[1].person == found[2].person
        async with kernel.db.transaction() as conn:
            await elsewhere.erase(conn, found[0].person)
        await identity.residing.settle()
        mine, theirs = await both()
        assert mine == theirs
        assert mine[0].person is None


async def test_with_more_identifiers_than_may_lie_in_memory_it_stays_off(kernel, identity, record):
    async with kernel.db.transaction() as conn:
        await identity.add_records(conn, [record(str(n), ("login_id", f"u{n}")) for n in range(3)])
    identity.residing._most = 2
    await asyncio.wait_for(identity.residing.run(asyncio.Event()), 10)
    assert not identity.residing.ready
    assert (await identity.resolve_hot([[Identifier("login_id", "u1")]]))[0].person is not None
