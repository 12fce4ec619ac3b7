"""What is measured about explanations of one model, whatever it was trained on (spec explain.X51 to X54).

Enters: a `Subject`: a model, rows that it scored, rows of other people, which columns make one reason. Leaves: rows with their bars. The model's own attributions
are asked as the product asks them; what they are held against (brute force, neutralised rows) is computed here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from explain.attribution import TOLERANCE, exact
from orchestration.learning.gbm import GbmModel
from orchestration.service.bench.explain_brute import brute
from orchestration.service.bench.learning_rows import Row, generator, share

Floats = NDArray[np.float64]
_OTHERS: Final = 64  # other people whose values stand in for a reason
_NEGLIGIBLE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Subject:
    """`reasons`: what a person would be told, with the columns that it is made of; every column belongs to one."""

    name: str
    model: GbmModel
    rows: Floats
    others: Floats
    reasons: Mapping[str, tuple[int, ...]]


def additivity(one: Subject, *, some: int, small: GbmModel) -> list[Row]:
    """Sums, SHAP's own walk, and every subset of columns on a small tree. `some`: rows for the slow ones."""
    scores = one.model.score(one.rows)
    off = 0.0
    for row, score in zip(one.rows, scores, strict=True):
        base, parts = one.model.contributions(row)
        off = max(off, abs(float(base + parts.sum()) - float(score)))
    apart = max(_apart(one.model.contributions(row), exact(one.model, row)) for row in one.rows[:some])
    forced = max(_apart(small.contributions(row), brute(small.booster, row)) for row in one.rows[:some])
    return [
        Row("explain.X51", f"{one.name}: base and parts against the score, {len(one.rows)} rows", "at most 1e-9", f"{off:.1e}", off <= TOLERANCE),
        Row("explain.X51", f"{one.name}: against shap.TreeExplainer, {some} rows", "at most 1e-9", f"{apart:.1e}", apart <= TOLERANCE),
        Row("explain.X51", f"{one.name}: against every subset of columns, a small model, {some} rows", "at most 1e-9", f"{forced:.1e}", forced <= TOLERANCE),
    ]  # fmt: skip


def _apart(one: tuple[float, Floats], two: tuple[float, Floats]) -> float:
    return max(abs(one[0] - two[0]), float(np.abs(one[1] - two[1]).max(initial=0.0)))


def direction(one: Subject) -> list[Row]:
    """The strongest reason of each row, replaced by those of other people: whether the score moves as was said."""
    draw = generator(53)
    right = told = 0
    for row, score in zip(one.rows, one.model.score(one.rows), strict=True):
        _, parts = one.model.contributions(row)
        strength = {name: float(parts[list(columns)].sum()) for name, columns in one.reasons.items()}
        top = max(strength, key=lambda name: (abs(strength[name]), name))
        if abs(strength[top]) <= _NEGLIGIBLE:
            continue
        told += 1
        columns = list(one.reasons[top])
        neutral = np.repeat(row[None, :], _OTHERS, axis=0)
        neutral[:, columns] = one.others[draw.integers(0, len(one.others), _OTHERS)][:, columns]
        moved = float(score) - float(one.model.score(neutral).mean())
        right += moved * strength[top] > 0
    return [
        Row("explain.X53", f"{one.name}: the strongest reason, neutralised, moves the score as was said", "at least 99 %", share(right, told), told > 0 and right >= 0.99 * told),
    ]  # fmt: skip
