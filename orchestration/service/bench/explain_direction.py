"""Whether reasons work the way they are said to (spec explain.X53): what a reason is made of is replaced by what the people have whom the model learned from, and the score has to move as was said.

Enters: a model, rows with the reasons that the product tells of them, rows that the model was trained on. Leaves: rows for `candor bench explain`. The product says a way where the trees
without the reason (`explain/forest.py`) give most of the contribution back. Here neither is asked: other people's values stand in, and only the model's scores count.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explain.attribution import attribute
from explain.concepts import Concept, told
from explain.explanation import weighed
from explain.facts import FeatureValue
from orchestration.learning.gbm import GbmModel
from orchestration.service.bench.explain_subject import Floats
from orchestration.service.bench.learning_rows import Row, generator, share

_OTHERS = (
    1000  # people at most; more and their draw would still move the mean by less than a fiftieth of what parts them
)


@dataclass(frozen=True, slots=True)
class Told:
    """One choice: the row that was scored, its score, and the reasons of it, strongest first, as the product has them."""

    row: Floats
    score: float
    reasons: tuple[Concept, ...]


def told_of(model: GbmModel, features: Sequence[FeatureValue]) -> Told:
    """What the product would tell of a row."""
    row = np.array([one.value for one in features], dtype=np.float64)
    score = float(model.score(row.reshape(1, -1))[0])
    return Told(row, score, tuple(told(weighed(features, attribute(model, row, score, check=False)))))


@dataclass(slots=True)
class _Count:
    reasons: int = 0
    said: int = 0
    right: int = 0  # of those that say a way
    by_contribution: int = 0  # as if every reason said the way of its contribution
    by_alone: int = 0  # or the way of what it does alone

    def add(self, one: Concept, moved: float) -> None:
        self.reasons += 1
        self.by_contribution += moved * one.contribution > 0
        self.by_alone += moved * (one.alone or 0.0) > 0
        if one.direction != "together":
            self.said += 1
            self.right += moved * one.contribution > 0


def direction(name: str, model: GbmModel, told: Sequence[Told], others: Floats) -> list[Row]:
    """The reasons of each row that say a way, each replaced by other people's values. `others`: rows that the model was trained on."""
    draw = generator(53)
    people = others if len(others) <= _OTHERS else others[draw.permutation(len(others))[:_OTHERS]]
    places = {column: place for place, column in enumerate(model.feature_names)}
    first, every = _Count(), _Count()
    for one in told:
        for rank, reason in enumerate(one.reasons):
            moved = one.score - _mean(model, one.row, [places[column] for column in reason.features], people)
            every.add(reason, moved)
            if rank == 0:
                first.add(reason, moved)
    return [
        Row("explain.X53", f"{name}: the strongest reason, where it says a way, moves the score that way when other people's values stand in", "at least 99 %", share(first.right, first.said), first.said > 0 and first.right >= 0.99 * first.said),
        Row("explain.X53", f"{name}: every reason that says a way, so", "at least 99 %", share(every.right, every.said), every.said > 0 and every.right >= 0.99 * every.said),
        Row("explain.X53", f"{name}: reasons that say a way: the strongest; all that are told", "at least 90 %; 80 %", f"{share(first.said, first.reasons)}; {share(every.said, every.reasons)}", first.said >= 0.9 * first.reasons and every.said >= 0.8 * every.reasons),
        Row("explain.X53", f"{name}: right, were every reason told by its contribution; by what it does alone", "", f"{share(every.by_contribution, every.reasons)}; {share(every.by_alone, every.reasons)}", True),
    ]  # fmt: skip


def _mean(model: GbmModel, row: Floats, columns: Sequence[int], people: Floats) -> float:
    """The mean score of the row with these columns from each of the people. Equal rows are scored once."""
    values, counts = np.unique(people[:, list(columns)], axis=0, return_counts=True, equal_nan=True)
    made = np.repeat(row[None, :], len(values), axis=0)
    made[:, list(columns)] = values
    return float(np.average(model.score(made), weights=counts))
