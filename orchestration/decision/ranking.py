"""How good each arm is: the model's score on profile and candidate features, or declared rules where no model can speak.

Enters: inputs, eligible arms, a `kernel.model.Model` or None. Leaves: a score and a utility per arm, the "send nothing" arm last; the name
of what ranked, and why the model did not (decision.D11). What a utility is made of stands in `balance` (decision.D12).

A model column is a profile feature by its name, or a property of the candidate: `variant=ID`, `channel=NAME`, `category=NAME`,
`tag=NAME`, `context=NAME`. The nothing arm is `variant=nothing` and has no channel. A permutation and a
filled template are also the variant that the catalogue file names.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from kernel.model import Model
from orchestration.decision.balance import utilities
from orchestration.decision.catalogue import NOTHING
from orchestration.decision.inputs import Arm, Inputs

_GREATEST = 2**53  # whole numbers beyond are not canonical: the record of a decision that held one is refused
CANDIDATE_COLUMNS = ("variant=", "channel=", "category=", "tag=", "context=")


@dataclass(frozen=True, slots=True)
class Ranking:
    """`scores` and `utilities` run over the eligible arms, then the nothing arm. A rules ranking has no scores."""

    name: str
    utilities: tuple[float, ...]
    scores: tuple[float | None, ...]
    fallback: str | None = None
    tastes: tuple[float, ...] = ()

    @property
    def best(self) -> int:
        """The place of the greatest utility; of equal ones what is more to her taste, then the first declared; nothing loses a tie."""
        tastes = self.tastes or (0.0,) * len(self.utilities)
        return max(range(len(self.utilities)), key=lambda place: (self.utilities[place], tastes[place], -place))


def rank(state: Inputs, arms: Sequence[Arm], model: Model | None) -> Ranking:
    """Rank by the model when it can score every arm, by the declared rules otherwise. Never raises for the model's sake."""
    if model is None:
        return rules(state, arms, state.fallback or "no_model")
    if (unknown := unfilled(model, state)) is not None:
        return rules(state, arms, f"feature_mismatch:{unknown}")
    return scored(state, arms, model.score(rows(model.feature_names, state, arms)).tolist(), model.feature_names)


def scored(state: Inputs, arms: Sequence[Arm], scores: Sequence[float], columns: Sequence[str]) -> Ranking:
    """The ranking by these scores, one an arm and a last one for sending nothing, of a model with these columns."""
    if not all(math.isfinite(one) for one in scores):
        return rules(state, arms, "score_not_finite")
    # Without having seen the arm, a model has no word on sending nothing: then nothing is worth nothing.
    knows_nothing = f"variant={NOTHING}" in columns
    gains = [arm.value * score for arm, score in zip(arms, scores, strict=False)]
    idle = state.nothing_value * scores[-1] if knows_nothing else 0.0
    return Ranking(
        "ranker",
        (*utilities(state.balance, arms, gains), idle),
        (*scores[:-1], scores[-1] if knows_nothing else None),
        tastes=_tastes(arms),
    )


def unfilled(model: Model, state: Inputs) -> str | None:
    """A column of the model that neither this profile nor a candidate can fill; None where all can be."""
    return _columns(tuple(model.feature_names), state.feature_names).unknown


def rules(state: Inputs, arms: Sequence[Arm], reason: str) -> Ranking:
    """The fallback: declared value, boosted, less what it costs, ties by declared order; sending nothing is worth nothing."""
    worth = utilities(state.balance, arms, [arm.value for arm in arms])
    return Ranking("rules", (*worth, 0.0), (None,) * (len(arms) + 1), reason, _tastes(arms))


def _tastes(arms: Sequence[Arm]) -> tuple[float, ...]:
    return (*(arm.taste for arm in arms), 0.0)


def unknown_columns(columns: Sequence[str], features: Sequence[str]) -> list[str]:
    """The model's columns that neither the profile nor a candidate can fill."""
    known = set(features)
    return [one for one in columns if one not in known and not one.startswith(CANDIDATE_COLUMNS)]


@dataclass(frozen=True, slots=True)
class _Columns:
    """What a model's columns are filled from: `to` and `of`, places of profile features in a row and in the profile; places of the context's."""

    to: NDArray[np.intp]
    of: NDArray[np.intp]
    context: tuple[tuple[int, str], ...]
    unknown: str | None


@lru_cache(maxsize=32)  # a few models rule at a time
def _columns(columns: tuple[str, ...], features: tuple[str, ...]) -> _Columns:
    held = {name: index for index, name in enumerate(features)}
    pairs = [(index, held[name]) for index, name in enumerate(columns) if name in held]
    absent = unknown_columns(columns, features)
    return _Columns(
        np.array([to for to, _ in pairs], dtype=np.intp),
        np.array([of for _, of in pairs], dtype=np.intp),
        tuple(
            (index, name.removeprefix("context=")) for index, name in enumerate(columns) if name.startswith("context=")
        ),
        absent[0] if absent else None,
    )


def rows(columns: Sequence[str], state: Inputs, arms: Sequence[Arm]) -> NDArray[np.float64]:
    """One row per arm and a last one for sending nothing: `float64[n + 1, k]`. An absent number is NaN."""
    plan = _columns(tuple(columns), state.feature_names)
    base = np.zeros(len(columns), dtype=np.float64)
    base[plan.to] = np.array(state.features, dtype=np.float64)[plan.of]
    for index, name in plan.context:
        base[index] = _number((state.context or {}).get(name))
    return np.where(_marked(tuple(columns), tuple([arm.marks for arm in arms])), 1.0, base)


@lru_cache(maxsize=32)  # most decisions of a placement may choose among the same arms
def _marked(columns: tuple[str, ...], marks: tuple[tuple[str, ...], ...]) -> NDArray[np.bool_]:
    """Which columns are 1 for which arm, whoever it is for: `bool[n + 1, k]`."""
    place = {name: index for index, name in enumerate(columns)}
    table = np.zeros((len(marks) + 1, len(columns)), dtype=np.bool_)
    for line, names in enumerate([*marks, (f"variant={NOTHING}",)]):
        table[line, [place[name] for name in names if name in place]] = True
    return table


def _number(value: object) -> float:
    if isinstance(value, int) and abs(value) > _GREATEST:
        return math.nan
    return float(value) if isinstance(value, int | float) else math.nan
