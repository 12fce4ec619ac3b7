"""Collection on real engines: permission first, one of each message, durable, sealed, erasable (features V1-V8)."""

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from events.errors import SourceDiffers, TooBusy, UndeclaredSource, UnknownSource
from events.log import FILTERED, NewEvent
from events.settings import EventsSettings
from kernel.ids import new_id
from orchestration.service.bench import consent_strings as strings
from tests.events.conftest import CTX, NOW, build, track

pytestmark = pytest.mark.anyio


async def test_an_event_is_stored_under_its_person_and_opened_again(rooms):
    await rooms.source()
    (answer,) = await rooms.events.collect([track(properties={"sku": "a-1", "price": 12.5}, message="m1")], CTX)
    assert (answer.status, answer.message_id) == ("accepted", "m1")
    (event,) = await rooms.history("login_id:u1")
    assert event.event_id == answer.event_id
    assert (event.name, event.properties, event.purpose, event.basis) == (
        "Product Viewed",
        {"sku": "a-1", "price": 12.5},
        "service",
        "contract",
    )
    assert event.event_time == event.known_time == event.received_at == NOW


async def test_words_are_sealed_in_the_table(rooms):
    await rooms.source()
    await rooms.events.collect(
        [track(properties={"note": "canary-words"}, context={"page": {"title": "canary-words"}})], CTX
    )
    async with rooms.kernel.db.reading() as conn:
        for table in ("events.events", "events.subjects", "events.dedupe", "identity.records"):
            for row in await (await conn.execute(f"SELECT * FROM {table}")).fetchall():
                assert b"canary" not in repr(row).encode()
                assert "u1" not in [v for v in row.values() if isinstance(v, str)]


async def test_a_hundred_parallel_repeats_store_one_event(rooms):
    await rooms.source()
    answers = await asyncio.gather(*(rooms.events.collect([track(message="same")], CTX) for _ in range(100)))
    assert sorted(a.status for (a,) in answers) == ["accepted"] + ["duplicate"] * 99
    assert await rooms.count("events.events") == 1


async def test_repeats_inside_one_batch_and_from_another_process_store_one_event(rooms):
    await rooms.source()
    other = build(rooms.kernel)
    first, second = await asyncio.gather(
        rooms.events.collect([track(message="m"), track(message="m")], CTX),
        other.events.collect([track(message="m")], CTX),
    )
    assert sorted(a.status for a in [*first, *second]) == ["accepted", "duplicate", "duplicate"]
    await other.events.close()


async def test_the_same_message_id_from_two_sources_is_two_events(rooms):
    await rooms.source()
    await rooms.source("app")
    await rooms.events.collect([track(message="m")], CTX)
    (answer,) = await rooms.events.collect([track(message="m")], replace(CTX, source="app"))
    assert answer.status == "accepted"


async def test_an_event_without_a_basis_leaves_a_count_and_nothing_else(rooms):
    await rooms.source(purpose="analytics", basis="consent")
    answers = await rooms.events.collect([track(message="m1"), track(message="m2")], CTX)
    assert [(a.status, a.reason, a.event_id) for a in answers] == [("filtered", FILTERED, None)] * 2
    for table in (
        "events.events",
        "events.dedupe",
        "events.subjects",
        "identity.records",
        "identity.identifiers",
        "events.dead_letters",
    ):
        assert await rooms.count(table) == 0, table
    async with rooms.kernel.db.reading() as conn:
        assert await rooms.events.refusals(conn) == [("shop", NOW.date(), FILTERED, 2)]


async def test_a_filtered_event_may_come_again_after_consent(rooms, clock):
    await rooms.source(purpose="analytics", basis="consent")
    await rooms.events.collect([track(message="m1")], CTX)
    await rooms.say("login_id", "u1", "analytics", "granted")
    (answer,) = await rooms.events.collect([track(message="m1")], CTX)
    assert answer.status == "accepted"
    clock.advance(timedelta(minutes=1))
    await rooms.say("login_id", "u1", "analytics", "denied")
    (answer,) = await rooms.events.collect([track(message="m2")], CTX)
    assert answer.status == "filtered"


async def test_an_objection_stops_collection_under_contract_too(rooms):
    await rooms.source()
    await rooms.say("login_id", "u1", "service", "denied", "web")
    await rooms.say("login_id", "u1", "service", "denied", "email")
    await rooms.say("login_id", "u1", "service", "denied", "push")
    a, b = await rooms.events.collect([track(), track(user="u2")], CTX)
    assert (a.status, b.status) == ("filtered", "accepted")


