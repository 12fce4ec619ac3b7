"""Features that know the answer are refused by name, honest ones are not; what is watched after a model rules (features.F46, decision.D46)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.learning.errors import LeakFound
from orchestration.learning.figures import SCORE, drift, moments, variants
from orchestration.learning.gate import learn_gate
from orchestration.learning.leaks import refuse, suspects
from orchestration.learning.logs import Log
from orchestration.learning.settings import LearningSettings
from orchestration.learning.weekly import drifted, refused, weak
from tests.profiles.making import AT

SETTINGS = LearningSettings()
ROWS = 3000


def log(column, usual=0.1, seed=1) -> Log:
    rng = np.random.default_rng(seed)
    taste = rng.normal(size=ROWS)
    answered = rng.random(ROWS) < np.minimum(usual * np.exp(taste) / np.exp(0.5), 0.8)
    features = np.column_stack([taste, column(answered, rng)])
    return Log(
        ("a", "b"), rng.integers(0, 2, ROWS), answered.astype(float), np.full(ROWS, 0.5), features, ("taste", "it")
    )


@pytest.mark.parametrize(
    "column",
    [
        lambda answered, rng: answered * rng.exponential(50, ROWS),  # what was paid after the choice
        lambda answered, rng: np.where(
            answered & (rng.random(ROWS) < 0.3), 1.0, 0.0
        ),  # a mark set for some who answered
        lambda answered, rng: np.where(answered, rng.normal(size=ROWS), np.nan),  # written when somebody answers
        lambda answered, rng: -1.0 * answered + rng.normal(0, 0.01, ROWS),
    ],
)
def test_a_feature_that_knows_the_answer_is_refused_by_name(column):
    with pytest.raises(LeakFound, match="it alone") as caught:
        refuse(log(column), SETTINGS)
    assert "moment" in caught.value.remedy


@settings(max_examples=10)
@given(st.integers(0, 10_000), st.sampled_from([0.05, 0.2, 0.4]))
def test_honest_features_are_not(seed, usual):
    made = log(lambda answered, rng: rng.integers(0, 30, ROWS) + 2.0 * rng.normal(size=ROWS) * answered, usual, seed)
    assert suspects(made.features, made.reward > 0, made.feature_names, SETTINGS) == []


def test_too_few_answers_say_nothing():
    made = log(lambda answered, rng: answered.astype(float), usual=0.002)
    assert suspects(made.features[:300], made.reward[:300] > 0, made.feature_names, SETTINGS) == []


def test_a_variant_below_what_was_promised_is_told_of_and_one_that_keeps_its_promise_is_not():
    made = log(lambda answered, rng: rng.normal(size=ROWS))
    promised = np.where(made.arm == 0, 0.1, 0.3)
    told = variants(made, promised, np.ones(ROWS, dtype=bool), 100)
    assert [(one["variant"], one["weak"]) for one in told] == [("a", False), ("b", True)]
    assert [one["weak"] for one in variants(made, promised, np.arange(ROWS) < 60, 100)] == [False, False]
    assert variants(made, promised, np.zeros(ROWS, dtype=bool), 100) == []


def test_the_gate_holds_what_a_column_promises_that_knows_the_answer(tmp_path):
    made = log(lambda answered, rng: answered * rng.exponential(50, ROWS))
    lines = [
        f"{'ab'[arm]},{int(reward)},{taste},{paid}"
        for arm, reward, (taste, paid) in zip(made.arm, made.reward, made.features, strict=True)
    ]
    (tmp_path / "log.csv").write_text("\n".join(["arm,bought,taste,paid", *lines]))
    quick = LearningSettings(trees=10)
    plain = {"arm": "arm", "reward": "bought", "propensity": "0.5", "fold_count": 2, "repeats": 1, "settings": quick}
    told = learn_gate(tmp_path / "log.csv", features=("taste", "paid"), **plain)
    assert (told["vs_uniform"]["decision"], told["vs_best_fixed"]["decision"], told["refused"]) == (
        "hold",
        "hold",
        True,
    )
    assert told["reason"].startswith("paid knows the answer")
    assert learn_gate(tmp_path / "log.csv", features=("taste",), **plain)["reason"] is None


class Judged:
    def __init__(self, **evaluation):
        self.evaluation = evaluation


class Stands:
    outcome = "leak"
    facts = {"why": "expected features that were known"}


def test_alarms_tell_of_scores_that_moved_weak_variants_and_refused_models():
    rng = np.random.default_rng(3)
    then, now = (moments(rng.normal(mean, 1, 500), [AT] * 500, 14) for mean in (0, 2))
    told = drifted(Judged(drift=drift(then, now)), 0.5)
    assert len(told) == 1
    assert told[0].startswith("the score of the model that rules moved by")
    assert drifted(Judged(drift=drift(then, then)), 0.5) == []
    assert SCORE not in drift({}, now)
    one = {"variant": "b", "decisions": 400, "predicted": 0.3, "observed": 0.1, "weak": True}
    assert weak(Judged(variants=[one, {**one, "weak": False}])) == [
        "variant b brought 0.1 where 0.3 was predicted, over 400 decisions: review it"
    ]
    assert weak(None) == []
    assert refused(Stands()) == ["no model was made: expected features that were known"]
