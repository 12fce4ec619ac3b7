"""How a placement names its policy in the catalogue, and the policy that follows from it.

Enters: a name, or a mapping with `name` and what that policy can be told. Leaves: a rule that knows its policy's parameters, and `make`: the policy over a learned state. A rule is
written into every decision it makes, so that a replay builds the same policy.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Final, Literal, cast

from pydantic import BeforeValidator, Field, TypeAdapter, model_validator

from kernel.canonical import Json, digest
from orchestration.decision.parts import Amount, Part, Seconds, Words, nearest
from orchestration.decision.policies.bounds import LinearBound, UpperBound
from orchestration.decision.policies.greedy import By, Greedy
from orchestration.decision.policies.learned import Learned
from orchestration.decision.policies.library import ByLibrary
from orchestration.decision.policies.square import Square
from orchestration.decision.policies.thompson import Thompson
from orchestration.decision.policy import EpsilonGreedy, Policy

VERSION: Final = 1
"""Raised whenever a policy would turn the same options and state into other probabilities."""


class _Rule(Part):
    """What every policy that learns can be told. Rewards are learned from the outcomes of the placement."""

    half_life: Seconds | None = Field(
        default=None,
        description="After so long an outcome counts half: follows what changes. None: nothing is forgotten.",
    )

    @property
    def parameters(self) -> dict[str, Json]:
        """What makes the policy itself, as it is recorded; its name stands beside."""
        told: dict[str, Json] = self.model_dump(mode="json", exclude={"name"})
        return {"version": VERSION, **told}

    @property
    def columns(self) -> tuple[str, ...]:
        """Features of the person that are learned from."""
        return ()


class GreedyRule(_Rule):
    """epsilon-greedy: the best arm, and each channel's epsilon for all of them evenly. By outcomes: the best is what earned most per decision."""

    name: Literal["epsilon_greedy"] = "epsilon_greedy"
    by: By = "ranking"

    def make(self, state: Learned) -> Policy:
        """The policy."""
        if self.by == "ranking":
            return EpsilonGreedy()
        return Greedy(name=self.name, parameters=self.parameters, state=state, by=self.by)


class DecreasingRule(_Rule):
    """The same with less and less exploration: its epsilon times `scale` x arms / decisions."""

    name: Literal["epsilon_decreasing"] = "epsilon_decreasing"
    by: By = "outcomes"
    scale: float = Field(
        default=200.0, gt=0, le=1e12, description="Decisions an arm before exploration begins to fade."
    )

    def make(self, state: Learned) -> Policy:
        """The policy."""
        return Greedy(name=self.name, parameters=self.parameters, state=state, by=self.by, scale=self.scale)


class FirstRule(_Rule):
    """All arms alike for the first decisions, then the best one."""

    name: Literal["epsilon_first"] = "epsilon_first"
    by: By = "outcomes"
    first: int = Field(default=1000, ge=1, description="Decisions in which every arm is as likely as every other.")

    def make(self, state: Learned) -> Policy:
        """The policy."""
        return Greedy(name=self.name, parameters=self.parameters, state=state, by=self.by, first=self.first)


class BoundRule(_Rule):
    """UCB: the arm that might be best."""

    name: Literal["ucb"] = "ucb"
    width: float = Field(
        default=1.0, gt=0, le=1e6, description="How hopeful: standard errors, times a root of the logarithm of time."
    )

    def make(self, state: Learned) -> Policy:
        """The policy."""
        return UpperBound(name=self.name, parameters=self.parameters, state=state, width=self.width)


class LinearRule(_Rule):
    """LinUCB: the same for what is known of a person."""

    name: Literal["linucb"] = "linucb"
    features: Annotated[Words, Field(min_length=1, max_length=24)]
    width: float = Field(default=0.5, gt=0, le=1e6, description="How hopeful: standard deviations of the estimate.")

    @property
    def columns(self) -> tuple[str, ...]:
        """Features of the person that are learned from."""
        return self.features

    def make(self, state: Learned) -> Policy:
        """The policy."""
        return LinearBound(
            name=self.name, parameters=self.parameters, state=state, width=self.width, columns=self.features
        )


class ThompsonRule(_Rule):
    """Thompson sampling: every arm as often as it is likely to be the best."""

    name: Literal["thompson"] = "thompson"
    wins: float = Field(default=1.0, gt=0, le=1e6, description="Wins that an arm begins with.")
    losses: float = Field(default=1.0, gt=0, le=1e6, description="Losses that an arm begins with.")
    low: Amount = Field(default=0.0, description="The reward that is a loss; less is a loss too.")
    high: Amount = Field(default=1.0, description="The reward that is a win; more is a win too.")

    @model_validator(mode="after")
    def _apart(self) -> "ThompsonRule":
        if self.high <= self.low:
            msg = f"expected high above low, got {self.high:g} and {self.low:g}"
            raise ValueError(msg)
        return self

    def make(self, state: Learned) -> Policy:
        """The policy."""
        return Thompson(
            name=self.name, parameters=self.parameters, state=state, wins=self.wins, losses=self.losses, low=self.low,
            high=self.high,
        )  # fmt: skip


