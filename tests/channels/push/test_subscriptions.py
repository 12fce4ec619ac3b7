"""Browsers as contact points: whose they are, what was said, what becomes of them."""

from dataclasses import replace
from datetime import timedelta

import pytest

from channels.ledger import State
from channels.push.words import Said
from consent.errors import ActIncomplete, UnknownPurpose
from consent.gate import permission
from events.log import Source
from identity.identifiers import Identifier
from identity.records import linkage_kinds
from tests.channels.push.conftest import SAID, Shop
from tests.support.push_receiver import Receiver

pytestmark = pytest.mark.anyio
ADA, BEN = "a" * 20, "b" * 20
PERSONALIZE = "marketing.personalize"


async def may(shop: Shop, name: str) -> bool:
    person = await shop.person(name)
    async with shop.world.kernel.db.reading() as conn:
        state = await shop.world.consent.state(conn, person)
    return permission(state, "marketing.push", "push", shop.world.clock.now()).granted


async def reach(shop: Shop, name: str) -> str | None:
    return (await shop.world.profiles.hot(await shop.person(name), PERSONALIZE)).reach.get("push")


async def test_a_subscription_makes_a_person_reachable_and_a_repeat_changes_nothing(shop: Shop) -> None:
    receiver, contact, person = await shop.visitor(ADA)
    assert await may(shop, ADA)
    assert await reach(shop, ADA) == contact
    before = await shop.world.tags()
    again = await shop.visitor(ADA, says=None, receiver=receiver)
    assert again[1:] == (contact, person)
    assert await shop.world.tags() == before


async def test_a_subscription_alone_is_no_permission(shop: Shop) -> None:
    _, contact, person = await shop.visitor(ADA, says=None)
    assert not await may(shop, ADA)
    await shop.reserve(person, contact)
    await shop.channels.dispatch()
    assert shop.service.posted == []


async def test_one_that_ended_is_no_longer_where_she_is_reached(shop: Shop) -> None:
    old, _, _ = await shop.visitor(ADA)
    new, contact, _ = await shop.visitor(ADA, says=None)
    await shop.channels.push.subscriptions.unregister(shop.who(ADA), new.endpoint)
    assert await reach(shop, ADA) is not None  # the other browser
    await shop.channels.push.subscriptions.unregister(shop.who(ADA), old.endpoint)
    assert await reach(shop, ADA) is None
    await shop.visitor(ADA, says=None, receiver=new)
    assert await reach(shop, ADA) == contact


async def test_a_browser_that_changes_hands_shows_nothing_of_the_first_person(shop: Shop) -> None:
    receiver, contact, ada = await shop.visitor(ADA)
    waiting = await shop.reserve(ada, contact)
    assert await reach(shop, ADA) == contact
    _, same, ben = await shop.visitor(BEN, receiver=receiver)
    assert (same, ben != ada) == (contact, True)
    assert await reach(shop, ADA) is None
    assert await reach(shop, BEN) == contact
    await shop.channels.dispatch()
    assert await shop.state(waiting) == (State.WITHHELD, "contact_gone")
    assert shop.service.posted == []


async def test_a_replaced_endpoint_goes_with_its_successor(shop: Shop) -> None:
    old, contact, _ = await shop.visitor(ADA)
    found = Receiver(shop.service.endpoint())
    made = await shop.channels.push.subscriptions.register(shop.who(ADA), found.subscription, replaces=old.endpoint)
    assert not await shop.live(contact)
    assert await reach(shop, ADA) == made.contact


async def test_a_no_outlives_its_subscription_and_a_new_yes_lifts_it(shop: Shop) -> None:
    receiver, _, _ = await shop.visitor(ADA)
    await shop.channels.push.subscriptions.unregister(shop.who(ADA), receiver.endpoint, purpose="marketing.push")
    assert not await may(shop, ADA)
    await shop.visitor(ADA, says=None)
    assert not await may(shop, ADA)  # subscribing is no word
    shop.world.clock.advance(timedelta(minutes=1))
    await shop.visitor(ADA)
    assert await may(shop, ADA)


