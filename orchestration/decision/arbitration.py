"""How aims are weighed against each other, as data in the catalogue: levers, context, fatigue, freshness; diversity of a page; activation (decision.D12, D38).

Enters: the parts of a catalogue file. Leaves: frozen shapes, and for one decision the boosts and deductions that apply. Pure; what a lever does to one arm
is in `balance`. Every lever can be switched by `active`; the catalogue's digest is its version, and publishing it is an entry of the log.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Final

from pydantic import AwareDatetime, Field, model_validator

from kernel.canonical import Json
from orchestration.decision.balance import Boost
from orchestration.decision.inputs import Arm
from orchestration.decision.parts import Channel, Cost, Name, Names, Part, Seconds, Words

_FRESH_LEAST: Final = 0.001  # a boost below a thousandth is none: the decision's inputs stay short
_HOURS: Final = timedelta(hours=1)


class Lever(Part):
    """Multiplies the worth of the arms it names; of all arms, where it names none. With `when` it is a weight of the context."""

    name: Name
    active: bool = True
    factor: float = Field(
        gt=0, le=1000, description="1 changes nothing, 2 doubles what an arm is worth, 0.5 halves it."
    )
    placements: Names = ()
    variants: Names = ()
    categories: Names = ()
    brands: Words = ()
    tags: Names = ()
    channels: tuple[Channel, ...] = ()
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    when: Mapping[str, Words] = Field(
        default={}, description="Words of the request's context under which it applies: {daypart: [evening]}."
    )

    @model_validator(mode="after")
    def _begins_before_it_ends(self) -> "Lever":
        if self.since is not None and self.until is not None and self.since >= self.until:
            msg = f"expected lever '{self.name}' to begin before it ends"
            raise ValueError(msg)
        return self

    def applies(self, placement: str, at: datetime, context: Mapping[str, Json]) -> bool:
        """Whether it does anything here and now."""
        if not self.active or (self.placements and placement not in self.placements):
            return False
        if (self.since is not None and at < self.since) or (self.until is not None and at >= self.until):
            return False
        return all(str(context.get(key)) in words for key, words in self.when.items())

    def means(self, arm: Arm) -> bool:
        """Whether this arm is one of those it names."""
        return (
            (not self.variants or arm.variant in self.variants or arm.family in self.variants)
            and (not self.categories or arm.category in self.categories)
            and (not self.brands or arm.brand in self.brands)
            and (not self.tags or not set(self.tags).isdisjoint(arm.tags))
            and (not self.channels or arm.channel in self.channels)
        )


class Fatigue(Part):
    """Every message of late makes the next one dearer, on the channels that have a queue."""

    active: bool = True
    cost: Cost = Field(description="What a message sent this moment takes from the worth of another, in the unit.")
    half_life: Seconds = Field(default=259_200, description="After this long it takes half.")
    elsewhere: float = Field(default=1.0, ge=0, le=1, description="How much of it a message on another channel takes.")

    def charge(self, recent: Mapping[str, Sequence[int]], channels: Iterable[str], at: int) -> dict[str, float]:
        """By channel what is charged at `at`. `recent`: moments of messages by channel; all in microseconds since 1970."""
        if not self.active or not self.cost:
            return {}
        half = self.half_life * 1_000_000
        weight = {
            channel: math.fsum(0.5 ** (max(0, at - moment) / half) for moment in sorted(moments))
            for channel, moments in recent.items()
        }
        total = math.fsum(weight[channel] for channel in sorted(weight))
        found = {}
        for channel in channels:
            own = weight.get(channel, 0.0)
            charged = self.cost * (own + self.elsewhere * (total - own))
            if charged > 0:
                found[channel] = charged
        return found


class Freshness(Part):
    """What was published lately is worth more, so that it is seen before anybody knows how good it is."""

    active: bool = True
    factor: float = Field(gt=1, le=100, description="By how much at the moment of publication.")
    half_life: Seconds = Field(default=604_800, description="After this long the boost is half as large.")

    def boost(self, since: datetime, at: datetime) -> float | None:
        """The factor of something published at `since`, counted in whole hours; None once it is as good as over."""
        hours = max(0, (at - since) // _HOURS)
        more = (self.factor - 1.0) * 0.5 ** (hours * 3600 / self.half_life)
        return 1.0 + more if self.active and more >= _FRESH_LEAST else None


class Activation(Part):
    """Below so many signals nothing is personalised: the model sees nobody, personal variants and sources stay out."""

    features: Names = Field(min_length=1, description="Features that count signals; they are added up.")
    least: float = Field(gt=0)

    def signals(self, values: Mapping[str, float]) -> float:
        """How many there are; a feature without a value is none."""
        return math.fsum(value for name in self.features if math.isfinite(value := values.get(name, 0.0)))


class Diversity(Part):
    """What one category, or one brand, may take of a page's placements at most; at least one placement, or a page of two would be empty."""

    category: float = Field(default=1.0, gt=0, le=1)
    brand: float = Field(default=1.0, gt=0, le=1)


class Arbitration(Part):
    """The part `arbitration` of a catalogue file."""

    unit: str = Field(
        default="", max_length=32, description="What value, cost and fatigue are counted in: EUR, visits."
    )
    channel_costs: Mapping[Channel, Cost] = Field(
        default={}, description="What a message on a channel costs, beside a variant's own cost."
    )
    levers: Annotated[tuple[Lever, ...], Field(max_length=64)] = ()
    fatigue: Fatigue | None = None
    freshness: Freshness | None = None

    @model_validator(mode="after")
    def _names_once(self) -> "Arbitration":
        names = [one.name for one in self.levers]
        if len(set(names)) < len(names):
            msg = f"expected every lever once, got again: {', '.join(sorted({n for n in names if names.count(n) > 1}))}"
            raise ValueError(msg)
        return self

    def boosts(
        self, placement: str, arms: Sequence[Arm], published: Mapping[str, datetime], *, at: datetime, context: Mapping[str, Json]
    ) -> tuple[Boost, ...]:  # fmt: skip
        """What multiplies the worth of arms in one decision: levers in the order of the file, then freshness."""
        found: list[Boost] = []
        for lever in self.levers:
            if lever.factor != 1.0 and lever.applies(placement, at, context):
                named = tuple(arm.id for arm in arms if lever.means(arm))
                if named:
                    kind = "context" if lever.when else "lever"
                    found.append(Boost(lever.name, kind, lever.factor, None if len(named) == len(arms) else named))
        if self.freshness is not None:
            found += _fresh(self.freshness, arms, published, at)
        return tuple(found)


def _fresh(rule: Freshness, arms: Sequence[Arm], published: Mapping[str, datetime], at: datetime) -> list[Boost]:
    """One boost for all arms published in the same hour."""
    young: dict[float, list[str]] = {}
    for arm in arms:
        since = published.get(arm.variant)
        factor = rule.boost(since, at) if since is not None else None
        if factor is not None:
            young.setdefault(factor, []).append(arm.id)
    return [
        Boost("freshness", "freshness", factor, None if len(named) == len(arms) else tuple(named))
        for factor, named in sorted(young.items())
    ]
