"""What stands in the way of a message to somebody, remembered in the hot store at ``advice:{person}``: suppressed contact points, places taken under caps.

Enters: a person, her contact points, the caps that would count. Leaves: `Advice`. It advises and no more: `reserve` asks Postgres again under
locks, in the commit. What changes it drops it after its commit and leaves a mark for a moment, so that a reader who looked before the change cannot put
the old answer back. Ids, names of caps and times; no word of a person.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import orjson

from channels import caps_store
from channels.caps import CapRule, window
from channels.suppression import Suppressions, bars
from kernel.cache import CacheUnavailable
from kernel.db import Conn, after_commit
from kernel.ids import IdentifierId, PersonId
from kernel.kernel import Kernel
from kernel.log import get_logger

_FORM: Final = 2
_KEPT: Final = timedelta(minutes=2)  # as long as a drop that got lost could mislead
_MARKED: Final = timedelta(seconds=2)  # longer than anybody takes from reading Postgres to writing here
_LATE: Final = timedelta(days=30)  # an older message tires nobody
_MARK: Final = b"-"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_log = get_logger("channels.advice")


@dataclass(frozen=True, slots=True)
class Advice:
    """Channels whose contact point is suppressed, and channels under a cap without room, with the cap's name; when messages of late
    were to leave, by channel, in microseconds since 1970.
    """

    suppressed: frozenset[str]
    full: Mapping[str, str]
    recent: Mapping[str, Sequence[int]] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class _Held:
    """`taken`: moments in microseconds by cap; `barred`: suppressed channels by contact point, each that was asked for."""

    taken: Mapping[str, Sequence[int]]
    barred: Mapping[str, Sequence[str]]
    recent: Mapping[str, Sequence[int]]


class Advisor:
    """One per process and event loop."""

    def __init__(self, kernel: Kernel, suppressions: Suppressions) -> None:
        self._kernel = kernel
        self._suppressions = suppressions
        suppressions.on_changed.append(self.forget)

    async def ask(
        self,
        person: PersonId,
        reach: Mapping[str, IdentifierId],
        rules: Mapping[str, Sequence[CapRule]],
        at: datetime,
        *,
        fresh: bool = False,
        words: bytes | None = None,
    ) -> Advice:
        """For a message at this time on each of the channels in `reach`; `fresh`: from Postgres; `words`: what stands at `key_of` the person, empty when nothing does."""
        held = None if fresh else _opened(words) if words is not None else await self._recall(person)
        if held is None or any(one not in held.barred for one in reach.values()):
            held = await self._look(person, sorted(set(reach.values())))
        full: dict[str, str] = {}
        for channel in reach:
            for rule in rules.get(channel, ()):
                counted = window(rule, at)
                start = (counted.start - _EPOCH) // _MICROSECOND
                if sum(moment > start for moment in held.taken.get(counted.key, ())) >= counted.limit:
                    full[channel] = rule.name
                    break
        return Advice(
            frozenset(channel for channel, one in reach.items() if bars(held.barred[one], channel)), full, held.recent
        )

    def forget(self, conn: Conn, people: Sequence[PersonId]) -> None:
        """Places or suppressions of these change with this transaction."""
        if people:
            after_commit(conn, partial(self._drop, sorted(set(people))))

    async def _drop(self, people: Sequence[PersonId]) -> None:
        try:
            await self._kernel.cache.set_many({key_of(one): _MARK for one in people}, ttl=_MARKED)
        except CacheUnavailable as fault:
            _log.warning("advice_not_dropped", code=fault.code, count=len(people))  # it ages out

    async def _recall(self, person: PersonId) -> _Held | None:
        try:
            (words,) = await self._kernel.cache.get_many([key_of(person)])
        except CacheUnavailable:
            return None
        return _opened(words)

    async def _look(self, person: PersonId, contacts: Sequence[IdentifierId]) -> _Held:
        async with self._kernel.db.reading() as conn:
            taken, recent, any_suppressed = await caps_store.held(conn, person, self._kernel.clock.now() - _LATE)
            barred = await self._suppressions.of(conn, contacts) if any_suppressed else {}
        held = _Held(
            _moments(taken),
            {one: sorted(barred.get(one, ())) for one in contacts},
            _moments(recent),
        )
        words = orjson.dumps([_FORM, held.taken, held.barred, held.recent])

        async def write(redis: Any) -> None:
            await redis.set(key_of(person), words, px=_KEPT, nx=True)

        try:
            await self._kernel.cache.run(write)
        except CacheUnavailable:
            return held  # it stays cold
        return held


def _opened(words: bytes | None) -> _Held | None:
    if not words or words == _MARK:
        return None
    form, *held = orjson.loads(words)
    return _Held(*held) if form == _FORM else None


def _moments(times: Mapping[str, Sequence[datetime]]) -> dict[str, list[int]]:
    return {name: [(one - _EPOCH) // _MICROSECOND for one in found] for name, found in times.items()}


def key_of(person: PersonId) -> str:
    """Where it stands in the hot store."""
    return f"advice:{person}"
