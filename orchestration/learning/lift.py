"""Treatment against holdout: two shares, their difference, its interval, and what could have been seen at all (decision.D24, D44).

The interval is Newcombe's hybrid of two Wilson intervals (Newcombe 1998, method 10): right for small groups and rare outcomes, where the normal
one is not. Enters: counts. Leaves: numbers.
"""

import math
from dataclasses import dataclass

from kernel.canonical import Json
from kernel.errors import InvalidInput

Z95 = 1.959963984540054
Z80 = 0.8416212335729143  # power of 80 %


@dataclass(frozen=True, slots=True)
class Lift:
    """`difference` and its interval are in shares (0.01 is one percentage point); `mde` is the smallest detectable one."""

    treated: int
    treated_hits: int
    held: int
    held_hits: int
    difference: float
    low: float
    high: float
    mde: float

    @property
    def relative(self) -> float | None:
        """Difference over the holdout's share; None when the holdout had no outcome."""
        base = self.held_hits / self.held if self.held else 0.0
        return self.difference / base if base else None

    def to_json(self) -> dict[str, Json]:
        """As printed."""
        return {
            "treated": self.treated, "treated_rate": self.treated_hits / self.treated if self.treated else None,
            "held": self.held, "held_rate": self.held_hits / self.held if self.held else None,
            "difference": self.difference, "low": self.low, "high": self.high, "relative": self.relative,
            "mde": self.mde,
        }  # fmt: skip


def wilson(hits: int, count: int, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval of a share; (0, 1) without observations."""
    if count == 0:
        return 0.0, 1.0
    share, square = hits / count, z * z
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = z * math.sqrt(share * (1 - share) / count + square / (4 * count * count)) / (1 + square / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def newcombe(hits: int, count: int, other_hits: int, other: int, z: float = Z95) -> tuple[float, float, float]:
    """The difference of two shares with its hybrid interval; (0, -1, 1) without observations on a side."""
    if not (count and other):
        return 0.0, -1.0, 1.0
    one, two = hits / count, other_hits / other
    low_one, high_one = wilson(hits, count, z)
    low_two, high_two = wilson(other_hits, other, z)
    difference = one - two
    low = difference - math.hypot(one - low_one, high_two - two)
    high = difference + math.hypot(high_one - one, two - low_two)
    return difference, max(low, -1.0), min(high, 1.0)


def lift(*, treated: int, treated_hits: int, held: int, held_hits: int) -> Lift:
    """The difference of two shares.

    Raises:
        InvalidInput: more outcomes than people, or a negative count.
    """
    if not (0 <= treated_hits <= treated and 0 <= held_hits <= held):
        raise InvalidInput("expected outcomes between 0 and the number of people in each group, got other counts")
    difference, low, high = newcombe(treated_hits, treated, held_hits, held)
    if treated and held:
        pooled = (treated_hits + held_hits) / (treated + held)
        # At zero outcomes the pooled share says nothing; half an outcome keeps the figure honest.
        pooled = max(pooled, 0.5 / (treated + held))
        mde = (Z95 + Z80) * math.sqrt(pooled * (1 - pooled) * (1 / treated + 1 / held))
    else:
        difference = (treated_hits / treated if treated else 0.0) - (held_hits / held if held else 0.0)
        mde = 1.0
    return Lift(treated, treated_hits, held, held_hits, difference, low, high, mde)
