"""Visits, funnels and features from the command line's side: counted over those who permit it, and nobody else."""

from datetime import timedelta

import pytest

from events.log import CollectContext, Source
from events.sessions import sessions, summary
from tests.orchestration.conftest import NOW

pytestmark = pytest.mark.anyio


async def clicks(shop, who, *names, visit=None, source="web", start=0.0, machine=False):
    for place, name in enumerate(names):
        call = {
            "type": "track", "event": name, "userId": who, "timestamp": (NOW - timedelta(days=2) + timedelta(minutes=start + place)).isoformat(),
            "properties": {"session_id": visit} if visit else {},
            "context": {"userAgent": "Googlebot/2.1 (+http://www.google.com/bot.html)"} if machine else {},
        }  # fmt: skip
        (answer,) = await shop.events.collect([call], CollectContext(source=source))
        assert answer.status == "accepted"


@pytest.fixture
async def visited(shop):
    async with shop.kernel.db.transaction() as conn:
        await shop.events.register_source(
            conn, Source("web", "analytics", "consent", also_for=("marketing.personalize",))
        )
        await shop.events.register_source(conn, Source("till", "service", "contract"))
    agree = ("marketing.email", "marketing.personalize", "analytics")
    for name in ("ada", "bob", "cy"):
        await shop.person(name, agree=agree)
    await clicks(shop, "ada", "view", "add", "buy", visit="a1")
    await clicks(shop, "ada", "view", visit="a2", start=5)
    await clicks(shop, "bob", "view", "add")
    await clicks(shop, "bob", "view", "view", machine=True, start=20)
    await clicks(shop, "cy", "buy", source="till")
    return shop


async def test_only_what_was_collected_for_it_is_counted_and_no_machine(visited):
    async with visited.kernel.db.reading() as conn:
        found = await visited.events.under(conn, "analytics")
    assert {person: len(events) for person, events in found.items()} == {visited.made["ada"]: 4, visited.made["bob"]: 2}
    told = summary([sessions(events) for events in found.values()])
    assert (told.people, told.sessions, told.with_id, told.events) == (2, 3, 2, 6)
    assert told.bounced == 1 / 3


async def test_a_source_serves_what_else_it_declared_and_nothing_above_it(visited):
    async with visited.kernel.db.reading() as conn:
        assert len(await visited.events.under(conn, "marketing.personalize")) == 2
        assert await visited.events.under(conn, "marketing.email") == {}
        assert set(await visited.events.under(conn, "service")) == {visited.made["cy"]}


async def test_who_takes_it_back_is_counted_no_more(visited):
    await visited.withdraw("ada", "analytics")
    async with visited.kernel.db.reading() as conn:
        assert set(await visited.events.under(conn, "analytics")) == {visited.made["bob"]}


async def test_a_time_bounds_what_is_counted(visited):
    async with visited.kernel.db.reading() as conn:
        assert await visited.events.under(conn, "analytics", since=NOW - timedelta(days=1)) == {}
        early = await visited.events.under(conn, "analytics", until=NOW - timedelta(days=2))
    assert sum(len(events) for events in early.values()) == 2
