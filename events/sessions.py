"""Sessions: which events belong to one visit, by the id that they carry or by a pause between them.

Enters: events of one person. Leaves: sessions in the order of their beginning, the session that is still going on at a moment, and how far sessions came through
ordered steps. Pure; the order of the events given does not matter, and equal moments are told apart by name and id.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Final

from events.log import Event

GAP: Final = timedelta(minutes=30)  # a longer pause begins a new visit (the usual definition of web analytics)
_IDS: Final = ("session_id", "sessionId")


@dataclass(frozen=True, slots=True)
class Session:
    """The events of one visit, by time; `id` when they carried one."""

    id: str | None
    events: tuple[Event, ...]

    @property
    def began(self) -> datetime:
        """The time of its first event."""
        return self.events[0].event_time

    @property
    def ended(self) -> datetime:
        """The time of its last event."""
        return self.events[-1].event_time


@dataclass(frozen=True, slots=True)
class Step:
    """How many came to a step. `of_before` and `of_first`: as shares of those at the step before and at the first."""

    name: str
    count: int
    of_before: float
    of_first: float


def session_id(event: Event) -> str | None:
    """The id of the visit that an event carries among its properties or its context."""
    for told in (event.properties, event.context):
        for name in _IDS:
            value = told.get(name)
            if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
                return str(value)
    return None


def ordered(events: Iterable[Event]) -> list[Event]:
    """By time; equal times by name and id, so that the order of arrival changes nothing that is counted."""
    return sorted(events, key=lambda e: (e.event_time, e.name, e.event_id))


def sessions(events: Iterable[Event], gap: timedelta = GAP) -> list[Session]:
    """The visits of one person. Events with an id form the visit of that id; the others are parted by pauses longer than `gap`."""
    named: dict[str, list[Event]] = {}
    loose: list[list[Event]] = []
    for event in ordered(events):
        name = session_id(event)
        if name is not None:
            named.setdefault(name, []).append(event)
        elif loose and event.event_time - loose[-1][-1].event_time <= gap:
            loose[-1].append(event)
        else:
            loose.append([event])
    made = [Session(name, tuple(held)) for name, held in named.items()]
    made += [Session(None, tuple(held)) for held in loose]
    return sorted(made, key=lambda one: (one.began, one.id or ""))


def current(events: Iterable[Event], at: datetime, gap: timedelta = GAP) -> tuple[Event, ...]:
    """The events of the visit that is going on at `at`; none when the last event lies further back than `gap`."""
    past = [e for e in events if e.event_time <= at]
    if not past or at - max(e.event_time for e in past) > gap:
        return ()
    newest = ordered(past)[-1]
    return next(one.events for one in reversed(sessions(past, gap)) if newest in one.events)


def reached(events: Sequence[Event], steps: Sequence[str]) -> int:
    """How many of the steps were done in order; other events may lie between, and one event is one step."""
    done = 0
    for event in events:
        if done < len(steps) and event.name == steps[done]:
            done += 1
    return done


def funnel(depths: Iterable[int], steps: Sequence[str]) -> list[Step]:
    """Counts and conversions from how far each visit or person came."""
    counts = [0] * len(steps)
    for depth in depths:
        for place in range(depth):
            counts[place] += 1
    made: list[Step] = []
    for place, name in enumerate(steps):
        before = counts[place - 1] if place else counts[0]
        made.append(
            Step(
                name,
                counts[place],
                counts[place] / before if before else 0.0,
                counts[place] / counts[0] if counts[0] else 0.0,
            )
        )
    return made


@dataclass(frozen=True, slots=True)
class Summary:
    """Visits as figures. Durations in seconds; `bounced` is the share of visits with one event; medians of visits."""

    people: int
    events: int
    sessions: int
    with_id: int
    per_person: float
    events_median: float
    seconds_median: float
    bounced: float


def summary(visits: Iterable[Sequence[Session]]) -> Summary:
    """The figures of the visits of each person."""
    held = list(visits)
    every = [one for theirs in held for one in theirs]
    sizes = [len(one.events) for one in every]
    lasted = [(one.ended - one.began).total_seconds() for one in every]
    people = sum(1 for theirs in held if theirs)
    return Summary(
        people=people,
        events=sum(sizes),
        sessions=len(every),
        with_id=sum(one.id is not None for one in every),
        per_person=len(every) / people if people else 0.0,
        events_median=float(median(sizes)) if sizes else 0.0,
        seconds_median=float(median(lasted)) if lasted else 0.0,
        bounced=sum(size == 1 for size in sizes) / len(sizes) if sizes else 0.0,
    )


def grouped(every: Iterable[Session], name: str) -> dict[str, int]:
    """Visits by what their first event says under a property, the most frequent first."""
    counts = Counter(str(one.events[0].properties.get(name, "")) or "(not said)" for one in every)
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