async def test_a_yes_where_she_subscribes_never_lifts_a_no_she_gave_elsewhere(shop: Shop) -> None:
    world = shop.world
    email = Identifier("email", "ada@example.org")
    _, _, person = await shop.visitor(ADA, says=None)
    async with world.kernel.db.transaction() as conn:
        records = await world.identity.records(conn, [person])
        denied = world.consent.denial(
            records[person][0].id, "marketing.push", "push", mechanism="officer", actor="staff"
        )
        await world.consent.record(conn, [denied])
        await world.identity.register_identifiers(conn, [email])
    await shop.visitor(ADA)
    assert not await may(shop, ADA)


@pytest.mark.parametrize(
    ("purpose", "fault"), [("marketing", ActIncomplete), ("sharing", ActIncomplete), ("x", UnknownPurpose)]
)
async def test_a_browser_can_say_yes_to_pushes_only(shop: Shop, purpose: str, fault: type[Exception]) -> None:
    with pytest.raises(fault):
        await shop.visitor(ADA, says=Said(text="All?", version="1", language="en", purpose=purpose))
    async with shop.world.kernel.db.reading() as conn:
        assert await shop.world.identity.people(conn) == []


async def test_what_the_gate_does_not_permit_is_not_kept(shop: Shop) -> None:
    world = shop.world
    async with world.kernel.db.transaction() as conn:
        await world.events.register_source(conn, Source("offers", PERSONALIZE, "consent"))
    who = shop.who(ADA)
    for said in (None, SAID):
        made = await shop.channels.push.subscriptions.register(
            replace(who, source="offers"), Receiver(shop.service.endpoint()).subscription, said=said
        )
        assert (made.contact, made.reason) == (None, "FILTERED_BY_END_USER_CONSENT")
    async with world.kernel.db.reading() as conn:
        assert await world.identity.people(conn) == []
        for table in ("identity.identifiers", "consent.acts", "channels.push_subscriptions"):
            row = await (await conn.execute(f"SELECT count(*) AS n FROM {table}")).fetchone()
            assert row["n"] == 0, table
        assert [(source, reason, n) for source, _, reason, n in await world.events.refusals(conn)] == [
            ("offers", "FILTERED_BY_END_USER_CONSENT", 2)
        ]


async def test_an_endpoint_is_no_evidence_of_who_somebody_is(shop: Shop) -> None:
    receiver, _, ada = await shop.visitor(ADA)
    _, _, ben = await shop.visitor(BEN, receiver=receiver)
    assert ada != ben
    async with shop.world.kernel.db.reading() as conn:
        table = await shop.world.identity.linkage_table(conn)
        assert "push" not in {*table.column_names, *linkage_kinds(table).values()}
        assert receiver.endpoint not in str(table.to_pydict())
        (found,) = await shop.world.identity.resolve(conn, [[Identifier("push", receiver.endpoint)]])
    assert found.person is None


async def test_an_export_names_it_and_an_erasure_removes_it(shop: Shop) -> None:
    receiver, contact, person = await shop.visitor(ADA)
    async with shop.world.kernel.db.transaction() as conn:
        told = await shop.channels.export(conn, person)
        assert [one["identifier"] for one in told["push_subscriptions"]] == [contact]
        assert receiver.endpoint in str(await shop.world.identity.export(conn, person))
        await shop.channels.erase(conn, person)
        await shop.world.identity.erase(conn, person)
    assert not await shop.live(contact)


async def test_a_suppressed_browser_stays_silent(shop: Shop) -> None:
    _, contact, person = await shop.visitor(ADA)
    id_ = await shop.reserve(person, contact)
    async with shop.world.kernel.db.transaction() as conn:
        await shop.channels.suppress(conn, [contact], "push", "staff", actor="staff:ann")
    await shop.channels.dispatch()
    assert await shop.state(id_) == (State.WITHHELD, "suppressed")
    assert shop.service.posted == []
