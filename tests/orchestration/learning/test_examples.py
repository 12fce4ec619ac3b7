"""What a decision teaches: the variant that was shown, with the probability of showing it at all (decision.D5, D28)."""

import math
from datetime import timedelta
from types import SimpleNamespace
from typing import cast

import pytest

from orchestration.decision.engine import decide
from orchestration.decision.record import Record
from orchestration.decision.sealed import Opened
from orchestration.decision.store import Row
from orchestration.learning.rewards_store import Reward
from orchestration.learning.training import _example, _unfit
from tests.orchestration.conftest import NOW
from tests.orchestration.decision.support import arm, inputs


def opened(state, seed):
    made = decide(state, seed)
    arms = {one.id: one for one in state.arms}
    row = SimpleNamespace(
        person="per_1", at=None, variant=arms[made.choice].variant if made.choice in arms else None,
        propensity=made.propensity,
    )  # fmt: skip
    record = Record(decision_id="dec_1", seed=seed, inputs=state, outcome=made).to_json()
    return Opened(cast("Row", row), record, state)


@pytest.mark.parametrize(
    ("row", "reward", "why"),
    [
        ({}, {}, None), ({"propensity": 1.0}, {}, "no_choice"), ({"feature_set": "sha256:old"}, {}, "other_features"),
        ({}, None, "not_counted"), ({}, {"closes_at": NOW + timedelta(seconds=1)}, "window_open"),
    ],
)  # fmt: skip
def test_what_is_no_choice_of_these_features_or_may_still_earn_teaches_nothing(row, reward, why):
    """D41: of an open window only the early outcomes are known."""
    told = cast("Row", SimpleNamespace(**({"propensity": 0.5, "feature_set": "sha256:f"} | row)))
    counted = None if reward is None else cast("Reward", SimpleNamespace(**({"closes_at": NOW} | reward)))
    assert _unfit(told, counted, NOW, "sha256:f") == why


def test_a_variant_on_two_channels_counts_with_the_probability_of_both():
    """What is learned names no channel, so that importance weights of the probability on one channel would add up to the number of channels."""
    both = [arm("a", channel, place, epsilon=0.5) for place, channel in enumerate(("email", "web"))]
    things = [arm(f"card~{item}~r", "web", 2 + place, family="card", item=item, epsilon=0.5) for place, item in enumerate("xy")]  # fmt: skip
    state = inputs([*both, *things, arm("b", "web", 4, epsilon=0.5)], nothing_value=0.0)
    made = [opened(state, f"{number}") for number in range(400)]
    chance = dict.fromkeys(("a", "b", "card", "nothing"), 0.0)
    for name, share in made[0].probabilities():
        chance[name.partition("@")[0].partition("~")[0]] += share
    examples = [_example(one, 0.0) for one in made]
    assert {one.arm for one in examples} == set(chance)
    assert all(one.propensity == pytest.approx(chance[one.arm], abs=1e-15) for one in examples)
    # Weights of a policy that shows any of them alike have the mean of one that they must have.
    weights = [0.25 / one.propensity for one in examples]
    assert math.fsum(weights) / len(weights) == pytest.approx(1.0, abs=0.15)
