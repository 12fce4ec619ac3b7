"""Many metrics at once, and what was known before: false discoveries held down, noise taken out (decision.D20, D23).

Enters: z values with their information time; outcomes with a covariate from before the experiment. Leaves: which differences may be called, and adjusted differences.

e values are the mixture likelihood ratios of mSPRT (Robbins 1970; Johari et al. 2017), valid at every look; the e-BH procedure (Wang and Ramdas 2022, J. R. Statist. Soc. B 84)
keeps the false discovery rate at its level whatever depends on what. CUPED is Deng et al. (2013): what a person did before says what she would have done anyway.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from orchestration.learning.sequential import ALPHA

TUNED: Final = (
    8.0  # variance of the mixture at the end of the plan, in variances of the estimate: where the test is sharpest then
)
Floats = NDArray[np.float64]


def e_value(z: float, time: float) -> float:
    """How many times likelier the numbers are under some difference than under none; at least 20 is the 5 % of every look together."""
    if time <= 0 or not math.isfinite(z):
        return 1.0
    ratio = TUNED * time
    return math.exp(min(700.0, z * z / 2 * ratio / (1 + ratio))) / math.sqrt(1 + ratio)


def discoveries(e_values: Sequence[float], alpha: float = ALPHA) -> list[bool]:
    """Which of many may be called: at most a share `alpha` of those that are, on average, is wrong."""
    count = len(e_values)
    order = sorted(range(count), key=lambda place: -e_values[place])
    most = max((rank for rank, place in enumerate(order, 1) if e_values[place] >= count / (alpha * rank)), default=0)
    called = {order[rank] for rank in range(most)}
    return [place in called for place in range(count)]


@dataclass(frozen=True, slots=True)
class Adjusted:
    """Outcomes less what the covariate foretold; the means of groups stay comparable. `reduction`: of the variance, as a share, and no more than it is."""

    values: Floats
    slope: float
    reduction: float


def cuped(outcome: Floats, before: Floats) -> Adjusted:
    """Take out of an outcome what a covariate from before the experiment foretells, with one slope for all groups.

    The covariate cannot know the group, so the difference stays unbiased; the slope is that of the pooled regression.
    """
    centred = before - before.mean()
    spread = float((centred**2).sum())
    slope = float((centred * (outcome - outcome.mean())).sum()) / spread if spread > 0 else 0.0
    values = outcome - slope * centred
    whole = float(outcome.var())
    return Adjusted(values, slope, 1 - float(values.var()) / whole if whole > 0 else 0.0)
