"""Features: from a unified profile to numbers, by one code path, offline and online (features.F44, F45, F50).

What enters: a ``UnifiedProfile`` and a moment. What leaves: ``float64[k]`` in the declared order, where each came from, and
counts of what could not be read. Equal in bits by construction: batch tables and hot profiles call this same function, sums
are exact (``math.fsum`` rounds once, so the order of events changes nothing), and no clock is read here.

Rules for the odd: a trait that is absent, not a number, infinite or NaN is NaN; an unknown category is -1; a property that is
no finite number adds nothing; a number beyond its declared bounds is not believed. Each is counted. Events of machines are never features.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from events.log import Event
from kernel.ids import ActId, RecordId
from profiles.behaviour import UNKNOWN_CATEGORY, number, of_events, of_moment
from profiles.declarations import ANY, Declared, Feature, load
from profiles.embedding import embedding
from profiles.errors import OutOfTime
from profiles.profile import UnifiedProfile

_CALENDAR: Final = frozenset({"hour", "weekday"})
_TRUE: Final = frozenset({"true", "yes", "y", "1", "t"})
_FALSE: Final = frozenset({"false", "no", "n", "0", "f"})


class Origin(NamedTuple):  # a hot profile has one a feature, and is unpacked for every decision
    """Where one feature came from: ids, names and times, never the value. For events: the newest one, how many, and every other record
    whose events had a part in it: a count over two records rests on both.
    """

    feature: str
    trait: str
    source: str
    observed_at: datetime
    purpose: str
    record_id: RecordId | None = None
    act: ActId | None = None
    count: int = 1  # type: ignore[assignment]  # a tuple's own count is of no use here
    also: tuple[RecordId, ...] = ()


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A row, its origins (only of features that have any), the segments it falls into, and what was odd."""

    row: NDArray[np.float64]
    origins: tuple[Origin, ...]
    segments: frozenset[str]
    odd: Mapping[str, int]


