"""The pure core: eligibility in order, exact vectors, equal bytes on replay. decision.D4, D5, D6, D10, D12."""

import json
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.canonical import canonical
from orchestration.decision.catalogue import NOTHING
from orchestration.decision.eligibility import QUESTIONS, Rejection, Stage, judge, verdicts
from orchestration.decision.engine import decide, total, withhold
from orchestration.decision.inputs import HoldoutDraw, Permit, from_json
from orchestration.decision.market import Market
from orchestration.decision.policy import EpsilonGreedy, Option, PolicyContext, draw, uniform
from orchestration.decision.record import Record
from tests.orchestration.decision.support import Linear, arm, inputs

reals = st.floats(0, 1, allow_nan=False)


@st.composite
def states(draw_):
    count = draw_(st.integers(0, 12))
    arms = [
        arm(
            f"v{place}",
            draw_(st.sampled_from(["email", "web", "push"])),
            place,
            epsilon=draw_(reals),
            value=draw_(st.floats(-5, 5)),
            cost=draw_(st.floats(0, 5)),
            personal=draw_(st.booleans()),
            published=draw_(st.booleans()),
            stock=draw_(st.sampled_from([None, 0, 3])),
        )
        for place in range(count)
    ]
    return inputs(
        arms,
        permits={
            f"marketing.{channel}|{channel}": Permit(answer=draw_(st.sampled_from(["granted", "denied", "undetermined"])), reason="r")
            for channel in draw_(st.sets(st.sampled_from(["email", "web", "push"])))
        },
        reach=dict.fromkeys(draw_(st.sets(st.sampled_from(["email", "web", "push"]))), "idn_1"),
        blocked=draw_(st.sampled_from([None, None, None, "erased", "restricted"])),
        suppressed=frozenset(draw_(st.sets(st.sampled_from(["email", "push"])))),
        segments=frozenset(draw_(st.sets(st.sampled_from(["lapsed", "vip"])))),
        segment_all=draw_(st.sampled_from([(), ("lapsed",)])),
        segment_none=draw_(st.sampled_from([(), ("vip",)])),
        refused={one.id: draw_(st.sampled_from(["cap:placement:x", "cap", "suppressed", "no_connector", "missing_variable"])) for one in arms if draw_(st.booleans())},
        holdout=draw_(st.sampled_from([None, HoldoutDraw(name="h", share=0.1, member=True), HoldoutDraw(name="h", share=0.1, member=False)])),
        sure=draw_(reals),
        min_sure=draw_(reals),
    )  # fmt: skip


@given(states(), st.text(max_size=8))
@settings(max_examples=400, deadline=None)
def test_every_loser_leaves_at_exactly_one_stage_and_every_eligible_arm_keeps_a_floor(state, seed):
    made = decide(state, seed)
    assert abs(total(made) - 1.0) <= 1e-12
    assert [one.id for one in made.judged] == [*(one.id for one in state.arms), NOTHING]
    eligible = {one.id for one in state.arms if judge(state, one) is None}
    arms_in_play = len(eligible) + 1
    for one in made.judged:
        in_play = one.id == NOTHING or one.id in eligible
        assert (one.rejection is None) == (one.id == made.choice)
        if not in_play:
            assert one.propensity == 0.0
            assert one.rejection.stage is not Stage.SCORE
        elif eligible:
            assert one.propensity >= state.eps_min / arms_in_play - 1e-15
            if one.id != made.choice:
                assert one.rejection.stage is Stage.SCORE
    assert made.chosen.propensity == made.propensity > 0
    assert made.choice in eligible | {NOTHING}


@given(states(), st.text(max_size=8))
@settings(max_examples=200, deadline=None)
def test_a_record_decided_again_from_its_stored_inputs_has_equal_bytes(state, seed):
    first = Record(decision_id="dec_1", seed=seed, inputs=state, outcome=decide(state, seed))
    stored = json.loads(first.envelope())
    again = from_json(stored["inputs"])
    assert again.digest == state.digest
    second = Record(decision_id="dec_1", seed=stored["record"]["seed"], inputs=again, outcome=decide(again, seed))
    assert second.canonical() == first.canonical()


@given(states(), st.integers(0, len(QUESTIONS) - 1))
@settings(max_examples=200, deadline=None)
def test_the_stage_of_a_loser_is_the_first_question_it_fails(state, place):
    for one in state.arms:
        lost = judge(state, one)
        answers = [question(state, one) for question in QUESTIONS]
        first = next((answer for answer in answers if answer is not None), None)
        assert lost == first
        assert [number for number, _ in enumerate(Stage, start=1)] == [stage.number for stage in Stage]


