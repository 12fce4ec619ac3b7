"""Where one thing ends and the next begins: the last bit of a draw, the threshold that is met exactly, the arm that is only tried."""

import math
from dataclasses import replace

import pytest
import yaml

from explain.concepts import kind_of
from kernel.errors import InvalidInput
from kernel.log import redact
from orchestration.decision.balance import Balance, stakes
from orchestration.decision.counterfactual import Change, changed
from orchestration.decision.eligibility import Stage, judge
from orchestration.decision.engine import decide
from orchestration.decision.policies.learned import ArmState, Learned
from orchestration.decision.policies.rules import FirstRule, SquareRule, recorded
from orchestration.decision.policy import Option, PolicyContext, draw
from orchestration.decision.pulling import pulled
from orchestration.decision.ranking import rows
from orchestration.service.console.words import reason
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


def test_what_an_arm_takes_is_its_own_cost_its_channel_s_and_her_fatigue():
    held = Balance(channel_costs={"email": 0.5}, fatigue={"email": 0.25})
    assert stakes(held, [arm(value=2.0, cost=0.05), arm(channel="web", cost=0.1)]) == [(2.0, 0.8), (1.0, 0.1)]


@pytest.mark.parametrize("policy", ["ucb", "{name: linucb, features: [age]}"])
def test_hope_is_hope_although_an_outcome_is_unwelcome(policy):
    """With a negative worth the upper bound is that of what is known least, not of what is known best."""
    known = ArmState(n=1000.0, theta=(0.0, 0.0), inverse=(0.01, 0.0, 0.0, 0.01))
    told = yaml.safe_load(policy)
    told = {"name": told} if isinstance(told, str) else told
    rule = recorded({"name": told.pop("name"), "parameters": told})
    shares = rule.make(Learned(arms={"a": known}, columns=rule.columns)).probabilities(
        [Option(id=name, utility=0.0, epsilon=0.1, gain=-1.0) for name in "ab"],
        PolicyContext(eps_min=0.01, best=0),
        "s",
    )
    assert shares[1] > 0.9


def test_squarecb_tries_less_the_more_it_knows():
    state = Learned(arms={"a": ArmState(n=10_000.0)})
    options = [Option(id="a", utility=1.0, epsilon=0.1), Option(id="b", utility=0.5, epsilon=0.1)]
    shares = SquareRule().make(state).probabilities(options, PolicyContext(eps_min=1e-9, best=0), "s")
    assert shares[1] == pytest.approx(1 / (2 + 10 * 100 * 0.5), rel=1e-4)


def test_explore_first_ends_with_the_decision_it_named_and_an_unknown_arm_is_worth_the_mean():
    state = Learned(arms={"a": ArmState(n=10.0, reward=8.0, squares=8.0)})
    options = [Option(id=name, utility=0.0, epsilon=0.1) for name in "ab"]
    context = PolicyContext(eps_min=1e-9, best=0)
    assert FirstRule(first=10).make(state).probabilities(options, context, "s")[0] > 0.99
    assert FirstRule(first=11).make(state).probabilities(options, context, "s")[0] == pytest.approx(0.5)
    assert (state.estimate("b"), state.estimate("a")) == pytest.approx((0.8, 0.8))


def test_a_promise_never_rests_on_a_guess_about_segments():
    state = inputs(
        [arm("a")], feature_names=("spend_180d",), features=(4.0,), segments=frozenset({"vip"}), segment_all=("vip",)
    )
    withdrawn = {"withdraw": "marketing.personalize"}
    told = pulled(state, withdrawn, lambda values: frozenset(), lambda purpose: True)
    assert told is not None
    assert decide(told, "s").choice == "nothing"
    for change in (withdrawn, {"unused": kind_of("spend_180d")}):
        assert pulled(state, change, None, lambda purpose: True) is None
        assert pulled(replace(state, segment_all=()), change, None, lambda purpose: True) is not None
    assert pulled(state, {"withdraw": "marketing.email"}, None, lambda purpose: True) is not None


@pytest.mark.parametrize("purpose", ["marketing.sms", "marketing.email|push", "mark", ""])
def test_of_a_purpose_that_nobody_asked_for_no_difference_would_be_no_answer(purpose):
    with pytest.raises(InvalidInput, match=r"marketing\.email\|email, .*marketing\.personalize"):
        changed(inputs([arm("a")]), Change(withdraw=purpose))


@pytest.mark.parametrize("purpose", ["marketing.email", "marketing.email|email", "marketing"])
def test_a_purpose_that_was_asked_for_is_taken_back(purpose):
    state = inputs([arm("a")])
    assert judge(changed(state, Change(withdraw=purpose)), arm("a")).stage is Stage.CONSENT
    assert changed(state, Change(withdraw="marketing.personalize")).features == state.features


def test_what_a_question_leaves_out_is_no_comparison_group():
    made = decide(changed(inputs([arm("a")]), Change(exclude=("a@email",))), "s")
    assert (made.choice, made.withheld, made.holdout) == ("nothing", "publication:left_out", False)
    assert reason(made.withheld) == "left out"


def test_a_refusal_names_candidates_in_a_form_that_is_not_taken_for_an_address():
    with pytest.raises(InvalidInput) as caught:
        changed(inputs([arm("a"), arm("b", "web")]), Change(exclude=("c@email",)))
    assert "it has: a @ email, b @ web" in redact(caught.value.message)


def test_a_number_of_the_context_beyond_all_bounds_is_not_known_to_a_model():
    table = rows(("context=page",), inputs([arm("a")], context={"page": 10**400}), [arm("a")])
    assert math.isnan(table[0, 0])
    assert rows(("context=page",), inputs([arm("a")], context={"page": 2**53}), [arm("a")])[0, 0] == 2.0**53