async def test_a_declined_category_in_the_event_itself_is_honoured(rooms):
    await rooms.source()
    refused = {"consent": {"categoryPreferences": {"service": False}}}
    (answer,) = await rooms.events.collect([track(context=refused)], CTX)
    assert (answer.status, answer.reason) == ("filtered", FILTERED)


async def test_the_privacy_signal_is_recorded_even_when_the_event_is_filtered(rooms):
    await rooms.source(purpose="sharing", basis="consent")
    await rooms.say("login_id", "u1", "sharing", "granted")
    (answer,) = await rooms.events.collect([track()], replace(CTX, gpc=True))
    assert answer.status == "filtered"
    (after,) = await rooms.events.collect([track()], CTX)
    assert after.status == "filtered"


async def test_however_late_a_signal_is_written_the_event_it_came_with_waits_for_it(rooms, monkeypatch):
    """Delays where the signal is applied: neither that event nor one that begins after its answer is let in (consent.C12)."""
    await rooms.source(purpose="sharing", basis="consent")
    rng, real = random.Random(12), rooms.consent.apply_gpc

    async def late(*given, **more):
        await asyncio.sleep(rng.random() * 0.01)
        return await real(*given, **more)

    monkeypatch.setattr(rooms.consent, "apply_gpc", late)
    for turn in range(8):
        user, stop = f"w{turn}", asyncio.Event()
        await rooms.say("login_id", user, "sharing", "granted")

        async def others(user: str = user, stop: asyncio.Event = stop) -> list[str]:
            said = []
            for _ in range(3):
                after = stop.is_set()
                (one,) = await rooms.events.collect([track(user=user)], CTX)
                said.append(f"{one.status} {'after' if after else 'before'}")
            return said

        async def signalled(user: str = user, stop: asyncio.Event = stop) -> str:
            (one,) = await rooms.events.collect([track(user=user)], replace(CTX, gpc=True))
            stop.set()
            return one.status

        status, seen = await asyncio.gather(signalled(), others())
        assert status == "filtered"
        assert "accepted after" not in seen
        (later,) = await rooms.events.collect([track(user=user)], CTX)
        assert later.status == "filtered"


YES = strings.tc(datetime(2026, 2, 1, tzinfo=UTC), policy=4, publisher=range(1, 12), disclosed=None)
NO = strings.tc(datetime(2026, 2, 2, tzinfo=UTC), policy=4, publisher=[], disclosed=None)


@pytest.mark.parametrize(("said", "status"), [
    ({"tcf": YES}, "accepted"),
    ({"tcf": NO}, "filtered"),
    ({"tcf": YES[:-5]}, "filtered"),
    ({"tcf": 7}, "filtered"),
    ({"gpp": strings.gpp(2, YES)}, "accepted"),
    ({"gpp": "DBABTA~"}, "filtered"),
    ({}, "filtered"),
])  # fmt: skip
async def test_a_consent_string_counts_for_the_very_event_it_came_with(rooms, said, status):
    """It is heard before anything is asked, so the event that carries it is the first it lets in or keeps out (consent.C12)."""
    await rooms.source(purpose="analytics", basis="consent")
    (answer,) = await rooms.events.collect([track(context={"consent": said})], CTX)
    assert answer.status == status
    (after,) = await rooms.events.collect([track()], CTX)
    assert after.status == status


async def test_an_opt_out_in_a_string_binds_whoever_it_came_with_a_choice_only_the_device(rooms):
    await rooms.source(purpose="sharing", basis="consent")
    both = {**track(user="u1"), "anonymousId": "a-device-0123456789"}
    await rooms.say("login_id", "u1", "sharing", "granted")
    await rooms.events.collect([{**both, "context": {"consent": {"gpp": "DBABTA~1YYN", "tcf": YES}}}], CTX)
    (after,) = await rooms.events.collect([track(user="u1")], CTX)
    assert after.status == "filtered"
    async with rooms.kernel.db.reading() as conn:
        rows = await (
            await conn.execute(
                "SELECT purpose, count(*) AS n FROM consent.acts WHERE mechanism IN ('tcf', 'gpp') GROUP BY 1"
            )
        ).fetchall()
    assert {row["purpose"]: row["n"] for row in rows} == {
        "sale_share": 2, "analytics": 1, "marketing.web": 1, "marketing.personalize": 1,
    }  # fmt: skip


