"""As known then: the acts, the graph of people and who might have been the same, of that moment."""

from datetime import datetime, timedelta

import numpy as np
import psycopg
import pytest

from consent.views import Check
from identity.clusters import Clusters, Refusal
from identity.errors import AmbiguousContact, PastUnknown, PersonNotFound
from kernel.clock import FrozenClock
from kernel.engines import Addresses
from kernel.ids import PersonId, RecordId
from tests.consent.conftest import NOW, House

pytestmark = pytest.mark.anyio
DAY = timedelta(days=1)


async def publish(house: House, records: list[RecordId], group: list[int], *doubts: tuple[int, int]) -> None:
    refused = tuple(Refusal(a, b, 3.0, "cohesion") for a, b in doubts)
    async with house.kernel.db.transaction() as conn:
        await house.identity.publish(conn, Clusters(np.array(group, dtype=np.int64), refused), records)


async def then(house: House, who: str, known_at: datetime | None) -> Check:
    async with house.kernel.db.reading() as conn:
        if known_at is None:
            person = await house.identity.lookup(conn, who)
        else:
            person = await house.identity.past.lookup(conn, who, known_at)
        return await house.consent.check(conn, person, "marketing.email", "email", at=known_at, known_at=known_at)


async def couple(house: House) -> tuple[tuple[PersonId, RecordId], tuple[PersonId, RecordId]]:
    """Ada says yes, Bea says no; nobody takes them for one person yet."""
    ada, one, _ = await house.person("ada@example.org", "1")
    bea, other, _ = await house.person("bea@example.org", "2")
    await house.record(house.grant(one), house.grant(other, status="denied", notice=None))
    return (ada, one), (bea, other)


async def test_before_a_merge_each_is_who_she_was_and_after_it_the_strictest_answers(
    house: House, clock: FrozenClock
) -> None:
    (ada, one), (bea, other) = await couple(house)
    clock.advance(DAY)
    await publish(house, [one, other], [0, 0])
    clock.advance(DAY)
    for who in ("email:ada@example.org", "email:bea@example.org"):
        assert not (await then(house, who, None)).permission.granted
    before = NOW + timedelta(hours=1)
    assert (await then(house, "email:ada@example.org", before)).permission.granted
    found = await then(house, "email:bea@example.org", before)
    assert (found.person, found.permission.granted) == (bea, False)
    assert (await then(house, ada, before)).permission.granted
    assert not (await then(house, ada, NOW + DAY)).permission.granted


async def test_after_a_split_what_was_one_person_is_asked_as_one(house: House, clock: FrozenClock) -> None:
    (_, one), (_, other) = await couple(house)
    clock.advance(DAY)
    await publish(house, [one, other], [0, 0])
    clock.advance(DAY)
    await publish(house, [one, other], [0, 1])
    assert (await then(house, "email:ada@example.org", None)).permission.granted
    assert not (await then(house, "email:ada@example.org", NOW + DAY)).permission.granted
    async with house.kernel.db.reading() as conn:
        held = await house.identity.past.lookup(conn, "email:bea@example.org", NOW + DAY)
        assert await house.identity.past.lookup(conn, "email:ada@example.org", NOW + DAY) == held
        lines = await house.consent.history(conn, held, known_at=NOW + DAY)
    assert {line.act.subject for line in lines} == {one, other}


async def test_a_doubt_of_then_binds_then_and_no_longer(house: House, clock: FrozenClock) -> None:
    (_, one), (_, other) = await couple(house)
    clock.advance(DAY)
    await publish(house, [one, other], [0, 1], (0, 1))
    clock.advance(DAY)
    await publish(house, [one, other], [0, 1], (0, 1))  # still in doubt: one stretch of time
    clock.advance(DAY)
    await publish(house, [one, other], [0, 1])
    answers = [
        (await then(house, "email:ada@example.org", NOW + n * DAY + timedelta(hours=1))).permission.granted
        for n in range(4)
    ]
    assert answers == [True, False, False, True]
    async with house.kernel.db.reading() as conn:
        rows = await (await conn.execute("SELECT valid_from, valid_to FROM identity.past_ambiguous")).fetchall()
    assert [(row["valid_from"], row["valid_to"]) for row in rows] == [(1, 3)]


async def test_what_came_later_was_not_known_then(house: House, clock: FrozenClock) -> None:
    (_, one), _ = await couple(house)
    clock.advance(DAY)
    young, _, _ = await house.person("new@example.org", "3")
    async with house.kernel.db.reading() as conn:
        for who in (young, "email:new@example.org"):
            with pytest.raises(PersonNotFound):
                await house.identity.past.lookup(conn, who, NOW)
        assert await house.identity.past.members(conn, [young], NOW) == {}
    clock.advance(DAY)
    await house.record(house.grant(one, status="denied", notice=None))
    assert not (await then(house, "email:ada@example.org", None)).permission.granted
    assert (await then(house, "email:ada@example.org", NOW + DAY)).permission.granted


async def test_a_contact_of_two_is_nobodys_name_then_either(house: House) -> None:
    for place in ("1", "2"):
        await house.person(f"{place}@example.org", place, customer_id=place, phone="+12025550143")
    async with house.kernel.db.reading() as conn:
        with pytest.raises(AmbiguousContact):
            await house.identity.past.lookup(conn, "phone:+12025550143", NOW)
        people = await house.identity.people(conn)
        held = await house.identity.past.members(conn, people, NOW)
        now = await house.identity.members(conn, people)
    assert {p: (set(m.identifiers), m.loose, m.records) for p, m in held.items()} == {
        p: (set(m.identifiers), m.loose, m.records) for p, m in now.items()
    }


async def test_graphs_whose_doubts_were_not_kept_are_an_error_and_no_guess(house: House, addresses: Addresses) -> None:
    await couple(house)
    with psycopg.connect(addresses.owner) as conn:
        conn.execute("UPDATE identity.past_known SET since = 1")
    with pytest.raises(PastUnknown, match="graph version 1 or later"):
        await then(house, "email:ada@example.org", NOW)
