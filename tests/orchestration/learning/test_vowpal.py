"""Vowpal Wabbit behind its one file: it learns what depends on whom, keeps its own format, and answers alike however often it is asked."""

import math
import random

import pytest

from orchestration.decision.policies.rules import recorded
from orchestration.learning.errors import StateBroken
from orchestration.learning.vowpal import Frozen, Vowpal

ARMS = ["a@email", "odd |:name@web", "nothing"]


@pytest.mark.parametrize(("exploration", "estimator"), [("squarecb", "mtr"), ("epsilon", "dr"), ("softmax", "ips")])
def test_it_learns_who_likes_what_and_a_saved_model_always_answers_alike(exploration, estimator):
    told = {"features": ["age"], "exploration": exploration, "estimator": estimator}
    rule = recorded({"name": "vowpal_wabbit", "parameters": told})
    learner, rng = Vowpal(rule, None), random.Random(0)
    for turn in range(600):
        if turn == 300:  # goes on from what it saved
            learner = Vowpal(rule, learner.saved())
        age, chosen = rng.choice((-1.0, 1.0)), rng.randrange(3)
        reward = float((age > 0) == (chosen == 0))
        learner.learn(ARMS, {"age": age}, chosen=chosen, reward=reward, probability=1 / 3)
    model = learner.saved()
    frozen = Frozen(model, ("age",))
    first = frozen.shares(ARMS, {"age": 1.0})
    assert first[0] > 0.6
    assert frozen.shares(ARMS, {"age": -1.0})[0] < 0.2
    for _ in range(50):
        frozen.shares(ARMS[:2], {"age": rng.random()})
    assert frozen.shares(ARMS, {"age": 1.0}) == first == Frozen(model, ("age",)).shares(ARMS, {"age": 1.0})
    assert frozen.shares(ARMS[:1], {}) == (1.0,)


def test_bytes_that_are_no_model_are_told():
    with pytest.raises(StateBroken, match="refuses"):
        Frozen(b"nothing of the kind", ())


def test_what_it_expects_is_the_sum_of_weights_times_values():
    rule = recorded({"name": "vowpal_wabbit", "parameters": {"features": ["age", "orders"], "exploration": "softmax"}})
    learner, rng = Vowpal(rule, None), random.Random(2)
    for _ in range(200):
        person = {"age": rng.uniform(-3, 60), "orders": float(rng.randrange(4))}
        chosen = rng.randrange(3)
        learner.learn(ARMS, person, chosen=chosen, reward=float(person["age"] > 20 * chosen), probability=1 / 3)
    frozen = Frozen(learner.saved(), ("age", "orders"))
    for person in ({"age": 30.0, "orders": 2.0}, {"age": -2.0, "orders": 0.0}, {}):
        parts = [frozen.parts(arm, person) for arm in ARMS]
        assert [name for name, _, _ in parts[0]] == [
            "",
            "arm",
            *(name for name in ("age", "orders") if person.get(name)),
        ]
        worth = [sum(weight * value for _, weight, value in one) for one in parts]
        shares = frozen.shares(ARMS, person)
        for one, share in zip(
            worth[1:], shares[1:], strict=True
        ):  # softmax at 10: what is worth a tenth more is e times as probable
            assert math.log(share / shares[0]) == pytest.approx(10 * (one - worth[0]), abs=1e-4)
