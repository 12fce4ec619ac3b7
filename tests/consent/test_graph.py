"""Consent over the identity graph: strictest wins, doubles count for denials, splits give each her own word back."""

from datetime import timedelta

import pytest

from consent.gate import permission
from identity.identifiers import Identifier
from identity.records import NewRecord
from tests.consent.conftest import House

pytestmark = pytest.mark.anyio


async def merged(house: House) -> tuple[str, object, object, object]:
    """One person of two records: both carry login u1; each has an email of its own."""
    person, _, first = await house.person("ada@example.org", "1", login_id="u1")
    again, _, second = await house.person("ada@work.example", "2", login_id="u1")
    assert again == person
    return person, first, second, None


async def test_a_merged_person_gets_the_strictest_of_both(house: House) -> None:
    person, first, second, _ = await merged(house)
    await house.record(house.grant(first))
    assert await house.may(person) == "consent.granted"
    await house.record(house.grant(second, status="denied", notice=None))
    assert await house.may(person) == "consent.denied"


async def test_a_merge_moves_the_version_of_everyone_it_touches(house: House) -> None:
    person, _, _ = await house.person("ada@example.org", "1", login_id="u1")
    before = (await house.versions(person))[person]
    await house.person("ada@work.example", "2", login_id="u1")
    assert (await house.versions(person))[person] > before


async def test_an_opt_out_of_someone_who_may_be_the_same_holds(house: House) -> None:
    """Two customers share a household address; identity keeps them apart, and lists each as possibly the other."""
    ada, _, _ = await house.person("ada@example.org", "1", customer_id="c1", phone="+12025550143")
    ben, _, ben_email = await house.person("ben@example.org", "2", customer_id="c2", phone="+12025550143")
    assert ada != ben
    async with house.kernel.db.reading() as conn:
        members = await house.identity.members(conn, [ada, ben])
    assert ben in members[ada].loose
    async with house.kernel.db.transaction() as conn:
        (ada_email,) = await house.identity.register_identifiers(conn, [Identifier("email", "ada@example.org")])
    await house.record(house.grant(ada_email))
    before = await house.versions(ada, ben)
    await house.record(house.grant(ben_email, status="denied", notice=None))
    assert await house.may(ada) == "consent.denied"
    after = await house.versions(ada, ben)
    assert after[ada] > before[ada]
    assert after[ben] > before[ben]
    house.kernel.clock.advance(timedelta(seconds=1))
    await house.record(house.grant(ben_email))
    assert await house.may(ada) == "consent.granted"


async def test_a_yes_of_someone_who_may_be_the_same_permits_nothing(house: House) -> None:
    ada, _, _ = await house.person("ada@example.org", "1", customer_id="c1", phone="+12025550143")
    _, _, ben_email = await house.person("ben@example.org", "2", customer_id="c2", phone="+12025550143")
    await house.record(house.grant(ben_email))
    assert await house.may(ada) == "consent.missing"


async def test_a_signal_of_a_device_binds_who_logs_in_there_and_her_other_devices_for_good(house: House) -> None:
    """Global Privacy Control (11 CCR 7025(c)(1)): the device, the pseudonymous profile, the known person; no later save clears it."""

    async def device(name: str) -> str:
        async with house.kernel.db.transaction() as conn:
            (one,) = await house.identity.register_identifiers(conn, [Identifier("anonymous_id", name)])
            state = await house.consent.state_of_identifiers(conn, [one])
        return str(permission(state, "sharing", None, house.kernel.clock.now()).reason)

    async with house.kernel.db.transaction() as conn:
        ids = await house.identity.register_identifiers(conn, [Identifier("anonymous_id", "laptop")])
        await house.consent.apply_gpc(conn, ids, raw=b"Sec-GPC: 1", actor="browser")
    assert await device("laptop") == "directive.gpc"
    assert await device("phone") == "consent.missing"
    person, first, email = await house.person("ada@example.org", "1", login_id="u1")
    await house.record(house.grant(email, "sharing"))
    assert await house.may(person, "sharing", None) == "consent.granted"
    for key, name in (("2", "phone"), ("3", "laptop")):  # she logs in on both
        again, _, _ = await house.person(f"ada{key}@example.org", key, login_id="u1", anonymous_id=name)
        assert again == person
    house.kernel.clock.advance(timedelta(minutes=1))
    await house.record(house.grant(email, "sharing"), house.grant(first, "sharing"))
    assert (
        await house.may(person, "sharing", None) == await device("phone") == await device("laptop") == "directive.gpc"
    )


async def test_identifiers_alone_before_there_is_a_person(house: House) -> None:
    async with house.kernel.db.transaction() as conn:
        (fresh,) = await house.identity.register_identifiers(conn, [Identifier("anonymous_id", "visitor-1")])
    at = house.kernel.clock.now()
    async with house.kernel.db.reading() as conn:
        state = await house.consent.state_of_identifiers(conn, [fresh])
    assert permission(state, "service", None, at).granted
    assert not permission(state, "analytics", None, at).granted
    await house.record(house.grant(fresh, "analytics"))
    async with house.kernel.db.reading() as conn:
        state = await house.consent.state_of_identifiers(conn, [fresh])
    assert permission(state, "analytics", None, house.kernel.clock.now()).granted


