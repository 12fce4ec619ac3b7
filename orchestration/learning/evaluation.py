"""What another policy would have earned, from a log of decisions with their propensities.

Estimators: inverse propensity (IPS), its self-normalised form (SNIPS) and doubly robust with cross-fitting (Dudik et al. 2011; Chernozhukov et
al. 2018), each with a 95 % interval. Refusal rules of decision.D27. Enters: a `Log` and the policy's probabilities `float64[n, K]`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kernel.canonical import Json
from orchestration.learning.errors import PolicyUnusable
from orchestration.learning.logs import Floats, Log, Whole, read_log
from orchestration.learning.ranker import arm_values
from orchestration.learning.settings import LearningSettings

Z95 = 1.959963984540054
LEAST_ESS, ESS_SHARE, MOST_WEIGHT, LEAST_OVERLAP = 100.0, 0.01, 0.05, 0.8  # decision.D27


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, Json]:
        """As printed."""
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True)
class Support:
    """How much of the log speaks for the policy."""

    n: int
    ess: float
    max_weight: float
    overlap: float

    @property
    def refusal(self) -> str | None:
        """Why no number may be given, or None."""
        floor = max(LEAST_ESS, ESS_SHARE * self.n)
        if self.ess < floor * (1 - 1e-9):
            return f"effective sample size {self.ess:.1f} is below {floor:.0f}"
        if self.max_weight > MOST_WEIGHT:
            return f"one row carries {self.max_weight:.1%} of the weight, more than {MOST_WEIGHT:.0%}"
        if self.overlap < LEAST_OVERLAP:
            return f"overlap {self.overlap:.2f} is below {LEAST_OVERLAP}"
        return None


def weights(log: Log, policy: Floats) -> Floats:
    """Importance weights: the policy's probability of what was shown over the logged one."""
    return policy[np.arange(len(log)), log.arm] / log.propensity


def support(
    log: Log, policy: Floats, counts: Floats | None = None, rows: NDArray[np.bool_] | None = None
) -> Support:  # fmt: skip
    """The figures behind a refusal. Only the shown arm's propensity is known, so overlap is min(1, mean weight).

    `counts`: how much each row counts, of mean one; None: all alike. `rows`: those that are looked at; None: all.
    """
    weight = weights(log, policy) if counts is None else weights(log, policy) * counts
    weight = weight if rows is None else weight[rows]
    total, squares = float(weight.sum()), float(np.square(weight).sum())
    if total <= 0:
        return Support(len(weight), 0.0, 0.0, 0.0)
    return Support(len(weight), total**2 / squares, float(weight.max()) / total, min(1.0, total / len(weight)))


def folds(count: int, parts: int, seed: int) -> Whole:
    """A fold number per row, equal sizes, shuffled by `seed`."""
    return np.asarray(np.random.default_rng(seed).permutation(count) % min(parts, count), dtype=np.int64)


def cross_fit(log: Log, part: Whole, settings: LearningSettings, weight: Floats | None = None) -> Floats:
    """Expected reward of every arm per row, each row judged by a model that has not seen its fold: `float64[n, K]`."""
    made = np.empty((len(log), len(log.arms)))
    for fold in range(int(part.max()) + 1):
        test = part == fold
        rest = ~test
        made[test] = arm_values(
            log.features[rest], log.arm[rest], log.reward[rest], log.features[test], len(log.arms), settings,
            None if weight is None else weight[rest],
        )  # fmt: skip
    return made


def greedy(values: Floats) -> Floats:
    """The policy that takes the best arm of every row; the first of equals."""
    chosen: Floats = np.eye(values.shape[1])[values.argmax(axis=1)]
    return chosen


def doubly_robust(log: Log, values: Floats) -> Floats:
    """The doubly robust score of every arm in every row: `float64[n, K]`; its policy-weighted mean is unbiased."""
    rows = np.arange(len(log))
    scores = values.copy()
    scores[rows, log.arm] += (log.reward - values[rows, log.arm]) / log.propensity
    return scores


def mean_of(scores: Floats, counts: Floats | None = None) -> Estimate:
    """Mean and normal interval of independent scores. `counts`: how much each counts; None: all alike."""
    if counts is None:
        value = float(scores.mean())
        half = Z95 * float(scores.std(ddof=1)) / math.sqrt(len(scores)) if len(scores) > 1 else math.inf
    else:
        share = counts / counts.sum()
        value = float((share * scores).sum())
        half = Z95 * math.sqrt(float(np.square(share * (scores - value)).sum())) if len(scores) > 1 else math.inf
    return Estimate(value, value - half, value + half)


def skewed_mean_of(scores: Floats) -> Estimate:
    """Mean of independent scores with an interval that leans the way they do.

    Importance weights make scores lean to the right, and the normal interval then lies too low. Hall's monotone cubic transformation of the
    t statistic (Hall 1992, "On the removal of skewness by transformation", J. R. Statist. Soc. B 54) takes the first-order skewness out.
    """
    count, value = len(scores), float(scores.mean())
    spread = float(scores.std(ddof=1)) if count > 1 else math.inf
    if not 0 < spread < math.inf:
        return Estimate(value, value - spread, value + spread)
    lean = float(((scores - value) ** 3).mean()) / spread**3 / math.sqrt(count)
    error = spread / math.sqrt(count)
    return Estimate(value, value - error * _unskewed(Z95, lean), value - error * _unskewed(-Z95, lean))


def _unskewed(at: float, lean: float) -> float:
    """The inverse of Hall's cubic t + lean t^2/3 + lean^2 t^3/27 + lean/6, at a normal quantile."""
    if abs(lean) < 1e-9:
        return at
    return 3 / lean * (math.cbrt(1 + lean * (at - lean / 6)) - 1)


