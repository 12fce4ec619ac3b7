"""Off-policy evaluation: right on a simulator with a known truth, silent where it must be. decision.D25-D29."""

import numpy as np
import pandas as pd
import pytest

from orchestration.learning.errors import LogUnusable, PolicyUnusable, PropensityMissing
from orchestration.learning.evaluation import evaluate, evaluate_log, named_policy, support
from orchestration.learning.gate import gate, learn_gate
from orchestration.learning.logs import Log, read_log
from orchestration.learning.settings import LearningSettings
from tests.support.shared import shared_path

QUICK = LearningSettings(trees=60)
HILLSTROM = ("recency", "history", "mens", "womens", "zip_code", "newbie", "channel")


def simulate(n=3000, seed=0, sharp=1.0):
    """Three arms; the reward of arm a is Bernoulli(mean[a](x)); logging is a softmax, so the truth of any policy is exact."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    mean = 0.2 + 0.3 / (1 + np.exp(-np.column_stack([x[:, 0], -x[:, 0], x[:, 1]])))
    logit = sharp * np.column_stack([x[:, 0], np.zeros(n), x[:, 1]])
    p = np.exp(logit) / np.exp(logit).sum(1, keepdims=True)
    arm = (p.cumsum(1) > rng.random((n, 1))).argmax(1)
    reward = (rng.random(n) < mean[np.arange(n), arm]).astype(float)
    return Log(("a", "b", "c"), arm, reward, p[np.arange(n), arm], x, ("x0", "x1")), mean


def test_on_a_simulator_the_estimates_are_near_the_truth_and_the_intervals_cover_it():
    errors, covered = {"ips": [], "snips": [], "dr": []}, {"ips": 0, "snips": 0, "dr": 0}
    reps = 40
    for rep in range(reps):
        log, mean = simulate(seed=rep)
        truth = mean.mean()
        made = evaluate(log, "uniform", QUICK)["estimators"]
        for name, one in made.items():
            errors[name].append(abs(one["value"] - truth) / truth)
            covered[name] += one["low"] <= truth <= one["high"]
    assert np.mean(errors["dr"]) <= 0.04
    assert np.mean(errors["snips"]) <= 0.04
    assert min(covered.values()) >= 0.85 * reps


def test_doubly_robust_is_narrower_than_inverse_propensity():
    log, _ = simulate(seed=3)
    made = evaluate(log, "uniform", QUICK)["estimators"]
    assert made["dr"]["high"] - made["dr"]["low"] < made["ips"]["high"] - made["ips"]["low"]


def flat(n, p):
    arm = np.arange(n) % 2
    return Log(("a", "b"), arm, np.ones(n), np.where(arm == 0, p, 1 - p), np.empty((n, 0)), ())


@pytest.mark.parametrize(
    ("log", "policy", "refused"),
    [
        (flat(200, 0.5), "uniform", False),  # an effective sample of exactly 200
        (flat(100, 0.5), "uniform", False),  # exactly at the floor of 100
        (flat(98, 0.5), "uniform", True),  # below it
        (flat(150, 0.5), "arm:a", True),  # 75 rows speak for arm a
    ],
)
def test_a_number_is_given_exactly_when_the_rules_allow_it(log, policy, refused):
    made = evaluate(log, policy, QUICK)
    assert made["refused"] is refused
    assert bool(made["estimators"]) is not refused
    assert (made["reason"] is not None) is refused


def test_a_single_heavy_row_is_refused_and_low_overlap_too():
    heavy = flat(2000, 0.5)
    heavy.propensity[0] = 0.5 / 120  # 120 times the weight of the others: 5.7 % of all, and an effective size of 274
    assert "of the weight" in evaluate(heavy, "uniform", QUICK)["reason"]
    assert evaluate(heavy, "uniform", QUICK)["estimators"] == {}
    log = flat(2000, 0.9)
    probs = np.zeros((2000, 2))
    probs[:, 0] = 0.7
    assert "overlap" in support(log, probs * 0.9).refusal


def test_what_cannot_be_read_is_refused_with_a_remedy(tmp_path):
    path = tmp_path / "log.csv"
    pd.DataFrame({"arm": ["None", "b"], "r": [1, 0], "p": [0.5, None]}).to_csv(path, index=False)
    with pytest.raises(PropensityMissing, match="1 rows"):
        read_log(path, arm="arm", reward="r", propensity="p")
    with pytest.raises(PropensityMissing):
        read_log(path, arm="arm", reward="r", propensity="1.5")
    with pytest.raises(LogUnusable, match="did you mean 'arm'"):
        read_log(path, arm="arms", reward="r", propensity="0.5")
    with pytest.raises(LogUnusable, match="nothing at"):
        read_log(tmp_path / "none.csv", arm="arm", reward="r", propensity="0.5")
    log = read_log(path, arm="arm", reward="r", propensity="0.5")
    assert log.arms == ("None", "b")
    with pytest.raises(PolicyUnusable, match="it has: None, b"):
        named_policy(log, "arm:c")
    with pytest.raises(PolicyUnusable):
        named_policy(log, "best")
    for odd in (1e308, float("inf"), None, "many"):  # of the first an estimate would be no number, and no JSON
        pd.DataFrame({"arm": ["a", "b"], "r": [odd, 0]}).to_csv(path, index=False)
        with pytest.raises(LogUnusable, match="got 1 rows without"):
            read_log(path, arm="arm", reward="r", propensity="0.5")


def test_the_same_log_is_the_same_in_every_format(tmp_path):
    table = pd.DataFrame(
        {"arm": [1, 2] * 100, "r": [0, 1] * 100, "p": [0.5] * 200, "where": ["x", "y", "x", None] * 50}
    )
    table.to_csv(tmp_path / "a.csv.gz", index=False)
    table.to_parquet(tmp_path / "a.parquet")
    table.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    table.to_csv(tmp_path / "a.tsv", index=False, sep="\t")
    logs = [
        read_log(tmp_path / name, arm="arm", reward="r", propensity="p", features=("where",))
        for name in ("a.csv.gz", "a.parquet", "a.jsonl", "a.tsv")
    ]
    for log in logs:
        assert log.arms == ("1", "2")
        assert log.feature_names == ("where=x", "where=y")
        assert np.array_equal(log.features, logs[0].features)
        assert np.array_equal(log.arm, logs[0].arm)


def test_probabilities_from_a_file_are_checked_and_used(tmp_path):
    log, mean = simulate(seed=5)
    good = pd.DataFrame({"a": 0.2, "b": 0.3, "c": 0.5}, index=range(len(log)))
    good.to_parquet(tmp_path / "p.parquet")
    made = evaluate(log, f"probs:{tmp_path / 'p.parquet'}", QUICK)
    truth = (mean @ np.array([0.2, 0.3, 0.5])).mean()
    assert abs(made["estimators"]["dr"]["value"] - truth) < 0.03
    good[["a", "b"]].to_parquet(tmp_path / "q.parquet")
    with pytest.raises(PolicyUnusable, match="sum to 1"):
        named_policy(log, f"probs:{tmp_path / 'q.parquet'}")
    good.head(5).to_parquet(tmp_path / "r.parquet")
    with pytest.raises(PolicyUnusable, match="one per log row"):
        named_policy(log, f"probs:{tmp_path / 'r.parquet'}")


def test_the_gate_promotes_where_the_arms_differ_by_person_and_holds_where_they_do_not():
    log, _ = simulate(n=6000, seed=2, sharp=0.3)
    made = gate(log, QUICK.model_copy(update={"repeats": 3}))
    assert made["vs_uniform"]["decision"] == "promote"
    assert made["vs_best_fixed"]["decision"] == "promote"
    rng = np.random.default_rng(0)
    dull = Log(
        log.arms, log.arm, (rng.random(len(log)) < 0.3).astype(float), log.propensity, log.features, log.feature_names
    )
    assert gate(dull, QUICK.model_copy(update={"repeats": 3}))["vs_best_fixed"]["decision"] == "hold"


def test_the_gate_compares_with_the_policy_in_production():
    log, mean = simulate(n=6000, seed=4, sharp=0.3)
    best = np.eye(3)[mean.argmax(1)]
    made = gate(log, QUICK.model_copy(update={"repeats": 1}), others={"vs_current": best})
    assert made["vs_current"]["decision"] == "hold"
    worst = np.eye(3)[mean.argmin(1)]
    assert (
        gate(log, QUICK.model_copy(update={"repeats": 1}), others={"vs_current": worst})["vs_current"]["decision"]
        == "promote"
    )


def test_nothing_is_better_than_what_the_log_hardly_ever_showed():
    """The declared rule was shown four times and bought nothing by chance: that is no evidence against it."""
    rng = np.random.default_rng(0)
    arm = np.where(rng.random(2000) < 0.002, 2, rng.integers(0, 2, 2000))
    features = rng.random((2000, 2))
    reward = (rng.random(2000) < np.array([0.1, 0.12, 0.3])[arm]).astype(np.float64)
    log = Log(("none", "offer", "plain"), arm, reward, np.where(arm == 2, 0.002, 0.499), features, ("a", "b"))
    rules, absent = np.zeros((2000, 3)), np.zeros((2000, 3))
    rules[:, 2] = 1.0
    found = gate(log, LearningSettings(repeats=2, trees=20), others={"vs_rules": rules, "vs_absent": absent})
    assert found["vs_rules"]["low"] > 0
    assert found["vs_rules"]["decision"] == found["vs_absent"]["decision"] == "hold"
    assert "effective sample size" in found["vs_rules"]["reason"]


@pytest.mark.shared
def test_on_hillstrom_the_gate_beats_uniform_and_claims_nothing_over_the_best_fixed_arm():
    """decision.D31."""
    path = shared_path("data/hillstrom/hillstrom_even.csv")
    visit = learn_gate(path, arm="segment", reward="visit", propensity="0.3333333333", features=HILLSTROM)
    assert visit["vs_uniform"]["decision"] == "promote"
    assert visit["vs_uniform"]["low"] >= 0.025
    assert visit["vs_best_fixed"]["decision"] == "hold"
    assert visit["best_fixed"] == "Mens E-Mail"
    conversion = learn_gate(path, arm="segment", reward="conversion", propensity="0.3333333333", features=HILLSTROM)
    assert conversion["vs_best_fixed"]["decision"] == "hold"


@pytest.mark.shared
def test_on_hillstrom_a_fixed_arm_is_valued_at_what_it_earned():
    path = shared_path("data/hillstrom/hillstrom_even.csv")
    made = evaluate_log(
        path, arm="segment", reward="visit", propensity="0.3333333333", features=HILLSTROM, policy="arm:Mens E-Mail"
    )
    table = pd.read_csv(path)
    truth = table.loc[table.segment == "Mens E-Mail", "visit"].mean()
    assert made["estimators"]["snips"]["value"] == pytest.approx(truth)
    assert made["estimators"]["dr"]["value"] == pytest.approx(truth, abs=0.002)
    assert made["n"] == len(table)