async def test_identifiers_of_a_known_person_carry_her_denials(house: House) -> None:
    _, first, second, _ = await merged(house)
    await house.record(house.grant(first), house.grant(second, status="denied", notice=None))
    async with house.kernel.db.reading() as conn:
        (state, nobody) = await house.consent.states_of_identifiers(conn, [[first], []])
    assert not permission(state, "marketing.email", "email", house.kernel.clock.now()).granted
    assert nobody.acts == ()


async def test_what_one_look_sees_around_identifiers_binds_as_what_many_questions_find(house: House) -> None:
    """Two customers of one phone who may be each other, a third refused by the guard, a crowd's device, a group, somebody unknown."""
    ada, ada_record, ada_email = await house.person("ada@example.org", "1", customer_id="c1", phone="+12025550143")
    ben, _, ben_email = await house.person("ben@example.org", "2", customer_id="c2", phone="+12025550143")
    eve, eve_record, eve_email = await house.person("eve@example.org", "3", customer_id="c3", group_id="g1")
    fay, fay_record, _ = await house.person("fay@example.org", "4", customer_id="c4", group_id="g1")
    a, b = sorted((eve_record, ada_record))
    async with house.kernel.db.transaction() as conn:
        await conn.execute(
            "INSERT INTO identity.ambiguous (record_a, record_b, weight, cause, version) VALUES (%s, %s, 1, 'names', 0)",
            (a, b),
        )
    await house.record(
        house.grant(ada_email), house.grant(ben_email, status="denied", notice=None), house.grant(eve_email, "analytics"),
        house.grant(fay_record, status="denied", notice=None),
    )  # fmt: skip
    contacts = [
        Identifier(kind, value)
        for kind, value in (
            ("email", "ada@example.org"), ("email", "ben@example.org"), ("email", "eve@example.org"), ("phone", "+12025550143"),
            ("group_id", "g1"), ("customer_id", "c4"), ("email", "nobody@example.org"),
        )
    ]  # fmt: skip
    groups = [(), *((one,) for one in contacts), tuple(contacts[:2]), tuple(contacts[2:5]), tuple(contacts)]
    async with house.kernel.db.reading() as conn:
        seen = await house.identity.surroundings.of(conn, contacts)
        known = await house.identity.known_identifiers(conn, contacts)
        many = await house.consent.states_of_identifiers(
            conn, [[known[i] for i in one if i in known] for one in groups]
        )
        at_once = await house.consent.states_around(conn, seen, groups)
        loose = await house.identity.surroundings.loosely(conn, [ada, ben, eve, fay])
        members = await house.identity.members(conn, [ada, ben, eve, fay])
    assert seen.ids == known
    assert [(s.person, frozenset(s.acts)) for s in at_once] == [(s.person, frozenset(s.acts)) for s in many]
    assert {person: frozenset(held.loose) for person, held in members.items() if held.loose} == loose
    assert loose == {ada: {ben, eve}, ben: {ada}, eve: {ada}}


async def test_nobody_known_gets_nothing(house: House) -> None:
    assert await house.may("per_01J0000000000000000000000A", "service") == "person.unknown"  # type: ignore[arg-type]


async def test_a_consent_change_forgets_what_the_hot_store_held_only_after_the_commit(house: House) -> None:
    person, _, email = await house.person("ada@example.org")
    cache = house.kernel.cache
    held = {f"profile:{person}": b"p", f"decisions:{person}:home": b"d", "profile:per_other": b"o"}

    async def fill() -> None:
        await cache.set_many(held)
        await cache.run(lambda redis: redis.sadd(f"decisions:{person}", "home"))

    await fill()
    with pytest.raises(ZeroDivisionError):
        async with house.kernel.db.transaction() as conn:
            await house.consent.record(conn, [house.grant(email)])
            raise ZeroDivisionError
    assert await cache.get_many(list(held)) == [b"p", b"d", b"o"]
    await house.record(house.grant(email))
    assert await cache.get_many(list(held)) == [None, None, b"o"]


async def test_fifty_thousand_people_are_read_quickly(house: House) -> None:
    """A fifth of it here, to keep the suite short; the bar scales."""
    count = 10_000
    now = house.kernel.clock.now()
    records = [
        NewRecord(
            source="crm",
            source_key=str(n),
            identifiers=(Identifier("email", f"p{n}@example.org"),),
            traits={},
            kinds={},
            observed_at=now,
            purpose="service",
            basis="contract",
        )
        for n in range(count)
    ]
    async with house.kernel.db.transaction() as conn:
        ids = await house.identity.add_records(conn, records)
        await house.consent.record(conn, [house.grant(one) for one in ids[::2]])
    async with house.kernel.db.reading() as conn:
        people = await house.identity.people(conn)
        import time

        started = time.perf_counter()
        states = await house.consent.states(conn, people)
        answers = [permission(states[p], "marketing.email", "email", now).granted for p in people]
        spent = time.perf_counter() - started
    assert sum(answers) == count // 2
    assert spent < 6
