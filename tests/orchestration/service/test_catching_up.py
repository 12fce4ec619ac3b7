"""A server that starts after a crash: what the dead one left in the hot store is not believed."""

import pytest

from events.log import CollectContext, Source
from identity.identifiers import Identifier
from orchestration.service.catching_up import catch_up, rehearse, warm

pytestmark = pytest.mark.anyio
PURPOSE = "service"
CATALOGUE = """
controller: Shop
contents: [{id: offers, category: offers, variants: [{id: v1, label: One, channels: [web], body: Words., value: 1.0}]}]
placements: [{name: home, purpose: {web: marketing.web}, channels: [web], variants: [v1]}]
rewards: {Order Completed: 1.0}
"""


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


async def test_who_had_events_lately_is_ready_before_anybody_asks(house, monkeypatch):
    """First decisions find profiles made in bulk; those for which there was no time are left, and told."""
    async with house.kernel.db.transaction() as conn:
        await house.events.register_source(conn, Source("till", "service", "contract"))
        await house.decisions.publish_catalogue(conn, CATALOGUE)
    await house.events.collect([order(1)], CollectContext(source="till", actor="test"))
    people = await catch_up(house)
    assert await warm(house, people, seconds=0.0) == people
    assert not await house.profiles.warm(people, "marketing.personalize")
    assert await warm(house, people, seconds=60.0) == []
    assert set(await house.profiles.warm(people, "marketing.personalize")) == set(people)
    decide, answers = house.decisions.decide, []

    async def heard(request):
        answers.append((request.placement, request.dry_run, await decide(request)))
        return answers[-1][-1]

    monkeypatch.setattr(house.decisions, "decide", heard)
    await rehearse(house, people[0])
    assert [one[:2] for one in answers] == [("home", True)]  # and it was answered
    async with house.kernel.db.reading() as conn:
        assert await house.decisions.count(conn, people) == {"decisions": 0}
