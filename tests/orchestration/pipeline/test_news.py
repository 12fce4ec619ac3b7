"""What the sensor makes of news: nothing at the first look, fresh profiles for events, a whole walk for many records."""

import asyncio
import json
from datetime import timedelta

import dagster as dg
import pytest

from events.log import CollectContext
from kernel.clock import FrozenClock
from orchestration.pipeline.jobs import Cursor, News, judge, new_events
from orchestration.pipeline.resource import HouseResource, lend
from orchestration.pipeline.steps import profiles
from tests.orchestration.pipeline.conftest import NOW, YES, settle

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")]
HOUR = timedelta(hours=1)


@pytest.fixture
def clock():
    return FrozenClock(NOW)


def test_a_cursor_comes_back_as_it_was_and_holds_moments_only() -> None:
    cursor = Cursor(NOW, NOW + HOUR)
    assert Cursor.loads(cursor.dumps()) == cursor
    assert json.loads(cursor.dumps()) == {"walked": NOW.isoformat(), "seen": (NOW + HOUR).isoformat()}
    assert Cursor.loads(None) is None


@pytest.mark.parametrize(
    ("records", "events", "job"),
    [
        (0, 0, None),
        (99, 0, None),
        (0, 9, None),
        (0, 10, "fresh_profiles"),
        (100, 0, "walk"),
        (100, 500, "walk"),
        (99, 500, "fresh_profiles"),
    ],
)
def test_how_much_news_starts_what(records, events, job) -> None:
    cursor = Cursor(NOW, NOW)
    last = NOW + HOUR
    name, after = judge(cursor, News(NOW + 2 * HOUR, records, events, last), records=100, events=10)
    assert name == job
    assert after == {
        None: cursor,
        "fresh_profiles": Cursor(NOW, last),  # records go on waiting
        "walk": Cursor(NOW + 2 * HOUR, last),
    }.get(job)


async def looked(house, cursor):
    """One look of the sensor, as its daemon has it."""

    def look():
        with dg.build_sensor_context(cursor=cursor) as context:
            return new_events(context, house=HouseResource())

    with lend(house, asyncio.get_running_loop(), lambda _: None):
        return await asyncio.to_thread(look)


async def test_an_event_makes_its_persons_profile_anew(house, clock):
    people = await settle(house, {"ada": YES, "bob": YES})
    clock.advance(HOUR)
    cursor = (await looked(house, None)).cursor
    assert (await looked(house, cursor)).skip_reason, "what was there before the first look is no news"
    clock.advance(HOUR)
    call = {"type": "track", "event": "Product Viewed", "userId": "ada", "messageId": "m1", "properties": {}}
    (answer,) = await house.events.collect([call], CollectContext(source="shop"))
    assert answer.status == "accepted"
    found = await looked(house, cursor)
    (request,) = found.run_requests
    assert request.job_name == "fresh_profiles"
    stretch = request.run_config["ops"]["unified_profiles"]["config"]
    assert not any(word in json.dumps(request.run_config) + found.cursor for word in ("ada", "per_", "rec_", "evt_"))
    assert (await looked(house, found.cursor)).skip_reason, "the same news starts nothing twice"

    before = await house.profiles.hot(people["ada"], "marketing.personalize")
    assert await profiles.changed_profiles(house, Cursor.loads(cursor).seen, NOW + 3 * HOUR) == {"profiles": 1, "records": 1}  # fmt: skip
    assert stretch["until"] <= (NOW + 2 * HOUR).isoformat()
    assert (await house.profiles.hot(people["ada"], "marketing.personalize")).profile_version == before.profile_version


async def test_many_new_records_start_a_walk(house, clock):
    house.settings.__dict__["pipeline"] = house.settings.pipeline.model_copy(update={"walk_after_records": 2})
    cursor = (await looked(house, None)).cursor
    clock.advance(HOUR)
    await settle(house, {"ada": YES, "bob": YES, "cyd": YES})
    found = await looked(house, cursor)
    (request,) = found.run_requests
    assert (request.job_name, request.run_config) == ("walk", {})
    assert Cursor.loads(found.cursor).walked == NOW + HOUR
