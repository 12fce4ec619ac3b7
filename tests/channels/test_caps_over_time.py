"""Caps hold for the person, whatever happens to ids and dates: merges, messages planned ahead, noes after a merge."""

from datetime import timedelta

import numpy as np
import pytest

from channels.caps import CapRule
from channels.deliveries import Withheld
from channels.service import Channels
from identity.clusters import Clusters
from kernel.ids import PersonId
from tests.channels.conftest import Recorder, World, delivery

pytestmark = pytest.mark.anyio
TWO = CapRule(name="all", limit=2, window=timedelta(days=1))


def listening(world: World) -> Channels:
    channels = world.channels(Recorder())
    world.identity.on_people_changed.append(channels.people_changed)
    return channels


async def merged(world: World) -> None:
    """All records become one person."""
    async with world.kernel.db.transaction() as conn:
        rows = await (await conn.execute("SELECT record_id FROM identity.records ORDER BY 1")).fetchall()
        await world.identity.publish(
            conn, Clusters(np.zeros(len(rows), dtype=np.int64), ()), [row["record_id"] for row in rows]
        )


async def full(world: World, channels: Channels, person: PersonId) -> str | None:
    async with world.kernel.db.reading() as conn:
        return await channels.room(conn, person, [TWO], world.clock.now())


async def test_a_merged_person_has_the_places_of_both(world: World) -> None:
    channels = listening(world)
    (one, first), (other, second) = sorted([await world.person("1"), await world.person("2")])
    got = await world.reserve(channels, delivery(one, first, cap_rules=[TWO]), delivery(other, second, cap_rules=[TWO]))
    assert not any(isinstance(each, Withheld) for each in got)
    assert await full(world, channels, one) is None
    assert not (await channels.advice(one, {"email": first}, {"email": [TWO]}, world.clock.now())).full
    await merged(world)
    assert await full(world, channels, one) == "all"
    assert (await channels.advice(one, {"email": first}, {"email": [TWO]}, world.clock.now())).full == {"email": "all"}
    (third,) = await world.reserve(channels, delivery(one, second, cap_rules=[TWO]))
    assert isinstance(third, Withheld)
    assert third.reason == "cap"


async def test_what_is_called_off_after_a_merge_gives_its_place_back(world: World) -> None:
    channels = listening(world)
    (one, first), (other, second) = sorted([await world.person("1"), await world.person("2")])
    _, mine = await world.reserve(
        channels, delivery(one, first, cap_rules=[TWO]), delivery(other, second, cap_rules=[TWO])
    )
    await merged(world)
    await channels.cancel(mine)
    assert await full(world, channels, one) is None
    (third,) = await world.reserve(channels, delivery(one, first, cap_rules=[TWO]))
    assert not isinstance(third, Withheld)


async def test_a_message_planned_ahead_does_not_make_room_today(world: World) -> None:
    channels = world.channels(Recorder())
    person, contact = await world.person()
    today = [await world.reserve(channels, delivery(person, contact, cap_rules=[TWO])) for _ in range(2)]
    assert not any(isinstance(one, Withheld) for (one,) in today)
    later = world.clock.now() + timedelta(days=1, hours=12)
    (planned,) = await world.reserve(channels, delivery(person, contact, cap_rules=[TWO], deliver_after=later))
    assert not isinstance(planned, Withheld)
    (third,) = await world.reserve(channels, delivery(person, contact, cap_rules=[TWO]))
    assert isinstance(third, Withheld)
    assert third.reason == "cap"