@given(states(), st.data())
@settings(max_examples=300, deadline=None)
def test_arms_that_are_judged_together_get_the_answer_they_would_get_alone(state, data):
    """Two arms, changed in one thing each that a question looks at: sharing a judgement must not lose it."""
    changes = st.sampled_from(
        [{}, {"item": "s1"}, {"item": "s2", "price": "4"}, {"item": "s1", "price": "20", "currency": "EUR"},
         {"item": "s1", "price": "20", "currency": "USD"}, {"item": "s1", "content_rating": "18"}, {"regions": ("by",)},
         {"regions": ("be",)}, {"locale": "fr"}, {"locale": "de_AT"}, {"stock": 0}, {"published": False},
         {"personal": False}, {"purpose": "service"}]
    )  # fmt: skip
    arms = tuple(replace(one, **data.draw(changes)) for one in state.arms)
    market = Market(
        region=data.draw(st.sampled_from([None, "by"])), locale=data.draw(st.sampled_from([None, "de"])),
        content_ratings=data.draw(st.sampled_from([(), ("all",)])), currency=data.draw(st.sampled_from([None, "EUR"])),
        min_price=data.draw(st.sampled_from([None, "5"])),
    )  # fmt: skip
    said = frozenset(one.id for one in arms if data.draw(st.booleans()))
    state = replace(state, arms=arms, market=market, declined=said)
    assert verdicts(state) == [(one, judge(state, one)) for one in arms]


@given(states())
@settings(max_examples=100, deadline=None)
def test_bytes_that_are_put_together_from_arms_are_the_canonical_form(state):
    state = replace(state, context={"page": 1.5, "ä": "ö"})
    assert state.canonical == canonical(state.to_json())


def test_the_questions_are_asked_in_the_order_that_is_written_down():
    """Nothing is right with this arm; mending one thing at a time walks the order."""
    wrong = inputs(
        [arm(published=False)], blocked="erased", permits={}, reach={}, suppressed=frozenset({"email"}),
        segment_all=("vip",), refused={"a@email": "cap"}, sure=0.1, min_sure=0.9,
        holdout=HoldoutDraw(name="h", share=0.5, member=True),
    )  # fmt: skip
    good = inputs([arm()])
    mended = [
        ("blocked", {"blocked": None}), ("consent", {"permits": good.permits}), ("reach", {"reach": good.reach}),
        ("suppression", {"suppressed": frozenset()}), ("segment", {"segment_all": ()}),
        ("publication", {"arms": good.arms}), ("cap", {"refused": {}}), ("holdout", {"holdout": None}),
        ("sure", {"sure": 1.0}),
    ]  # fmt: skip
    for number, (stage, change) in enumerate(mended, start=1):
        lost = judge(wrong, wrong.arms[0])
        assert (lost.stage, lost.stage.number) == (stage, number)
        wrong = replace(wrong, **change)
    assert judge(wrong, wrong.arms[0]) is None


@pytest.mark.parametrize(
    ("reason", "stage"),
    [("cap", Stage.CAP), ("cap:all", Stage.CAP), ("suppressed", Stage.SUPPRESSION), ("no_connector", Stage.REACH),
     ("contact_gone", Stage.REACH), ("missing_variable", Stage.PUBLICATION)],
)  # fmt: skip
def test_what_channels_refused_is_lost_at_the_stage_it_belongs_to(reason, stage):
    state = inputs([arm()], refused={"a@email": reason})
    assert judge(state, state.arms[0]) == Rejection(stage, reason)


@given(st.lists(st.tuples(st.floats(-3, 3), reals), min_size=1, max_size=30), st.text(max_size=5))
def test_the_vector_sums_to_one_and_the_best_keeps_most_of_it(options, seed):
    made = [Option(id=str(i), utility=u, epsilon=e) for i, (u, e) in enumerate(options)]
    best = max(range(len(made)), key=lambda i: (made[i].utility, -i))
    vector = EpsilonGreedy().probabilities(made, PolicyContext(eps_min=0.01, best=best), seed)
    assert abs(math.fsum(vector) - 1) <= 1e-12
    assert min(vector) >= 0.01 / len(made) - 1e-15
    assert vector[best] == max(vector) or math.isclose(vector[best], max(vector))


