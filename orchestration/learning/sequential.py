"""Comparing two groups while the numbers come in: look as often as you like, at most 5 % of experiments without a difference are ever called one.

Enters: counts, sums and sums of squares of two groups. Leaves: the difference with an interval that holds at every look, a z value, the boundary it must cross.

The z statistic of a growing experiment is a Brownian motion in information time t = (what is known now) / (what the plan foresees) (Jennison and Turnbull 1999, chapter 3).
Up to the plan the boundary is Wang and Tsiatis' (1987) c t^(d - 1/2), with c found by the recursion of Armitage, McPherson and Rowe (1969) at a dense set of looks, so it
holds for any set of looks; a tenth of the error is kept for what is looked at after the plan, under the boundary of Robbins and Siegmund (1970; as in
Bibaut, Kallus and Lindon 2022), which holds for ever. Beside mixture tests (mSPRT, Johari et al. 2017), nothing is spent on looks that nobody takes.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kernel.canonical import Json

ALPHA: Final = 0.05
SHAPE: Final = 0.38  # between O'Brien and Fleming's 0 and Pocock's .5: early calls cost little power at the end
FIRST: Final = 0.01  # of the plan: nobody is called before
LATER: Final = 0.1  # of alpha, for looks after the plan
LEAST_OUTCOMES: Final = 20  # in both groups together: before, a share is no normal variable
_LOOKS: Final = 240
# What `constant` finds in seconds, for one comparison and for the harm of several metrics and steps; a test finds some of them again.
_CONSTANTS: Final = {
    (0.045, 2): 2.5300,
    (0.045, 1): 2.2793,
    (0.0225, 1): 2.5321,
    (0.015, 1): 2.6698,
    (0.01125, 1): 2.7640,
    (0.009, 1): 2.8351,
    (0.0075, 1): 2.8922,
    (0.0045, 1): 3.0471,
    (0.003, 1): 3.1654,
    (0.00225, 1): 3.2471,
    (0.0018, 1): 3.3093,
    (0.0015, 1): 3.3593,
}
_NORMAL: Final = NormalDist()
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Group:
    """What is known of one group: people, the sum of their values, the sum of squares."""

    n: int
    total: float
    squares: float

    @property
    def mean(self) -> float:
        """The mean value; 0 for nobody."""
        return self.total / self.n if self.n else 0.0

    @property
    def variance(self) -> float:
        """The variance of values; 0 for nobody."""
        return max(0.0, self.squares / self.n - self.mean**2) if self.n else 0.0

    @classmethod
    def of_share(cls, n: int, hits: int) -> "Group":
        """A group in which everybody counts one or nothing."""
        return cls(n, float(hits), float(hits))


@dataclass(frozen=True, slots=True)
class Look:
    """One look. `low` and `high` hold at every look together with probability 95 %; `boundary` is what |z| must reach. `time`: 1 when the plan is reached."""

    n: tuple[int, int]
    difference: float
    low: float
    high: float
    z: float
    boundary: float
    time: float

    @property
    def better(self) -> bool:
        """The first group is better."""
        return self.z >= self.boundary

    @property
    def worse(self) -> bool:
        """The first group is worse."""
        return self.z <= -self.boundary

    def to_json(self) -> dict[str, Json]:
        """As printed and logged."""
        return {
            "treated": self.n[0], "control": self.n[1], "difference": self.difference, "low": self.low, "high": self.high,
            "z": self.z, "boundary": self.boundary if math.isfinite(self.boundary) else None, "time": self.time,
        }  # fmt: skip


def look(treated: Group, control: Group, planned: float, *, alpha: float = ALPHA, sides: int = 2) -> Look:
    """Compare two groups now. `planned`: people in each group when the experiment is as large as meant. `sides`: 1 asks for harm (or gain) only."""
    difference = treated.mean - control.mean
    if not (treated.n and control.n):
        return Look((treated.n, control.n), difference, -math.inf, math.inf, 0.0, math.inf, 0.0)
    time = 2 / (1 / treated.n + 1 / control.n) / planned
    # Under no difference both groups are one, and pooled they say more about the spread; the interval does not suppose that.
    both = Group(treated.n + control.n, treated.total + control.total, treated.squares + control.squares)
    spread = math.sqrt(both.variance * (1 / treated.n + 1 / control.n))
    wide = math.sqrt(treated.variance / treated.n + control.variance / control.n)
    z = difference / spread if spread > 0 else 0.0
    edge = boundary(time, alpha=alpha, sides=sides) if outcomes(both) >= LEAST_OUTCOMES else math.inf
    half = edge * wide if wide else math.inf
    return Look((treated.n, control.n), difference, difference - half, difference + half, z, edge, time)


def outcomes(both: Group) -> float:
    """How many people speak: for shares the outcomes (or their absence, if rarer), for other values what the same skewness would be."""
    if both.squares <= 0:
        return 0.0
    as_share = both.total**2 / both.squares  # people who would make this mean if they all had one value
    return min(as_share, both.n - as_share) if both.squares == abs(both.total) else as_share


@lru_cache(maxsize=4096)
def boundary(time: float, *, alpha: float = ALPHA, sides: int = 2) -> float:
    """What |z| must reach at an information time; infinite before `FIRST`."""
    if time < FIRST * (1 - 1e-9):
        return math.inf
    if time <= 1:
        return constant(alpha * (1 - LATER), sides) * math.pow(time, SHAPE - 0.5)
    return max(constant(alpha * (1 - LATER), sides), math.sqrt(_for_ever(alpha * LATER * (2 / sides)) + math.log(time)))


@lru_cache(maxsize=16)
def constant(alpha: float, sides: int) -> float:
    """Find c of the boundary c t^(d - 1/2) that a Brownian motion crosses with probability `alpha` between `FIRST` and 1, at any of many looks."""
    if (known := _CONSTANTS.get((round(alpha, 9), sides))) is not None:
        return known
    low, high = 1.5, 6.0
    for _ in range(18):
        middle = (low + high) / 2
        if crossing(middle, sides) > alpha:
            low = middle
        else:
            high = middle
    return high


def crossing(c: float, sides: int, looks: int | None = None) -> float:
    """How likely a Brownian motion crosses c t^d at one of `looks` looks between `FIRST` and 1, evenly in log time."""
    looks = looks or _LOOKS
    times = np.geomspace(FIRST, 1.0, looks)
    edge = c * times**SHAPE
    points = 181
    # The density of those who have not crossed, on a grid that widens with the boundary.
    bottom = -edge[0] if sides == 2 else -6.0 * math.sqrt(times[0])
    grid = np.linspace(bottom, edge[0], points)
    density = np.exp(-(grid**2) / (2 * times[0])) / math.sqrt(2 * math.pi * times[0])
    for place in range(1, looks):
        spread = math.sqrt(times[place] - times[place - 1])
        bottom = -edge[place] if sides == 2 else -6.0 * math.sqrt(times[place])
        new = np.linspace(bottom, edge[place], points)
        step = grid[1] - grid[0]
        weight = np.full(points, step)
        weight[[0, -1]] = step / 2
        move = np.exp(-((new[:, None] - grid[None, :]) ** 2) / (2 * spread**2)) / (spread * math.sqrt(2 * math.pi))
        density = move @ (density * weight)
        grid = new
    step = grid[1] - grid[0]
    left = float(density.sum() - (density[0] + density[-1]) / 2) * float(step)
    return 1 - left


@lru_cache(maxsize=64)
def _for_ever(alpha: float) -> float:
    """Find a with 2 (1 - Phi(sqrt a) + sqrt(a) phi(sqrt a)) = alpha: |z| crosses sqrt(a + log t) anywhere after t = 1 with this probability."""
    low, high = 0.0, 60.0
    for _ in range(60):
        middle = (low + high) / 2
        root = math.sqrt(middle)
        if 2 * (1 - _NORMAL.cdf(root) + root * _NORMAL.pdf(root)) > alpha:
            low = middle
        else:
            high = middle
    return high


def smallest_seen(variance: float, treated: int, control: int, *, power: float = 0.8, alpha: float = ALPHA) -> float:
    """The smallest difference that groups of this size show with this power, in the unit of the values (decision.D24)."""
    if not (treated and control):
        return math.inf
    z = _NORMAL.inv_cdf(1 - alpha / 2) + _NORMAL.inv_cdf(power)
    return z * math.sqrt(variance * (1 / treated + 1 / control))


def planned_size(base: float, relative: float, *, power: float = 0.8, alpha: float = ALPHA) -> int:
    """People in each group that a share of `base` needs so that a relative difference is seen at the end of the plan."""
    # One boundary for many looks asks for more people than one look does.
    end = constant(alpha * (1 - LATER), 2)
    other = base * (1 + relative)
    variance = base * (1 - base) + other * (1 - other)
    return math.ceil((end + _NORMAL.inv_cdf(power)) ** 2 * variance / (base * relative) ** 2)


def smallest_planned(base: float, planned: int, *, power: float = 0.8, alpha: float = ALPHA) -> float:
    """The smallest difference of shares that groups of the planned size show by the end of the plan, looked at all the time."""
    end = constant(alpha * (1 - LATER), 2)
    return (end + _NORMAL.inv_cdf(power)) * math.sqrt(2 * base * (1 - base) / planned)
