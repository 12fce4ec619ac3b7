"""All policies alike: a probability for every option, exactly one in sum, the same for the same arguments, and the same after being written down."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.canonical import canonical
from orchestration.decision.catalogue import parse
from orchestration.decision.engine import decide, total
from orchestration.decision.errors import CatalogueInvalid
from orchestration.decision.inputs import from_json
from orchestration.decision.policies.learned import ArmState, Learned, from_bytes, to_bytes
from orchestration.decision.policies.linear import solve
from orchestration.decision.policies.rules import NAMES, acted_on, digest_of_rule, recorded, ruled
from orchestration.decision.policies.thompson import best_shares
from orchestration.decision.policy import Option, PolicyContext, policy_digest
from tests.orchestration.conftest import CATALOGUE
from tests.orchestration.decision.support import arm, inputs

FEATURES = ("age", "orders")
RULES = [
    recorded({"name": name, "parameters": {"features": list(FEATURES)} if name == "linucb" else {}}) for name in NAMES
]


class Loaded:
    """A library's learner that has a word on every arm."""

    def shares(self, arms, features):
        weights = [1.0 + len(name) + features["orders"] for name in arms]
        return tuple(one / math.fsum(weights) for one in weights)


def learned(counts, digest="sha256:s"):
    arms = {}
    for place, (n, won) in enumerate(counts):
        theta, inverse = solve([float(n + 1), 0.5, 1.0, 0.25, 0.0, 2.0], [won * n * 0.5, 0.1, 0.0], 1.0)
        arms[f"a{place}"] = ArmState(n=float(n), reward=n * won, squares=n * won, theta=theta, inverse=inverse)
    return Learned(digest=digest, arms=arms, columns=FEATURES, library=Loaded())


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
@settings(max_examples=15)
@given(
    counts=st.lists(st.tuples(st.integers(0, 5000), st.floats(0, 1)), min_size=1, max_size=8),
    utilities=st.lists(st.floats(-1, 2), min_size=9, max_size=9),
    gains=st.lists(st.sampled_from((0.0, 0.5, 1.0, 20.0)), min_size=9, max_size=9),
    eps_min=st.sampled_from((1e-9, 0.01, 0.2)),
    age=st.floats(0, 99) | st.just(math.nan),
)
def test_every_policy_gives_every_option_its_floor_and_one_in_sum(rule, counts, utilities, gains, eps_min, age):
    state = learned(counts)
    options = [
        Option(id=f"a{place}", utility=utility, epsilon=0.2, gain=gain, burden=0.01)
        for place, (utility, gain) in enumerate(zip(utilities, gains, strict=True))
    ][: len(counts) + 1]
    best = max(range(len(options)), key=lambda place: options[place].utility)
    context = PolicyContext(eps_min=eps_min, best=best, features={"age": age, "orders": 3.0})
    vector = rule.make(state).probabilities(options, context, "s")
    assert len(vector) == len(options)
    assert abs(math.fsum(vector) - 1.0) <= 1e-12
    assert min(vector) >= eps_min / len(options) * (1 - 1e-9)
    again = recorded({"name": rule.name, "parameters": json.loads(canonical(rule.parameters))})
    assert [p.hex() for p in again.make(state).probabilities(options, context, "s")] == [p.hex() for p in vector]


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_a_decision_replays_from_its_inputs_and_the_state_they_name(rule):
    state = learned([(40, 0.2), (60, 0.1), (3, 1.0)])
    policy = rule.make(state)
    form = {"name": policy.name, "parameters": dict(policy.parameters), "learned": policy.learned}
    made = inputs([arm(f"a{n}", order=n) for n in range(3)], policy=form, feature_names=FEATURES, features=(30.0, 2.0))
    read = from_json(json.loads(made.canonical))
    assert (read.canonical, read.digest) == (made.canonical, made.digest)
    assert recorded(read.policy).make(state).learned == policy.learned
    for seed in ("a", "b"):
        first = decide(made, seed, policy=policy)
        assert decide(read, seed, policy=recorded(read.policy).make(state)) == first
        assert abs(total(first) - 1.0) <= 1e-12