def estimates(log: Log, policy: Floats, values: Floats) -> dict[str, Estimate]:
    """IPS, SNIPS and DR of a policy with enough support."""
    weight = weights(log, policy)
    value = float((weight * log.reward).sum() / weight.sum())
    # A ratio's influence function: what each row moves it by (Owen 2013, Monte Carlo theory, section 9.2).
    moved = value + weight * (log.reward - value) / float(weight.mean())
    return {
        "ips": skewed_mean_of(weight * log.reward),
        "snips": skewed_mean_of(moved),
        "dr": skewed_mean_of((policy * doubly_robust(log, values)).sum(axis=1)),
    }


def differences(log: Log, policy: Floats, other: Floats, values: Floats) -> dict[str, Estimate]:
    """What a policy earns more than another, from the same rows: what both share cancels (Jeunehomme et al. 2024, "Delta-OPE"; decision.D29)."""
    one, two = weights(log, policy), weights(log, other)
    first, second = float((one * log.reward).sum() / one.sum()), float((two * log.reward).sum() / two.sum())
    moved = one * (log.reward - first) / float(one.mean()) - two * (log.reward - second) / float(two.mean())
    return {
        "ips": skewed_mean_of((one - two) * log.reward),
        "snips": skewed_mean_of(first - second + moved),
        "dr": skewed_mean_of(((policy - other) * doubly_robust(log, values)).sum(axis=1)),
    }


def evaluate(log: Log, policy: str, settings: LearningSettings, *, against: str | None = None) -> dict[str, Json]:
    """The answer of `candor evaluate`; with `against` also the paired `difference` to that policy."""
    part = folds(len(log), settings.folds, settings.seed)
    values: Floats | None = None
    if policy == "ranker":
        values = cross_fit(log, part, settings)
        target = greedy(values)
    else:
        target = named_policy(log, policy)
    found = support(log, target)
    answer: dict[str, Json] = {
        "n": found.n, "ess": found.ess, "max_weight": found.max_weight, "overlap": found.overlap,
        "refused": found.refusal is not None, "reason": found.refusal, "estimators": {},
    }  # fmt: skip
    if found.refusal is None:
        values = cross_fit(log, part, settings) if values is None else values
        made = estimates(log, target, values)
        answer["estimators"] = {name: one.to_json() for name, one in made.items()}
    if against is not None:
        other = greedy(cross_fit(log, part, settings) if values is None else values) if against == "ranker" else named_policy(log, against)  # fmt: skip
        answer["difference"] = _difference(log, target, other, values, found.refusal)
    return answer


def _difference(log: Log, target: Floats, other: Floats, values: Floats | None, refusal: str | None) -> dict[str, Json]:
    refusal = refusal or support(log, other).refusal
    found = differences(log, target, other, values) if refusal is None and values is not None else {}
    return {
        "refused": refusal is not None, "reason": refusal,
        "estimators": {name: one.to_json() for name, one in found.items()},
    }  # fmt: skip


def named_policy(log: Log, policy: str) -> Floats:
    """`uniform`, `arm:NAME` or `probs:FILE` as probabilities over the log's arms: `float64[n, K]`.

    A column of `probs` for an arm the log never showed keeps its mass out: the overlap tells.

    Raises:
        PolicyUnusable: another word, an arm the log lacks, a file that does not fit.
    """
    kind, _, rest = policy.partition(":")
    shape = (len(log), len(log.arms))
    if policy == "uniform":
        return np.full(shape, 1.0 / len(log.arms))
    if kind == "arm":
        if rest not in log.arms:
            raise PolicyUnusable(f"expected an arm of the log, got '{rest}'; it has: {', '.join(log.arms[:20])}")
        made = np.zeros(shape)
        made[:, log.arms.index(rest)] = 1.0
        return made
    if kind != "probs":
        raise PolicyUnusable(f"expected uniform, ranker, arm:NAME or probs:FILE, got '{policy[:40]}'")
    return _probs(log, Path(rest))


def _probs(log: Log, path: Path) -> Floats:
    import pandas as pd

    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as fault:
        raise PolicyUnusable(
            f"expected a Parquet file, got an unreadable {path.name} ({type(fault).__name__})"
        ) from None
    table.columns = [str(one) for one in table.columns]
    if len(table) != len(log):
        raise PolicyUnusable(f"expected {len(log)} rows in {path.name}, one per log row, got {len(table)}")
    if not set(table.columns) & set(log.arms):
        raise PolicyUnusable(f"expected a column per arm ({', '.join(log.arms[:10])}), got none of them")
    try:
        mass = table.to_numpy(dtype=np.float64)
    except (TypeError, ValueError):
        raise PolicyUnusable(f"expected only numbers in {path.name}, one column per arm") from None
    if not np.isfinite(mass).all() or (mass < 0).any() or (np.abs(mass.sum(axis=1) - 1) > 1e-4).any():
        raise PolicyUnusable(f"expected every row of {path.name} to be probabilities that sum to 1")
    made = np.zeros((len(log), len(log.arms)))
    for place, name in enumerate(log.arms):
        if name in table.columns:
            made[:, place] = mass[:, list(table.columns).index(name)]
    return made


def evaluate_log(
    path: Path, *, arm: str, reward: str, propensity: str, policy: str, features: tuple[str, ...] = (),
    seed: int | None = None, settings: LearningSettings | None = None, against: str | None = None,
) -> Mapping[str, Json]:  # fmt: skip
    """`candor evaluate LOG …` as a function: no store, no configuration."""
    chosen = settings or LearningSettings()
    if seed is not None:
        chosen = chosen.model_copy(update={"seed": seed})
    log = read_log(path, arm=arm, reward=reward, propensity=propensity, features=features)
    return evaluate(log, policy, chosen, against=against)
