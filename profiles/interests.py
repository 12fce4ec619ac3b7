"""Interests: what somebody engages with, from the events that a purpose may see (decision.D46).

What enters: a ``UnifiedProfile``, the declared deeds. What leaves: deeds, the newest first, and for each category, item and content
a weight: every deed counts less than the one after it, and less with age. A thumb or a rating is the strongest deed, up or down.

Names of categories and items are the shop's, but a name in an event is whatever somebody sent: a hot profile holds keyed hashes
of them (``Coder``), so that a catalogue which knows the names finds them again and nobody else does.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal, cast

from pydantic import BaseModel, ConfigDict, Field

from events.log import Event
from kernel.canonical import Json
from kernel.yaml_text import read_yaml
from profiles.behaviour import number
from profiles.kinds import DEEDS, TASTE
from profiles.profile import UnifiedProfile

SHIPPED: Final = Path(__file__).parent / "data" / "interests.yaml"
DAY: Final = 86_400.0
_LONGEST: Final = 200  # characters of a name; anything longer is no name
_MIDDLE: Final = 3  # of a rating from 1 to 5

Kind = Literal["category", "item", "content"]
DeedKind = Literal["viewed", "added", "bought", "liked", "disliked"]
Coder = Callable[[Kind, str], str]


class EventRule(BaseModel):
    """What an event says of taste. ``rated``: by its thumb or its rating."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    deed: Literal["viewed", "added", "bought", "rated"]
    weight: Annotated[float, Field(gt=0)]


class Rules(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    decay: Annotated[float, Field(gt=0, le=1)]
    half_life_days: Annotated[float, Field(gt=0)]
    most: Annotated[int, Field(ge=1)]
    item: tuple[str, ...]
    category: tuple[str, ...]
    events: Mapping[str, EventRule]


@dataclass(frozen=True, slots=True)
class Deed:
    """One event's word on one thing. ``weight`` is below zero for what she rejected. ``basket``: bought in one order."""

    kind: DeedKind
    weight: float
    at: datetime
    item: str | None
    category: str | None
    content: str | None
    basket: str | None = None


@dataclass(frozen=True, slots=True)
class Interest:
    """How much she cares for one thing, and the deed that says most of it. ``code`` is the thing's keyed hash."""

    kind: Kind
    code: str
    weight: float
    deed: DeedKind


@cache
def rules(file: Path = SHIPPED) -> Rules:
    """The declared deeds."""
    return Rules.model_validate(read_yaml(file.read_text(encoding="utf-8")))


def deeds(profile: UnifiedProfile, declared: Rules) -> list[Deed]:
    """What she did with items, categories and contents, the newest first; machines did nothing, and what she wants left out is left out."""
    if TASTE in profile.unused:
        return []
    told = [e for name in declared.events for e in profile.by_name.get(name, ()) if not e.machine]
    told.sort(key=lambda e: (e.event_time, e.event_id), reverse=True)
    return [deed for event in told for deed in _deeds(event, declared) if DEEDS[deed.kind] not in profile.unused]


def weigh(
    found: Iterable[Deed], declared: Rules, at: datetime, *, half_life_days: float | None = None
) -> Iterator[tuple[Deed, float]]:
    """Each deed with what it counts now: its weight, less by ``decay`` for every later moment, halved by every half-life."""
    half_life = declared.half_life_days if half_life_days is None else half_life_days
    place, last = -1, None
    for deed in found:
        if deed.at != last:  # things of one order happened together
            place, last = place + 1, deed.at
        age = max((at - deed.at).total_seconds() / DAY, 0.0)
        yield deed, deed.weight * declared.decay**place * math.exp2(-age / half_life)


def interests(profile: UnifiedProfile, declared: Rules, at: datetime, code: Coder) -> tuple[Interest, ...]:
    """The things she cares about, those of the newest deeds first, at most ``most`` of each kind."""
    sums: dict[tuple[Kind, str], list[tuple[float, DeedKind]]] = {}
    for deed, weight in weigh(deeds(profile, declared), declared, at):
        things: dict[Kind, str | None] = {"item": deed.item, "category": deed.category, "content": deed.content}
        for kind, name in things.items():
            if name is not None:
                sums.setdefault((kind, name), []).append((weight, deed.kind))
    kept: dict[Kind, int] = {}
    found: list[Interest] = []
    for (kind, name), parts in sums.items():
        kept[kind] = kept.get(kind, 0) + 1
        if kept[kind] <= declared.most:
            weight = math.fsum(part for part, _ in parts)
            # The deed that is told must point the same way as the whole.
            strongest = max((part for part in parts if (part[0] > 0) == (weight > 0)), key=lambda part: abs(part[0]))
            found.append(Interest(kind, code(kind, name), weight, strongest[1]))
    return tuple(found)


def content_name(variant: str) -> str:
    """A variant's name without the revision of its words, which stands behind the second ``~``."""
    return "~".join(variant.split("~")[:2])


def _deeds(event: Event, declared: Rules) -> Iterator[Deed]:
    rule = declared.events[event.name]
    said = event.properties
    kind: DeedKind
    if rule.deed == "rated":
        opinion = _opinion(said)
        if not opinion:
            return
        kind, weight = ("liked" if opinion > 0 else "disliked"), rule.weight * opinion
    else:
        kind, weight = rule.deed, rule.weight
    products = said.get("products")
    lines = [one for one in products if isinstance(one, Mapping)] if isinstance(products, list) else []
    basket = event.event_id if rule.deed == "bought" else None
    for line in lines or [said]:
        item, category = _name(line, declared.item), _name(line, declared.category)
        variant = _name(said, ("variant",))
        content = content_name(variant) if variant is not None else None
        if item is not None or category is not None or content is not None:
            yield Deed(kind, weight, event.event_time, item, category, content, basket)


def _opinion(said: Mapping[str, Json]) -> float:
    """From -1 to 1; 0 when there is none."""
    thumb = said.get("thumb")
    if thumb in ("up", "down"):
        return 1.0 if thumb == "up" else -1.0
    rating = number(said.get("rating"))
    return 0.0 if rating is None else max(-1.0, min(1.0, (rating - _MIDDLE) / 2))


def _name(said: Mapping[str, Json], keys: tuple[str, ...]) -> str | None:
    for key in keys:
        value = cast("object", said.get(key))
        if isinstance(value, str | int) and not isinstance(value, bool) and 0 < len(name := str(value)) <= _LONGEST:
            return name
    return None
