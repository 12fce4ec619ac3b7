"""How large an experiment must be before it starts: people, days at the present traffic, the smallest effect that it can show (decision.D14, D24).

Enters: a declaration, the control's share with the outcome, people a day. Leaves: a `Plan`. Pure. Sizes allow for looking all the time; those of a rollout's steps are what a policy that is
no worse needs on average before it may go on.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kernel.canonical import Json
from orchestration.learning.experiment import STEPS, Declared
from orchestration.learning.sequential import boundary, planned_size, smallest_planned

LIFTS: Final = (0.05, 0.1, 0.2)
_MOST: Final = 1e9  # people: more than there are


@dataclass(frozen=True, slots=True)
class Size:
    """People in each arm for a relative lift, and the days until they have come; None: no traffic is known."""

    relative: float
    people: int
    days: float | None


@dataclass(frozen=True, slots=True)
class Stage:
    """A rollout's step: people under the new policy before it may go on, and the days until they have come."""

    share: float
    people: int
    days: float | None


@dataclass(frozen=True, slots=True)
class Plan:
    """`days`: until every arm is as large as `planned`, and not before the least days of a win. `seen`: the smallest difference shown then, and relative to the base."""

    base: float
    a_day: float | None
    planned: int
    days: float | None
    seen: float
    seen_relative: float
    sizes: tuple[Size, ...]
    stages: tuple[Stage, ...]

    def to_json(self) -> dict[str, Json]:
        """As printed."""
        return {
            "base": self.base, "people_a_day": self.a_day, "planned": self.planned, "days": self.days, "smallest_seen": self.seen,
            "smallest_seen_relative": self.seen_relative,
            "sizes": [{"relative": one.relative, "people_an_arm": one.people, "days": one.days} for one in self.sizes],
            "steps": [{"share": one.share, "people_treated": one.people, "days": one.days} for one in self.stages],
        }  # fmt: skip


def plan(declared: Declared, base: float, a_day: float | None = None) -> Plan:
    """What the declaration comes to where `base` of the control have the outcome and `a_day` new people come to the placement a day."""
    least = min(arm.share for arm in declared.arms)

    def days(people: float, share: float) -> float | None:
        return math.ceil(people / (a_day * share)) if a_day else None

    rollout = declared.kind == "rollout"
    part = 0.5 if rollout else declared.share * least  # a rollout's arms are equal at half of the people
    until = days(declared.planned, part)
    seen = smallest_planned(base, declared.planned)
    return Plan(
        base=base, a_day=a_day, planned=declared.planned,
        days=until if until is None or rollout else max(until, float(declared.min_days)), seen=seen, seen_relative=seen / base,
        sizes=tuple(Size(one, size, days(size, part)) for one in LIFTS for size in [planned_size(base, one)]),
        stages=tuple(Stage(share, size, days(size, share)) for share in _steps(declared) for size in [_needed(declared, base, share)])
        if rollout else (),
    )  # fmt: skip


def _steps(declared: Declared) -> Sequence[float]:
    return sorted({declared.share, *(step for step in STEPS if declared.share < step < 1)} - {1.0})


def _needed(declared: Declared, base: float, share: float) -> int:
    """People under the new policy so that one that is no worse is shown to lose less than the margin: bisected, since the boundary moves with them."""
    other = (1 - share) / share  # people of the control for each one treated

    def enough(treated: float) -> bool:
        weight = 1 / treated + 1 / (treated * other)
        edge = boundary(2 / weight / declared.planned)
        return edge * math.sqrt(base * (1 - base) * weight) <= declared.margin * base

    low, high = 1.0, float(declared.least_people)
    while not enough(high) and high < _MOST:
        low, high = high, 2 * high
    while high - low > max(1.0, low / 1000):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    smaller = declared.least_people / min(1.0, other)  # the smaller arm must have so many, whichever it is
    return math.ceil(max(high, smaller))
