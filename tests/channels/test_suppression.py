"""Suppressions: they stop what is queued, hold by keyed hash after an erasure, and come in from files."""

import asyncio
from datetime import timedelta

import pytest

from channels.deliveries import Withheld
from channels.errors import UnknownContact
from channels.ledger import State
from events.rows import MappedRow
from identity.identifiers import Identifier
from identity.regrouping import By
from kernel.ids import IdentifierId, new_id
from tests.channels.conftest import Recorder, World, delivery, files

pytestmark = pytest.mark.anyio


async def suppress(world: World, channels, contact, channel="email") -> int:
    async with world.kernel.db.transaction() as conn:
        return await channels.suppress(conn, [contact], channel, "asked by phone", actor="stf_x")


async def test_a_suppression_stops_what_is_queued_already(world: World) -> None:
    recorder = Recorder()
    channels = world.channels(recorder)
    person, contact = await world.person()
    (id_,) = await world.reserve(channels, delivery(person, contact))
    assert await suppress(world, channels, contact) == 1
    assert await suppress(world, channels, contact) == 0
    assert (await channels.dispatch()).reasons == {"suppressed": 1}
    assert (await channels.show(id_)).state is State.WITHHELD
    assert await world.reserve(channels, delivery(person, contact)) == [Withheld("suppressed")]
    async with world.kernel.db.transaction() as conn:
        assert await channels.suppressed(conn, [contact]) == {contact}
        assert await channels.suppressed(conn, [contact], "push") == set()
        assert await channels.lift(conn, [contact], "email", "asked again", actor="stf_x") == 1
        assert await channels.suppressed(conn, [contact]) == set()
    assert {"suppression.added", "suppression.lifted"} <= set(await world.tags())


async def test_a_suppression_between_claim_and_send_is_honoured(world: World) -> None:
    recorder = Recorder()
    channels = world.channels(recorder)
    person, contact = await world.person()
    await world.reserve(channels, delivery(person, contact))
    claim = channels._dispatcher._claim

    async def claim_then_suppress(*args: object) -> object:
        claimed = await claim(*args)
        if claimed[0]:
            await suppress(world, channels, contact, "*")
        return claimed

    channels._dispatcher._claim = claim_then_suppress
    assert (await channels.dispatch()).reasons == {"suppressed": 1}
    assert recorder.sent == []


async def test_an_unknown_contact_is_refused_by_name(world: World) -> None:
    channels = world.channels(Recorder())
    with pytest.raises(UnknownContact):
        await suppress(world, channels, IdentifierId(new_id("idn")))


def row(line: int, value: str, *, kind: str = "email", channel: str | None = None) -> MappedRow:
    return MappedRow(
        line=line,
        source="old",
        source_key=str(line),
        identifiers=(Identifier(kind, value),),
        suppression=(channel, "unsubscribed"),
    )


async def test_an_imported_suppression_holds_for_somebody_who_comes_later_and_after_an_erasure(world: World) -> None:
    recorder = Recorder()
    channels = world.channels(recorder)
    async with world.kernel.db.transaction() as conn:
        rows = [row(1, "ada1@example.org", channel="email"), row(2, "ada1@example.org", channel="email")]
        results = await channels.suppression_rows.apply(conn, [*rows, row(3, "c-1", kind="customer_id")])
        again = await channels.suppression_rows.apply(conn, rows)
        stored = await (await conn.execute("SELECT hash, channel, reason FROM channels.suppressions")).fetchall()
    assert [one.outcome for one in results] == ["accepted", "duplicate", "rejected"]
    assert [one.outcome for one in again] == ["duplicate", "duplicate"]
    assert len(stored) == 1
    assert b"ada" not in bytes(stored[0]["hash"])
    for _ in range(2):
        person, contact = await world.person()
        assert await world.reserve(channels, delivery(person, contact)) == [Withheld("suppressed")]
        await erase(world, person)


async def erase(world: World, person: str) -> None:
    request = await world.rights.open("erasure", person, actor="stf_a")
    await world.rights.approve(request.id, actor="stf_b")
    await world.rights.run(request.id, actor="stf_a")


