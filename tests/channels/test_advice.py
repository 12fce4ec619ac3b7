"""Advice from the hot store: it says what Postgres says, forgets with the commit that changes it, and never holds up a decision."""

import asyncio
from datetime import timedelta

import pytest

from channels.advice import Advice
from channels.caps import CapRule
from channels.service import Channels
from identity.identifiers import Identifier
from kernel.cache import CacheUnavailable
from kernel.ids import IdentifierId, PersonId
from tests.channels.conftest import NOW, Recorder, World, delivery

pytestmark = pytest.mark.anyio
ONE = CapRule(name="one", limit=1, window=timedelta(days=1))
TWO = CapRule(name="two", limit=2, window=timedelta(days=7))
DAY = CapRule(name="day", limit=1, zone="Europe/Berlin")
FREE = Advice(frozenset(), {})


async def ask(
    channels: Channels, person: PersonId, contact: IdentifierId, *rules: CapRule, after=timedelta(0), **more
) -> Advice:
    return await channels.advice(person, {"email": contact}, {"email": rules}, NOW + after, **more)


async def reads(world: World, work) -> int:
    """How many times Postgres was asked."""
    asked = 0
    reading = world.kernel.db.reading

    def counted():
        nonlocal asked
        asked += 1
        return reading()

    world.kernel.db.reading = counted
    try:
        await work
    finally:
        world.kernel.db.reading = reading
    return asked


async def test_it_is_asked_of_postgres_once(world: World) -> None:
    channels = world.channels(Recorder())
    person, contact = await world.person()
    assert await reads(world, ask(channels, person, contact, ONE)) == 1
    assert await reads(world, ask(channels, person, contact, TWO)) == 0
    assert await reads(world, ask(channels, person, contact, TWO, fresh=True)) == 1
    # Somebody else's, and one more contact point of hers, were not asked for yet.
    other, elsewhere = await world.person("2")
    assert await reads(world, ask(channels, other, elsewhere, ONE)) == 1
    assert await reads(world, ask(channels, person, elsewhere, ONE)) == 1


@pytest.mark.parametrize("rule", [ONE, TWO, DAY])
async def test_remembered_places_count_like_those_in_postgres(world: World, rule: CapRule) -> None:
    channels = world.channels(Recorder())
    person, contact = await world.person()
    # Places at these moments; at noon of the fifth the clock stands.
    for hours in (0, 20, 30):
        await world.reserve(
            channels, delivery(person, contact, cap_rules=[ONE, TWO, DAY], deliver_after=NOW + timedelta(hours=hours))
        )
    await ask(channels, person, contact)
    for hours in (0, 1, 10, 11, 12, 23, 24, 25, 44, 54, 55, 160, 170, 199):
        at = NOW + timedelta(hours=hours)
        async with world.kernel.db.reading() as conn:
            true = await channels.room(conn, person, [rule], at)
        said = await channels.advice(person, {"email": contact}, {"email": [rule]}, at)
        assert said.full.get("email") == true, hours


async def test_a_place_taken_in_another_process_is_known_at_once(world: World) -> None:
    here, there = world.channels(Recorder()), world.channels(Recorder())
    person, contact = await world.person()
    assert await ask(here, person, contact, ONE) == FREE
    (id_,) = await world.reserve(there, delivery(person, contact, cap_rules=[ONE]))
    assert await ask(here, person, contact, ONE) == Advice(frozenset(), {"email": "one"})
    await there.cancel(id_)
    assert await ask(here, person, contact, ONE) == FREE


async def test_a_suppression_is_known_at_once_and_so_is_its_end(world: World) -> None:
    here, there = world.channels(Recorder()), world.channels(Recorder())
    person, contact = await world.person()
    barred = Advice(frozenset({"email"}), {})
    for channel, changed in (("push", FREE), ("*", barred), ("email", barred)):
        assert await ask(here, person, contact) == FREE
        async with world.kernel.db.transaction() as conn:
            await there.suppress(conn, [contact], channel, "complaint", actor="staff:ann")
        assert await ask(here, person, contact) == changed
        async with world.kernel.db.transaction() as conn:
            await there.lift(conn, [contact], channel, "mistake", actor="staff:ann")
    assert await ask(here, person, contact) == FREE
    async with world.kernel.db.transaction() as conn:  # as a list that is imported
        known = (Identifier("email", "ada1@example.org"), "email", "unsubscribed")
        await there._suppressions.suppress_contacts(conn, [known], actor="staff:ann")
    assert await ask(here, person, contact) == barred


async def test_what_is_rolled_back_is_not_forgotten(world: World) -> None:
    channels = world.channels(Recorder())
    person, contact = await world.person()
    await ask(channels, person, contact, ONE)
    with pytest.raises(RuntimeError):
        async with world.kernel.db.transaction() as conn:
            await channels.reserve(conn, [delivery(person, contact, cap_rules=[ONE])])
            raise RuntimeError
    assert await reads(world, ask(channels, person, contact, ONE)) == 0
    assert await ask(channels, person, contact, ONE) == FREE


async def test_who_looked_before_a_change_cannot_put_the_old_answer_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, other = world.channels(Recorder()), world.channels(Recorder())
    person, contact = await world.person()
    run, looked, go_on = world.kernel.cache.run, asyncio.Event(), asyncio.Event()

    async def late(work):
        if work.__name__ == "write":
            looked.set()
            await go_on.wait()
        return await run(work)

    monkeypatch.setattr(world.kernel.cache, "run", late)
    asking = asyncio.create_task(ask(slow, person, contact, ONE))
    await looked.wait()
    monkeypatch.setattr(world.kernel.cache, "run", run)
    await world.reserve(other, delivery(person, contact, cap_rules=[ONE]))
    go_on.set()
    assert await asking == FREE  # true when it looked
    assert await ask(other, person, contact, ONE) == Advice(frozenset(), {"email": "one"})


async def test_without_the_hot_store_postgres_says_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    channels = world.channels(Recorder())
    person, contact = await world.person()
    await ask(channels, person, contact, ONE)

    async def gone(work):
        raise CacheUnavailable("expected the hot store to answer, got none")

    monkeypatch.setattr(world.kernel.cache, "run", gone)
    await world.reserve(channels, delivery(person, contact, cap_rules=[ONE]))
    assert await ask(channels, person, contact, ONE) == Advice(frozenset(), {"email": "one"})


async def test_it_holds_no_word_of_anybody_and_goes_with_its_person(world: World) -> None:
    channels = world.channels(Recorder())
    person, contact = await world.person()
    await ask(channels, person, contact, ONE)
    (words,) = await world.kernel.cache.get_many([f"advice:{person}"])
    assert words == b'[2,{},{"%b":[]},{}]' % contact.encode()
    async with world.kernel.db.transaction() as conn:
        await channels.erase(conn, person)
    assert await world.kernel.cache.get_many([f"advice:{person}"]) == [b"-"]
