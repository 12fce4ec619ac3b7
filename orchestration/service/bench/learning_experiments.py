"""Experiments that are looked at all the time: false calls, power, harm, mismatches, assignment, many metrics (decision.D13-D18, D20, D23, D24).

Enters: seeded coins. Leaves: rows. What decides is the product's own: `sequential.boundary`, `srm.Watch`, `assignment.Division`, `many`.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from orchestration.learning.assignment import Division
from orchestration.learning.many import cuped, discoveries, e_value
from orchestration.learning.sequential import LEAST_OUTCOMES, Group, boundary, look, smallest_seen
from orchestration.learning.srm import LEVEL, Watch
from orchestration.service.bench.learning_rows import Progress, Row, generator, share

PLAN: Final = 20_000
PEEKS: Final = 100
BASE: Final = 0.1
Floats = NDArray[np.float64]


def _paths(rate: float, runs: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Outcomes of one arm at every peek: `int64[runs, PEEKS]`."""
    return rng.binomial(PLAN // PEEKS, rate, size=(runs, PEEKS)).cumsum(axis=1)


def _called(treated: float, control: float, runs: int, rng: np.random.Generator, *, sides: int = 2, sign: int = 0) -> tuple[NDArray[np.bool_], Floats]:  # fmt: skip
    """Which runs are called, and people in each arm then. `sign`: only differences up (1) or down (-1)."""
    one, two = _paths(treated, runs, rng), _paths(control, runs, rng)
    n = np.arange(1, PEEKS + 1) * (PLAN // PEEKS)
    pooled = (one + two) / (2 * n)
    z = (one - two) / n / np.sqrt(np.maximum(pooled * (1 - pooled), 1e-300) * 2 / n)
    edge = np.array([boundary(float(at) / PLAN, sides=sides) for at in n])
    reached = (np.abs(z) if sign == 0 else sign * z) >= edge
    reached &= one + two >= LEAST_OUTCOMES
    hit: NDArray[np.bool_] = np.asarray(reached.any(axis=1), dtype=np.bool_)
    return hit, np.where(hit, n[reached.argmax(axis=1)], np.inf)


def sequential(full: bool, progress: Progress) -> list[Row]:
    """D13-D15: 100 peeks at experiments of 20,000 people an arm on a base of 10 %."""
    runs = 20_000 if full else 1000
    rng = generator(13)
    progress(f"  {runs} experiments of each kind, {PEEKS} peeks")
    false, _ = _called(BASE, BASE, runs, rng)
    slack = 0.0 if full else 0.02
    rate = float(false.mean())
    error = 2 * math.sqrt(0.05 * 0.95 / runs)
    power, _ = _called(BASE * 1.1, BASE, runs, rng, sign=1)
    fast, stop = _called(BASE * 1.2, BASE, runs, rng, sign=1)
    harm, gone = _called(BASE * 0.85, BASE, runs, rng, sides=1, sign=-1)
    wrong, _ = _called(BASE, BASE, runs, rng, sides=1, sign=-1)
    # The arrays above take a short way; the product's own words for one look must say the same.
    same = _agrees(generator(14), 200 if full else 20)
    return [
        Row("decision.D13", f"A/A called different, {runs} runs", f"at most 5% (+{error:.2%} by chance)", f"{rate:.2%}", rate <= 0.05 + error + slack),
        Row("decision.D13", "A/A not needlessly cautious", "at least 3%", f"{rate:.2%}", rate >= 0.03 - slack),
        Row("decision.D14", "10 % better is seen by 20,000 an arm", "at least 75%", share(int(power.sum()), runs), power.mean() >= 0.75),
        Row("decision.D14", "20 % better: median people an arm at the call", "at most 4,600", f"{np.median(stop):,.0f}, {fast.mean():.1%} called", float(np.median(stop)) <= 4600),
        Row("decision.D15", "15 % worse is rolled back by 20,000 an arm", "at least 99%", share(int(harm.sum()), runs), harm.mean() >= 0.99),
        Row("decision.D15", "15 % worse: median people an arm at the rollback", "at most 6,200", f"{np.median(gone):,.0f}", float(np.median(gone)) <= 6200),
        Row("decision.D15", "A/A rolled back", f"at most 5% (+{error:.2%} by chance)", f"{wrong.mean():.2%}", float(wrong.mean()) <= 0.05 + error + slack),
        Row("decision.D13", "one look by the product's function and by the simulation", "equal verdicts", "equal" if same else "different", same),
    ]  # fmt: skip


def _agrees(rng: np.random.Generator, runs: int) -> bool:
    for _ in range(runs):
        n = int(rng.integers(200, PLAN))
        one, two = int(rng.binomial(n, 0.105)), int(rng.binomial(n, BASE))
        found = look(Group.of_share(n, one), Group.of_share(n, two), PLAN)
        pooled = (one + two) / (2 * n)
        z = (one - two) / n / math.sqrt(pooled * (1 - pooled) * 2 / n)
        if found.better is not (z >= boundary(n / PLAN)) or abs(found.z - z) > 1e-9:
            return False
    return True


def mismatch(full: bool, progress: Progress) -> list[Row]:
    """D16, D17: are people divided as they should be, at every 500 of 100,000 people."""
    nulls, runs = (10_000, 1000) if full else (300, 60)
    progress(f"  {nulls} experiments as declared, {runs} of each kind that are not")
    rng = generator(16)
    alarms = int(np.isfinite(_alarm(0.5, nulls, rng)).sum())
    # As many as one in a thousand gives with a chance of 1 in 100, for so many runs.
    most = LEVEL * nulls + 2.33 * math.sqrt(LEVEL * nulls)
    two, one = _alarm(0.48, runs, rng), _alarm(0.49, runs, rng)
    caught = float(np.isfinite(one).mean())
    adaptive = sum(_thompson(generator(17, number), tampered=False) for number in range(400 if full else 20))  # fmt: skip
    tampered = sum(_thompson(generator(18, number), tampered=True) for number in range(40 if full else 5))
    many = 400 if full else 20
    return [
        Row("decision.D16", f"alarms where all is as declared, {nulls} runs of 100,000 people", f"at most 0.1% ({most:.0f} by chance)", share(alarms, nulls), alarms <= most),
        Row("decision.D16", "48/52 for 50/50: median people at the alarm", "at most 11,000", f"{np.median(two):,.0f}", float(np.median(two)) <= 11_000),
        Row("decision.D16", "49/51 for 50/50: median people at the alarm", "at most 41,000", f"{np.median(one):,.0f}, {caught:.1%} by 100,000", float(np.median(one)) <= 41_000),
        Row("decision.D17", f"alarms under Thompson sampling by logged probabilities, {many} runs of 20,000", f"at most 0.1% ({LEVEL * many + 2.33 * math.sqrt(LEVEL * many):.0f} by chance)", share(adaptive, many), adaptive <= LEVEL * many + 2.33 * math.sqrt(LEVEL * many)),
        Row("decision.D17", "alarms when one in four of the better arm is lost on the way", "at least 90%", share(tampered, 40 if full else 5), tampered >= 0.9 * (40 if full else 5)),
    ]  # fmt: skip


def _alarm(chance: float, runs: int, rng: np.random.Generator, people: int = 100_000, step: int = 500) -> Floats:
    """People at the first alarm, infinite where there is none. Watches step in parallel, as `Watch` does one by one."""
    batches = rng.binomial(step, chance, size=(runs, people // step))
    first = np.full(runs, np.inf)
    one = Watch(2)
    log, tilt = np.tile(one.start, (runs, 1)), one.tilts
    norm = np.log(np.exp(tilt) @ np.array([0.5, 0.5]))
    for place in range(people // step):
        counts = np.column_stack([batches[:, place], step - batches[:, place]])
        log += counts @ tilt.T - step * norm
        top = log.max(axis=1)
        ratio = top + np.log(np.exp(log - top[:, None]).sum(axis=1))
        first[np.isinf(first) & (ratio >= -math.log(LEVEL))] = (place + 1) * step
    return first


def _thompson(rng: np.random.Generator, *, tampered: bool, people: int = 20_000, batch: int = 200) -> bool:
    """Whether people who are divided by a learner set off an alarm. `tampered`: one in four of the better arm is lost."""
    hits, misses = np.ones(2), np.ones(2)
    watch = Watch(2)
    rates = (0.1, 0.115)
    for _ in range(people // batch):
        draws = rng.beta(hits, misses, size=(400, 2))
        first = float(np.clip((draws[:, 0] > draws[:, 1]).mean(), 0.02, 0.98))
        to_first = int(rng.binomial(batch, first))
        counts = np.array([to_first, batch - to_first])
        for arm in range(2):
            good = int(rng.binomial(counts[arm], rates[arm]))
            hits[arm] += good
            misses[arm] += counts[arm] - good
        seen = counts.copy()
        if tampered:
            seen[1] = rng.binomial(counts[1], 3 / 4)
        watch.add(seen, (first, 1 - first))
    return watch.result().alarm


def assignment(full: bool, progress: Progress) -> list[Row]:
    """D18: hashes are even and independent, and raising the share moves nobody."""
    from scipy.stats import chi2

    people, words = (1_000_000, 100) if full else (5_000, 4)
    names = [f"per_{number:026d}" for number in range(people)]
    arms = tuple((str(place), 0.1) for place in range(10))
    worst, statistic, before = 1.0, 0.0, None
    crossed = 0.0
    for word in range(words):
        made = Division(f"word {word}".encode(), arms)
        side = np.fromiter((int(made.arm(name)) for name in names), dtype=np.int64, count=people)
        counts = np.bincount(side, minlength=10)
        one = float(((counts - people / 10) ** 2 / (people / 10)).sum())
        statistic += one
        worst = min(worst, float(chi2.sf(one, 9)))
        if before is not None:
            table = np.bincount(side * 10 + before, minlength=100)
            crossed += float(((table - people / 100) ** 2 / (people / 100)).sum())
        before = side
        if word % 10 == 9:
            progress(f"  {word + 1} of {words} words")
    even = float(chi2.sf(statistic, 9 * words))
    apart = float(chi2.sf(crossed, 99 * (words - 1)))
    made = Division(b"ramp", (("treatment", 0.5), ("control", 0.5)))
    movers, last = 0, set[str]()
    for part in (0.01, 0.05, 0.2, 0.5, 1.0):
        now = {name for name in names[:50_000] if made.takes_part(name, part)}
        movers += len(last - now)
        last = now
    return [
        Row("decision.D18", f"ten arms are even over {people:,} ids x {words} words, chi-square p of all", "above 0.001", f"{even:.3f}, least of a word {worst:.4f}", even > 0.001),
        Row("decision.D18", "arms of different experiments are independent, chi-square p of all pairs", "above 0.001", f"{apart:.3f}", apart > 0.001),
        Row("decision.D18", "people who leave their side while 1 % become 5, 20, 50, 100", "0", str(movers), movers == 0),
    ]  # fmt: skip


def metrics(full: bool, progress: Progress) -> list[Row]:
    """D20, D23, D24: adjusted differences, many metrics, what cannot be seen."""
    runs = 2000 if full else 100
    rng = generator(20)
    covered, reductions = 0, []
    for _ in range(runs):
        n = 2000
        before = rng.gamma(1.0, 1.0, n)
        outcome = 0.5 * (before - 1) + math.sqrt(0.75) * rng.normal(size=n)
        side = rng.random(n) < 0.5
        made = cuped(outcome, before)
        reductions.append(made.reduction)
        one, two = made.values[side], made.values[~side]
        half = 1.96 * math.sqrt(one.var() / len(one) + two.var() / len(two))
        covered += abs(float(one.mean() - two.mean())) <= half
    progress("  adjusted differences done")
    saved, error = float(np.mean(reductions)), 2 * float(np.std(reductions)) / math.sqrt(runs)
    wrong, found = _fifty(200 if full else 20, generator(23))
    seen = smallest_seen(0.093, PLAN, PLAN)  # the variance between shares of .1 and .108
    power = _one_look(BASE + seen, 4000, generator(24))
    slack = 0.01 + (0.0 if full else 0.05)
    return [
        Row("decision.D20", f"A/A interval of adjusted means holds zero, {runs} runs", "95% +- 1", f"{covered / runs:.2%}", abs(covered / runs - 0.95) <= slack),
        Row("decision.D20", "variance taken out at a correlation of .5", f"at least 25% (-{error:.2%} by chance)", f"{saved:.2%}", saved >= 0.25 - error),
        Row("decision.D23", "false discoveries among 50 metrics, ten of them real, called when most are", "at most 5%", f"{wrong:.2%}, {found:.0%} of the real ones called", wrong <= 0.05),
        Row("decision.D24", f"the smallest difference said to be seen at 20,000 an arm ({seen:.4f}) is seen by one look", "80% +- 2.5", f"{power:.1%}", abs(power - 0.8) <= 0.025),
    ]  # fmt: skip


def _fifty(runs: int, rng: np.random.Generator, peeks: int = 20) -> tuple[float, float]:
    """False discoveries as a share of all, and how many of the real were found, when the look with most discoveries is the one that is told."""
    wrong, found = [], []
    drift = np.concatenate([np.full(10, 5.5), np.zeros(40)])
    for _ in range(runs):
        times = np.arange(1, peeks + 1) / peeks
        walk = rng.normal(size=(50, peeks)).cumsum(axis=1) / math.sqrt(peeks) + drift[:, None] * times
        told: list[bool] = []
        for place, at in enumerate(times):
            now = discoveries([e_value(float(one) / math.sqrt(at), float(at)) for one in walk[:, place]])
            if sum(now) >= sum(told):
                told = now
        wrong.append(sum(told[10:]) / max(1, sum(told)))
        found.append(sum(told[:10]) / 10)
    return float(np.mean(wrong)), float(np.mean(found))


def _one_look(rate: float, runs: int, rng: np.random.Generator) -> float:
    one, two = rng.binomial(PLAN, rate, runs) / PLAN, rng.binomial(PLAN, BASE, runs) / PLAN
    z = (one - two) / np.sqrt((one * (1 - one) + two * (1 - two)) / PLAN)
    return float((z >= 1.96).mean())
