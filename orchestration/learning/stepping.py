"""What a step further puts at stake, and what must be shown before it is taken (decision.D21).

Enters: a declaration, the share of people of the next step, two groups. Leaves: how much of the control's metric the treatment may lose, and a bound of what it loses that holds however
often it is looked at. Pure.

While few people are treated little can be lost: `stake` is the share of everybody's metric that a step may put at risk, so that before a step to a share s a loss of stake / s must be ruled out, of
everything at most, of `margin` at least. That is a test of non-inferiority with a plan of its own: as much information as a treatment that is no worse needs in four of five cases (Mehta and
Tsiatis 2001, "Flexible sample size considerations using information-based interim monitoring"), under the boundary of `sequential`, one-sided at 5 %. So a treatment that loses what must be ruled
out takes the step in at most one of twenty cases, whenever anybody looks, and one that loses `margin` reaches everybody at most as often.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import Final

from kernel.canonical import Json
from orchestration.learning.experiment import STEPS, Declared
from orchestration.learning.sequential import LEAST_OUTCOMES, Group, boundary, outcomes

POWER: Final = 0.8
_PLAN: Final = (
    2.0  # times what is needed: the boundary widens after the plan, and who was unlucky must not wait for that
)
_REACH: Final = boundary(1 / _PLAN, sides=1) + NormalDist().inv_cdf(POWER)
"""Standard errors that must lie between nothing lost and what must be ruled out when as much is known as is needed."""


@dataclass(frozen=True, slots=True)
class Shown:
    """`lost`: the share of the control's metric that the treatment loses at most, with 95 % at any look; infinite where nothing can be said. `allowed`: what must be ruled out.
    `worse`: it is shown to lose something. `time`: 1 when as much is known as is needed.
    """

    lost: float
    allowed: float
    worse: bool
    time: float

    @property
    def enough(self) -> bool:
        """The step may be taken."""
        return self.lost < self.allowed and not self.worse

    def to_json(self) -> dict[str, Json]:
        """As evidence of a step."""
        lost = self.lost if math.isfinite(self.lost) else None
        return {"loses_at_most": lost, "may_lose": self.allowed, "shown_worse": self.worse, "time": self.time}


def allowed(declared: Declared, share: float) -> float:
    """The share of the control's metric whose loss must be ruled out before `share` of people take part."""
    treated = share if declared.kind == "rollout" else share * declared.treatment.share
    return min(1.0, max(declared.margin, declared.stake / treated))


def shown(declared: Declared, share: float, treated: Group, control: Group) -> Shown:
    """What both groups show. More of their metric is better; groups of one that should fall come with the other sign."""
    may = allowed(declared, share)
    base = abs(control.mean)
    both = Group(treated.n + control.n, treated.total + control.total, treated.squares + control.squares)
    if not (treated.n and control.n and base) or outcomes(both) < LEAST_OUTCOMES:
        return Shown(math.inf, may, worse=False, time=0.0)
    # Few outcomes of few people make their spread look small: it is taken as no less than the control's.
    error = math.sqrt(max(treated.variance, control.variance) / treated.n + control.variance / control.n)
    if not error:
        return Shown(math.inf, may, worse=False, time=0.0)
    time = (may * base / (_REACH * error)) ** 2
    reach = boundary(time / _PLAN, sides=1) * error
    difference = treated.mean - control.mean
    return Shown((reach - difference) / base, may, worse=difference + reach < 0, time=time)


def needed(declared: Declared, base: float, share: float, following: float) -> int:
    """People under the new policy at `share` so that, where it is no worse, the step to `following` is taken in four of five cases. `base`: their share with the outcome."""
    other = (1 - share) / share  # people of the control for each one treated
    spread = base * (1 - base) * (1 + 1 / other)
    size = spread * (_REACH / (allowed(declared, following) * base)) ** 2
    outcomes_ = LEAST_OUTCOMES / base / (1 + other)
    smaller = declared.least_people / min(1.0, other)  # the smaller arm must have so many, whichever it is
    return math.ceil(max(size, outcomes_, smaller))


def waits(declared: Declared) -> list[tuple[float, float]]:
    """The shares at which a rollout waits, each with the one that follows."""
    shares = sorted({declared.share, *(step for step in STEPS if step > declared.share)})
    return list(pairwise(shares))
