"""What may rule, and what may be said at all: refusals, paired differences, the gate where personalisation helps and where it does not (decision.D27-D29, D31, D32, D45).

Enters: simulated campaigns with a known truth; hillstrom_even.csv where the caller has it. Leaves: rows. The gate is run as `candor learn gate` runs it.
"""

import math
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from orchestration.learning.evaluation import cross_fit, differences, estimates, folds, support
from orchestration.learning.gate import gate
from orchestration.learning.logs import Floats, Log, read_log
from orchestration.learning.settings import LearningSettings
from orchestration.service.bench.learning_rows import Progress, Row, find, generator, share
from orchestration.service.bench.learning_simulators import campaign, world

RUNS: Final = 100
HILLSTROM: Final = ("recency", "history", "mens", "womens", "zip_code", "newbie", "channel")


def refusals(full: bool, progress: Progress) -> list[Row]:
    """D27: silent exactly beyond each limit. D29: a paired difference is narrower than two intervals."""
    del progress
    wrong = [name for name, log, policy, expected in _edges() if (support(log, policy).refusal is not None) is not expected]  # fmt: skip
    rows = [Row("decision.D27", "refused beyond each limit, answered at it", "8 of 8 cases", f"{8 - len(wrong)} of 8" + "".join(f", not {one}" for one in wrong), not wrong)]  # fmt: skip
    narrower = [_narrowing(number) for number in range(20 if full else 3)]
    for estimator in ("ips", "snips", "dr"):
        gain = float(np.mean([one[estimator] for one in narrower]))
        rows.append(Row("decision.D29", f"paired difference of overlapping policies narrower, {estimator}", "at least 25%", f"{gain:.1%}", gain >= 0.25))  # fmt: skip
    return rows


def _edges() -> list[tuple[str, Log, Floats, bool]]:
    def flat(n: int, shares: Floats | None = None) -> Log:
        arm = np.arange(n, dtype=np.int64) % 2
        return Log(("a", "b"), arm, np.ones(n), np.full(n, 0.5) if shares is None else shares, np.empty((n, 0)), ())

    def toward(n: int, mass: float) -> Floats:
        return np.tile([mass, 1 - mass], (n, 1))

    even = {n: toward(n, 0.5) for n in (99, 100, 2000, 20_000)}
    heavy = np.full(2000, 0.5)
    heavy[0] = 0.5 / 110  # 5.2 % of the weight
    light = np.full(2000, 0.5)
    light[0] = 0.5 / 90
    few = np.full(20_000, 0.5)
    few[:100] = 0.5 / 1000  # an effective size of 144, under a hundredth of the rows, no row above 5 %
    short = toward(2000, 0.5)
    return [
        ("99 rows", flat(99), even[99], True), ("100 rows", flat(100), even[100], False),
        ("one row of 5.2 %", flat(2000, heavy), even[2000], True), ("one row of 4.3 %", flat(2000, light), even[2000], False),
        ("1 % of the rows", flat(20_000, few), even[20_000], True), ("all of the rows", flat(20_000), even[20_000], False),
        ("overlap .79", flat(2000), 0.79 * short, True), ("overlap .81", flat(2000), 0.81 * short, False),
    ]  # fmt: skip


def _narrowing(number: int) -> dict[str, float]:
    """How much narrower the paired interval is, a share, for two softmax policies of different temper."""
    made, settings = world(7), LearningSettings()
    log, kind = made.log(made.softmax(0.5), 3000, generator(29, number))
    one, two = made.softmax(1.0)[kind], made.softmax(1.5)[kind]
    values = cross_fit(log, folds(len(log), settings.folds, settings.seed), settings)
    apart = [estimates(log, policy, values) for policy in (one, two)]
    paired = differences(log, one, two, values)
    return {
        name: 1 - (found.high - found.low) / math.hypot(*(each[name].high - each[name].low for each in apart))
        for name, found in paired.items()
    }


