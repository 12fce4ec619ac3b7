"""Jobs, their hours and what starts one early. All hours are UTC.

Enters: the clock, and how much came in since. Leaves: runs. A cursor holds moments and nothing else: no id, no word (spec consent.K7). The calendar is that of
decision.D46: a walk every night, learning once a week, what keeps order every day, the log verified every hour.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from orchestration.pipeline import assets
from orchestration.pipeline.resource import HouseResource

if TYPE_CHECKING:
    from orchestration.wiring import House

_ON = dg.DefaultScheduleStatus.RUNNING
LATE = timedelta(
    minutes=1
)  # what was received before a look may commit after it: the next stretch begins so much earlier

whole = dg.define_asset_job(
    "whole_graph", selection=dg.AssetSelection.assets(*assets.EVERYTHING), description="Everything once, as `candor pipeline run` does."
)  # fmt: skip
walk = dg.define_asset_job(
    "walk", selection=dg.AssetSelection.assets(*assets.WALK) - dg.AssetSelection.assets(*assets.LEARNED),
    description="Who is who, what they permit, profiles, features, a warm decision store; models stay as they are.",
)  # fmt: skip
learn = dg.define_asset_job(
    "weekly_learning",
    selection=dg.AssetSelection.assets(assets.features, *assets.LEARNED, assets.decision_store),
    config={"ops": {"ranker": {"config": {"weekly": True}}}},
    description="Collect and debias, count rewards, features and normalisation anew, train with the same settings; what beats the current model goes into a rollout.",
)
fresh = dg.define_asset_job(
    "fresh_profiles",
    selection=dg.AssetSelection.assets(assets.unified_profiles),
    description="Profiles of those to whom something happened in a stretch of time.",
)
keep = dg.define_asset_job(
    "keeping",
    selection=dg.AssetSelection.assets(*assets.KEEPING),
    description="Remove what is past its time, erase again what a restore brought back, verify the log, try reasons that were shown.",
)
verify = dg.define_asset_job(
    "verify_log",
    selection=dg.AssetSelection.assets(assets.checkpoint_verification),
    description="Derive the log anew from its leaves.",
)
JOBS = [whole, walk, learn, fresh, keep, verify]

SCHEDULES = [
    dg.ScheduleDefinition(
        name="nightly_walk", job=walk, cron_schedule="15 3 * * *", default_status=_ON, description="Every night."
    ),
    dg.ScheduleDefinition(
        name="weekly_learning", job=learn, cron_schedule="45 22 * * 0", default_status=_ON, description="Sunday night."
    ),
    dg.ScheduleDefinition(
        name="daily_keeping", job=keep, cron_schedule="30 4 * * *", default_status=_ON, description="Every day."
    ),
    dg.ScheduleDefinition(
        name="hourly_verification", job=verify, cron_schedule="5 * * * *", default_status=_ON, description="Every hour."
    ),
]


@dataclass(frozen=True, slots=True)
class News:
    """What came in since the cursor's moments."""

    now: datetime
    records: int
    events: int
    last_event: datetime


@dataclass(frozen=True, slots=True)
class Cursor:
    """Since when records wait for a walk, and until when events have been seen to."""

    walked: datetime
    seen: datetime

    def dumps(self) -> str:
        """As Dagster keeps it."""
        return json.dumps({"walked": self.walked.isoformat(), "seen": self.seen.isoformat()})

    @classmethod
    def loads(cls, text: str | None) -> "Cursor | None":
        """What was kept; None at the first look."""
        if not text:
            return None
        held = json.loads(text)
        return cls(datetime.fromisoformat(held["walked"]), datetime.fromisoformat(held["seen"]))


def judge(cursor: Cursor, news: News, *, records: int, events: int) -> tuple[str | None, Cursor]:
    """Which job the news is worth, if any, and the cursor after it. `records`, `events`: how many make it worth one."""
    if news.records >= records:
        return walk.name, Cursor(news.now, max(news.last_event, cursor.seen))
    if news.events >= events:
        return fresh.name, Cursor(cursor.walked, max(news.last_event, cursor.seen))
    return None, cursor


@dg.sensor(
    jobs=[walk, fresh],
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="New events make their people's profiles anew; many new records start the walk before its hour.",
)
def new_events(context: dg.SensorEvaluationContext, house: HouseResource) -> dg.SensorResult:
    """Look once a minute; the cursor says since when."""
    cursor = Cursor.loads(context.cursor)
    news, limits = house.run(lambda open_: _look(open_, cursor), quiet=True)
    if cursor is None:
        return dg.SensorResult(
            skip_reason="first look: from now on news is noticed", cursor=Cursor(news.now, news.now).dumps()
        )
    job, after = judge(cursor, news, records=limits[0], events=limits[1])
    if job is None:
        return dg.SensorResult(skip_reason=f"{news.records} new records, {news.events} new events: too few")
    return dg.SensorResult(run_requests=list(_requests(job, cursor, after)), cursor=after.dumps())


def _requests(job: str, cursor: Cursor, after: Cursor) -> Iterator[dg.RunRequest]:
    key = f"{job}-{after.seen.isoformat()}-{after.walked.isoformat()}"
    if job == walk.name:
        yield dg.RunRequest(run_key=key, job_name=job)
        return
    stretch = {"since": (cursor.seen - LATE).isoformat(), "until": after.seen.isoformat()}
    yield dg.RunRequest(run_key=key, job_name=job, run_config={"ops": {"unified_profiles": {"config": stretch}}})


async def _look(house: "House", cursor: Cursor | None) -> tuple[News, tuple[int, int]]:
    now = house.kernel.clock.now()
    limits = (house.settings.pipeline.walk_after_records, house.settings.pipeline.refresh_after_events)
    if cursor is None:
        return News(now, 0, 0, now), limits
    async with house.kernel.db.reading() as conn:
        records = await house.identity.counts.arrived(conn, cursor.walked)
        events, last = await house.events.arrived(conn, cursor.seen)
    return News(now, records, events, last), limits
