"""Learners of policies in worlds that change, beside people who knock a thousand times, and on a real campaign (spec decision.D33, D34, D42).

Enters: seeds, and for D33 the folder with the campaign. Leaves: rows. Learners are those of the product: the same lessons, sums and states, without a store.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from kernel.ids import DecisionId, PersonId
from orchestration.decision.policies.learned import Learned, from_bytes, to_bytes
from orchestration.decision.policies.linear import fixed
from orchestration.decision.policies.rules import Rule, recorded
from orchestration.decision.policy import Option, Policy, PolicyContext, draw
from orchestration.learning.lessons import Lesson, Sums, changes, epoch_of, state_of
from orchestration.learning.library import opened_library
from orchestration.learning.rewards import MICRO
from orchestration.learning.settings import LearningSettings
from orchestration.service.bench.learning_rows import Progress, Row, Section, find, generator

BEGIN: Final = datetime(2026, 1, 5, tzinfo=UTC)
EPS_MIN: Final = 0.01
FEATURES: Final = ("recency", "history", "mens", "womens", "newbie")
_LIMITS: Final = LearningSettings()


def rule(name: str, **told: object) -> Rule:
    """A policy's rule, as a catalogue would name it."""
    return recorded({"name": name, "parameters": told})  # type: ignore[dict-item]


@dataclass(slots=True)
class Learner:
    """A placement that learns: what the product keeps in Postgres, in memory. States are made when asked for, as they are published."""

    rule: Rule
    sums: dict[tuple[str, int], Sums] = field(default_factory=dict)

    def hear(self, lessons: Sequence[Lesson]) -> None:
        """Learn lessons of whole voices (person and epoch)."""
        for (_, arm, epoch), more in changes((), lessons, voices=_LIMITS.voices, most=_LIMITS.most_decisions).items():
            self.sums[arm, epoch] = self.sums.get((arm, epoch), Sums()).plus(more)

    def lesson(
        self, number: int, person: str, arm: str, reward: float, at: datetime, context: tuple[int, ...] = ()
    ) -> Lesson:
        """One decision with what it earned."""
        return Lesson(
            decision=DecisionId(f"dec_{number}"), placement="p", person=PersonId(person), arm=arm, at=at,
            epoch=epoch_of(at, self.rule.half_life), reward=round(reward * MICRO), context=context,
        )  # fmt: skip

    @property
    def state(self) -> Learned:
        """The state as it would be published."""
        return from_bytes(
            to_bytes(state_of(self.sums, half_life=self.rule.half_life, columns=self.rule.columns)), opened_library
        )

    @property
    def policy(self) -> Policy:
        """The policy in that state."""
        return self.rule.make(self.state)


# D34: a swap of the best arm


def regret_after_swap(told: Rule, rates: Sequence[float], before: int, after: int, seed: int, batch: int = 50) -> float:
    """Expected reward that was missed in the decisions after the best arm became the worst one; a decision every ten seconds."""
    rng = generator(34, seed)
    learner, names = Learner(told), [f"a{place}" for place in range(len(rates))]
    options = [Option(id=name, utility=0.0, epsilon=0.2) for name in names]
    context = PolicyContext(eps_min=EPS_MIN, best=0)
    now, missed = list(rates), 0.0
    for begin in range(0, before + after, batch):
        if begin == before:
            best, worst = now.index(max(now)), now.index(min(now))
            now[best], now[worst] = now[worst], now[best]
        vector = learner.policy.probabilities(options, context, "")
        if begin >= before:
            missed += batch * math.fsum(p * (max(now) - rate) for p, rate in zip(vector, now, strict=True))
        lessons = []
        for number in range(begin, begin + batch):
            arm = draw(vector, float(rng.random()))
            at = BEGIN + timedelta(seconds=10 * number)
            lessons.append(
                learner.lesson(number, f"per_{number}", names[arm], float(rng.random() < now[arm]), at)
            )  # fmt: skip
        learner.hear(lessons)
    return missed


def drift(full: bool, progress: Progress) -> list[Row]:
    """D34: Thompson with a half-life of a day (8,640 decisions) against one that forgets nothing."""
    runs, before, after = (20, 10_000, 10_000) if full else (2, 4_000, 4_000)
    progress(f"  {runs} worlds, {before:,} decisions, a swap, {after:,} more")
    rates = (0.12, 0.10, 0.09, 0.08, 0.06)
    missed = {
        name: float(np.mean([regret_after_swap(told, rates, before, after, seed) for seed in range(runs)]))
        for name, told in {"fading": rule("thompson", half_life="1d"), "stationary": rule("thompson")}.items()
    }
    ratio = missed["fading"] / missed["stationary"]
    figure = f"{ratio:.2f} ({missed['fading']:.0f} against {missed['stationary']:.0f})"
    asked = 0.4 if full else 0.8
    return [Row("decision.D34", "regret after a swap of the best arm, fading over stationary", f"at most {asked}", figure, ratio <= asked)]  # fmt: skip


# D42: one person at a thousand times the rate