async def test_one_bad_item_never_drops_its_neighbours(rooms):
    await rooms.source()
    calls = [
        track(message="a"),
        "nonsense",
        track(event=7),
        track(properties={"x": "y" * 40_000}),
        {"type": "dance"},
        track(message="b"),
    ]
    answers = await rooms.events.collect(calls, CTX)
    assert [a.status for a in answers] == ["accepted", "rejected", "rejected", "rejected", "rejected", "accepted"]
    assert [a.pointer for a in answers] == [None, "", "/event", "", "/type", None]
    assert "32768 bytes" in answers[3].reason
    assert await rooms.count("events.events") == 2


async def test_an_absurd_clock_costs_nobody_anything(rooms):
    await rooms.source()
    early, late = "0002-01-01T00:00:00Z", "9998-01-01T00:00:00Z"
    answers = await rooms.events.collect(
        [
            track(message="a", originalTimestamp=early, sentAt=late),
            track(message="b", originalTimestamp=late, sentAt=early),
            track(message="c"),
        ],
        CTX,
    )
    assert [a.status for a in answers] == ["accepted"] * 3
    assert [e.event_time.year for e in await rooms.history("login_id:u1")] == [2, 2026, 2026]


async def test_identify_tells_traits_and_binds_identifiers(rooms):
    await rooms.source()
    calls = [
        {"type": "track", "event": "Landed", "anonymousId": "anon-1"},
        {
            "type": "identify",
            "anonymousId": "anon-1",
            "userId": "u1",
            "traits": {"email": "Ada@Example.org", "firstName": "Ada", "plan": "pro"},
        },
        track("Bought"),
    ]
    assert {a.status for a in await rooms.events.collect(calls, CTX)} == {"accepted"}
    person = await rooms.person("email:ada@example.org")
    assert person == await rooms.person("login_id:u1")
    async with rooms.kernel.db.reading() as conn:
        records = (await rooms.identity.records(conn, [person]))[person]
    told = {name: value for record in records for name, value in record.traits.items()}
    assert told == {"first_name": "Ada", "plan": "pro"}
    assert [e.name for e in await rooms.history("login_id:u1")].count("Bought") == 1


async def test_a_partial_identify_does_not_hide_what_an_earlier_one_told(rooms):
    await rooms.source()
    for traits in ({"email": "a@example.org", "plan": "pro"}, {"city": "Ulm"}, {"city": "Köln"}):
        await rooms.events.collect([{"type": "identify", "userId": "u1", "traits": traits}], CTX)
    person = await rooms.person("login_id:u1")
    async with rooms.kernel.db.reading() as conn:
        records = (await rooms.identity.records(conn, [person]))[person]
    current = {k: v for r in records if r.current for k, v in r.traits.items()}
    assert current == {"plan": "pro", "city": "Köln"}


async def test_a_browser_key_speaks_for_its_anonymous_visitor_only(rooms):
    await rooms.source()
    ctx = replace(CTX, browser=True)
    claim = {
        "type": "identify",
        "anonymousId": "visitor",
        "userId": "victim",
        "traits": {"email": "victim@example.org", "plan": "pro"},
    }
    accepted, refused = await rooms.events.collect([claim, track(user="victim")], ctx)
    assert accepted.status == "accepted"
    assert (refused.status, refused.pointer) == ("rejected", "/anonymousId")
    async with rooms.kernel.db.reading() as conn:
        rows = await (await conn.execute("SELECT kind FROM identity.identifiers")).fetchall()
    assert [r["kind"] for r in rows] == ["anonymous_id"]
    person = await rooms.person("anonymous_id:visitor")
    async with rooms.kernel.db.reading() as conn:
        (record,) = (await rooms.identity.records(conn, [person]))[person]
    assert record.traits == {}


async def test_erasure_removes_events_and_letters_and_a_repeat_brings_nothing_back(rooms):
    await rooms.source()
    await rooms.events.collect(
        [track(message="m1"), track(event=None, message="bad"), track(user="u2", message="other")], CTX
    )
    person = await rooms.person("login_id:u1")
    async with rooms.kernel.db.transaction() as conn:
        exported = await rooms.events.export(conn, person)
        assert len(exported["events"]) == 1
        keys = (await rooms.identity.members(conn, [person]))[person].key_ids
        assert await rooms.events.erase(conn, person) >= 3
        await rooms.identity.erase(conn, person)
    await rooms.kernel.vault.destroy(keys)
    for table, left in (("events.events", 1), ("events.subjects", 1), ("events.dead_letters", 0), ("events.dedupe", 2)):
        assert await rooms.count(table) == left, table
    again, fresh = await rooms.events.collect([track(message="m1"), track(message="m3")], CTX)
    assert (again.status, fresh.status) == ("duplicate", "accepted")
    assert await rooms.person("login_id:u1") != person
    assert len(await rooms.history("login_id:u1")) == 1


