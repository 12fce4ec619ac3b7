"""Calendars and segments: what time sets off.

Enters: the triggers that rule, the time. Leaves: runs. A calendar's hour and a person's entry into a segment are written together with the clock that says so, in one
transaction, so that a crash in between repeats nothing and loses nothing.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from events.service import Events
from identity.service import Identity
from kernel.db import Conn
from kernel.ids import PersonId
from kernel.kernel import Kernel
from orchestration.decision.service import Decisions
from orchestration.triggers import store
from orchestration.triggers.arming import ACTOR
from orchestration.triggers.rules import OnSchedule, OnSegment, Rule
from orchestration.triggers.runs import NewRun
from orchestration.triggers.settings import TriggersSettings
from orchestration.triggers.shelf import Shelved
from orchestration.triggers.store import Clock
from orchestration.triggers.timing import occurrences
from profiles.service import Profiles

_OVERLAP: Final = timedelta(minutes=1)  # an event may be committed that long after it was received
_PAGE: Final = 2_000


class Following:
    """One per process and event loop; any number of processes."""

    def __init__(
        self, kernel: Kernel, identity: Identity, events: Events, profiles: Profiles, decisions: Decisions,
        settings: TriggersSettings,
    ) -> None:  # fmt: skip
        self._kernel = kernel
        self._identity = identity
        self._events = events
        self._profiles = profiles
        self._decisions = decisions
        self._settings = settings

    async def follow(self, shelved: Shelved) -> int:
        """Set off what became due since the last look; how many runs."""
        timed = [one for one in shelved.rules.triggers if isinstance(one.when, OnSchedule | OnSegment) and one.name not in shelved.paused]  # fmt: skip
        if not timed:
            return 0
        async with self._kernel.db.reading() as conn:
            clocks = await store.clocks(conn)
        now = self._kernel.clock.now()
        made = 0
        for rule in timed:
            clock = clocks.get(rule.name)
            if clock is None:
                continue
            if isinstance(rule.when, OnSchedule) and _newest(rule, rule.when, clock, now) is not None:
                made += await self._calendar(rule, rule.when, now)
            elif isinstance(rule.when, OnSegment) and self._stale(clock, now):
                made += await self._segment(rule, rule.when, now)
        return made

    def _stale(self, clock: Clock, now: datetime) -> bool:
        settings = self._settings
        return (
            clock.swept_at is None
            or clock.seen_at is None
            or now - clock.swept_at >= timedelta(seconds=settings.sweep_seconds)
            or now - clock.seen_at >= timedelta(seconds=settings.news_seconds)
        )

    async def _calendar(self, rule: Rule, when: OnSchedule, now: datetime) -> int:
        """The newest hour that has come; older ones that were missed are not made up for."""
        async with self._kernel.db.transaction() as conn:
            clock = await store.hold_clock(conn, rule.name)
            if clock is None:
                return 0
            at = _newest(rule, when, clock, now)
            if at is None:
                return 0
            runs = [
                NewRun(
                    trigger=rule.name, kind="schedule", key=f"{at.isoformat()}/{person}", person=person, at=at,
                    due_at=rule.due(at),
                )
                for person in await self._identity.people(conn, source=when.source)
            ]  # fmt: skip
            made = await store.add(conn, runs, actor=ACTOR, now=now)
            await store.set_clock(conn, replace(clock, until_at=at))
        return len(made)

    async def _segment(self, rule: Rule, when: OnSegment, now: datetime) -> int:
        """Who is in it now and was not before. The first look only learns who is in it."""
        purpose = (await self._decisions.shelf.current()).catalogue.placement(rule.placement).personalize_under
        made = 0
        async with self._kernel.db.transaction() as conn:
            clock = await store.hold_clock(conn, rule.name)
            if clock is None or not self._stale(clock, now):
                return 0
            sweep = clock.swept_at is None or now - clock.swept_at >= timedelta(seconds=self._settings.sweep_seconds)
            people = await self._identity.people(conn) if sweep else await self._news(conn, clock, now)
            known = await store.members(conn, rule.name, None if sweep else people)
            inside: set[PersonId] = set()
            for start in range(0, len(people), _PAGE):
                hot = await self._profiles.hot_many(people[start : start + _PAGE], purpose)
                # Of whom the purpose may see nothing, nothing is known: also not that she is in a segment.
                inside |= {person for person, one in hot.items() if one.permitted and when.segment in one.segments}
            entered = sorted(inside - known)
            if entered and clock.swept_at is not None:
                made = len(await store.add(conn, await self._entries(conn, rule, entered, now), actor=ACTOR, now=now))
            await store.enter(conn, rule.name, entered, now)
            await store.leave(conn, rule.name, sorted(known - inside))
            await store.set_clock(conn, replace(clock, swept_at=now if sweep else clock.swept_at, seen_at=now))
        return made

    async def _news(self, conn: Conn, clock: Clock, now: datetime) -> list[PersonId]:
        """To whom something happened since the last look."""
        since = (clock.seen_at or clock.until_at) - _OVERLAP
        records = await self._events.records_since(conn, since, now)
        held = await self._identity.subjects(conn, records)
        return sorted({person for one in held.values() for person in one.people})

    async def _entries(self, conn: Conn, rule: Rule, entered: Sequence[PersonId], now: datetime) -> list[NewRun]:
        """Runs of those who entered; somebody who was in it under an earlier id has not."""
        former = await self._identity.former(conn, entered)
        before = await store.members(conn, rule.name, [name for names in former.values() for name in names])
        return [
            NewRun(
                trigger=rule.name, kind="segment", key=f"{now.isoformat()}/{person}", person=person, at=now,
                due_at=rule.due(now), single=True,
            )
            for person in entered
            if before.isdisjoint(former[person])
        ]  # fmt: skip


def _newest(rule: Rule, when: OnSchedule, clock: Clock, now: datetime) -> datetime | None:
    """The newest hour of a calendar that has come and is not too late to be carried out."""
    begin = max(clock.until_at, now - rule.give_up_after)
    return next(iter(deque(occurrences(when.schedule, when.zone, begin, now), maxlen=1)), None)
