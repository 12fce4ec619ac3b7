"""What a model would say of somebody of whom something is not known: its trees walked by hand, both ways where the unknown column decides.

Enters: a model whose trees can be read, one row, the columns that are not known. Leaves: the expectation over the people it was trained on, weighed by how many went
which way (Lundberg et al. 2020, algorithm 1). Neither SHAP nor LightGBM computes it, so that it can say that one of them, or we, told something wrong.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import fsum, isnan
from typing import Any, Final, Protocol, runtime_checkable

from kernel.model import Model

_MOST: Final = 8  # models whose trees are held
_NEAR_ZERO: Final = 1e-35  # LightGBM's own
_trees: "OrderedDict[str, tuple[_Node | _Leaf, ...]]" = OrderedDict()  # by the model's digest


@runtime_checkable
class Dumped(Protocol):
    """An ensemble that tells its trees (a LightGBM booster)."""

    def dump_model(self) -> dict[str, Any]:
        """The trees as nested mappings."""
        ...


@dataclass(frozen=True, slots=True)
class _Leaf:
    value: float
    count: float


@dataclass(frozen=True, slots=True)
class _Node:
    column: int
    goes_left: Callable[[float], bool]
    left: "_Node | _Leaf"
    right: "_Node | _Leaf"
    count: float


def expected(model: Model, row: Sequence[float], unknown: frozenset[int]) -> float | None:
    """The score of a row when these columns are not known; None for a model whose trees nobody can read."""
    trees = _read(model)
    return None if trees is None else fsum(_walk(tree, row, unknown) for tree in trees)


def _walk(node: "_Node | _Leaf", row: Sequence[float], unknown: frozenset[int]) -> float:
    if isinstance(node, _Leaf):
        return node.value
    if node.column not in unknown:
        return _walk(node.left if node.goes_left(row[node.column]) else node.right, row, unknown)
    left, right = _walk(node.left, row, unknown), _walk(node.right, row, unknown)
    return (node.left.count * left + node.right.count * right) / (node.left.count + node.right.count)


def _read(model: Model) -> "tuple[_Node | _Leaf, ...] | None":
    found = _trees.get(model.digest)
    if found is None:
        booster = getattr(model, "booster", None)
        if not isinstance(booster, Dumped):
            return None
        told = booster.dump_model()
        found = _trees[model.digest] = tuple(_node(one["tree_structure"]) for one in told["tree_info"])
        while len(_trees) > _MOST:
            _trees.popitem(last=False)
    return found


def _node(told: dict[str, Any]) -> "_Node | _Leaf":
    if "leaf_value" in told:
        return _Leaf(float(told["leaf_value"]), float(told.get("leaf_count", 1)))
    left, right = _node(told["left_child"]), _node(told["right_child"])
    return _Node(int(told["split_feature"]), _question(told), left, right, float(told["internal_count"]))


def _question(told: dict[str, Any]) -> Callable[[float], bool]:
    """Whether a value goes left, as LightGBM decides it."""
    if told["decision_type"] == "==":
        known = {int(one) for one in str(told["threshold"]).split("||")}
        return lambda value: not isnan(value) and value >= 0 and int(value) in known
    bound, missing, by_default = float(told["threshold"]), str(told["missing_type"]), bool(told["default_left"])
    if missing == "NaN":
        return lambda value: by_default if isnan(value) else value <= bound
    if missing == "Zero":
        return lambda value: by_default if isnan(value) or abs(value) <= _NEAR_ZERO else value <= bound
    return lambda value: (0.0 if isnan(value) else value) <= bound