def test_draws_follow_the_reported_vector():
    """decision.D5: chi-square of frequencies against the vector itself."""
    arms = [arm("a", value=2.0, epsilon=0.3), arm("b", order=1, epsilon=0.3), arm("c", order=2, epsilon=0.3)]
    state = inputs(arms)
    runs = 20_000
    counts = Counter(decide(state, f"seed-{place}").choice for place in range(runs))
    expected = {one.id: one.propensity * runs for one in decide(state, "x").judged}
    chi2 = sum((counts[name] - mean) ** 2 / mean for name, mean in expected.items())
    assert chi2 < 16.27  # p = 0.001 at 3 degrees of freedom


def test_the_draw_never_lands_on_an_impossible_arm():
    assert draw((0.0, 0.5, 0.5, 0.0), 0.9999999999999999) == 2
    assert draw((0.0, 1.0), 0.0) == 1
    assert 0 <= uniform("s", "draw") < 1
    assert uniform("s", "draw") != uniform("s", "other")


def test_a_holdout_member_gets_nothing_with_certainty_and_it_is_stated():
    state = inputs([arm()], holdout=HoldoutDraw(name="h", share=0.2, member=True))
    made = decide(state, "s")
    assert (made.choice, made.propensity, made.holdout) == (NOTHING, 1.0, True)
    assert made.withheld == "holdout:h"


def test_a_member_who_may_not_be_written_to_anyway_is_not_counted_as_held_out():
    state = inputs([arm()], permits={}, holdout=HoldoutDraw(name="h", share=0.2, member=True))
    made = decide(state, "s")
    assert not made.holdout
    assert made.withheld == "consent:no_act"


def test_the_model_scores_profile_and_candidate_columns():
    model = Linear(["age", "variant=a", "variant=b", "variant=nothing"], [0.0, 0.2, 0.6, 0.1])
    state = inputs([arm("a", epsilon=0.0), arm("b", order=1, epsilon=0.0)], feature_names=("age",), features=(40.0,))
    made = decide(state, "s", model=model)
    assert made.ranked_by == "ranker"
    scores = {one.id: one.score for one in made.judged}
    assert scores == {"a@email": 0.2, "b@email": 0.6, NOTHING: 0.1}
    best = max(made.judged, key=lambda one: one.propensity)
    assert best.id == "b@email"


def test_a_higher_cost_moves_the_best_arm_to_sending_nothing():
    """decision.D12: utility is value x score - cost, in one currency."""
    model = Linear(["variant=a", "variant=nothing"], [0.18, 0.11])
    best = []
    for cost in (0.05, 0.08):
        made = decide(inputs([arm("a", cost=cost)]), "s", model=model)
        best.append(max(made.judged, key=lambda one: one.propensity).id)
    assert best == ["a@email", NOTHING]


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (None, "model_broken"),
        (Linear(["unheard_of"], [1.0]), "feature_mismatch:unheard_of"),
        (Linear(["variant=a"], [np.nan]), "score_not_finite"),
    ],
)
def test_a_model_that_cannot_speak_is_replaced_by_named_rules_with_an_exact_vector(model, reason):
    """decision.D11."""
    made = decide(inputs([arm("a"), arm("b", order=1, value=2.0)], fallback="model_broken"), "s", model=model)
    assert (made.ranked_by, made.fallback) == ("rules", reason)
    assert abs(total(made) - 1) <= 1e-12
    assert max(made.judged, key=lambda one: one.propensity).id == "b@email"


def test_below_the_threshold_only_content_for_anyone_is_eligible():
    state = inputs([arm("mine"), arm("anyone", order=1, personal=False)], sure=0.4, min_sure=0.8)
    stages = {one.id: one.rejection and one.rejection.stage for one in decide(state, "s").judged}
    assert stages["mine@email"] is Stage.SURE
    assert stages["anyone@email"] in (None, Stage.SCORE)


def test_a_withheld_decision_is_a_complete_record():
    state = inputs([arm()])
    made = withhold(state, "contention")
    assert (made.choice, made.propensity, made.withheld) == (NOTHING, 1.0, "contention")
    assert Record(decision_id="dec_1", seed="s", inputs=state, outcome=made).digest.startswith("sha256:")


def test_seed_and_attempt_both_change_the_draw():
    state = inputs([arm("a", epsilon=1.0), arm("b", order=1, epsilon=1.0)])
    assert len({decide(state, str(place)).choice for place in range(50)}) == 3
    assert replace(state, attempt=2).digest != state.digest
