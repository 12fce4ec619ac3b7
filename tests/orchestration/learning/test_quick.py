"""The rows of one decision are scored by arrays in place of LightGBM's own walk: the same bits, or LightGBM is asked."""

import lightgbm as lgb
import numpy as np
import pytest

from orchestration.learning import quick as module
from orchestration.learning.gbm import GbmModel, pack
from orchestration.learning.quick import Quick

BASE = ("a", "b", "c", "context=page")
OWN = ("variant=x", "variant=y", "variant=nothing", "channel=web", "tag=t")
NAMES = (*BASE[:3], *OWN, BASE[3])


def trained(*, leaves: int = 12, **more: object) -> lgb.Booster:
    draw = np.random.default_rng(3)
    rows = draw.normal(size=(400, len(NAMES)))
    rows[:, 3:8] = draw.integers(0, 2, (400, 5))
    rows[draw.random((400, len(NAMES))) < 0.1] = np.nan
    rows[:, 1][draw.random(400) < 0.3] = 0.0
    worth = np.nan_to_num(rows[:, 0]) * rows[:, 3] + np.nan_to_num(rows[:, 1]) + np.nan_to_num(rows[:, 5]) + draw.normal(0, 0.3, 400)  # fmt: skip
    said = {"objective": "l2", "num_leaves": leaves, "min_data_in_leaf": 3, "verbose": -1, "seed": 1, "num_threads": 1}
    table = lgb.Dataset(rows, np.nan_to_num(worth), categorical_feature=more.pop("categories", "auto"))
    return lgb.train(said | more, table, num_boost_round=8)


def quick(booster: lgb.Booster, names: tuple[str, ...] = NAMES) -> Quick | None:
    return Quick.of(booster, booster.model_to_string(), names)


def decision(draw: np.random.Generator, count: int) -> np.ndarray:
    """Rows of one person: her columns in all, candidates of their own."""
    base = draw.normal(size=len(NAMES))
    base[draw.random(len(NAMES)) < 0.2] = np.nan
    base[draw.random(len(NAMES)) < 0.2] = 0.0
    rows = np.repeat(base[None, :], count, axis=0)
    rows[:, 3:8] = draw.integers(0, 2, (count, 5))
    return rows


@pytest.mark.parametrize("more", [{}, {"zero_as_missing": True}, {"use_missing": False}, {"leaves": 40}, {"leaves": 2}])
def test_the_bits_are_those_of_lightgbm(more):
    booster = trained(**more)
    found = quick(booster)
    assert found is not None
    draw = np.random.default_rng(7)
    said = 0
    for _ in range(60):
        rows = decision(draw, int(draw.integers(4, 30)))
        scores = found.score(rows)
        if scores is not None:  # None while candidates are new
            said += 1
            assert scores.tobytes() == booster.predict(rows, num_threads=1).tobytes()
    assert said > 40


def test_a_model_of_other_splits_or_more_leaves_has_none():
    assert quick(trained(leaves=90)) is None
    assert quick(trained(categories=[0])) is None
    assert quick(trained(linear_tree=True)) is None
    assert (
        quick(trained(), tuple(f"f{place}" for place in range(len(NAMES)))) is None
    )  # nothing says which candidate a row is


def test_rows_of_different_people_are_left_to_lightgbm():
    found = quick(trained())
    rows = decision(np.random.default_rng(1), 6)
    for _ in range(3):
        found.score(rows)
    assert found.score(rows) is not None
    rows[2, 1] += 1.0
    assert found.score(rows) is None
    assert found.score(rows[:2]) is None


def test_a_model_scores_the_same_either_way():
    booster = trained()
    model = GbmModel(pack(booster.model_to_string(), feature_names=NAMES, feature_set="sha256:0"))
    draw = np.random.default_rng(9)
    for rows in (decision(draw, 20), decision(draw, 1), draw.normal(size=(20, len(NAMES)))):
        for _ in range(4):
            assert model.score(rows).tobytes() == booster.predict(rows, num_threads=1).tobytes()


def test_a_model_that_it_would_get_wrong_is_refused(monkeypatch):
    monkeypatch.setattr(module, "_ZERO", 1.0)  # not what LightGBM takes for zero
    assert quick(trained(zero_as_missing=True)) is None


def test_nearly_zero_is_zero_as_lightgbm_has_it_in_single_precision():
    booster = trained(zero_as_missing=True)
    found = quick(booster)
    rows = decision(np.random.default_rng(2), 6)
    edge = float(np.float32(1e-35))
    for near in (edge, np.nextafter(edge, 1.0), 1e-35, -edge):
        for column in range(3):
            rows[:, column] = near
        for _ in range(4):
            scores = found.score(rows)
        assert scores.tobytes() == booster.predict(rows, num_threads=1).tobytes()


def test_what_is_remembered_may_be_let_go_by_another_thread_meanwhile(monkeypatch):
    found = quick(trained())
    draw = np.random.default_rng(5)
    first, other = decision(draw, 5), decision(draw, 5)
    first[:, 3:8], other[:, 3:8] = draw.normal(size=(2, 5, 5))  # no candidate in common
    before = found._own
    monkeypatch.setattr(module, "_MOST_ROWS", 5)  # the other's candidates leave no room for these

    class Interrupted:
        """At the third candidate the other thread has its turn."""

        asked = 0

        def allowed(self, values: np.ndarray) -> np.ndarray:
            self.asked += 1
            if self.asked == 3:
                found._own = before
                assert found.score(other) is not None
            return before.allowed(values)

    found._own = Interrupted()
    scores = found.score(first)
    assert scores.tobytes() == trained().predict(first, num_threads=1).tobytes()


def test_lists_that_are_too_long_are_scored_and_not_kept_and_those_asked_for_stay_longest(monkeypatch):
    booster, draw = trained(), np.random.default_rng(4)
    found = quick(booster)
    found._blocks.clear()
    monkeypatch.setattr(module, "_MOST_BLOCKS", 2)
    lists = [decision(draw, count) for count in (4, 5, 6)]
    for rows in (lists[0], lists[1], lists[0], lists[2]):
        assert found.score(rows).tobytes() == booster.predict(rows, num_threads=1).tobytes()
    assert [len(words) // 40 for words in found._blocks] == [4, 6]  # five columns of eight bytes
    monkeypatch.setattr(module, "_MOST_BYTES", 100)
    rows = decision(draw, 7)
    assert found.score(rows).tobytes() == booster.predict(rows, num_threads=1).tobytes()
    assert [len(words) // 40 for words in found._blocks] == [4, 6]


def test_a_text_of_another_make_is_left_to_lightgbm():
    booster = trained()
    text = booster.model_to_string()
    for old, new in (("num_leaves=", "leaves="), ("threshold=", "threshold=x"), ("left_child=", "left_child=99 ")):
        assert Quick.of(booster, text.replace(old, new), NAMES) is None