def test_a_state_is_the_same_after_being_written_and_its_digest_names_its_bytes():
    content = to_bytes(learned([(40, 0.2), (60, 0.1)]))
    read = from_bytes(content)
    assert to_bytes(read) == content
    assert (read.columns, read.arm("a1"), read.arm("new").n) == (FEATURES, learned([(40, 0.2), (60, 0.1)]).arm("a1"), 0)


def test_thompson_shares_are_those_of_the_closed_form_for_two_arms():
    # P(Beta(a, b) > Beta(c, d)) for whole parameters (Miller 2015).
    def closed(a, b, c, d):
        beta = lambda x, y: math.lgamma(x) + math.lgamma(y) - math.lgamma(x + y)  # noqa: E731
        return sum(
            math.exp(beta(c, d) * -1 + beta(a0 + c, b + d) - math.log(b + a0) - beta(1 + a0, b)) for a0 in range(a)
        )

    for a, b, c, d in ((1, 1, 1, 1), (3, 9, 2, 20), (21, 181, 31, 171), (400, 3600, 380, 3620)):
        shares = best_shares(np.array([[a, b], [c, d]], dtype=float), np.ones(2), np.zeros(2))
        assert shares[0] == pytest.approx(closed(a, b, c, d), abs=0.002)


def test_thompson_shares_are_those_of_draws_for_arms_of_every_kind():
    rng = np.random.default_rng(3)
    betas = np.array([[3, 30], [3, 30], [2, 9], [1, 1], [400, 3600], [1, 5000]], dtype=float)
    gain, start = np.array([1.0, 1.0, 0.7, -0.2, 1.0, 0.0]), np.array([0.0, 0.0, 0.0, 0.2, 0.0, 0.11])
    drawn = start[:, None] + gain[:, None] * rng.beta(betas[:, :1], betas[:, 1:], (6, 100_000))
    seen = np.bincount(drawn.argmax(axis=0), minlength=6) / 100_000
    assert best_shares(betas, gain, start) == pytest.approx(seen, abs=0.006)


def test_thompson_weighs_what_an_arm_is_worth_and_what_it_costs():
    state = Learned(digest="s", arms={"a": ArmState(n=1000, reward=100), "b": ArmState(n=1000, reward=120)})
    plain = [Option(id="a", utility=0, epsilon=0), Option(id="b", utility=0, epsilon=0)]
    dear = [plain[0], plain[1]._replace(burden=0.1)]
    worth = [plain[0]._replace(gain=3.0), plain[1]]
    context, policy = PolicyContext(eps_min=0.01, best=0), ruled("thompson").make(state)
    shares = [policy.probabilities(options, context, "s")[1] for options in (plain, dear, worth)]
    assert shares[0] > 0.8 > 0.1 > shares[1]
    assert shares[2] == pytest.approx(0.005)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("tompson", "did you mean 'thompson'"),
        ("{name: thompson, halflife: 7d}", "unknown key 'halflife'; did you mean 'half_life'"),
        ("linucb", "features: Field required"),
        ("{half_life: 7d}", "expected the name of a policy, got no name"),
        ("{name: vowpal_wabbit, half_life: 7d}", "half_life"),
        ("{name: vowpal_wabbit, estimator: dr}", "expected estimator mtr"),
        ("{name: thompson, low: 1, high: 1}", "expected high above low"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_with_what_was_meant(told, said):
    with pytest.raises(CatalogueInvalid, match="policy") as fault:
        parse(CATALOGUE.replace("name: open,", f"name: open, policy: {told},"))
    assert said in str(fault.value)


def test_an_explanation_is_told_what_a_policy_chose_by():
    said = {rule.name: acted_on({"name": rule.name, "parameters": rule.parameters}) for rule in RULES}
    assert (said["thompson"], said["linucb"], said["squarecb"]) == ("outcomes", "alike", None)
    assert (said["epsilon_first"], acted_on(None), said["epsilon_greedy"]) == ("outcomes", None, None)


def test_a_rule_is_named_by_the_digest_of_the_policy_it_makes():
    for rule in RULES[1:]:
        assert digest_of_rule(rule) == policy_digest(rule.make(learned([(1, 1.0)])))
