"""Refused items: kept sealed while their subject may be collected, found by an erasure, taken once by a replay."""

import asyncio

import pytest

from events.settings import EventsSettings
from tests.events.conftest import CTX, build, track

pytestmark = pytest.mark.anyio


async def test_dead_letters_are_sealed_and_pass_once_the_fault_is_corrected(rooms):
    await rooms.source()
    big = track(properties={f"p{i}": i for i in range(301)}, message="big")
    await rooms.events.collect([big, track(event=None, message="hopeless")], CTX)
    assert await rooms.count("events.dead_letters") == 2
    wide = build(rooms.kernel, EventsSettings(properties=500))
    report = await wide.events.replay()
    assert (report.accepted, report.rejected) == (1, 1)
    assert await rooms.count("events.dead_letters") == 1
    (event,) = await rooms.history("login_id:u1")
    assert len(event.properties) == 301
    assert (await wide.events.replay()).accepted == 0
    await wide.events.close()


async def test_a_rejected_item_of_somebody_without_consent_is_not_kept(rooms):
    await rooms.source(purpose="analytics", basis="consent")
    await rooms.events.collect([track(event=None)], CTX)
    assert await rooms.count("events.dead_letters") == 0


async def test_a_rejected_item_that_names_nobody_or_was_declined_is_not_kept(rooms):
    await rooms.source()
    no = {"consent": {"categoryPreferences": {"service": False}}}
    calls = [{"type": "track", "event": 5, "properties": {"note": "hers"}}, track(event=5, context=no), "nonsense"]
    await rooms.events.collect(calls, CTX)
    assert await rooms.count("events.dead_letters") == 0


@pytest.mark.parametrize(
    "named",
    [{"userId": 77}, {"userId": "x", "traits": {"email": "ann@example.org"}},
     {"anonymousId": "x", "context": {"traits": {"email": " Ann@example.org "}}}],
)  # fmt: skip
async def test_an_erasure_finds_a_letter_by_whatever_it_names(rooms, named):
    await rooms.source()
    hers = {"type": "identify", "userId": 77, "traits": {"email": "ann@example.org"}}
    await rooms.events.collect([hers, {"type": "track", "event": 5, **named}], CTX)
    assert await rooms.count("events.dead_letters") == 1
    person = await rooms.person("login_id:77")
    async with rooms.kernel.db.transaction() as conn:
        await rooms.events.erase(conn, person)
    assert await rooms.count("events.dead_letters") == 0


async def test_two_replays_at_once_take_each_letter_once_and_none_is_stuck_behind_hopeless_ones(rooms):
    await rooms.source()
    wide = {f"p{i}": i for i in range(301)}
    hopeless = [track(event=None, message=f"h{n}") for n in range(3)]
    await rooms.events.collect([*hopeless, *(track(properties=wide) for _ in range(3))], CTX)
    one, other = (build(rooms.kernel, EventsSettings(properties=500)) for _ in range(2))
    reports = await asyncio.gather(one.events.replay(limit=2), other.events.replay(limit=2))
    assert sum(report.accepted for report in reports) == await rooms.count("events.events") == 3
    assert await rooms.count("events.dead_letters") == 3
    await one.events.close()
    await other.events.close()
