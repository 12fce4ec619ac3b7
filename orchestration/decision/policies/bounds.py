"""Upper confidence bounds: try what might be best (UCB1 of Auer and others 2002 with the variance estimated; LinUCB of Li and others 2010).

Enters: options and what was learned of each. Leaves: nearly all probability on the greatest bound, the floor on every other option.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kernel.canonical import Json
from orchestration.decision.policies.greedy import best_of
from orchestration.decision.policies.learned import Learned
from orchestration.decision.policies.linear import row
from orchestration.decision.policy import Option, PolicyContext, floored


@dataclass(frozen=True, kw_only=True)
class UpperBound:
    """The mean reward and `width` standard errors times the root of twice the logarithm of time."""

    name: str
    parameters: Mapping[str, Json]
    state: Learned
    width: float

    @property
    def learned(self) -> str | None:
        """The state it acts on."""
        return self.state.digest

    def probabilities(self, options: Sequence[Option], context: PolicyContext, seed: str) -> tuple[float, ...]:
        """See `policy.Policy`."""
        del seed
        reach = self.width * math.sqrt(2.0 * math.log1p(self.state.total))
        bounds = [
            one.gain * self.state.estimate(one.id) + abs(one.gain) * reach * self.state.error(one.id) - one.burden
            for one in options
        ]
        return _on(best_of(bounds, context.best), len(bounds), context)

    def hope(self, arm: str) -> float:
        """What is added to the estimate of an arm, in units of reward; the bound multiplies in another order, and keeps it: replays have its bits."""
        return self.width * math.sqrt(2.0 * math.log1p(self.state.total)) * self.state.error(arm)


@dataclass(frozen=True, kw_only=True)
class LinearBound:
    """A ridge regression of the reward on what is known of the person, an arm each, and `width` of its standard deviations."""

    name: str
    parameters: Mapping[str, Json]
    state: Learned
    width: float
    columns: tuple[str, ...]

    @property
    def learned(self) -> str | None:
        """The state it acts on."""
        return self.state.digest

    def probabilities(self, options: Sequence[Option], context: PolicyContext, seed: str) -> tuple[float, ...]:
        """See `policy.Policy`."""
        del seed
        x = row(self.columns, context.features)
        bounds = [self._bound(one, x) for one in options]
        return _on(best_of(bounds, context.best), len(bounds), context)

    def _bound(self, option: Option, x: Sequence[float]) -> float:
        mean, spread = self.known(option.id, x)
        return option.gain * mean + abs(option.gain) * self.width * spread - option.burden

    def known(self, arm: str, x: Sequence[float]) -> tuple[float, float]:
        """What an arm is expected to earn with somebody of this row, and the standard deviation of that."""
        known = self.state.arm(arm)
        if len(known.theta) != len(x):  # never shown, or learned over other columns
            mean, spread = 0.0, math.sqrt(math.fsum(value * value for value in x))
        else:
            mean = math.fsum(map(float.__mul__, known.theta, x))
            size = len(x)
            through = [
                math.fsum(map(float.__mul__, known.inverse[at * size : (at + 1) * size], x)) for at in range(size)
            ]
            spread = math.sqrt(max(0.0, math.fsum(map(float.__mul__, through, x))))
        return mean, spread


def _on(best: int, count: int, context: PolicyContext) -> tuple[float, ...]:
    return floored([1.0 if place == best else 0.0 for place in range(count)], context.eps_min)
