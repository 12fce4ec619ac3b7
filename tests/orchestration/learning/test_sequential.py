"""Looking at an experiment all the time: boundaries that hold, mismatches, sides that nobody leaves, many metrics. decision.D13-D20, D23."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.learning import sequential
from orchestration.learning.assignment import MIXED, Division, side_of
from orchestration.learning.many import cuped, discoveries, e_value
from orchestration.learning.sequential import (
    Group,
    boundary,
    constant,
    crossing,
    look,
    planned_size,
    smallest_planned,
    smallest_seen,
)
from orchestration.learning.srm import Watch, attribute


@pytest.mark.parametrize("sides", [1, 2])
def test_the_boundary_is_crossed_as_often_as_it_may_be(sides):
    found = crossing(constant(0.045, sides), sides)
    assert found == pytest.approx(0.045, abs=3e-4)
    assert crossing(constant(0.045, sides) + 0.1, sides, looks=40) < 0.045


def test_another_level_is_calibrated_when_it_is_asked_for(monkeypatch):
    monkeypatch.setattr(sequential, "_LOOKS", 30)
    assert constant(0.01, 2) > constant(0.045, 2)


def test_after_the_plan_the_boundary_rises_for_ever_and_never_falls():
    edges = [boundary(time) for time in (1.0, 1.1, 2.0, 10.0, 1000.0)]
    assert edges == sorted(edges)
    assert boundary(0.005) == math.inf
    assert boundary(0.02) > boundary(0.5) > boundary(1.0)


def test_a_look_says_better_worse_or_nothing_yet():
    assert look(Group.of_share(20_000, 2400), Group.of_share(20_000, 2000), 20_000).better
    assert look(Group.of_share(20_000, 1700), Group.of_share(20_000, 2000), 20_000).worse
    same = look(Group.of_share(20_000, 2010), Group.of_share(20_000, 2000), 20_000)
    assert not same.better
    assert not same.worse
    assert same.low < same.difference < same.high
    # Too few outcomes for any word, nobody in a group, everybody alike.
    for one, two in (((400, 15), (400, 0)), ((0, 0), (400, 40)), ((400, 0), (400, 0))):
        found = look(Group.of_share(*one), Group.of_share(*two), 1000)
        assert not found.better
        assert found.boundary == math.inf
        assert found.to_json()["boundary"] is None


def test_what_can_be_seen_grows_smaller_with_people():
    assert smallest_seen(0.09, 20_000, 20_000) == pytest.approx(0.0084, abs=1e-4)
    assert smallest_seen(0.09, 0, 10) == math.inf
    assert 20_000 < planned_size(0.1, 0.1) < 23_000
    assert smallest_planned(0.1, planned_size(0.1, 0.1)) == pytest.approx(0.01, rel=0.03)


def test_people_divided_as_declared_raise_no_alarm_and_others_do():
    fair, unfair = Watch(2), Watch(2)
    for _ in range(100):
        fair.add((100, 100), (0.5, 0.5))
        unfair.add((110, 90), (0.5, 0.5))
    assert not fair.result().alarm
    assert unfair.result().alarm
    assert unfair.result().to_json()["expected"] == [10_000.0, 10_000.0]
    assert unfair.result().observed == (11_000, 9_000)


def test_an_adaptive_division_is_judged_by_its_logged_probabilities():
    rng = np.random.default_rng(5)
    first = rng.uniform(0.05, 0.95, 4000)
    arm = (rng.random(4000) > first).astype(int)
    chances = np.column_stack([first, 1 - first])
    by_logged, by_nominal = Watch(2), Watch(2)
    by_logged.add_each(arm, chances)
    assert not by_logged.result().alarm
    skewed = np.where(first > 0.5, 0, arm)
    by_nominal.add_each(skewed, chances)
    assert by_nominal.result().alarm


def test_a_mismatch_is_traced_to_the_part_of_people_where_it_is():
    found = attribute(
        {("channel", "web"): (5000, 4000), ("channel", "email"): (5000, 5010), ("day", "x"): (1, 2)}, (0.5, 0.5)
    )
    assert [(one.by, one.value, one.n) for one in found] == [("channel", "web", 9000)]
    assert found[0].off == pytest.approx(5 / 9 - 0.5)


@settings(max_examples=60)
@given(st.text(min_size=1, max_size=30), st.floats(0, 1), st.floats(0, 1))
def test_whoever_takes_part_at_a_share_takes_part_at_a_larger_one(person, one, two):
    made = Division(b"w", (("treatment", 0.5), ("control", 0.5)))
    small, large = sorted((one, two))
    assert made.takes_part(person, large) or not made.takes_part(person, small)
    assert made.arm(person) in {"treatment", "control"}
    assert made.takes_part(person, 1.0)


def test_arms_get_their_shares_and_other_words_divide_otherwise():
    one = Division(b"a", (("x", 0.2), ("y", 0.8)))
    two = Division(b"b", one.arms)
    names = [f"p{number}" for number in range(4000)]
    assert 0.17 < sum(one.arm(name) == "x" for name in names) / 4000 < 0.23
    both = sum(one.arm(name) == two.arm(name) == "x" for name in names) / 4000
    assert 0.025 < both < 0.055
    assert side_of(["x", "x"]) == "x"
    assert side_of(["x", "y"]) == MIXED


def test_of_many_metrics_only_the_strong_are_called():
    values = [e_value(6.0, 1.0), e_value(5.5, 1.0), *(e_value(1.0, 1.0) for _ in range(8))]
    assert discoveries(values) == [True, True, *[False] * 8]
    assert discoveries([1.0] * 5) == [False] * 5
    assert e_value(3.0, 0.0) == 1.0


def test_what_was_known_before_is_taken_out_and_the_difference_stays():
    rng = np.random.default_rng(3)
    before = rng.normal(size=4000)
    side = rng.random(4000) < 0.5
    outcome = before + rng.normal(size=4000) + 0.3 * side
    made = cuped(outcome, before)
    assert made.reduction == pytest.approx(0.5, abs=0.05)
    assert made.values[side].mean() - made.values[~side].mean() == pytest.approx(0.3, abs=0.1)
    assert cuped(outcome, np.ones(4000)).reduction == 0.0
