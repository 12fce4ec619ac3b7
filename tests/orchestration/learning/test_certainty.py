"""What a learner says of an arm is right as often as it says, after one decision as after a thousand."""

import numpy as np
import pytest
from scipy.stats import binom

from orchestration.decision.policies.learned import ArmState, Learned
from orchestration.learning.certainty import interval


def known(*rewards: float, size: float = 2.0) -> Learned:
    values = np.array(rewards)
    arms = {
        "a": ArmState(n=float(len(values)), reward=float(values.sum()), squares=float(np.square(values).sum())),
        "b": ArmState(n=100.0, reward=10.0, squares=10.0 * size),  # what others earn
    }
    return Learned(arms=arms)


@pytest.mark.parametrize("n", [1, 2, 5, 20, 300])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.4])
def test_of_a_reward_that_comes_or_not_the_interval_holds_at_every_size(n, share):
    """Exact: every count that can be, with its probability."""
    hits = np.arange(n + 1)
    covers = []
    for one in hits:
        low, high = interval(known(*[2.0] * one, *[0.0] * (n - one)), "a")
        covers.append(low <= 2.0 * share <= high)
    assert float((binom.pmf(hits, n, share) * np.array(covers)).sum()) >= 0.95


def test_of_rewards_of_many_sizes_it_holds_too():
    rng, held = np.random.default_rng(5), 0
    for _ in range(400):
        rewards = rng.choice([0.0, 0.3, 1.0], 30, p=[0.9, 0.06, 0.04])
        low, high = interval(known(*rewards, size=0.8), "a")
        held += low <= 0.3 * 0.06 + 0.04 <= high
    assert held >= 0.94 * 400


def test_who_was_only_disliked_may_be_liked_yet_and_fractions_of_decisions_are_sizes_too():
    state = known(-0.1, 0.0, -0.1)
    low, high = interval(state, "a")
    assert (-0.1 <= low < state.estimate("a") < high) is True
    assert high > 1.0  # three decisions: what others earn is not out of the question
    faded = Learned(arms={"a": ArmState(n=0.25, reward=0.1, squares=0.1)})
    assert interval(faded, "a")[1] == pytest.approx(1.0)