async def test_notes_are_idempotent_and_find_their_decision(rooms):
    await rooms.source()
    await rooms.events.collect([track()], CTX)
    person = await rooms.person("login_id:u1")
    decision = new_id("dec")
    delivered = NewEvent(
        "Email Delivered",
        NOW,
        "candor.channels",
        "service",
        "contract",
        person=person,
        properties={"decision_id": decision},
        message_id="provider-1",
    )
    async with rooms.kernel.db.transaction() as conn:
        first = await rooms.events.note(conn, [delivered, replace(delivered, person=new_id("per"))])
    async with rooms.kernel.db.transaction() as conn:
        second = await rooms.events.note(conn, [delivered])
        found = await rooms.events.outcomes_for(conn, [decision, other := new_id("dec")])
    assert first == [second[0], None]
    assert [e.name for e in found[decision]] == ["Email Delivered"]
    assert found[other] == []


async def test_what_was_learned_later_does_not_leak_into_the_past(rooms, clock):
    await rooms.source()
    then = NOW
    clock.advance(timedelta(days=2))
    await rooms.events.collect([track(timestamp=(then - timedelta(days=1)).isoformat())], CTX)
    assert await rooms.history("login_id:u1", until=then) == []
    assert len(await rooms.history("login_id:u1", until=then, known_by=clock.now())) == 1


async def test_sources_are_declared_once_and_truthfully(rooms):
    await rooms.source()
    await rooms.source()
    with pytest.raises(SourceDiffers):
        await rooms.source(also_for=("marketing.email",))
    with pytest.raises(UndeclaredSource):
        await rooms.source("other", "analytics", "contract")
    with pytest.raises(UnknownSource) as refused:
        await rooms.events.collect([track()], replace(CTX, source="nobody"))
    assert "--collect-under" in refused.value.remedy


async def test_a_full_queue_is_refused_before_anything_is_taken(rooms):
    await rooms.source()
    small = build(rooms.kernel, EventsSettings(queue_items=2))
    answers = await asyncio.gather(*(small.events.collect([track()], CTX) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(a, TooBusy) for a in answers) >= 1
    assert await rooms.count("events.events") == sum(not isinstance(a, TooBusy) for a in answers)
    await small.events.close()


async def test_rows_of_the_default_partition_move_when_their_day_is_made(rooms):
    await rooms.source()
    old = NOW - timedelta(days=400)
    await rooms.events.collect([track(message="m1")], replace(CTX, received_at=old))
    assert await rooms.count("events.events WHERE tableoid = 'events.events_default'::regclass") == 1
    async with rooms.kernel.db.transaction() as conn:
        await conn.execute("SELECT events.ensure_days(%b, %b)", (old.date(), old.date()))
    assert await rooms.count("events.events WHERE tableoid = 'events.events_default'::regclass") == 0
    assert len(await rooms.history("login_id:u1")) == 1


async def test_every_commit_leaves_one_entry_per_source_not_per_event(rooms):
    await rooms.source()
    await rooms.events.collect([track() for _ in range(50)], CTX)
    async with rooms.kernel.db.reading() as conn:
        rows = await (await conn.execute("SELECT tag FROM audit.entries WHERE tag LIKE 'events.%'")).fetchall()
    assert [r["tag"] for r in rows] == ["events.accepted"]


async def test_an_entry_names_the_key_that_sent_what_it_counts(rooms):
    await rooms.source()
    senders = ("key:a", "key:b")
    await asyncio.gather(*(rooms.events.collect([track()], replace(CTX, actor=s)) for s in senders for _ in range(3)))
    told = dict.fromkeys(senders, 0)
    for entry in await rooms.audit.entries():
        found = await rooms.audit.open_entry(entry.entry_id)
        if found.get("accepted"):
            told[found["actor"]] += found["accepted"]
    assert told == {"key:a": 3, "key:b": 3}
