"""Shapley values of a tree ensemble by their definition: every subset of the columns that a tree looks at (spec explain.X51).

Enters: a LightGBM booster, one row. Leaves: base and parts. Shares no code with LightGBM's own walk or with SHAP's: the trees are read from the dump, a
subset's value is the sum over leaves of the product along the path, where a column outside the subset counts by how many training rows went that way.
"""

from dataclasses import dataclass
from math import factorial, isnan
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_MOST: Final = 14  # columns of one tree: 2^14 subsets
_ZERO: Final = 1e-35  # what LightGBM holds for zero


@dataclass(frozen=True, slots=True)
class _Step:
    """A turn on the way to a leaf: the node, whether the way goes left, the share of the node's training rows that went so."""

    node: dict[str, Any]
    left: bool
    share: float


Trees = list[list[tuple[float, tuple[_Step, ...]]]]


def trees_of(booster: Any) -> Trees:
    """The trees of a booster, as leaves with the way to each: read once for many rows."""
    return [_leaves(one["tree_structure"]) for one in booster.dump_model()["tree_info"]]


def brute(trees: Trees, row: Floats) -> tuple[float, Floats]:
    """Base and Shapley values of one row: ``float64[k] -> (base, float64[k])``. Path-dependent, as TreeSHAP's are."""
    base, parts = 0.0, np.zeros(row.size)
    for leaves in trees:
        columns = sorted({step.node["split_feature"] for _, way in leaves for step in way})
        values = _values(leaves, columns, row)
        base += float(values[0])
        for column, part in zip(columns, _shapley(values, len(columns)), strict=True):
            parts[column] += part
    return base, parts


def without(trees: Trees, row: Floats, unknown: frozenset[int]) -> float:
    """The score of a row when some columns are not known: every leaf by how many training rows of those like it, but for these columns, ended there."""
    total = 0.0
    for value, way in (leaf for leaves in trees for leaf in leaves):
        weight = 1.0
        for step in way:
            column = step.node["split_feature"]
            weight *= step.share if column in unknown else float(_left(step.node, float(row[column])) is step.left)
            if not weight:
                break
        total += weight * value
    return total


def _leaves(node: dict[str, Any], way: tuple[_Step, ...] = ()) -> list[tuple[float, tuple[_Step, ...]]]:
    """Every leaf's value and the way to it."""
    if "leaf_value" in node:
        return [(float(node["leaf_value"]), way)]
    found: list[tuple[float, tuple[_Step, ...]]] = []
    for name, left in (("left_child", True), ("right_child", False)):
        child = node[name]
        share = _count(child) / _count(node)
        found += _leaves(child, (*way, _Step(node, left, share)))
    return found


def _count(node: dict[str, Any]) -> float:
    return float(node["leaf_count"] if "leaf_value" in node else node["internal_count"])


def _values(leaves: list[tuple[float, tuple[_Step, ...]]], columns: list[int], row: Floats) -> Floats:
    """What the tree says when only the columns of a subset are known, for every subset: `float64[2^m]`, subset by the bits of the place."""
    if len(columns) > _MOST:
        msg = f"expected a tree of at most {_MOST} columns, got {len(columns)}"
        raise ValueError(msg)
    subsets = np.arange(1 << len(columns))
    known = {column: (subsets >> bit) & 1 == 1 for bit, column in enumerate(columns)}
    total = np.zeros(len(subsets))
    for value, way in leaves:
        weight = np.full(len(subsets), value)
        for step in way:
            column = step.node["split_feature"]
            taken = 1.0 if _left(step.node, float(row[column])) is step.left else 0.0
            weight *= np.where(known[column], taken, step.share)
        total += weight
    return total


def _left(node: dict[str, Any], value: float) -> bool:
    """Whether a row with this value goes left at the node."""
    if node["decision_type"] == "==":
        return not isnan(value) and value >= 0 and int(value) in {int(one) for one in node["threshold"].split("||")}
    missing = node["missing_type"]
    if isnan(value) and missing != "NaN":
        value = 0.0
    if (missing == "NaN" and isnan(value)) or (missing == "Zero" and abs(value) <= _ZERO):
        return bool(node["default_left"])
    return value <= float(node["threshold"])


def _shapley(values: Floats, count: int) -> Floats:
    subsets = np.arange(len(values))
    size = np.array([int(one).bit_count() for one in subsets])
    weight = np.array([factorial(n) * factorial(count - n - 1) / factorial(count) for n in range(count)])
    parts = np.zeros(count)
    for bit in range(count):
        without = subsets[(subsets >> bit) & 1 == 0]
        parts[bit] = float((weight[size[without]] * (values[without | (1 << bit)] - values[without])).sum())
    return parts
