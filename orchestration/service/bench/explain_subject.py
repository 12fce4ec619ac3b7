"""What is measured about explanations of one model, whatever it was trained on (spec explain.X51, X52, X54; X53 in explain_direction.py).

Enters: a `Subject`: a model, rows that it scored, rows of other people, which columns make one reason. Leaves: rows with their bars. The model's own attributions
are asked as the product asks them; what they are held against (brute force, neutralised rows) is computed here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from explain.attribution import TOLERANCE, exact
from orchestration.learning.gbm import GbmModel
from orchestration.service.bench.explain_brute import brute, trees_of
from orchestration.service.bench.learning_rows import Row, generator

Floats = NDArray[np.float64]
_OTHERS: Final = 64  # other people whose values stand in for a reason
_NEGLIGIBLE: Final = 1e-9
_TOLD: Final = 5  # main parameters, at most (explain.E1)
_TOP: Final = 3
_NOISE: Final = 1e-9
_GAIN, _RANDOM, _RESIDUAL, _ALIKE = 1.3, 1.7, 0.22, 0.98


@dataclass(frozen=True, slots=True)
class Subject:
    """`reasons`: what a person would be told, with the columns that it is made of; every column belongs to one."""

    name: str
    model: GbmModel
    rows: Floats
    others: Floats
    reasons: Mapping[str, tuple[int, ...]]


def additivity(one: Subject, *, some: int) -> list[Row]:
    """Sums, SHAP's own walk, and every subset of the columns of every tree. `some`: rows for the slow ones."""
    scores = one.model.score(one.rows)
    off = 0.0
    for row, score in zip(one.rows, scores, strict=True):
        base, parts = one.model.contributions(row)
        off = max(off, abs(float(base + parts.sum()) - float(score)))
    apart = max(_apart(one.model.contributions(row), exact(one.model, row)) for row in one.rows[:some])
    trees, few = trees_of(one.model.booster), one.rows[: max(1, some // 5)]
    forced = max(_apart(one.model.contributions(row), brute(trees, row)) for row in few)
    return [
        Row("explain.X51", f"{one.name}: base and parts against the score, {len(one.rows)} rows", "at most 1e-9", f"{off:.1e}", off <= TOLERANCE),
        Row("explain.X51", f"{one.name}: against shap.TreeExplainer, {some} rows", "at most 1e-9", f"{apart:.1e}", apart <= TOLERANCE),
        Row("explain.X51", f"{one.name}: against every subset of columns, {len(trees)} trees, {len(few)} rows", "at most 1e-9", f"{forced:.1e}", forced <= TOLERANCE),
    ]  # fmt: skip


def _apart(one: tuple[float, Floats], two: tuple[float, Floats]) -> float:
    return max(abs(one[0] - two[0]), float(np.abs(one[1] - two[1]).max(initial=0.0)))


def faithfulness(one: Subject) -> list[Row]:
    """Columns of a row taken away in an order: the strongest part first, the model's gain first, at random. Taken away: other people's values instead.

    Deletion: how far the score moved after one, two, ... five columns, in the mean. Insertion: a row of somebody else that gets three columns; how far
    it is from the score. Both as a share of what all parts together move.
    """
    columns = {str(place): (place,) for place in range(one.rows.shape[1])}
    deleted, left = _taken(one, columns)
    by_reason, _ = _taken(one, one.reasons)
    gain, chance = deleted["own"] / deleted["gain"], deleted["own"] / deleted["random"]
    beside = f"as reasons {by_reason['own'] / by_reason['gain']:.2f} and {by_reason['own'] / by_reason['random']:.2f}"
    told = (
        f"{deleted['own']:.3f}, {deleted['gain']:.3f}, {deleted['random']:.3f}: {gain:.2f} and {chance:.2f} ({beside})"
    )
    return [
        Row("explain.X52", f"{one.name}: deletion area of five columns: by parts, by gain, at random, {len(one.rows)} rows", "at least 1.3 x gain, 1.7 x random", told, gain >= _GAIN and chance >= _RANDOM),
        Row("explain.X52", f"{one.name}: what is missing once the three strongest columns are put in; at random", "at most .22", f"{left['own']:.3f}; {left['random']:.3f}", left["own"] <= _RESIDUAL),
    ]  # fmt: skip


def _taken(one: Subject, things: Mapping[str, tuple[int, ...]]) -> tuple[dict[str, float], dict[str, float]]:
    """Deletion area and insertion residual by order. `things` are taken one at a time."""
    draw = generator(52)
    groups = [list(columns) for columns in things.values()]
    gains = np.asarray(one.model.booster.feature_importance("gain"), dtype=np.float64)
    worth = np.array([gains[columns].sum() for columns in groups])
    deleted, left, whole = dict.fromkeys(_ORDERS, 0.0), dict.fromkeys(_ORDERS, 0.0), 0.0
    for row, score in zip(one.rows, one.model.score(one.rows), strict=True):
        _, parts = one.model.contributions(row)
        strength = np.array([abs(float(parts[columns].sum())) for columns in groups])
        whole += float(strength.sum())
        others = one.others[draw.integers(0, len(one.others), _OTHERS)]
        for name, order in zip(_ORDERS, (np.argsort(-strength, kind="stable"), np.argsort(-worth, kind="stable"), draw.permutation(len(groups))), strict=True):  # fmt: skip
            first = [groups[place] for place in order]
            without = _scores(one.model, [_with(row, others, first[:count]) for count in range(1, _TOLD + 1)])
            deleted[name] += float(np.abs(without - score).mean())
            rest = [column for columns in first[_TOP:] for column in columns]
            left[name] += abs(float(_scores(one.model, [_with(row, others, [rest])])[0]) - float(score))
    return {name: value / whole for name, value in deleted.items()}, {
        name: value / whole for name, value in left.items()
    }


_ORDERS: Final = ("own", "gain", "random")


def _with(row: Floats, others: Floats, groups: Sequence[Sequence[int]]) -> Floats:
    """The row once for each of the others, with the values of these columns from them."""
    made = np.repeat(row[None, :], len(others), axis=0)
    columns = [column for group in groups for column in group]
    made[:, columns] = others[:, columns]
    return made


def _scores(model: GbmModel, tables: Sequence[Floats]) -> Floats:
    """The mean score of each table."""
    return np.asarray(model.score(np.concatenate(tables)).reshape(len(tables), -1).mean(axis=1), dtype=np.float64)


def stability(one: Subject, stock: GbmModel | None) -> list[Row]:
    """The three strongest columns and reasons of each row, before and after a billionth is added to every number. `stock`: the model as the library wrote
    it, where there is one.
    """
    draw = generator(54)
    rough = one.rows + draw.uniform(-_NOISE, _NOISE, one.rows.shape)
    columns = {str(place): (place,) for place in range(one.rows.shape[1])}
    ours, told = (_alike(one.model, one.rows, rough, things) for things in (columns, one.reasons))
    before = "" if stock is None else f" (as the library writes models: {_alike(stock, one.rows, rough, columns):.3f})"
    rows = [
        Row("explain.X54", f"{one.name}: the three strongest columns, and reasons, under noise of 1e-9: Jaccard, {len(one.rows)} rows", "at least .98", f"{ours:.3f}, {told:.3f}{before}", min(ours, told) >= _ALIKE),
    ]  # fmt: skip
    if stock is not None:
        apart = float(np.abs(one.model.score(one.others) - stock.score(one.others)).max())
        rows.append(
            Row("explain.X54", f"{one.name}: scores of the rows that were trained on, against the model as the library wrote it", "identical", f"{apart:.1e} apart", apart == 0.0)
        )  # fmt: skip
    return rows


def _alike(model: GbmModel, rows: Floats, rough: Floats, things: Mapping[str, tuple[int, ...]]) -> float:
    total = 0.0
    for row, shaken in zip(rows, rough, strict=True):
        one, two = (_strongest(model, each, things) for each in (row, shaken))
        total += len(one & two) / len(one | two) if one | two else 1.0
    return total / len(rows)


def _strongest(model: GbmModel, row: Floats, things: Mapping[str, tuple[int, ...]]) -> frozenset[str]:
    _, parts = model.contributions(row)
    strength = {name: abs(float(parts[list(columns)].sum())) for name, columns in things.items()}
    felt = [name for name in strength if strength[name] > _NEGLIGIBLE]
    return frozenset(sorted(felt, key=lambda name: (-strength[name], name))[:_TOP])
