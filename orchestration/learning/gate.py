"""May the learner rule? Its cross-fitted policy against uniform, the best fixed arm and the current model (DESIGN 5.6).

Differences are paired: both policies are judged on the same rows by the same doubly robust scores, so what they share cancels (decision.D29).
Several cross-fits are made and their median is reported; the interval adds their spread (Chernozhukov et al. 2018, section 3.4).
Promotion needs a lower end above zero; anything else is "hold".
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kernel.canonical import Json
from orchestration.learning.evaluation import (
    Z95,
    Estimate,
    cross_fit,
    doubly_robust,
    folds,
    greedy,
    mean_of,
    named_policy,
    support,
)
from orchestration.learning.leaks import held_back
from orchestration.learning.logs import Floats, Log, read_log
from orchestration.learning.settings import LearningSettings


@dataclass(frozen=True, slots=True)
class Round:
    """One cross-fit: expected reward of every arm by a model that has not seen the row, the greedy policy of it, doubly robust scores."""

    values: Floats
    policy: Floats
    scores: Floats


@dataclass(frozen=True, slots=True)
class Other:
    """A policy to beat, `float64[n, K]`, and the rows on which it may be compared; None: all."""

    policy: Floats
    rows: NDArray[np.bool_] | None = None


def rounds(log: Log, settings: LearningSettings, weight: Floats | None = None) -> list[Round]:
    """Several cross-fits of one log. `weight`: of each row in training."""

    def turn(number: int) -> Round:
        seeded = settings.model_copy(update={"seed": settings.seed + 1000 * number})
        values = cross_fit(log, folds(len(log), settings.folds, seeded.seed), seeded, weight)
        return Round(values, greedy(values), doubly_robust(log, values))

    # Each fit is one thread's work and outside the interpreter's lock: side by side they give the same bits in less time.
    with ThreadPoolExecutor(max_workers=min(settings.repeats, os.cpu_count() or 1)) as pool:
        return list(pool.map(turn, range(settings.repeats)))


def gate(log: Log, settings: LearningSettings, *, others: Mapping[str, Floats] | None = None) -> dict[str, Json]:
    """The answer of `candor learn gate`. `others`: further policies to beat, `float64[n, K]` each."""
    return answer(log, rounds(log, settings), {name: Other(policy) for name, policy in (others or {}).items()})


def answer(
    log: Log, made: Sequence[Round], others: Mapping[str, Other], counts: Floats | None = None
) -> dict[str, Json]:
    """What the cross-fits say. `others`: further policies to beat; `vs_current` is the one in production. `counts`: how much each row counts."""
    arms = len(log.arms)
    uniform = np.full((len(log), arms), 1.0 / arms)
    fixed = _best_fixed(log, [one.scores for one in made], counts)
    constant = np.eye(arms)[np.full(len(log), fixed)]
    refusal = next((why for one in made if (why := support(log, one.policy, counts).refusal)), None)
    return {
        "vs_uniform": _versus(log, made, Other(uniform), refusal, counts),
        "vs_best_fixed": _versus(log, made, Other(constant), refusal, counts),
        "vs_current": None,
        "policy_value": _median([mean_of((one.policy * one.scores).sum(axis=1), counts) for one in made]).to_json(),
        "best_fixed": log.arms[fixed],
        "refused": refusal is not None,
        "reason": refusal,
        **{name: _versus(log, made, other, refusal, counts) for name, other in others.items()},
    }


def _versus(
    log: Log, made: Sequence[Round], other: Other, refusal: str | None, counts: Floats | None
) -> dict[str, Json]:  # fmt: skip
    """The paired difference to another policy. What this log cannot say of the other one (it was hardly ever shown) is no reason to promote."""
    refusal = refusal or support(log, other.policy, counts, other.rows).refusal
    rows = slice(None) if other.rows is None else other.rows
    gained = [((one.policy - other.policy) * one.scores).sum(axis=1)[rows] for one in made]
    found = _median([mean_of(one, None if counts is None else counts[rows]) for one in gained])
    good = refusal is None and found.low > 0
    return {
        "decision": "promote" if good else "hold", "diff": found.value, "low": found.low, "high": found.high,
        **({"reason": refusal} if refusal is not None else {}),
    }  # fmt: skip


def _median(found: Sequence[Estimate]) -> Estimate:
    value = float(np.median([one.value for one in found]))
    spread = [((one.high - one.value) / Z95) ** 2 + (one.value - value) ** 2 for one in found]
    half = Z95 * float(np.sqrt(np.median(spread)))
    return Estimate(value, value - half, value + half)


def _best_fixed(log: Log, rounds: Sequence[Floats], counts: Floats | None) -> int:
    """The arm with the highest median value among those shown often enough to be judged."""
    value = np.median([np.average(scores, axis=0, weights=counts) for scores in rounds], axis=0)
    shown = np.bincount(log.arm, minlength=len(log.arms))
    enough = shown >= max(100.0, 0.01 * len(log))
    return int(np.where(enough, value, -np.inf).argmax() if enough.any() else value.argmax())


def learn_gate(
    path: Path, *, arm: str, reward: str, propensity: str, features: tuple[str, ...] = (), fold_count: int = 5,
    repeats: int = 5, seed: int | None = None, settings: LearningSettings | None = None, current: str | None = None,
) -> Mapping[str, Json]:  # fmt: skip
    """`candor learn gate LOG …` as a function: no store, no configuration. `current`: the policy in production, in the words of `named_policy`."""
    base = settings or LearningSettings()
    chosen = base.model_copy(
        update={"folds": fold_count, "repeats": repeats, "seed": base.seed if seed is None else seed}
    )
    log = read_log(path, arm=arm, reward=reward, propensity=propensity, features=features)
    found = gate(log, chosen, others={"vs_current": named_policy(log, current)} if current is not None else None)
    return held_back(found, log, chosen)
