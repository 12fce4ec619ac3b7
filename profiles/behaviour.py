"""What somebody did, as a number: counts, sums, recency, rates, affinities, the visit that is going on, and the calendar.

What enters: one declared feature, a unified profile, a moment. What leaves: the value and the events it rests on. Pure and free of order: sums are exact
(``math.fsum`` rounds once; what is halved with time is counted in whole numbers, see ``fading``), and events of one moment have one rank, so that the order of
arrival changes no bit. Events of machines count nowhere.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from events.log import Event
from events.sessions import current
from kernel.canonical import Json
from profiles.declarations import ANY, Feature, Weighed
from profiles.fading import Fading, faded
from profiles.profile import UnifiedProfile

DAY: Final = 86_400.0
UNKNOWN_CATEGORY: Final = -1.0


def of_moment(take: str, at: datetime, zone: str | None) -> float:
    """Hour (0 to 23) or weekday (Monday is 0) of the moment, in UTC unless a zone is named."""
    there = at.astimezone(ZoneInfo(zone) if zone is not None else UTC)
    return float(there.hour if take == "hour" else there.weekday())


def of_events(
    feature: Feature, profile: UnifiedProfile, at: datetime, codes: Mapping[str, float], odd: Counter[str]
) -> tuple[float, Sequence[Event]]:
    """The value of a feature that is made of events, and those events."""
    if feature.take == "affinity":
        return _affinity(feature, profile, at)
    events = list(_matching(feature, profile, at))
    match feature.take:
        case "count":
            return float(len(events)), events
        case "days_since":
            return min((_days(event, at) for event in events), default=math.nan), events
        case "days_since_first":
            return max((_days(event, at) for event in events), default=math.nan), events
        case "recency":
            newest = max((event.event_time for event in events), default=None)
            return (faded(newest, at, feature.half_life_days or 1.0) if newest is not None else 0.0), events
        case "decayed":
            return Fading.of(feature.half_life_days or 1.0, (event.event_time for event in events)).at(at), events
        case "faded":
            return math.fsum(weights(events, feature.fade or 1.0)), events
        case "rate":
            return _rate(feature, profile, at, events), events
        case "top_rate":
            return _top_rate(feature, profile, at, events), events
        case "latest":
            return _latest(feature, events, codes, odd), events
        case "last":
            return _last(feature, events, odd), events
        case "distinct":
            return float(len({word for event in events for word in words(event, feature.property or "")})), events
        case _:
            return _amount(feature, events, odd), events


def number(value: object) -> float | None:
    """A finite number, from a number or its text; None for anything else."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            found = float(value)
        except (ValueError, OverflowError):
            return None
        return found if math.isfinite(found) else None
    return float(value) if isinstance(value, bool) else None


def _matching(feature: Feature, profile: UnifiedProfile, at: datetime, name: str | None = None) -> Iterator[Event]:
    wanted = name if name is not None else feature.event or ""
    for event in _pool(feature, profile, at, wanted):
        if event.machine or event.event_time > at:
            continue
        if feature.window_days is not None and _days(event, at) > feature.window_days:
            continue
        if all(event.properties.get(key) == value for key, value in feature.where.items()):
            yield event


def _pool(feature: Feature, profile: UnifiedProfile, at: datetime, name: str) -> Sequence[Event]:
    if feature.session:
        visit = current([event for event in profile.events if not event.machine], at)
        return [event for event in visit if name in {ANY, event.name}]
    return profile.events if name == ANY else profile.by_name.get(name, ())


def _amounts(feature: Feature, events: Sequence[Event], odd: Counter[str]) -> list[tuple[Event, float]]:
    """The numbers that events name and that can be believed. Where any event will do, one that says nothing of it is not odd."""
    found: list[tuple[Event, float]] = []
    for event in events:
        said = _said(event, feature.property or "")
        if said is None and feature.event == ANY:
            continue
        value = number(said)
        if value is None:
            odd[f"{feature.name}:not_a_finite_number"] += 1
        elif not feature.believable(value):
            odd[f"{feature.name}:out_of_range"] += 1
        else:
            found.append((event, value))
    return found


def _last(feature: Feature, events: Sequence[Event], odd: Counter[str]) -> float:
    """The newest number; of several of one moment the greatest, whatever order they arrived in."""
    told = [(event.event_time, value) for event, value in _amounts(feature, events, odd)]
    return max(told)[1] if told else math.nan


