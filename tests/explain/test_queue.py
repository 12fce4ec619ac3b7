"""The queue of explanations is bounded; what it has no room for is put off with a reason, explained on demand, and made up for later."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from explain import queue, queue_store
from explain.queue import PutOff, Queue
from explain.settings import ExplainSettings
from explain.standing import of_explanations
from kernel.clock import FrozenClock
from kernel.holders import Term
from kernel.ids import earliest_id, made_at, new_id
from orchestration.service.checks import ahead
from tests.explain.conftest import NOW, Room


def bounded(room: Room, **bounds) -> Queue:
    room.explain.settings = ExplainSettings(**bounds)
    room.explain.queue = Queue(room.kernel, room.audit, room.explain.settings)
    return room.explain.queue


@pytest.mark.anyio
async def test_a_full_queue_puts_the_oldest_off_and_nothing_is_lost(room: Room, monkeypatch) -> None:
    queue = bounded(room, queue_most=2)
    made = [(await room.about(f"p{n}@example.org")).decision_id for n in range(5)]
    await room.audit.sequence()
    assert await queue.feed() == {PutOff.QUEUE_FULL: 3}
    assert await queue.feed() == {}
    assert (await queue.waiting(), await queue.put_off()) == (2, {PutOff.QUEUE_FULL: 3})
    with monkeypatch.context() as few:
        few.setattr(queue_store, "MOST_COUNTED", 2)
        assert await queue.put_off() == {PutOff.QUEUE_FULL: 2}
    assert await queue.next(2) == made[3:]
    assert await queue.next(4) == [*made[3:], made[2], made[1]]
    house = SimpleNamespace(kernel=room.kernel, explain=room.explain)
    told = await ahead(house)
    assert not told.ok
    assert "put off: 3 (queue_full)" in told.state
    assert not (await room.explain.explain(made[0])).redacted  # who asks gets it at once
    assert await queue.put_off() == {PutOff.QUEUE_FULL: 2}
    assert await room.explain.explain_pending(3) == 3  # those that wait, then the newest of the others
    assert await queue.put_off() == {PutOff.QUEUE_FULL: 1}
    assert (await ahead(house)).ok
    assert await room.explain.explain_pending(3) == 1
    async with room.kernel.db.reading() as conn:
        standing = await of_explanations(conn, room.kernel.clock.now())
    assert (standing.made, standing.waiting, standing.put_off) == (5, 0, {})


@pytest.mark.anyio
async def test_who_waited_too_long_makes_room_for_the_new(room: Room) -> None:
    queue = bounded(room, queue_seconds=60)
    late = (await room.about("late@example.org")).decision_id
    await room.audit.sequence()
    room.kernel.clock.advance(made_at(late) + timedelta(seconds=59) - room.kernel.clock.now())
    assert await queue.feed() == {}
    room.kernel.clock.advance(timedelta(seconds=2))
    assert await queue.feed() == {PutOff.WAITED_TOO_LONG: 1}
    async with room.kernel.db.transaction() as conn:  # past the time for which explanations are kept, it goes
        for before, due in ((made_at(late), 0), (made_at(late) + timedelta(seconds=1), 1)):
            term = Term(kind="explanations", before=before)
            assert await room.explain.keeping.overdue(conn, term) == due
            assert await room.explain.keeping.let_go(conn, term, 10) == due
    assert (await queue.put_off(), await queue.next(1)) == ({}, [])


def test_what_is_put_off_is_told_once_a_minute_and_all_of_it(monkeypatch) -> None:
    clock, told = FrozenClock(NOW), []
    monkeypatch.setattr(queue, "_log", SimpleNamespace(warning=lambda event, **more: told.append(more)))
    waiting = Queue(SimpleNamespace(clock=clock), None, ExplainSettings())
    for _ in range(7):
        waiting._tell({PutOff.QUEUE_FULL: 5})
        clock.advance(timedelta(seconds=20))
    waiting._tell({})
    assert [one["count"] for one in told] == [5, 15, 15]
    assert {one["reason"] for one in told} == {PutOff.QUEUE_FULL}


def test_the_earliest_id_of_a_moment_parts_before_from_after() -> None:
    one = new_id("dec")
    at = made_at(one)
    assert earliest_id("dec", at) <= one < earliest_id("dec", at + timedelta(milliseconds=1))
    assert made_at(earliest_id("dec", at)) == at
