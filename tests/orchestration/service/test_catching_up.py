"""A server that starts after a crash: what the dead one left in the hot store is not believed."""

import pytest

from events.log import CollectContext, Source
from identity.identifiers import Identifier
from orchestration.service.catching_up import catch_up

pytestmark = pytest.mark.anyio
PURPOSE = "service"


def order(number: int) -> dict:
    return {
        "type": "track",
        "userId": "u1",
        "event": "Order Completed",
        "messageId": f"m{number}",
        "properties": {"revenue": 5.0},
    }


async def test_a_profile_that_outlived_its_events_is_made_anew(house, monkeypatch):
    """The process died after the commit of an event and before it dropped the profile."""
    async with house.kernel.db.transaction() as conn:
        await house.events.register_source(conn, Source("till", "service", "contract"))
    context = CollectContext(source="till", actor="test")
    await house.events.collect([order(1)], context)
    async with house.kernel.db.reading() as conn:
        (found,) = await house.identity.resolve(conn, [[Identifier("login_id", "u1")]])
    before = await house.profiles.hot(found.person, PURPOSE)

    async def die(*_):
        return None

    with monkeypatch.context() as crash:
        crash.setattr(house.profiles._hot, "forget", die)
        await house.events.collect([order(2)], context)
    left = await house.profiles.hot(found.person, PURPOSE)
    assert (left.at, left.profile_version) == (before.at, before.profile_version)  # what the crash left
    assert await catch_up(house) == [found.person]
    after = await house.profiles.hot(found.person, PURPOSE)
    assert after.profile_version != before.profile_version
    assert after.profile_version == (await house.profiles.hot(found.person, PURPOSE, fresh=True)).profile_version


async def test_nothing_is_dropped_when_nothing_happened(house):
    assert await catch_up(house) == []
