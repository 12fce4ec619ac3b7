"""Thompson sampling for rewards within bounds: each arm is drawn as often as it is likely to be the best (Thompson 1933; Chapelle and Li 2011).

Enters: options and the sums of each arm; a Beta distribution follows from them. Leaves: P(arm is best), worked out before anything is drawn, so that what is drawn
from is what is recorded (decision.D7).

Arms are independent, so P(a is best) is one integral, of the density of `a` times the product of the other distribution functions. It is taken exactly for
distribution functions that are linear between nodes, and every arm has nodes where its own moves. What that leaves of error is measured in the tests and by `candor bench learning`: below 0.002.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kernel.canonical import Json
from orchestration.decision.policies.learned import ArmState, Learned
from orchestration.decision.policy import Option, PolicyContext, floored

Numbers = NDArray[np.float64]
_NODES: Final = 384  # in all; at least and at most so many an arm:
_LEAST, _MOST = 17, 129
_TAIL: Final = 5.0  # standard deviations to the outermost nodes
_POINT: Final = 1e-9  # half the width of a certainty
_REMEMBERED: Final = 64  # sets of eligible arms
_AT, _WEIGHT = np.polynomial.legendre.leggauss(5)
_STEPS: Final = tuple(((float(at) + 1.0) / 2.0, float(weight) / 2.0) for at, weight in zip(_AT, _WEIGHT, strict=True))


@dataclass(frozen=True, kw_only=True)
class Thompson:
    """Rewards count as shares of the way from `low` to `high`. `wins` and `losses` are what an arm begins with."""

    name: str
    parameters: Mapping[str, Json]
    state: Learned
    wins: float
    losses: float
    low: float
    high: float
    _known: dict[tuple[tuple[str, float, float], ...], tuple[float, ...]] = field(
        default_factory=dict, compare=False, repr=False
    )

    @property
    def learned(self) -> str | None:
        """The state it acts on."""
        return self.state.digest

    def probabilities(self, options: Sequence[Option], context: PolicyContext, seed: str) -> tuple[float, ...]:
        """See `policy.Policy`. The seed is not needed: nothing is sampled on the way."""
        del seed
        key = tuple((one.id, one.gain, one.burden) for one in options)
        shares = self._known.get(key)
        if shares is None:
            shares = self._shares(options)
            if len(self._known) >= _REMEMBERED:
                self._known.pop(next(iter(self._known)))
            self._known[key] = shares
        return floored(shares, context.eps_min)

    def beta(self, arm: ArmState) -> tuple[float, float]:
        """The two parameters of an arm's distribution."""
        won = min(arm.n, max(0.0, (arm.reward - arm.n * self.low) / (self.high - self.low)))
        return self.wins + won, self.losses + arm.n - won

    def mean(self, arm: str) -> float:
        """What an arm is expected to earn: the mean of its distribution."""
        won, lost = self.beta(self.state.arm(arm))
        return self.low + (self.high - self.low) * won / (won + lost)

    def _shares(self, options: Sequence[Option]) -> tuple[float, ...]:
        betas = np.array([self.beta(self.state.arm(one.id)) for one in options])
        reach = self.high - self.low
        gain = np.array([one.gain * reach for one in options])
        start = np.array([one.gain * self.low - one.burden for one in options])
        return best_shares(betas, gain, start)


def best_shares(betas: Numbers, gain: Numbers, start: Numbers, *, each: int | None = None) -> tuple[float, ...]:
    """P(start + gain x Beta is the greatest) for each row of `betas`, `float64[k, 2]`; sums to 1 but for rounding.

    A gain of 0 makes a certainty. Equal certainties share. `each`: nodes an arm; more are more exact.
    """
    from scipy.special import expit, polygamma, psi

    count = len(gain)
    if count == 1:
        return (1.0,)
    nodes_each = each or max(_LEAST, min(_MOST, _NODES // count))
    a, b = betas[:, :1], betas[:, 1:]
    # The logit of a Beta has this mean and variance; the nodes need not be its quantiles, only lie where it moves.
    middle, width = psi(a) - psi(b), np.sqrt(polygamma(1, a) + polygamma(1, b))
    drawn = np.pad(expit(middle + width * np.linspace(-_TAIL, _TAIL, nodes_each)[None, :]), ((0, 0), (1, 1)))
    drawn[:, -1] = 1.0
    certain = gain == 0
    near = np.linspace(-_POINT, _POINT, nodes_each + 2)
    points = np.sort(start[:, None] + np.where(certain[:, None], near[None, :], gain[:, None] * drawn), axis=1)
    # Below the lowest of some arm that arm is sure to be better; who does not reach there is never the best.
    least = points[:, 1].max()
    alive = points[:, -1] >= least
    nodes = np.unique(points[alive])
    nodes = nodes[max(0, int(np.searchsorted(nodes, least)) - 1) :]
    # Arms that are known alike are worked out once.
    kinds, kind = np.unique(np.column_stack((betas, gain, start))[alive], axis=0, return_inverse=True)
    found = np.zeros(count)
    found[alive] = _integrated(_below(nodes, *kinds.T)[kind.ravel()])
    return tuple(float(one) for one in found)


def _below(nodes: Numbers, a: Numbers, b: Numbers, gain: Numbers, start: Numbers) -> Numbers:
    """The distribution functions of start + gain x Beta at the nodes: `float64[k, m]`."""
    from scipy.special import betainc

    with np.errstate(divide="ignore", invalid="ignore"):
        inside = (nodes[None, :] - start[:, None]) / gain[:, None]
    reached = np.clip(np.nan_to_num(inside, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)
    below: Numbers = np.asarray(betainc(a[:, None], b[:, None], reached), dtype=np.float64)
    below = np.where(gain[:, None] < 0, 1.0 - below, below)
    flat = np.clip((nodes[None, :] - start[:, None] + _POINT) / (2 * _POINT), 0.0, 1.0)
    return np.where((gain == 0)[:, None], flat, below)


def _integrated(below: Numbers) -> Numbers:
    """The shares, from distribution functions at the nodes, `float64[k, m]`, that are linear in between."""
    first, rise = below[:, :-1], np.diff(below, axis=1)
    total = np.zeros(len(below))
    for at, weight in _STEPS:
        here = first + at * rise
        all_below = np.prod(here, axis=0)
        others = np.divide(all_below[None, :], here, out=np.zeros_like(here), where=here > 0)
        total += weight * np.sum(others * rise, axis=1)
    made: Numbers = total / total.sum()
    return made
