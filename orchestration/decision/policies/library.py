"""A learner of a library behind the contract: its shares of the eligible arms, with the floor under every one.

Enters: options and a state that holds the library's own model. Leaves: the vector. Before the library has learned anything, all arms are alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kernel.canonical import Json
from orchestration.decision.policies.learned import Learned
from orchestration.decision.policy import Option, PolicyContext, floored


@dataclass(frozen=True, kw_only=True)
class ByLibrary:
    """Values and costs of arms are not its business: it learns what an arm earns."""

    name: str
    parameters: Mapping[str, Json]
    state: Learned

    @property
    def learned(self) -> str | None:
        """The state it acts on."""
        return self.state.digest

    def probabilities(self, options: Sequence[Option], context: PolicyContext, seed: str) -> tuple[float, ...]:
        """See `policy.Policy`."""
        del seed
        if self.state.library is None:
            return floored([1.0 / len(options)] * len(options), context.eps_min)
        return floored(self.state.library.shares([one.id for one in options], context.features), context.eps_min)

    def parts(self, arm: str, features: Mapping[str, float]) -> tuple[tuple[str, float, float], ...]:
        """What it expects an arm to earn, as (name, weight, value); nothing before it learned anything."""
        return () if self.state.library is None else self.state.library.parts(arm, features)