class FeatureSet:
    """The declared features, ready to be evaluated."""

    def __init__(self, declared: Declared) -> None:
        self.declared = declared.faded(0.9)
        self.digest = self.declared.digest
        self.names = tuple(column for f in declared.features for column in f.columns)
        self.kinds: Mapping[str, str] = {}  # of columns; the room that names kinds is higher up, so wiring hooks it in
        self._codes = {
            f.name: {value.strip().lower(): float(place) for place, value in enumerate(f.values)}
            for f in declared.features
            if f.take in {"category", "latest"}
        }
        self._words = {f.name: f.values for f in declared.features if f.take in {"category", "latest"}}

    @classmethod
    def open(cls, file: Path | None = None, *, fade: float = 0.9) -> "FeatureSet":
        """The set that a file declares, or the shipped one; ``fade`` where a feature that fades does not say how fast."""
        return cls(load(file).faded(fade))

    def __len__(self) -> int:
        return len(self.names)

    def row(self, profile: UnifiedProfile, at: datetime) -> NDArray[np.float64]:
        """The features of a profile at a moment."""
        return self.evaluate(profile, at).row

    def word(self, name: str | None, values: Mapping[str, float]) -> str | None:
        """The declared word behind a category feature's number; None when there is no such feature, or no word."""
        words = self._words.get(name or "")
        place = values.get(name or "", UNKNOWN_CATEGORY)
        return words[int(place)] if words is not None and place >= 0 else None

    def evaluate(self, profile: UnifiedProfile, at: datetime) -> Evaluated:
        """The same, with origins, segments and oddities.

        Raises:
            OutOfTime: the profile was made for an earlier moment and cannot know what happened until ``at``.
        """
        if at > profile.at:
            raise OutOfTime("expected a moment that the profile reaches, got a later one")
        odd: Counter[str] = Counter()
        row = np.full(len(self.names), np.nan, dtype=np.float64)
        origins: list[Origin] = []
        place = 0
        for feature in self.declared.features:
            values, origin = self._values(feature, profile, at, odd)
            row[place : place + len(values)] = values
            place += len(values)
            if origin is not None:
                origins.extend(origin._replace(feature=name) for name in feature.columns)
        if profile.unused:
            origins = self._leave_out(row, origins, profile.unused)
        return Evaluated(row, tuple(origins), self._segments(row), odd)

    def _leave_out(self, row: NDArray[np.float64], origins: list[Origin], unused: frozenset[str]) -> list[Origin]:
        """Take the columns of these kinds out of the row, as if nothing were known; the origins that are left."""
        gone = {name for name in self.names if self.kinds.get(name) in unused}
        row[[place for place, name in enumerate(self.names) if name in gone]] = np.nan
        return [origin for origin in origins if origin.feature not in gone]

    def _values(
        self, feature: Feature, profile: UnifiedProfile, at: datetime, odd: Counter[str]
    ) -> tuple[Sequence[float], Origin | None]:
        if feature.take == "embedding":
            point, events = embedding(feature, profile, at)
            return point, _origin(feature, events, profile)
        value, origin = self._evaluate(feature, profile, at, odd)
        return (value,), origin

    def _evaluate(
        self, feature: Feature, profile: UnifiedProfile, at: datetime, odd: Counter[str]
    ) -> tuple[float, Origin | None]:
        if feature.take == "sure":
            return (profile.sure if profile.permission.granted else math.nan), None
        if feature.take in _CALENDAR:
            return of_moment(feature.take, at, feature.zone), None
        if feature.trait is not None:
            return self._of_trait(feature, profile, odd)
        value, events = of_events(feature, profile, at, self._codes.get(feature.name, {}), odd)
        return value, _origin(feature, events, profile)

    def _of_trait(self, feature: Feature, profile: UnifiedProfile, odd: Counter[str]) -> tuple[float, Origin | None]:
        trait = profile.traits.get(feature.trait or "")
        if trait is None:
            return math.nan, None
        origin = Origin(
            feature.name,
            trait.name,
            trait.source,
            trait.observed_at,
            profile.purpose,
            trait.record_id,
            profile.permission.act,
        )
        if feature.take == "category":
            code = self._codes[feature.name].get(str(trait.value).strip().lower())
            if code is None:
                odd[f"{feature.name}:unknown_category"] += 1
            return (UNKNOWN_CATEGORY if code is None else code), origin
        value = _boolean(trait.value) if feature.take == "boolean" else number(trait.value)
        if value is None:
            odd[f"{feature.name}:{'not_boolean' if feature.take == 'boolean' else 'not_a_finite_number'}"] += 1
        elif not feature.believable(value):
            odd[f"{feature.name}:out_of_range"] += 1
            value = None
        return (math.nan if value is None else value), origin

    def _segments(self, row: NDArray[np.float64]) -> frozenset[str]:
        values = dict(zip(self.names, row.tolist(), strict=True))
        return frozenset(s.name for s in self.declared.segments if all(c.holds(values[c.feature]) for c in s.all))


def _boolean(value: object) -> float | None:
    word = str(value).strip().lower().removesuffix(".0")
    if word in _TRUE:
        return 1.0
    return 0.0 if word in _FALSE else None


def _origin(feature: Feature, events: Sequence[Event], profile: UnifiedProfile) -> Origin | None:
    if not events:
        return None
    newest = max(events, key=lambda e: (e.event_time, e.event_id))
    return Origin(
        feature.name,
        newest.name,
        newest.source,
        newest.event_time,
        profile.purpose,
        newest.record_id,
        profile.permission.act,
        len(events),
        _others(feature, events, profile, newest.record_id),
    )


def _others(
    feature: Feature, events: Sequence[Event], profile: UnifiedProfile, newest: RecordId
) -> tuple[RecordId, ...]:
    """Records beside the newest event's: of the events themselves, and of those that they were measured against."""
    against = {feature.of, *(kind.event for kind in feature.events)} - {None, feature.event}
    found = {event.record_id for event in events}
    for name in against:
        found |= {one.record_id for one in (profile.events if name == ANY else profile.by_name.get(name or "", ()))}
    return tuple(sorted(found - {newest}))
