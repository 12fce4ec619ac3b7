"""May the learner rule? Its cross-fitted policy against uniform, the best fixed arm and the current model (DESIGN 5.6).

Differences are paired: both policies are judged on the same rows by the same doubly robust scores, so what they share cancels (decision.D29).
Several cross-fits are made and their median is reported; the interval adds their spread (Chernozhukov et al. 2018, section 3.4).
Promotion needs a lower end above zero; anything else is "hold".
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kernel.canonical import Json
from orchestration.learning.evaluation import Z95, Estimate, cross_fit, doubly_robust, folds, greedy, mean_of, support
from orchestration.learning.logs import Floats, Log, read_log
from orchestration.learning.settings import LearningSettings


def gate(log: Log, settings: LearningSettings, *, others: Mapping[str, Floats] | None = None) -> dict[str, Json]:
    """The answer of `candor learn gate`. `others`: further policies to beat, `float64[n, K]` each; `vs_current` is the one in production."""
    arms = len(log.arms)
    uniform = np.full((len(log), arms), 1.0 / arms)
    rounds: list[tuple[Floats, Floats]] = []
    for turn in range(settings.repeats):
        seeded = settings.model_copy(update={"seed": settings.seed + 1000 * turn})
        values = cross_fit(log, folds(len(log), settings.folds, seeded.seed), seeded)
        rounds.append((greedy(values), doubly_robust(log, values)))
    fixed = _best_fixed(log, [scores for _, scores in rounds])
    constant = np.eye(arms)[np.full(len(log), fixed)]
    refusal = next((why for policy, _ in rounds if (why := support(log, policy).refusal)), None)
    return {
        "vs_uniform": _versus(rounds, uniform, refusal),
        "vs_best_fixed": _versus(rounds, constant, refusal),
        "vs_current": None,
        "policy_value": _median([mean_of((policy * scores).sum(axis=1)) for policy, scores in rounds]).to_json(),
        "best_fixed": log.arms[fixed],
        "refused": refusal is not None,
        "reason": refusal,
        **{name: _versus(rounds, policy, refusal) for name, policy in (others or {}).items()},
    }


def _versus(rounds: Sequence[tuple[Floats, Floats]], other: Floats, refusal: str | None) -> dict[str, Json]:
    found = _median([mean_of(((policy - other) * scores).sum(axis=1)) for policy, scores in rounds])
    good = refusal is None and found.low > 0
    return {"decision": "promote" if good else "hold", "diff": found.value, "low": found.low, "high": found.high}


def _median(found: Sequence[Estimate]) -> Estimate:
    value = float(np.median([one.value for one in found]))
    spread = [((one.high - one.value) / Z95) ** 2 + (one.value - value) ** 2 for one in found]
    half = Z95 * float(np.sqrt(np.median(spread)))
    return Estimate(value, value - half, value + half)


def _best_fixed(log: Log, rounds: Sequence[Floats]) -> int:
    """The arm with the highest median value among those shown often enough to be judged."""
    value = np.median([scores.mean(axis=0) for scores in rounds], axis=0)
    shown = np.bincount(log.arm, minlength=len(log.arms))
    enough = shown >= max(100.0, 0.01 * len(log))
    return int(np.where(enough, value, -np.inf).argmax() if enough.any() else value.argmax())


def learn_gate(
    path: Path, *, arm: str, reward: str, propensity: str, features: tuple[str, ...] = (), fold_count: int = 5,
    repeats: int = 5, seed: int | None = None, settings: LearningSettings | None = None,
) -> Mapping[str, Json]:  # fmt: skip
    """`candor learn gate LOG …` as a function: no store, no configuration."""
    base = settings or LearningSettings()
    chosen = base.model_copy(
        update={"folds": fold_count, "repeats": repeats, "seed": base.seed if seed is None else seed}
    )
    return gate(read_log(path, arm=arm, reward=reward, propensity=propensity, features=features), chosen)