def honesty(full: bool, progress: Progress) -> list[Row]:
    """At 20,000 decisions an arm on a base of 10 %: hold where choosing by person gains nothing, promote where it gains a tenth."""
    runs, settings = (RUNS, LearningSettings()) if full else (3, LearningSettings(repeats=1))
    rows: list[Row] = []
    for helps, word, least in ((False, "hold", 0.95), (True, "promote", 0.75)):
        hits = 0
        for number in range(runs):
            found = gate(campaign(number, helps=helps), settings)["vs_best_fixed"]
            hits += isinstance(found, dict) and found["decision"] == word
            if number % 10 == 9:
                progress(f"  {'helps' if helps else 'does not help'}: {hits} of {number + 1} {word}")
        what = (
            "personalisation gains 10 %: the gate promotes"
            if helps
            else "personalisation gains nothing: the gate holds"
        )
        rows.append(Row("deliberate honesty", what, f"at least {least:.0%}", share(hits, runs), hits >= least * runs if full else True))  # fmt: skip
    return rows


def hillstrom(full: bool, progress: Progress, folder: Path) -> list[Row]:
    """D31, D32, D45 on rows of a real campaign."""
    path = find(folder, "hillstrom_even.csv")
    settings = LearningSettings(seed=0) if full else LearningSettings(seed=0, repeats=1)
    rows: list[Row] = []
    for reward in ("visit", "conversion"):
        progress(f"  hillstrom: {reward}")
        log = read_log(path, arm="segment", reward=reward, propensity=repr(1 / 3), features=HILLSTROM)
        mens = np.eye(len(log.arms))[np.full(len(log), log.arms.index("Mens E-Mail"))]
        found = gate(log, settings, others={"vs_current": mens})
        fixed, even, current = (_versus(found[name]) for name in ("vs_best_fixed", "vs_uniform", "vs_current"))
        rows.append(Row("decision.D31", f"{reward}: the gate against the best fixed arm", "hold", _told(fixed), fixed[0] == "hold"))  # fmt: skip
        rows.append(Row("decision.D45", f"{reward}: the gate against the policy in production", "hold", _told(current), current[0] == "hold"))  # fmt: skip
        if reward == "visit":
            good = even[0] == "promote" and even[2] >= 0.025
            rows.append(Row("decision.D31", "visit: the gate against uniform", "promote, low end at least .025", _told(even), good))  # fmt: skip
            areas = [_area(log, "Womens E-Mail", number) for number in range(20 if full else 2)]
            mean = float(np.mean(areas))
            rows.append(Row("decision.D32", f"Womens-vs-none Qini area per 1,000 people, mean of {len(areas)} cross-fits", "at least 3.0", f"{mean:.2f}, {min(areas):.2f} to {max(areas):.2f}", mean >= 3.0))  # fmt: skip
    return rows


def _versus(found: object) -> tuple[str, float, float]:
    assert isinstance(found, dict)
    return str(found["decision"]), float(found["diff"]), float(found["low"])


def _told(found: tuple[str, float, float]) -> str:
    return f"{found[0]}, {found[1]:+.4f}, low {found[2]:+.4f}"


def _area(log: Log, arm: str, seed: int) -> float:
    """Area under the uplift curve of one message against none, cross-fitted."""
    treated, none = log.arms.index(arm), log.arms.index("No E-Mail")
    rows = np.isin(log.arm, [treated, none])
    two = Log((arm, "No E-Mail"), (log.arm[rows] == none).astype(np.int64), log.reward[rows], np.full(int(rows.sum()), 0.5), log.features[rows], log.feature_names)  # fmt: skip
    settings = LearningSettings(seed=seed)
    values = cross_fit(two, folds(len(two), settings.folds, seed), settings)
    return qini(values[:, 0] - values[:, 1], two.reward, two.arm == 0)


def qini(uplift: Floats, reward: Floats, treated: NDArray[np.bool_]) -> float:
    """Area between the Qini curve and the random line, in outcomes per 1,000 people of the experiment, treated or not (Radcliffe 2007).

    The curve at the best share of people: outcomes of the treated among them less those of the others, scaled to as many.
    """
    order = np.argsort(-uplift, kind="stable")
    gained, told = reward[order], treated[order].astype(np.float64)
    here, there = np.cumsum(told), np.cumsum(1 - told)
    scale = np.divide(here, there, out=np.zeros_like(here), where=there > 0)
    curve = (np.cumsum(gained * told) - np.cumsum(gained * (1 - told)) * scale) / len(order) * 1000
    line = np.arange(1, len(order) + 1) / len(order) * curve[-1]
    return float((curve - line).mean())
