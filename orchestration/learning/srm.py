"""Sample ratio mismatch: are people divided as they should be? Asked at every look, wrong once in a thousand experiments (decision.D16, D17).

Enters: how many people went to each arm, beside the probabilities that they had (declared shares, or for an adaptive allocation the logged ones). Leaves: a p value that may be
looked at as often as one likes, and where the mismatch is.

The test is a mixture of likelihood ratios of tilted probabilities q_a ~ p_a exp(d) against p: a martingale where people are divided by p, whatever p was for each of them as
long as it was known before, so Ville's inequality bounds false alarms for ever (Lindon and Malek 2020, "Anytime-valid inference for multinomial count data", with logged
probabilities in place of fixed ones).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kernel.canonical import Json

LEVEL: Final = 0.001
# Tilts that are looked for, either way, and how much of the mixture each gets: 49/51 is a tilt of .04, 48/52 of .08; the rest watches for gross ones.
_TILTS: Final = {0.02: 0.04, 0.04: 0.5, 0.08: 0.28, 0.16: 0.1, 0.4: 0.04, 0.8: 0.02, 1.6: 0.02}
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """`p` holds at every look: the smallest 1/(ratio of likelihoods) so far. `expected` in people."""

    observed: tuple[int, ...]
    expected: tuple[float, ...]
    p: float

    @property
    def alarm(self) -> bool:
        """People are not divided as they should be: what the experiment says is not to be believed."""
        return self.p <= LEVEL

    def to_json(self) -> dict[str, Json]:
        """As printed and logged."""
        return {"observed": list(self.observed), "expected": [round(one, 1) for one in self.expected], "p": self.p, "alarm": self.alarm}  # fmt: skip


class Watch:
    """Counts people one batch at a time. `arms`: how many there are."""

    def __init__(self, arms: int) -> None:
        self.tilts, weights = _mixture(arms)
        self.start: Floats = np.log(weights)
        self._log = self.start
        self._observed = np.zeros(arms, dtype=np.int64)
        self._expected = np.zeros(arms)
        self._p = 1.0

    def add(self, counts: Sequence[int] | NDArray[np.int64], chances: Sequence[float] | Floats) -> None:
        """People of one batch who all had these chances; looked at afterwards."""
        share = np.asarray(chances, dtype=np.float64)
        number = np.asarray(counts, dtype=np.int64)
        # log q/p of every tilt for every arm; an arm that nobody could get has no people in it
        tilted = self.tilts - np.log((share * np.exp(self.tilts)).sum(axis=1, keepdims=True))
        self._log = self._log + tilted @ number
        self._observed += number
        self._expected += share * number.sum()
        self._look()

    def add_each(self, arm: NDArray[np.int64], chances: Floats) -> None:
        """People one by one, each with chances of her own: `float64[n, K]`; looked at once, after the last."""
        self._log = self._log + np.array(
            [float((tilt[arm] - np.log(chances @ np.exp(tilt))).sum()) for tilt in self.tilts]
        )
        self._observed += np.bincount(arm, minlength=len(self._observed))
        self._expected += chances.sum(axis=0)
        self._look()

    def _look(self) -> None:
        top = float(self._log.max())
        ratio = top + float(np.log(np.exp(self._log - top).sum()))
        self._p = min(self._p, float(np.exp(-min(700.0, ratio))))

    def result(self) -> Mismatch:
        """What the looks so far say."""
        return Mismatch(tuple(self._observed.tolist()), tuple(self._expected.tolist()), self._p)


@lru_cache(maxsize=16)
def _mixture(arms: int) -> tuple[Floats, Floats]:
    """Tilts, one arm each (`float64[m, K]`), and their weights."""
    points = np.array([sign * tilt for tilt in _TILTS for sign in (1, -1)])
    weight = np.repeat(list(_TILTS.values()), 2) / 2
    turned = arms if arms > 2 else 1  # of two arms, tilting one says all
    tilts = np.zeros((turned * len(points), arms))
    for arm in range(turned):
        tilts[arm * len(points) : (arm + 1) * len(points), arm] = points
    return tilts, np.tile(weight, turned) / turned


@dataclass(frozen=True, slots=True)
class Suspect:
    """A part of the people in which the division is off: the name of the part, what it is, how far from the share it should be."""

    by: str
    value: str
    n: int
    off: float
    p: float


def attribute(parts: Mapping[tuple[str, str], Sequence[int]], shares: Sequence[float]) -> list[Suspect]:
    """Where a mismatch comes from: parts (`("channel", "web")`: people of each arm) whose own division is off, the worst first.

    `p` is corrected for the number of parts that were looked at (Bonferroni); a chi-square on each, since an alarm was raised before.
    """
    from scipy.stats import chi2  # here: it is slow to load, and only an alarm needs it

    share = np.asarray(shares, dtype=np.float64)
    found: list[Suspect] = []
    for (by, value), counts in parts.items():
        number = np.asarray(counts, dtype=np.float64)
        n = float(number.sum())
        if n * float(share.min()) < 5:  # too few for the approximation
            continue
        statistic = float(((number - n * share) ** 2 / (n * share)).sum())
        p = min(1.0, float(chi2.sf(statistic, len(share) - 1)) * len(parts))
        if p <= 0.01:
            found.append(Suspect(by, value, int(n), float((number / n - share)[0]), p))
    return sorted(found, key=lambda one: one.p)
