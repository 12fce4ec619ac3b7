"""What stands further down is seen less, and how that is undone (decision.D37); places of the right things (D35's measures)."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.learning.logs import Log
from orchestration.learning.positions import (
    LEAST,
    Examination,
    estimated,
    shown_at,
    undone,
    whole,
)
from orchestration.learning.ranker import fit
from orchestration.learning.ranks import ndcg, ordering, reciprocal_rank, recovered
from orchestration.learning.settings import LearningSettings
from orchestration.service.bench.learning_ranker import lists
from tests.profiles.making import AT, event


def drawn(eta: float, rows: int = 60_000, seed: int = 4):
    rng = np.random.default_rng(seed)
    position = rng.integers(1, 6, rows)
    answered = rng.random(rows) < 0.4 * position ** -float(eta)
    return position, answered


def test_a_drawn_order_tells_how_much_each_place_is_looked_at():
    found = estimated(*drawn(1.0))
    assert found.chance == pytest.approx((1, 1 / 2, 1 / 3, 1 / 4, 1 / 5), abs=0.03)
    assert found.rows == 60_000


def test_unlikely_choices_speak_for_the_many_that_were_not_shown():
    """At the second place the well-liked arm is shown nine times in ten, at the first one time in two."""
    rng = np.random.default_rng(2)
    position = rng.integers(1, 3, 40_000)
    good = rng.random(40_000) < np.where(position == 2, 0.9, 0.5)
    propensity = np.where(position == 2, np.where(good, 0.9, 0.1), 0.5)
    answered = rng.random(40_000) < np.where(good, 0.6, 0.2) * np.where(position == 2, 0.5, 1.0)
    assert estimated(position, answered, propensity).chance[1] == pytest.approx(0.5, abs=0.03)
    assert estimated(position, answered).chance[1] > 0.6


def test_too_little_says_nothing():
    position, answered = drawn(1.0, rows=40)
    assert estimated(position, answered) is None
    assert estimated(np.zeros(500, dtype=np.int64), np.ones(500, dtype=bool)) is None
    assert estimated(np.ones(500, dtype=np.int64), np.ones(500, dtype=bool)) is None


@settings(max_examples=30)
@given(st.integers(0, 1000), st.integers(2, 8))
def test_the_chance_never_rises_on_the_way_down(seed, places):
    rng = np.random.default_rng(seed)
    found = estimated(rng.integers(1, places + 1, 2000), rng.random(2000) < 0.5)
    assert found.chance[0] == 1.0
    assert all(a >= b >= LEAST for a, b in zip(found.chance, found.chance[1:], strict=False))


def test_undoing_is_right_in_the_mean_and_leaves_unknown_places_alone():
    position, answered = drawn(2.0)
    reward, weight = undone(answered.astype(float), position, Examination(tuple((np.arange(1, 6) ** -2.0).tolist()), 0))
    for place in range(1, 6):
        assert reward[position == place].mean() == pytest.approx(0.4, abs=0.05)
    assert weight.mean() == pytest.approx(1.0)
    alone, _ = undone(np.array([1.0]), np.array([0]), Examination((1.0, 0.5), 0))
    assert alone.tolist() == [1.0]


def test_the_place_is_that_of_the_first_exposure_known_by_then():
    first = event("Content Viewed", 2, n=1, position=3)
    later = event("Content Viewed", 1, n=2, position=1)
    machine = replace(event("Content Viewed", 5, n=3, position=7), machine=True)
    told_late = event("Content Viewed", 4, n=4, late=10, position=9)
    assert shown_at([later, first, machine, told_late], AT) == 3
    assert shown_at([later, first, told_late], AT + timedelta(days=20)) == 9
    assert shown_at([event("Content Viewed", 1)], AT) == 0
    assert [whole(said) for said in (2, 2.0, "2", 2.5, 0, True, float("inf"), 5000)] == [2, 2, 0, 0, 0, 0, 0, 0]


def test_measures_of_order():
    query = np.array([0, 0, 0, 1, 1, 1])
    gain = np.array([1.0, 0, 0, 0, 0, 1.0])
    right, wrong = np.array([3.0, 2, 1, 1, 2, 3]), np.array([1.0, 2, 3, 3, 2, 1])
    assert ndcg(right, gain, query) == 1.0
    assert ndcg(wrong, gain, query) == pytest.approx(0.5)
    assert (reciprocal_rank(right, gain, query), reciprocal_rank(wrong, gain, query)) == (1.0, pytest.approx(1 / 3))
    assert ndcg(right, np.zeros(6), query) == reciprocal_rank(right, np.zeros(6), query) == 0.0
    assert recovered(0.7, 0.75, 0.8) == pytest.approx(0.5)


def test_answered_arms_stand_as_far_up_as_their_scores_put_them():
    """Of single choices only the shown arm's answer is known; a rare one speaks for the many that were not shown."""
    log = Log(
        ("a", "b"),
        np.array([0, 1, 1, 0]),
        np.array([1.0, 1, 0, -1]),
        np.array([0.8, 0.2, 0.2, 0.8]),
        np.zeros((4, 0)),
        (),
    )
    found = ordering(log, np.array([[2.0, 1], [2, 1], [0, 9], [0, 9]]))
    assert found.answered == 2
    assert found.mrr == pytest.approx((1 / 0.8 + 0.5 / 0.2) / (1 / 0.8 + 1 / 0.2))
    assert (found.drawn_mrr, found.to_json()["ndcg"]) == (0.75, found.ndcg)
    equal = ordering(log, np.ones((4, 2)))
    assert equal.mrr == pytest.approx(2 / 3)
    assert ordering(replace(log, reward=np.zeros(4)), np.ones((4, 2))) is None


def test_lists_that_were_clicked_teach_nearly_what_liking_would():
    """decision.D37, small; `candor bench learning --only positions` has the full size."""
    quick = LearningSettings(trees=30, rate=0.2)
    shop, test = (lists(count, 2.0, np.random.default_rng(count)) for count in (500, 150))
    found = estimated(shop.position, shop.clicked > 0)
    assert found is not None
    assert found.chance[3] < 0.5
    known = Examination(tuple((np.arange(1, 11) ** -2.0).tolist()), 0)
    reward, weight = undone(shop.clicked, shop.position, known)
    naive, mended, oracle = (
        ndcg(np.asarray(fit(shop.rows, *given).predict(test.rows, num_threads=1)), test.liking, test.query)
        for given in ((shop.clicked, quick), (reward, quick, weight), (shop.liked, quick))
    )
    assert recovered(naive, mended, oracle) > 0.36
