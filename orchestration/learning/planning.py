"""How large an experiment must be before it starts: people, days at the present traffic, the smallest effect that it can show (decision.D14, D24).

Enters: a declaration, the control's share with the outcome, people a day. Leaves: a `Plan`. Pure. Sizes allow for looking all the time; those of a rollout's steps are what a policy that is
no worse needs in four of five cases before it may go on (`stepping`).
"""

import math
from dataclasses import dataclass
from typing import Final

from kernel.canonical import Json
from orchestration.learning.experiment import Declared
from orchestration.learning.sequential import planned_size, smallest_planned
from orchestration.learning.stepping import allowed, needed, waits

LIFTS: Final = (0.05, 0.1, 0.2)


@dataclass(frozen=True, slots=True)
class Size:
    """People in each arm for a relative lift, and the days until they have come; None: no traffic is known."""

    relative: float
    people: int
    days: float | None


@dataclass(frozen=True, slots=True)
class Stage:
    """A rollout's step: people under the new policy before it may go on, and the days until they have come; what must be ruled out that it loses, since the share `following` comes next."""

    share: float
    people: int
    days: float | None
    following: float
    may_lose: float


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

    @property
    def until(self) -> float | None:
        """Days of a rollout's steps together; None without traffic or steps."""
        told = [one.days for one in self.stages if one.days is not None]
        return math.fsum(told) if told else None

    def to_json(self) -> dict[str, Json]:
        """As printed."""
        return {
            "base": self.base, "people_a_day": self.a_day, "planned": self.planned, "days": self.days, "smallest_seen": self.seen,
            "smallest_seen_relative": self.seen_relative,
            "sizes": [{"relative": one.relative, "people_an_arm": one.people, "days": one.days} for one in self.sizes],
            "steps": [
                {"share": one.share, "people_treated": one.people, "days": one.days, "following": one.following, "may_lose": one.may_lose}
                for one in self.stages
            ],
            "days_to_everybody": self.until,
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
        stages=tuple(
            Stage(share, size, days(size, share), following, allowed(declared, following))
            for share, following in waits(declared) for size in [needed(declared, base, share, following)]
        ) if rollout else (),
    )  # fmt: skip
