"""Why somebody is in a segment, or is not: each of its conditions with what her profile says and whether that meets it (features.V16).

What enters: the declared segments, a row of features, where they came from. What leaves: `Membership` for each segment. The verdict is worked out by the same `Condition.holds` that
puts people into segments, so the reason cannot differ from the fact. Numbers, codes and times only: a category is told by its declared word.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from math import isnan

from profiles.declarations import Condition, Segment
from profiles.features import Evaluated, FeatureSet, Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One condition. `value` None: nothing is known. `gap`: how far the value is from meeting the bound that it misses, None when it meets all or is unknown."""

    feature: str
    asked: str
    value: float | None
    word: str | None
    holds: bool
    gap: float | None
    source: str | None
    observed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """Whether somebody is in a segment, and every condition of it."""

    segment: str
    member: bool
    conditions: tuple[Held, ...]


def why(features: FeatureSet, found: Evaluated) -> tuple[Membership, ...]:
    """Every declared segment, in the order of the file."""
    values = dict(zip(features.names, found.row.tolist(), strict=True))
    origins = {one.feature: one for one in found.origins}
    return tuple(_membership(one, features, values, origins) for one in features.declared.segments)


def _membership(
    segment: Segment, features: FeatureSet, values: Mapping[str, float], origins: Mapping[str, Origin]
) -> Membership:
    held = tuple(_held(one, features, values, origins) for one in segment.all)
    return Membership(segment=segment.name, member=all(one.holds for one in held), conditions=held)


def _held(
    condition: Condition, features: FeatureSet, values: Mapping[str, float], origins: Mapping[str, Origin]
) -> Held:
    value = values[condition.feature]
    origin = origins.get(condition.feature)
    holds = condition.holds(value)
    return Held(
        feature=condition.feature,
        asked=asked(condition),
        value=None if isnan(value) else value,
        word=features.word(condition.feature, values),
        holds=holds,
        gap=None if holds or isnan(value) else gap(condition, value),
        source=origin.source if origin else None,
        observed_at=origin.observed_at if origin else None,
    )


_WORDS = (("over", ">"), ("at_least", ">="), ("under", "<"), ("at_most", "<="), ("equals", "="))


def asked(condition: Condition) -> str:
    """The bounds as text: `days_since_cart <= 3`."""
    parts = [
        f"{condition.feature} {sign} {bound:g}"
        for name, sign in _WORDS
        if (bound := getattr(condition, name)) is not None
    ]
    if condition.known is not None:
        parts.append(f"{condition.feature} is {'known' if condition.known else 'not known'}")
    return " and ".join(parts)


def gap(condition: Condition, value: float) -> float | None:
    """The greatest distance to a bound that is missed."""
    missed = [
        distance
        for bound, distance, met in (
            (condition.over, (condition.over or 0.0) - value, condition.over is None or value > condition.over),
            (condition.at_least, (condition.at_least or 0.0) - value, condition.at_least is None or value >= condition.at_least),
            (condition.under, value - (condition.under or 0.0), condition.under is None or value < condition.under),
            (condition.at_most, value - (condition.at_most or 0.0), condition.at_most is None or value <= condition.at_most),
            (condition.equals, abs(value - (condition.equals or 0.0)), condition.equals is None or value == condition.equals),
        )
        if bound is not None and not met
    ]  # fmt: skip
    return max(missed, default=None)