class SquareRule(_Rule):
    """SquareCB: the less an arm falls behind, the more often it is tried."""

    name: Literal["squarecb"] = "squarecb"
    by: By = "ranking"
    gamma: float = Field(default=10.0, gt=0, le=1e9, description="How little is tried that falls behind by one unit.")
    growth: float = Field(default=0.5, ge=0, le=1, description="Gamma grows with decisions to this power.")

    def make(self, state: Learned) -> Policy:
        """The policy."""
        return Square(
            name=self.name, parameters=self.parameters, state=state, by=self.by, gamma=self.gamma, growth=self.growth
        )


class LibraryRule(_Rule):
    """Vowpal Wabbit's contextual bandit over action features (`--cb_explore_adf`)."""

    name: Literal["vowpal_wabbit"] = "vowpal_wabbit"
    features: Annotated[Words, Field(max_length=64)] = ()
    exploration: Literal["squarecb", "epsilon", "softmax"] = Field(
        default="squarecb", description="How the library explores."
    )
    estimator: Literal["mtr", "ips", "dr"] = Field(
        default="mtr", description="How the library learns from propensities."
    )
    rate: float = Field(default=0.5, gt=0, le=100, description="Learning rate.")
    wait: Seconds = Field(
        default=3600,
        description="An arm that nothing came of in this time is learned as such; what comes later is not.",
    )
    half_life: None = None

    @model_validator(mode="after")
    def _go_together(self) -> "LibraryRule":
        if self.exploration == "squarecb" and self.estimator != "mtr":
            msg = f"expected estimator mtr beside squarecb, got {self.estimator}: the library has no other"
            raise ValueError(msg)
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """Features of the person that are learned from."""
        return self.features

    def make(self, state: Learned) -> Policy:
        """The policy."""
        return ByLibrary(name=self.name, parameters=self.parameters, state=state)


Rule = GreedyRule | DecreasingRule | FirstRule | BoundRule | LinearRule | ThompsonRule | SquareRule | LibraryRule
_KINDS: Final[Mapping[str, type[_Rule]]] = {
    "epsilon_greedy": GreedyRule,
    "epsilon_decreasing": DecreasingRule,
    "epsilon_first": FirstRule,
    "ucb": BoundRule,
    "linucb": LinearRule,
    "thompson": ThompsonRule,
    "squarecb": SquareRule,
    "vowpal_wabbit": LibraryRule,
}
NAMES: Final = tuple(_KINDS)
Plain = Literal["epsilon_greedy", "epsilon_decreasing", "epsilon_first", "ucb", "thompson", "squarecb", "vowpal_wabbit"]
"""Policies that need to be told nothing."""
FIELDS: Final = sorted({name for rule in _KINDS.values() for name in rule.model_fields})


def _named(value: object) -> object:
    """A bare name stands for the policy with its defaults; an unknown one is told with the nearest."""
    told = {"name": value} if isinstance(value, str) else value
    if isinstance(told, Mapping):
        name = told.get("name")
        if not isinstance(name, str) or name not in _KINDS:
            shown = f"'{name[:64]}'" if isinstance(name, str) else "no name"
            near = nearest(name, NAMES) if isinstance(name, str) else f"; known: {', '.join(NAMES)}"
            msg = f"expected the name of a policy, got {shown}{near}"
            raise ValueError(msg)
    return told


PolicyRule = Annotated[Annotated[Rule, Field(discriminator="name")], BeforeValidator(_named)]
_READER: Final[TypeAdapter[Rule]] = TypeAdapter(PolicyRule)


def ruled(name: str) -> Rule:
    """The rule of a bare name, with its defaults."""
    return _READER.validate_python(name)


def recorded(form: Mapping[str, Json]) -> Rule:
    """The rule that a decision was made by, from its record."""
    told = {name: value for name, value in cast("Mapping[str, Json]", form["parameters"]).items() if name != "version"}
    return _READER.validate_python({"name": form["name"], **told})


def acted_on(form: Mapping[str, Json] | None) -> Literal["outcomes", "alike"] | None:
    """What a recorded policy chose by: what arms earned, what they earned with people alike, or None for the ranking."""
    if form is None:
        return None
    rule = recorded(form)
    if rule.columns:
        return "alike"
    return (
        None
        if isinstance(rule, GreedyRule | DecreasingRule | FirstRule | SquareRule) and rule.by == "ranking"
        else "outcomes"
    )


@lru_cache(maxsize=256)  # asked for with every decision of a placement that learns
def digest_of_rule(rule: Rule) -> str:
    """`sha256:` of its name and parameters: that of the policy it makes."""
    return digest({"name": rule.name, "parameters": rule.parameters})


def learns(rule: Rule) -> bool:
    """Whether the policy acts on a state that outcomes make; epsilon-greedy by the ranking does not."""
    return not (isinstance(rule, GreedyRule) and rule.by == "ranking")
