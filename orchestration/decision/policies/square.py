"""SquareCB (Foster and Rakhlin 2020): the less an option falls behind the best, the more often it is tried.

Enters: what each option is worth by a regression, the ranking's or the mean of outcomes. Leaves: 1 / (K + gamma x gap) for each, the rest for the best.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kernel.canonical import Json
from orchestration.decision.policies.greedy import By, best_of, utilities
from orchestration.decision.policies.learned import Learned
from orchestration.decision.policy import Option, PolicyContext, floored


@dataclass(frozen=True, kw_only=True)
class Square:
    """`gamma` grows with the decisions that were learned from, to the power of `growth`."""

    name: str
    parameters: Mapping[str, Json]
    state: Learned
    by: By
    gamma: float
    growth: float

    @property
    def learned(self) -> str | None:
        """The state it acts on."""
        return self.state.digest

    def probabilities(self, options: Sequence[Option], context: PolicyContext, seed: str) -> tuple[float, ...]:
        """See `policy.Policy`."""
        del seed
        worth = utilities(options, self.state, self.by)
        best, count = best_of(worth, context.best), len(worth)
        gamma = self.gamma * max(1.0, self.state.total) ** self.growth
        shares = [1.0 / (count + gamma * (worth[best] - one)) for one in worth]
        shares[best] = 1.0 - sum(one for place, one in enumerate(shares) if place != best)
        return floored(shares, context.eps_min)
