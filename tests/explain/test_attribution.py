"""Attributions: they add up, SHAP agrees, and brute force over all coalitions agrees with both."""

from itertools import combinations
from math import factorial

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explain.attribution import attribute, exact
from explain.errors import NotAdditive, Unfaithful
from tests.explain.conftest import NAMES, Gbm, model, train

VALUES = st.one_of(st.floats(-4, 4), st.just(float("nan")), st.just(0.0))


@settings(deadline=None, max_examples=60)
@given(st.lists(VALUES, min_size=len(NAMES), max_size=len(NAMES)))
def test_base_and_parts_add_up_and_shap_walks_to_the_same_values(values) -> None:
    gbm, row = model(), np.array(values)
    score = float(gbm.score(row.reshape(1, -1))[0])
    found = attribute(gbm, row, score, check=True)
    assert abs(found.base + sum(found.parts) - score) <= 1e-9
    assert found.checked
    base, parts = exact(gbm, row)
    assert abs(base - found.base) <= 1e-9
    assert np.abs(parts - found.parts).max() <= 1e-9


def brute(booster: lgb.Booster, row: np.ndarray) -> np.ndarray:
    """Shapley values by their definition: the expectation of every coalition, walked by hand through the dumped trees."""
    trees = [tree["tree_structure"] for tree in booster.dump_model()["tree_info"]]

    def weight(node) -> float:
        return node["leaf_count"] if "leaf_value" in node else node["internal_count"]

    def value(node, known: frozenset[int]) -> float:
        if "leaf_value" in node:
            return node["leaf_value"]
        left, right = node["left_child"], node["right_child"]
        if node["split_feature"] in known:
            return value(left if row[node["split_feature"]] <= node["threshold"] else right, known)
        return (weight(left) * value(left, known) + weight(right) * value(right, known)) / (
            weight(left) + weight(right)
        )

    size = len(row)
    phi = np.zeros(size)
    for one in range(size):
        others = [place for place in range(size) if place != one]
        for count in range(size):
            share = factorial(count) * factorial(size - count - 1) / factorial(size)
            for some in combinations(others, count):
                known = frozenset(some)
                phi[one] += share * sum(value(tree, known | {one}) - value(tree, known) for tree in trees)
    return phi


def test_brute_force_over_all_coalitions_agrees() -> None:
    booster = train(4, trees=3, leaves=5, nan=False)
    gbm = Gbm(booster, names=("a", "b", "c", "d"), digest="sha256:small")
    for row in np.random.default_rng(0).normal(size=(5, 4)):
        _, parts = gbm.contributions(row)
        assert np.abs(brute(booster, row) - parts).max() <= 1e-9
        assert np.abs(brute(booster, row) - exact(gbm, row)[1]).max() <= 1e-9


def test_native_categories_add_up() -> None:
    rng = np.random.default_rng(1)
    rows = np.column_stack([rng.integers(0, 8, 1500), rng.normal(size=1500)])
    target = (rows[:, 0] % 3) + rows[:, 1]
    data = lgb.Dataset(rows, target, categorical_feature=[0])
    booster = lgb.train(
        {
            "objective": "regression",
            "verbose": -1,
            "num_threads": 1,
            "min_data_per_group": 5,
            "cat_smooth": 1,
            "max_cat_to_onehot": 1,
        },
        data,
        20,
    )
    assert any(line.startswith("num_cat=") and line != "num_cat=0" for line in booster.model_to_string().splitlines())
    gbm = Gbm(booster, names=("kind", "x"), digest="sha256:categories")
    score = float(gbm.score(rows[:1])[0])
    assert attribute(gbm, rows[0], score, check=True).checked


class Lying(Gbm):
    """Its parts add up, but two of them are swapped."""

    def contributions(self, row):
        base, parts = super().contributions(row)
        return base, parts[[1, 0, *range(2, len(parts))]]


def test_parts_that_miss_the_score_are_refused() -> None:
    gbm, row = model(), np.ones(len(NAMES))
    score = float(gbm.score(row.reshape(1, -1))[0])
    with pytest.raises(NotAdditive):
        attribute(gbm, row, score + 1e-8, check=False)
    with pytest.raises(NotAdditive):
        attribute(gbm, row, float("nan"), check=False)


def test_parts_that_add_up_but_are_others_are_refused() -> None:
    gbm, row = Lying(train(), digest="sha256:lying"), np.ones(len(NAMES))
    score = float(gbm.score(row.reshape(1, -1))[0])
    attribute(gbm, row, score, check=False)
    with pytest.raises(Unfaithful):
        attribute(gbm, row, score, check=True)