def shift(rate: int, *, days: int, people: int, seed: int, told: Rule) -> float:
    """How far one person who decides so often a day, and always rewards the weakest arm, moves an estimate, in its standard errors; the worst arm."""
    # Whole voices are heard at once, as the store sees to it.
    rng = generator(42, seed)
    rates = {"a0": 0.10, "a1": 0.12, "a2": 0.08}
    clean, poisoned = Learner(told), Learner(told)
    lessons: list[Lesson] = []
    mine: list[Lesson] = []
    for day in range(days):
        at = BEGIN + timedelta(days=day)
        for person in range(people):
            arm = f"a{int(rng.integers(0, 3))}"
            reward = float(rng.random() < rates[arm])
            lessons.append(clean.lesson(len(lessons), f"per_{day}.{person}", arm, reward, at))
        for turn in range(rate):
            moment, reward = at + timedelta(seconds=80 * turn), float(turn % 3 == 2)
            mine.append(clean.lesson(1_000_000 + len(mine), "per_bot", f"a{turn % 3}", reward, moment))
    clean.hear(lessons)
    poisoned.hear([*lessons, *mine])
    before, after = clean.state, poisoned.state
    return max(abs(after.estimate(arm) - before.estimate(arm)) / before.error(arm) for arm in rates)


def poisoning(full: bool, progress: Progress) -> list[Row]:
    """D42: everybody decides once a day; one decides a thousand times, or as often as she can without being left out."""
    days, people, seeds = (14, 300, 10) if full else (7, 300, 2)
    rows: list[Row] = []
    often = _LIMITS.most_decisions // 7
    for rate, what in ((1000, "1,000 times the rate"), (often, f"{often} times, as often as is listened to")):
        progress(f"  one person at {what}")
        worst = max(shift(rate, days=days, people=people, seed=seed, told=rule("thompson")) for seed in range(seeds))
        rows.append(Row("decision.D42", f"shift of any arm's estimate by one person at {what}, {days} days of {people} people", "below 1 standard error", f"{worst:.2f}", worst < 1.0))  # fmt: skip
    return rows


# D33: a real campaign, replayed


@dataclass(frozen=True, slots=True)
class Campaign:
    """Rows of a campaign whose arms were dealt evenly: arm, reward, features."""

    arms: tuple[str, ...]
    arm: Sequence[int]
    reward: Sequence[float]
    features: Sequence[Mapping[str, float]]

    @property
    def best_fixed(self) -> float:
        """The mean reward of the best arm."""
        arm, reward = np.array(self.arm), np.array(self.reward)
        return max(float(reward[arm == place].mean()) for place in range(len(self.arms)))


def campaign(path: Path) -> Campaign:
    """Hillstrom's e-mail campaign: two letters and none, a visit is the reward."""
    table = pd.read_csv(path)
    names = tuple(sorted(table["segment"].unique()))
    rows = table[list(FEATURES)].astype(float).to_dict("records")
    return Campaign(
        names, [names.index(one) for one in table["segment"]], table["visit"].astype(float).tolist(),
        [{str(name): float(value) for name, value in row.items()} for row in rows],
    )  # fmt: skip


def replayed(made: Campaign, told: Rule, seed: int, batch: int = 20) -> float:
    """The mean reward of a learner over the rows where it chose what was dealt (Li and others 2011); rows in an order of their own."""
    order = generator(33, seed).permutation(len(made.arm))
    at_random = generator(33, seed + 1_000_000).random(len(order))
    learner = Learner(told)
    options = [Option(id=name, utility=0.0, epsilon=0.05) for name in made.arms]
    policy, waiting, earned, matched = learner.policy, list[Lesson](), 0.0, 0
    person_matters = bool(told.columns)
    context = PolicyContext(eps_min=EPS_MIN, best=0)
    vector = policy.probabilities(options, context, "")
    for turn, place in enumerate(order):
        if person_matters:
            context = PolicyContext(eps_min=EPS_MIN, best=0, features=made.features[place])
            vector = policy.probabilities(options, context, "")
        arm = draw(vector, float(at_random[turn]))
        if arm != made.arm[place]:
            continue
        matched += 1
        earned += made.reward[place]
        x = fixed(told.columns, made.features[place]) if person_matters else ()
        waiting.append(learner.lesson(turn, f"per_{place}", made.arms[arm], made.reward[place], BEGIN, x))
        if len(waiting) == batch:
            learner.hear(waiting)
            waiting.clear()
            policy = learner.policy
            vector = policy.probabilities(options, context, "")
    return earned / matched


def replay(full: bool, progress: Progress, shared: Path) -> list[Row]:
    """D33: the mean of twenty shuffles, over the visit rate of the best fixed arm; five where no bar is set."""
    made = campaign(find(shared, "hillstrom_even.csv"))
    shuffles = 20 if full else 2
    best = made.best_fixed
    rows: list[Row] = []
    rules = {
        "thompson": (rule("thompson"), True), "ucb": (rule("ucb"), False),
        "epsilon_greedy by outcomes, 0.05": (rule("epsilon_greedy", by="outcomes"), False),
        "linucb": (rule("linucb", features=list(FEATURES)), False),
        "squarecb by outcomes": (rule("squarecb", by="outcomes", gamma=100.0), False),
    }  # fmt: skip
    for name, (told, held) in rules.items():
        turns = shuffles if held else min(shuffles, 5)
        progress(f"  {name}: {turns} shuffles")
        rate = float(np.mean([replayed(made, told, seed) for seed in range(turns)]))
        bar = "at least 97.0 %" if held and full else "told"
        rows.append(Row("decision.D33", f"{name}, visits by replay over the best fixed arm's {best:.2%}, {turns} shuffles", bar, f"{rate / best:.1%} ({rate:.2%})", not held or not full or rate / best >= 0.97))  # fmt: skip
    return rows


SECTIONS: Final = (
    Section("drift", "a learner after the best arm changed", run=drift),
    Section("poisoning", "one person who knocks a thousand times", run=poisoning),
    Section("replay", "learners on a real campaign", over_files=replay),
)
