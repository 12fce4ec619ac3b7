"""Greedy policies that explore less as they learn (Auer, Cesa-Bianchi and Fischer 2002; the last also called explore-then-commit).

Enters: options with a utility and a share of exploration. Leaves: that share spread evenly, the rest on the best. The best is the ranking's, or the one with the best
estimate from outcomes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from kernel.canonical import Json
from orchestration.decision.policies.learned import Learned
from orchestration.decision.policy import Option, PolicyContext, floored

By = Literal["ranking", "outcomes"]


def utilities(options: Sequence[Option], learned: Learned, by: By) -> list[float]:
    """What each option is worth: as ranked, or by the mean of what it earned."""
    if by == "ranking":
        return [one.utility for one in options]
    return [one.gain * learned.estimate(one.id) - one.burden for one in options]


def best_of(worth: Sequence[float], best: int) -> int:
    """The greatest; of equal ones the ranking's best, then the first."""
    return max(range(len(worth)), key=lambda place: (worth[place], place == best, -place))


@dataclass(frozen=True, kw_only=True)
class Greedy:
    """epsilon/K for each option, the rest for the best one. `share` of the epsilon that a channel declares, at a number of decisions learned from."""

    name: str
    parameters: Mapping[str, Json]
    state: Learned
    by: By
    first: int = 0
    scale: float | None = None

    @property
    def learned(self) -> str | None:
        """The state it acts on."""
        return self.state.digest

    def probabilities(self, options: Sequence[Option], context: PolicyContext, seed: str) -> tuple[float, ...]:
        """See `policy.Policy`."""
        del seed
        count = len(options)
        best = best_of(utilities(options, self.state, self.by), context.best)
        share = self._share(count)
        shares = [min(1.0, one.epsilon * share) / count for one in options]
        if self.first:
            shares = [1.0 / count if self.state.total < self.first else 0.0] * count
        shares[best] = max(0.0, 1.0 - sum(one for place, one in enumerate(shares) if place != best))
        return floored(shares, context.eps_min)

    def _share(self, count: int) -> float:
        """How much of its epsilon is left: all of it, or less with every decision that was learned from."""
        return 1.0 if self.scale is None else min(1.0, self.scale * count / max(1.0, self.state.total))
