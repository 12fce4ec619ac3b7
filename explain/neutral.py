"""What a model would say of somebody of whom something is not known: its trees walked by hand, both ways where the unknown column decides.

Enters: a model whose trees can be read, one row, the columns that are not known. Leaves: the expectation over the people it was trained on, weighed by how many went
which way (Lundberg et al. 2020, algorithm 1). Neither SHAP nor LightGBM computes it, so that it can say that one of them, or we, told something wrong. `forest.py` says the
same of several groups of columns at once, in a fraction of the time: that one explains, this one tries what was explained.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, isnan
from typing import Any, Final, Protocol, runtime_checkable

from kernel.model import Model

MOST: Final = 8  # models whose trees are held
NEAR_ZERO: Final = 1e-35  # LightGBM's own
_trees: "OrderedDict[str, tuple[Node | Leaf, ...]]" = OrderedDict()  # by the model's digest


@runtime_checkable
class Dumped(Protocol):
    """An ensemble that tells its trees (a LightGBM booster)."""

    def dump_model(self) -> dict[str, Any]:
        """The trees as nested mappings."""
        ...


@dataclass(frozen=True, slots=True)
class Leaf:
    """Where a row ends: its value, and how many rows of the training set ended there."""

    value: float
    count: float


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a value: whether it is one of `kinds`, or else at most `bound`. `missing`: what stands for absent (None, Zero, NaN), which goes left where `by_default`."""

    bound: float
    missing: str
    by_default: bool
    kinds: frozenset[int] | None

    def left(self, value: float) -> bool:
        """Whether a value goes left, as LightGBM decides it."""
        if self.kinds is not None:
            return not isnan(value) and value >= 0 and int(value) in self.kinds
        if self.missing == "NaN":
            return self.by_default if isnan(value) else value <= self.bound
        if self.missing == "Zero":
            return self.by_default if isnan(value) or abs(value) <= NEAR_ZERO else value <= self.bound
        return (0.0 if isnan(value) else value) <= self.bound


@dataclass(frozen=True, slots=True)
class Node:
    """A fork."""

    column: int
    question: Question
    left: "Node | Leaf"
    right: "Node | Leaf"
    count: float


def expected(model: Model, row: Sequence[float], unknown: frozenset[int]) -> float | None:
    """The score of a row when these columns are not known; None for a model whose trees nobody can read."""
    found = trees(model)
    return None if found is None else fsum(_walk(tree, row, unknown) for tree in found)


def _walk(node: Node | Leaf, row: Sequence[float], unknown: frozenset[int]) -> float:
    if isinstance(node, Leaf):
        return node.value
    if node.column not in unknown:
        return _walk(node.left if node.question.left(row[node.column]) else node.right, row, unknown)
    left, right = _walk(node.left, row, unknown), _walk(node.right, row, unknown)
    return (node.left.count * left + node.right.count * right) / (node.left.count + node.right.count)


def trees(model: Model) -> tuple[Node | Leaf, ...] | None:
    """The trees of a model, read once; None where nobody can read them."""
    found = _trees.get(model.digest)
    if found is None:
        booster = getattr(model, "booster", None)
        if not isinstance(booster, Dumped):
            return None
        told = booster.dump_model()
        found = _trees[model.digest] = tuple(_node(one["tree_structure"]) for one in told["tree_info"])
        while len(_trees) > MOST:
            _trees.popitem(last=False)
    return found


def _node(told: dict[str, Any]) -> Node | Leaf:
    if "leaf_value" in told:
        return Leaf(float(told["leaf_value"]), float(told.get("leaf_count", 1)))
    left, right = _node(told["left_child"]), _node(told["right_child"])
    return Node(int(told["split_feature"]), _question(told), left, right, float(told["internal_count"]))


def _question(told: dict[str, Any]) -> Question:
    missing, by_default = str(told["missing_type"]), bool(told["default_left"])
    if told["decision_type"] == "==":
        return Question(0.0, missing, by_default, frozenset(int(one) for one in str(told["threshold"]).split("||")))
    return Question(float(told["threshold"]), missing, by_default, None)
