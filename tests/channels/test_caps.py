"""Frequency caps: exactly k, however many ask at once; all rules or none; places come back."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from channels.caps import CapRule, window
from channels.deliveries import Withheld
from channels.ledger import State
from kernel.ids import DecisionId, new_id
from kernel.settings import KernelSettings
from tests.channels.conftest import CONTENT, Recorder, World, delivery

pytestmark = pytest.mark.anyio
TWO = CapRule(name="all", limit=2, window=timedelta(days=1))


@pytest.fixture
def kernel_settings(kernel_settings: KernelSettings) -> KernelSettings:
    return kernel_settings.model_copy(update={"pool_size": 10})


@pytest.mark.parametrize("limit", [1, 3, 7])
async def test_parallel_workers_reserve_exactly_as_many_as_the_cap_has_places(world: World, limit: int) -> None:
    channels = world.channels(Recorder())
    rules = [CapRule(name="all", limit=limit, window=timedelta(days=1)), CapRule(name="email", limit=limit + 1)]
    people = [await world.person(str(n)) for n in range(3)]

    async def worker() -> int:
        got = 0
        for _ in range(4):
            answers = await world.reserve(channels, *(delivery(p, c, cap_rules=rules) for p, c in people))
            got += sum(not isinstance(one, Withheld) for one in answers)
        return got

    assert sum(await asyncio.gather(*(worker() for _ in range(8)))) == limit * len(people)


async def test_one_group_shares_a_cap_and_a_refusal_harms_no_neighbour(world: World) -> None:
    channels = world.channels(Recorder())
    (ada, contact), (eve, other) = await world.person("1"), await world.person("2")
    wanted = [delivery(ada, contact, cap_rules=[TWO]) for _ in range(4)]
    broken = delivery(ada, contact, content=replace(CONTENT, slots={}))
    zone = delivery(eve, other, cap_rules=[CapRule(name="x", limit=1, zone="Mars/Olympus")])
    push = delivery(eve, other, channel="push")
    answers = await world.reserve(channels, *wanted, broken, zone, push, delivery(eve, other, cap_rules=[TWO]))
    reasons = [one.reason if isinstance(one, Withheld) else "sent" for one in answers]
    assert sorted(reasons[:4]) == ["cap", "cap", "sent", "sent"]
    assert reasons[4:] == ["missing_variable", "bad_zone", "no_connector", "sent"]
    async with world.kernel.db.reading() as conn:
        assert await channels.room(conn, ada, [TWO], world.clock.now()) == "all"
        assert await channels.room(conn, eve, [TWO], world.clock.now()) is None


async def test_a_message_without_room_under_one_rule_takes_no_place_under_another(world: World) -> None:
    channels = world.channels(Recorder())
    person, contact = await world.person()
    narrow, wide = CapRule(name="narrow", limit=1), CapRule(name="wide", limit=2)
    first, both, only = (
        delivery(person, contact, cap_rules=[narrow]),
        delivery(person, contact, cap_rules=[narrow, wide]),
        delivery(person, contact, cap_rules=[wide]),
    )
    answers = await world.reserve(channels, first, both, only, delivery(person, contact, cap_rules=[wide]))
    assert [isinstance(one, Withheld) for one in answers] == [False, True, False, False]


async def test_a_place_comes_back_when_nothing_was_sent_and_stays_when_something_was(world: World) -> None:
    channels = world.channels(Recorder())
    person, contact = await world.person()
    one = CapRule(name="all", limit=1, window=timedelta(days=1))
    (first,) = await world.reserve(channels, delivery(person, contact, cap_rules=[one]))
    await channels.cancel(first)
    (second,) = await world.reserve(channels, delivery(person, contact, cap_rules=[one]))
    await channels.dispatch()
    assert (await channels.show(second)).state is State.ACCEPTED
    (third,) = await world.reserve(channels, delivery(person, contact, cap_rules=[one]))
    assert third == Withheld("cap")
    world.clock.advance(timedelta(hours=25))
    (fourth,) = await world.reserve(channels, delivery(person, contact, cap_rules=[one]))
    assert not isinstance(fourth, Withheld)


async def test_a_decision_has_one_delivery_however_often_it_is_committed(world: World) -> None:
    channels = world.channels(Recorder())
    person, contact = await world.person()
    new = delivery(person, contact, decision_id=DecisionId(new_id("dec")), cap_rules=[TWO])
    answers = await asyncio.gather(*(world.reserve(channels, new, new) for _ in range(4)))
    assert len({id_ for pair in answers for id_ in pair}) == 1
    assert await channels.counts() == {"reserved": 1}
    again = await world.reserve(channels, delivery(person, contact, cap_rules=[TWO]))
    assert not isinstance(again[0], Withheld), "repeats hold no second place"


async def test_a_reservation_is_invisible_until_the_commit_and_gone_on_a_rollback(world: World) -> None:
    recorder = Recorder()
    channels = world.channels(recorder)
    person, contact = await world.person()
    with pytest.raises(KeyError):
        async with world.kernel.db.transaction() as conn:
            await channels.reserve(conn, [delivery(person, contact, cap_rules=[TWO])])
            assert (await channels.dispatch()).total == 0
            raise KeyError
    assert (await channels.dispatch()).total == 0
    assert await channels.counts() == {}
    assert recorder.sent == []


def test_a_calendar_day_is_that_of_the_zone_the_rule_names() -> None:
    rule = CapRule(name="all", limit=1, zone="Pacific/Auckland")
    evening, later = datetime(2026, 3, 5, 10, 59, tzinfo=UTC), datetime(2026, 3, 5, 11, 1, tzinfo=UTC)
    assert window(rule, evening).key == "all|2026-03-05|Pacific/Auckland"
    assert window(rule, later).key == "all|2026-03-06|Pacific/Auckland"


def test_a_day_of_23_hours_and_one_of_25_are_a_day_each() -> None:
    """decision.D9: clocks in Berlin went forward on 29 March 2026 and go back on 25 October."""
    rule = CapRule(name="all", limit=1, zone="Europe/Berlin")
    for first, hours in ((datetime(2026, 3, 28, 23, tzinfo=UTC), 23), (datetime(2026, 10, 24, 22, tzinfo=UTC), 25)):
        keys = [window(rule, first + timedelta(hours=at)).key for at in range(-1, hours + 1)]
        assert keys[0] != keys[1] != keys[-1]
        assert len(set(keys[1:-1])) == 1
    night = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # half past two, twice
    rolling = CapRule(name="all", limit=1, window=timedelta(hours=1))
    assert window(rolling, night + timedelta(hours=1)).start == night  # an hour is an hour
