"""What was compared, term by term: the sum is the number in the record, or the very number by which a learner chose."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explain.contrast import contrast
from explain.facts import NOTHING, Compared
from kernel.ids import DecisionId
from orchestration.decision import facts as facts_of
from orchestration.decision.balance import Balance, Boost
from orchestration.decision.catalogue import parse
from orchestration.decision.engine import decide
from orchestration.decision.policies.learned import ArmState, Learned
from orchestration.decision.policies.rules import recorded, ruled
from orchestration.decision.policy import EpsilonGreedy
from orchestration.decision.record import Record
from orchestration.decision.worth import worths
from tests.orchestration.decision.support import Linear, arm, inputs

NAMES = ("a@email", "b@web", "c@web", NOTHING)
AMOUNT = st.floats(0, 5)
FACTOR = st.floats(0.1, 8)
LINUCB = {"name": "linucb", "features": ["visits", "age"]}


@st.composite
def states(draw):
    arms = [
        arm(name.partition("@")[0], name.partition("@")[2], order, value=draw(FACTOR), cost=draw(AMOUNT), epsilon=0.2)
        for order, name in enumerate(NAMES[:3])
    ]
    balance = Balance(
        unit="EUR",
        boosts=(
            Boost("spring", "lever", draw(FACTOR)),
            Boost("evening", "context", draw(FACTOR), ("a@email", "c@web")),
        ),
        channel_costs={"email": draw(AMOUNT)},
        fatigue={"email": draw(AMOUNT)},
    )
    features = (draw(st.floats(-9, 9)), draw(st.floats(0, 90)))
    return inputs(arms, balance=balance, feature_names=("visits", "age"), features=features, nothing_value=draw(FACTOR))


def learned(name: str) -> Learned:
    sums = {one: ArmState(n=20.0 + at, reward=3.0 + 2 * at, squares=4.0, theta=(0.1 * at, 0.3 - 0.2 * at, 0.05), inverse=(0.2, 0.0, 0.0, 0.0, 0.1, 0.0, 0.0, 0.0, 0.3)) for at, one in enumerate(NAMES[:2])}  # fmt: skip
    return Learned(digest=f"sha256:{name}", arms=sums, columns=("visits", "age") if name == "linucb" else ())


def rule(name: str):
    return recorded({"name": "linucb", "parameters": {"features": ["visits", "age"]}}) if name == "linucb" else (
        recorded({"name": name, "parameters": {"by": "outcomes"}}) if name in {"epsilon_greedy", "squarecb"} else ruled(name)
    )  # fmt: skip


@settings(max_examples=40)
@given(
    states(), st.sampled_from(["ranking", "epsilon_greedy", "epsilon_first", "squarecb", "ucb", "linucb", "thompson"])
)
def test_terms_sum_to_the_number_that_was_compared_and_differences_to_every_gap(state, name) -> None:
    policy = EpsilonGreedy() if name == "ranking" else rule(name).make(learned(name))
    state = state if name == "ranking" else _told(state, policy)
    model = Linear(("visits", "age", "variant=a", "channel=web"), (0.05, -0.01, 0.3, 0.2))
    made = decide(state, "seed", model=model, policy=policy)
    found = worths(state, made, policy)
    assert set(found) == {one.id for one in made.judged}
    for one in made.judged:
        assert math.fsum(term.amount for term in found[one.id].terms) == found[one.id].compared
        if name == "ranking":
            assert (found[one.id].compared, found[one.id].by) == (one.utility, Compared.UTILITY)
    if name not in {"thompson", "epsilon_first"}:  # these draw by more than one number
        best = max(found, key=lambda one: found[one].compared)
        assert max(made.judged, key=lambda one: one.propensity).propensity == pytest.approx(
            next(one.propensity for one in made.judged if one.id == best)
        )
    record = Record(decision_id=DecisionId("dec_1"), seed="seed", inputs=state, outcome=made)
    told = facts_of.facts(record, CATALOGUE, model=None, policy=policy, acts={}, key_id=None)
    for other in NAMES:
        parted = contrast(told, made.choice, other, {})
        assert math.fsum(one.difference for one in parted.differences) == parted.gap


def test_a_linear_learner_s_columns_are_weight_times_value() -> None:
    state = inputs([arm("a", value=2.0), arm("b", "web")], feature_names=("visits", "age"), features=(1.0, 2.0))
    policy = rule("linucb").make(learned("linucb"))
    state = _told(state, policy)
    made = decide(state, "seed", policy=policy)
    terms = worths(state, made, policy)["a@email"].terms
    assert [term.name for term in terms if term.kind == "linear"] == ["", "visits", "age"]
    for term in terms:
        if term.kind == "linear":
            assert term.amount == pytest.approx(term.weight * term.value)


def _told(state, policy):
    from dataclasses import replace

    return replace(
        state, policy={"name": policy.name, "parameters": dict(policy.parameters), "learned": policy.learned}
    )


CATALOGUE = parse("""
controller: Shop
contents:
  - id: all
    variants:
      - {id: a, label: A, channels: [email], subject: A, body: A}
      - {id: b, label: B, channels: [web], body: B}
      - {id: c, label: C, channels: [web], body: C}
placements:
  - {name: cart, purpose: {email: marketing.email, web: marketing.web}, channels: [email, web], variants: [a, b, c]}
""")
