"""Off-policy estimates against an exact truth (spec decision.D25).

Enters: a world of a finite table, three logging policies. Leaves: mean relative errors and how often the 95 % intervals held the truth. Intervals are judged on more
repetitions than errors: at 200, chance alone moves a coverage of 95 % by 1.5 points, as far as the bar allows.
"""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from orchestration.learning.evaluation import Estimate, cross_fit, estimates, folds, support
from orchestration.learning.logs import Floats
from orchestration.learning.settings import LearningSettings
from orchestration.service.bench.learning_rows import Progress, Row, generator
from orchestration.service.bench.learning_simulators import World, world

N: Final = 3000
REPEATS: Final = 200  # for errors
COVERAGE_REPEATS: Final = 600
ERRORS: Final = {"soft": 0.04, "greedy-ish": 0.051}
LOW, HIGH = 0.93, 0.97


@dataclass(slots=True)
class Tally:
    """What repetitions of one regime gave."""

    truth: float
    errors: dict[str, list[float]] = field(default_factory=dict)
    covered: dict[str, list[bool]] = field(default_factory=dict)
    refused: int = 0

    def add(self, found: Mapping[str, Estimate] | None) -> None:
        """One repetition; None: it was refused."""
        if found is None:
            self.refused += 1
            return
        for name, one in found.items():
            self.errors.setdefault(name, []).append(abs(one.value - self.truth) / self.truth)
            self.covered.setdefault(name, []).append(one.low <= self.truth <= one.high)


def regimes(made: World) -> dict[str, tuple[Floats, Floats]]:
    """Logging policy and policy to evaluate: much overlap; mostly the best arm; preferring what the other avoids."""
    greedy = np.eye(made.mean.shape[1])[made.mean.argmax(axis=1)]
    uniform = np.full(made.mean.shape, 1 / made.mean.shape[1])
    return {
        "soft": (made.softmax(0.5), made.softmax(1.5)),
        "greedy-ish": (0.8 * greedy + 0.2 * uniform, uniform),
        "hard": (made.softmax(1.5, 0.1), made.softmax(-0.5)),
    }


def off_policy(full: bool, progress: Progress) -> list[Row]:
    """D25: errors of SNIPS and DR, coverage of all three estimators in every regime."""
    repeats, more = (REPEATS, COVERAGE_REPEATS) if full else (20, 20)
    slack = 0.0 if full else 0.1  # of twenty intervals one is 5 %
    made = world(7)
    rows: list[Row] = []
    for name, (logging, target) in regimes(made).items():
        progress(f"  {name}: {more} logs of {N} decisions")
        tally = repeat(made, logging, target, more)
        for estimator in ("snips", "dr"):
            if name in ERRORS:
                error = float(np.mean(tally.errors[estimator][:repeats]))
                rows.append(Row("decision.D25", f"{estimator} mean relative error, {name} log", f"at most {ERRORS[name]:.1%}", f"{error:.2%}", error <= ERRORS[name]))  # fmt: skip
        for estimator, held in tally.covered.items():
            rate = float(np.mean(held))
            rows.append(Row("decision.D25", f"{estimator} interval holds the truth, {name} log, {len(held)} logs", f"{LOW - slack:.0%} to {min(1.0, HIGH + slack):.0%}", f"{rate:.1%}", LOW - slack <= rate <= HIGH + slack))  # fmt: skip
    return rows


def repeat(made: World, logging: Floats, target: Floats, count: int, settings: LearningSettings | None = None) -> Tally:
    """Estimate the same policy from so many fresh logs."""
    chosen = settings or LearningSettings()

    def turn(number: int) -> Mapping[str, Estimate] | None:
        log, kind = made.log(logging, N, generator(20_250, number))
        policy = target[kind]
        if support(log, policy).refusal:
            return None
        return estimates(log, policy, cross_fit(log, folds(N, chosen.folds, chosen.seed), chosen))

    tally = Tally(made.value(target))
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for found in pool.map(turn, range(count)):
            tally.add(found)
    return tally
