"""The model file: equal bytes for equal data, steady around zero, additive, honest when broken. decision.D39, DESIGN 2."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.learning.errors import ModelBroken
from orchestration.learning.export import zero_safe
from orchestration.learning.gbm import GbmModel, pack
from orchestration.learning.lift import lift, wilson
from orchestration.learning.ranker import arm_values, fit, train
from orchestration.learning.settings import LearningSettings

SETTINGS = LearningSettings(trees=80)


def rows(n=3000, seed=0):
    """Columns with many zeros, so that LightGBM puts splits at its zero thresholds, on both sides."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([
        np.where(rng.random(n) < 0.5, 0.0, rng.exponential(3, n)),
        np.where(rng.random(n) < 0.4, 0.0, rng.normal(0, 2, n)),
        rng.integers(0, 2, n).astype(float),
        np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)),
    ])  # fmt: skip
    y = (x[:, 0] > 0) * 0.5 + (x[:, 1] < 0) * 0.4 + 0.2 * x[:, 2] + rng.normal(0, 0.1, n)
    return x, y


def test_equal_data_and_seed_give_an_equal_file():
    x, y = rows()
    names = ("a", "b", "c", "d")
    one, first = train(x, y, feature_names=names, feature_set="sha256:f", settings=SETTINGS)
    _, second = train(x.copy(), y.copy(), feature_names=names, feature_set="sha256:f", settings=SETTINGS)
    assert first == second
    assert one.digest == GbmModel(first).digest


def test_export_keeps_every_real_prediction_and_takes_the_tremble_at_zero_away():
    x, y = rows()
    booster = fit(x, y, SETTINGS)
    stock = booster.model_to_string()
    assert "e-35" in stock, "the trap is not in this model: the test proves nothing"
    safe = zero_safe(stock, x)
    assert not [line for line in safe.split("\n") if line.startswith("threshold=") and "e-35" in line]
    model = GbmModel(pack(safe, feature_names=("a", "b", "c", "d"), feature_set=""))
    plain = booster.predict(x)
    assert np.array_equal(model.score(x), plain)
    nudged = np.where(x == 0.0, 1e-9, x)
    assert np.abs(booster.predict(nudged) - plain).max() > 0.05  # stock LightGBM trembles
    assert np.array_equal(model.score(nudged), plain)
    assert np.array_equal(model.score(np.where(x == 0.0, -1e-9, x)), plain)


def test_contributions_add_up_to_the_score_that_is_used():
    x, y = rows()
    model, _ = train(x, y, feature_names=("a", "b", "c", "d"), feature_set="", settings=SETTINGS)
    for row in x[:20]:
        base, parts = model.contributions(row)
        assert abs(base + parts.sum() - model.score(row.reshape(1, -1))[0]) <= 1e-9


def test_a_row_scores_the_same_alone_and_in_company():
    x, y = rows()
    model, _ = train(x, y, feature_names=("a", "b", "c", "d"), feature_set="", settings=SETTINGS)
    together = model.score(x[:50])
    assert [float(model.score(x[i : i + 1])[0]) for i in range(50)] == together.tolist()


@pytest.mark.parametrize(
    "content",
    [b"", b"not a model", b"{}", json.dumps({"format": 9}).encode(),
     json.dumps({"format": 1, "feature_names": ["a"], "feature_set": "", "booster": "tree\nnonsense"}).encode()],
)  # fmt: skip
def test_a_broken_file_is_an_error_with_a_remedy(content):
    with pytest.raises(ModelBroken) as caught:
        GbmModel(content)
    assert "candor learn" in caught.value.remedy


def test_without_features_an_arm_is_worth_its_mean():
    reward = np.array([1.0, 1.0, 0.0, 0.0])
    made = arm_values(np.empty((4, 0)), np.array([0, 0, 1, 1]), reward, np.empty((2, 0)), 3, SETTINGS)
    assert made.shape == (2, 3)
    assert made[0, 0] > made[0, 2] > made[0, 1]


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 300), st.integers(0, 300))
@settings(max_examples=200)
def test_a_lift_has_its_difference_inside_its_interval(n, a, m, b):
    found = lift(treated=n, treated_hits=min(a, n), held=m, held_hits=min(b, m))
    assert -1.0 <= found.low <= found.difference + 1e-12
    assert found.difference - 1e-12 <= found.high <= 1.0


def test_wilson_and_newcombe_give_the_published_figures():
    """Newcombe 1998, table II: 56/70 against 48/80 gives 0.0524 to 0.3339."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    found = lift(treated=70, treated_hits=56, held=80, held_hits=48)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=1e-4)
