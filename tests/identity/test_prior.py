"""The prior put right by transitivity: pairs that third records join, or do not, say how far probabilities are from shares."""

import numpy as np
import pytest

from identity.linkage import Edges
from identity.prior import FARTHEST, error, moved
from identity.training import LinkageModel


def seen(bits: float, pairs: int = 4000, seed: int = 1) -> tuple[Edges, np.ndarray]:
    """Faint pairs of records that both have company; each is of one person with the chance that its weight and `bits` give."""
    rng = np.random.default_rng(seed)
    weight = rng.uniform(-5, 0.99, pairs)
    same = rng.random(pairs) < 1 / (1 + np.exp2(-(weight + bits)))
    rows = np.arange(4 * pairs).reshape(pairs, 4)  # pairs (0, 2) of records whose companions are 1 and 3
    person = np.empty(4 * pairs, np.int64)
    person[rows[:, :2]] = rows[:, :1]
    person[rows[:, 2:]] = np.where(same, rows[:, 0], rows[:, 2])[:, None]
    return Edges(rows[:, 0], rows[:, 2], weight), person


@pytest.mark.parametrize("bits", [-1.0, 0.0, 2.0])
def test_the_error_of_the_prior_is_found(bits):
    assert error(*seen(bits)) == pytest.approx(bits, abs=0.3)


def test_few_pairs_say_nothing_and_lone_records_do_not_count():
    edges, person = seen(2.0, pairs=30)
    assert error(edges, person) == 0.0
    edges, person = seen(2.0)
    assert error(edges, np.arange(len(person))) == 0.0


def test_a_prior_is_moved_so_far_and_no_farther():
    assert error(*seen(9.0)) <= FARTHEST
    model = LinkageModel({"probability_two_random_records_match": 0.2}, {}, {"rows": 7})
    assert moved(model, 0.0) is model
    other = moved(model, 2.0)
    assert other.settings["probability_two_random_records_match"] == pytest.approx(0.5)
    assert other.trained == {"rows": 7, "prior_moved": 2.0}
    assert moved(model, 3.0).settings["probability_two_random_records_match"] == 0.5