def _amount(feature: Feature, events: Sequence[Event], odd: Counter[str]) -> float:
    amounts = [value for _, value in _amounts(feature, events, odd)]
    try:
        total = math.fsum(amounts)
    except OverflowError:  # finite amounts whose sum is not
        odd[f"{feature.name}:not_a_finite_number"] += 1
        return math.nan
    if feature.take == "sum":
        return total
    return total / len(amounts) if amounts else math.nan


def _rate(feature: Feature, profile: UnifiedProfile, at: datetime, events: Sequence[Event]) -> float:
    """How often seeing led to doing; more doing than seeing is always."""
    chances = sum(1 for _ in _matching(feature, profile, at, feature.of))
    return min(len(events) / chances, 1.0) if chances else math.nan


def _top_rate(feature: Feature, profile: UnifiedProfile, at: datetime, events: Sequence[Event]) -> float:
    """The rate at the word that she saw most: how often seeing things of her favourite kind led to doing."""
    name = feature.property or ""
    chances = Counter(word for one in _matching(feature, profile, at, feature.of) for word in words(one, name))
    if not chances:
        return math.nan
    top = min(chances, key=lambda word: (-chances[word], word))
    return min(sum(top in words(event, name) for event in events) / chances[top], 1.0)


def _latest(feature: Feature, events: Sequence[Event], codes: Mapping[str, float], odd: Counter[str]) -> float:
    said = [(event, word) for event in events if (word := _said(event, feature.property or "")) is not None]
    if not said:
        return math.nan
    newest = max(event.event_time for event, _ in said)
    words = {str(word).strip().lower() for event, word in said if event.event_time == newest}
    # Events of one moment that disagree: the word that comes first, whatever order they arrived in.
    code = codes.get(min(words))
    if code is None:
        odd[f"{feature.name}:unknown_category"] += 1
    return UNKNOWN_CATEGORY if code is None else code


def _affinity(feature: Feature, profile: UnifiedProfile, at: datetime) -> tuple[float, Sequence[Event]]:
    """How much of what somebody did, newer things more, was about one thing: -1 (all against) to 1 (all for), 0 for nothing."""
    found = weighed(feature, profile, at)
    fades = weights([event for event, _ in found], feature.fade or 1.0)
    about = [_about(event, feature.property or "", feature.value or "") for event, _ in found]
    spoken = [(fade * weight, hit) for fade, (_, weight), hit in zip(fades, found, about, strict=True)]
    whole = math.fsum(abs(part) for part, _ in spoken)
    if whole == 0:
        return 0.0, ()
    return math.fsum(part for part, hit in spoken if hit) / whole, [
        event for (event, _), hit in zip(found, about, strict=True) if hit
    ]


def weighed(feature: Feature, profile: UnifiedProfile, at: datetime) -> list[tuple[Event, float]]:
    """The events of the declared kinds, each with how loudly it speaks."""
    return [
        (event, kind.weight)
        for kind in feature.events
        for event in _matching(feature, profile, at, kind.event)
        if _is(event, kind)
    ]


def weights(events: Sequence[Event], fade: float) -> list[float]:
    """``fade`` to the number of later moments at which something happened: the newest weighs one."""
    moments = {at: place for place, at in enumerate(sorted({e.event_time for e in events}, reverse=True))}
    return [fade ** moments[event.event_time] for event in events]


def _is(event: Event, kind: Weighed) -> bool:
    return all(event.properties.get(key) == value for key, value in kind.where.items())


def _about(event: Event, name: str, value: str) -> bool:
    """Whether the event, or a product in it, has this word."""
    return value.strip().lower() in words(event, name)


def words(event: Event, name: str) -> frozenset[str]:
    """The words that the event, or a product in it, has at this property."""
    products = event.properties.get("products")
    listed = [one for one in products if isinstance(one, Mapping)] if isinstance(products, Sequence) else []
    said = [_said(event, name), *(one.get(name) for one in listed)]
    return frozenset(str(one).strip().lower() for one in said if isinstance(one, str | int | float))


def _said(event: Event, name: str) -> Json:
    """A property, or with ``context.`` in front a place in the circumstances."""
    if not name.startswith("context."):
        return event.properties.get(name)
    found: Json = event.context
    for step in name.split(".")[1:]:
        if not isinstance(found, Mapping):
            return None
        found = found.get(step)
    return found


def _days(event: Event, at: datetime) -> float:
    return (at - event.event_time).total_seconds() / DAY