async def test_an_erasure_leaves_no_file_no_words_no_counter_and_sends_nothing_more(world: World) -> None:
    channels = world.channels()
    person, contact = await world.person()
    (sent,) = await world.reserve(channels, delivery(person, contact))
    await channels.dispatch()
    later = delivery(person, contact, deliver_after=world.clock.now() + timedelta(hours=1))
    (waiting,) = await world.reserve(channels, later)
    async with world.kernel.db.reading() as conn:
        held = await channels.export(conn, person)
        assert await channels.count(conn, [person]) == {"deliveries": 2, "deliveries_waiting": 1}
    assert [one["content"]["slots"] for one in held["deliveries"]] == [{"first_name": "Ada"}] * 2
    assert files(world.kernel)
    await erase(world, person)
    assert files(world.kernel) == {}
    world.clock.advance(timedelta(hours=2))
    assert (await channels.dispatch()).total == 0
    assert (await channels.show(waiting)).reason == "erased"
    assert (await channels.show(sent)).state is State.ACCEPTED
    async with world.kernel.db.transaction() as conn:
        left = await (await conn.execute("SELECT content FROM channels.deliveries")).fetchall()
        assert all(one["content"] is None for one in left)
        assert await channels.erase(conn, person) == 0


async def test_of_two_who_were_parted_each_has_the_messages_to_her_own_contacts(world: World) -> None:
    """While they were one, messages to both went out under one id; nobody is told the other's, and no words that may be about both (consent.D6)."""
    channels, by = world.channels(), By("staff:ann")
    (ada, hers), (bea, other) = sorted([await world.person("1"), await world.person("2")])
    (early,) = await world.reserve(channels, delivery(bea, other))
    world.clock.advance(timedelta(hours=1))
    async with world.kernel.db.transaction() as conn:
        (record,) = (await world.identity.owned(conn, [bea]))[bea]
        assert (await world.identity.judging.merge(conn, ada, bea, by)).refused is None
    world.clock.advance(timedelta(hours=1))
    one, two = await world.reserve(channels, delivery(ada, hers), delivery(ada, other))
    world.clock.advance(timedelta(hours=1))
    async with world.kernel.db.transaction() as conn:
        assert (await world.identity.judging.split(conn, ada, [record], by)).refused is None
        (new,) = (await world.identity.subjects(conn, [record]))[record].people
    world.clock.advance(timedelta(hours=1))
    (late,) = await world.reserve(channels, delivery(ada, hers))

    async def told(person: str) -> dict[str, bool]:
        async with world.kernel.db.reading() as conn:
            found = await channels.export(conn, person)
        return {d["delivery_id"]: d["content"] is not None for d in found["deliveries"]}

    assert await told(ada) == {one: False, late: True}
    assert await told(new) == {early: True, two: False}
    await erase(world, new)
    async with world.kernel.db.reading() as conn:
        left = await (
            await conn.execute("SELECT delivery_id FROM channels.deliveries WHERE content IS NOT NULL")
        ).fetchall()
    assert {row["delivery_id"] for row in left} == {one, late}


async def test_erasures_and_sends_do_not_wait_for_each_other_in_a_ring(world: World) -> None:
    channels = world.channels()
    people = [await world.person(str(n)) for n in range(12)]
    await world.reserve(channels, *(delivery(p, c) for p, c in people))

    async def erase_all() -> None:
        for person, _ in people:
            await erase(world, person)

    async def send_all() -> None:
        while (await channels.dispatch(3)).total:
            await asyncio.sleep(0)

    await asyncio.gather(erase_all(), send_all())
    assert files(world.kernel) == {}
    assert sum((await channels.counts()).values()) == len(people)


async def test_what_a_file_would_silence_is_told_beforehand(world: World) -> None:
    channels = world.channels()
    ada, _ = await world.person("ada")
    looking = channels.suppression_rows.foresee()
    async with world.kernel.db.reading() as conn:
        (contact,) = [one for one in (await world.identity.identifiers(conn, [ada]))[ada] if one.kind == "email"]
        rows = [
            MappedRow(
                line=1,
                source="esp",
                source_key="1",
                identifiers=(Identifier("email", contact.value),),
                suppression=("email", "x"),
            ),
            MappedRow(line=2, source="esp", source_key="2", identifiers=(Identifier("email", "stranger@example.org"),)),
            MappedRow(line=3, source="esp", source_key="3", identifiers=(Identifier("customer_id", "c-1"),)),
        ]
        await looking.take(conn, rows)
        effect = await looking.effect(conn)
    assert (effect.people, effect.unheld, effect.refused, effect.gain) == (1, 1, 1, 0)
    lost = {(one.purpose, one.channel) for one in effect.changes if one.lose}
    assert ("marketing.email", "email") in lost
    assert all(channel == "email" for _, channel in lost)
    async with world.kernel.db.transaction() as conn:
        await channels.suppression_rows.apply(conn, rows)
    again = channels.suppression_rows.foresee()
    async with world.kernel.db.reading() as conn:
        await again.take(conn, rows)
        assert (await again.effect(conn)).lose == 0
