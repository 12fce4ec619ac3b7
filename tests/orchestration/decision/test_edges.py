"""Where one thing ends and the next begins: the last bit of a draw, the threshold that is met exactly, the arm that is only tried."""

import pytest

from orchestration.decision.eligibility import Stage, judge
from orchestration.decision.engine import decide
from orchestration.decision.policy import draw
from tests.orchestration.decision.support import arm, inputs


def test_rounding_at_the_end_falls_to_the_last_arm_that_may_be_chosen():
    almost = 1.0 - 2**-53
    assert draw((0.3, 0.7 - 1e-12, 0.0), almost) == 1
    assert draw((0.0, 1.0), 0.0) == 1
    assert draw((0.5, 0.5), 0.5) == 1


def test_nothing_is_tried_as_often_as_the_most_curious_arm():
    made = decide(inputs([arm("a", "email", 0, epsilon=0.05), arm("b", "web", 1, epsilon=0.2, value=9.0)]), "s")
    chance = {one.id: one.propensity for one in made.judged}
    assert chance == pytest.approx({"a@email": 0.05 / 3, "b@web": 1 - 0.25 / 3, "nothing": 0.2 / 3})


def test_a_draw_says_whether_it_was_one_of_curiosity():
    state = inputs([arm("a", epsilon=0.9), arm("b", order=1, value=9.0, epsilon=0.9)])
    made = [decide(state, f"{seed}") for seed in range(40)]
    assert {one.explored for one in made} == {True, False}
    assert all(one.explored == (one.choice != "b@email") for one in made)


def test_a_threshold_that_is_met_is_met():
    assert judge(inputs([], sure=0.8, min_sure=0.8), arm()) is None
    assert judge(inputs([], sure=0.79, min_sure=0.8), arm()).stage is Stage.SURE
    assert judge(inputs([], sure=0.79, min_sure=0.8), arm(personal=False)) is None


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"segment_all": ("x", "y")}, None), ({"segment_all": ("x", "z")}, "not_in_segment"),
        ({"segment_any": ("z", "x")}, None), ({"segment_any": ("z",)}, "in_no_segment_of"),
        ({"segment_none": ("z",)}, None), ({"segment_none": ("z", "y")}, "in_excluded_segment"),
    ],
)  # fmt: skip
def test_a_segment_rule_is_all_of_some_and_none(rule, reason):
    lost = judge(inputs([], segments=frozenset({"x", "y"}), **rule), arm())
    assert (None if lost is None else (lost.stage, lost.reason)) == (
        None if reason is None else (Stage.SEGMENT, reason)
    )
