"""The pure heart: inputs and a seed in, an outcome out; no clock, no I/O, no global generator (decision.D4).

candidates -> eligibility -> ranking -> policy -> draw. Replaying a record calls this again and must give the same bytes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from kernel.model import Model
from orchestration.decision.balance import stakes
from orchestration.decision.catalogue import NOTHING
from orchestration.decision.eligibility import Rejection, Stage
from orchestration.decision.eligibility import verdicts as judged_of
from orchestration.decision.inputs import Arm, Inputs
from orchestration.decision.policy import EpsilonGreedy, Option, Policy, PolicyContext, draw, leading, uniform
from orchestration.decision.ranking import Ranking, rank


class Judged(NamedTuple):  # of all frozen values the one that is made quickest: a decision has one an arm
    """One arm after the decision: its one rejection, or None when it was chosen. `arm` is None for sending nothing."""

    id: str
    arm: Arm | None
    rejection: Rejection | None
    score: float | None
    utility: float | None
    propensity: float


@dataclass(frozen=True, kw_only=True)  # without slots: who was chosen is looked up once
class Outcome:
    """What was decided. `judged` covers every arm, nothing last; propensities are those of what was shown."""

    judged: tuple[Judged, ...]
    choice: str
    propensity: float
    ranked_by: str
    policy: str
    fallback: str | None
    explored: bool
    holdout: bool
    withheld: str | None = None

    @cached_property
    def chosen(self) -> Judged:
        """The arm that was chosen."""
        return next(one for one in self.judged if one.id == self.choice)

    @property
    def in_scope(self) -> bool:
        """Some arm passed every question before the holdout: the person belongs to the comparison, in either group."""
        return any(
            one.arm is not None and (one.rejection is None or one.rejection.stage.number >= Stage.HOLDOUT.number)
            for one in self.judged
        )

    @property
    def arm(self) -> Arm | None:
        """The chosen variant and channel, None when nothing is sent."""
        return self.chosen.arm


GREEDY = EpsilonGreedy()
_LOWER, _NOT_DRAWN = Rejection(Stage.SCORE, "lower_utility"), Rejection(Stage.SCORE, "not_drawn")


def decide(inputs: Inputs, seed: str, *, model: Model | None = None, policy: Policy = GREEDY) -> Outcome:
    """Choose. `model` must be the one `inputs.versions.model` names, `policy` the one `inputs.policy` names; None ranks by rules, and draws greedily."""
    verdicts = judged_of(inputs)
    eligible = [arm for arm, rejection in verdicts if rejection is None]
    held = inputs.holdout is not None and inputs.holdout.member and any(
        rejection is not None and rejection.stage is Stage.HOLDOUT for _, rejection in verdicts
    )  # fmt: skip
    if not eligible:
        return _nothing(verdicts, policy.name, holdout=held, withheld=_main_reason(verdicts))
    ranking = rank(inputs, eligible, model)
    names, vector, best, picked = drawn(inputs, seed, eligible, ranking, policy)
    place = {name: index for index, name in enumerate(names)}
    judged: list[Judged] = []
    for arm, rejection in [*verdicts, (None, None)]:
        name = NOTHING if arm is None else arm.id
        if rejection is not None:
            judged.append(_lost(arm, name, rejection))
            continue
        index = place[name]
        lost = None if index == picked else _LOWER if picked == best else _NOT_DRAWN
        judged.append(
            Judged(
                id=name, arm=arm, rejection=lost, score=ranking.scores[index], utility=ranking.utilities[index],
                propensity=vector[index],
            )
        )  # fmt: skip
    return Outcome(
        judged=tuple(judged),
        choice=names[picked],
        propensity=vector[picked],
        ranked_by=ranking.name,
        policy=policy.name,
        fallback=ranking.fallback,
        explored=picked != best,
        holdout=False,
    )


class Drawn(NamedTuple):
    """What was drawn among the eligible arms and sending nothing, which comes last: their names and probabilities, the place of the best and of the one drawn."""

    names: Sequence[str]
    vector: Sequence[float]
    best: int
    picked: int


def drawn(inputs: Inputs, seed: str, eligible: Sequence[Arm], ranking: Ranking, policy: Policy) -> Drawn:
    """The draw among arms that are ranked."""
    # Sending nothing is explored as readily as the most curious channel among the eligible.
    shares = [*(arm.epsilon for arm in eligible), max(arm.epsilon for arm in eligible)]
    names = [*(arm.id for arm in eligible), NOTHING]
    worth = [*stakes(inputs.balance, eligible), (inputs.nothing_value, 0.0)]
    options = [
        Option(id=name, utility=utility, epsilon=share, gain=gain, burden=burden)
        for name, utility, share, (gain, burden) in zip(names, ranking.utilities, shares, worth, strict=True)
    ]
    seen = dict(zip(inputs.feature_names, inputs.features, strict=True)) if inputs.policy is not None else {}
    best = ranking.best
    vector = policy.probabilities(options, PolicyContext(eps_min=inputs.eps_min, best=best, features=seen), seed)
    return Drawn(names, vector, leading(policy, vector, best), draw(vector, uniform(seed, "draw")))


def withhold(inputs: Inputs, reason: str) -> Outcome:
    """Nothing, with certainty: what is recorded when the state would not hold still long enough to decide on it."""
    return _nothing(
        [(arm, Rejection(Stage.BLOCKED, reason)) for arm in inputs.arms], "withheld", holdout=False, withheld=reason
    )


def _nothing(
    verdicts: list[tuple[Arm, Rejection | None]], policy: str, *, holdout: bool, withheld: str | None
) -> Outcome:
    lost = [_lost(arm, arm.id, rejection) for arm, rejection in verdicts if rejection is not None]
    idle = Judged(id=NOTHING, arm=None, rejection=None, score=None, utility=None, propensity=1.0)
    return Outcome(
        judged=(*lost, idle), choice=NOTHING, propensity=1.0, ranked_by="none", policy=policy, fallback=None,
        explored=False, holdout=holdout, withheld=withheld,
    )  # fmt: skip


def _lost(arm: Arm | None, name: str, rejection: Rejection) -> Judged:
    return Judged(id=name, arm=arm, rejection=rejection, score=None, utility=None, propensity=0.0)


def _main_reason(verdicts: list[tuple[Arm, Rejection | None]]) -> str:
    """The reason that came furthest: what would have to change first for a message to leave."""
    lost = [rejection for _, rejection in verdicts if rejection is not None]
    if not lost:
        return "no_candidate"
    last = max(lost, key=lambda one: one.stage.number)
    # Reasons that begin with their stage's word need not say it twice.
    said = last.reason.startswith((f"{last.stage}:", f"{last.stage}.")) or last.reason == last.stage
    return last.reason if said else f"{last.stage}:{last.reason}"


def total(outcome: Outcome) -> float:
    """The sum of all propensities, exactly rounded; 1 within 1e-12 for every outcome."""
    return math.fsum(one.propensity for one in outcome.judged)
