"""Probabilities of policies: recorded, recomputed, drawn, and worked out (spec decision.D5-D7).

Enters: seeds. Leaves: rows. Decisions are those of the product's pure function, states those of its learners.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from scipy.stats import chi2

from orchestration.decision.engine import decide
from orchestration.decision.inputs import Arm, Inputs, Permit, Versions, from_json
from orchestration.decision.policies import thompson
from orchestration.decision.policies.learned import Learned, from_bytes, to_bytes
from orchestration.decision.policies.linear import fixed
from orchestration.decision.policies.rules import LibraryRule, Rule, recorded
from orchestration.decision.policy import Policy, policy_digest
from orchestration.learning.lessons import state_of
from orchestration.learning.library import opened_library
from orchestration.learning.rewards import MICRO
from orchestration.service.bench.learning_learners import BEGIN, EPS_MIN, FEATURES, Learner, rule
from orchestration.service.bench.learning_rows import Progress, Row, Section, generator

# D5, D6: exact probabilities


def world_inputs(count: int, rule_form: Mapping[str, object], policy: Policy, seed: int) -> list[Inputs]:
    """Different people: some arms are out for some of them, values and costs differ."""
    rng = generator(5, seed)
    made: list[Inputs] = []
    for number in range(count):
        arms = tuple(
            Arm(
                variant=f"v{place}", channel="email", purpose="marketing.email", order=place, epsilon=0.2,
                value=float(rng.choice((0.5, 1.0, 2.0))), cost=float(rng.choice((0.0, 0.01, 0.05))),
                stock=0 if rng.random() < 0.25 else None,
            )
            for place in range(6)
        )  # fmt: skip
        made.append(
            Inputs(
                at="2026-01-05T10:00:00.000000Z", person=f"per_{number}", placement="p",
                personalize_under="marketing.personalize", arms=arms,
                permits={"marketing.email|email": Permit(answer="granted", reason="granted")},
                reach={"email": "idn_1"},
                versions=Versions(
                    graph=1, consent=1, profile=1, catalogue="sha256:c", feature_set="sha256:f",
                    policy=policy_digest(policy), model=None,
                ),
                feature_names=FEATURES, features=tuple(float(one) for one in rng.normal(2, 2, len(FEATURES))),
                eps_min=EPS_MIN, policy=dict(rule_form),  # type: ignore[arg-type]
            )
        )  # fmt: skip
    return made


def taught(name: str, told: Rule, seed: int) -> Learned:
    """A state that has seen a few thousand outcomes."""
    rng = generator(55, seed)
    learner = Learner(told)
    lessons = [
        learner.lesson(
            number, f"per_{number}", arm, float(rng.random() < 0.05 + 0.02 * place), BEGIN,
            fixed(told.columns, dict(zip(FEATURES, rng.normal(2, 2, len(FEATURES)), strict=True))) if name == "linucb" else (),
        )
        for number in range(3000)
        for place in [int(rng.integers(0, 7))]
        for arm in ["nothing" if place == 6 else f"v{place}@email"]
    ]  # fmt: skip
    learner.hear(lessons)
    if not isinstance(told, LibraryRule):
        return learner.state
    from orchestration.learning.vowpal import Vowpal

    library = Vowpal(told, None)
    names = [*(f"v{place}@email" for place in range(6)), "nothing"]
    for one in lessons[:500]:
        features = dict(zip(FEATURES, rng.normal(2, 2, len(FEATURES)), strict=True))
        library.learn(names, features, chosen=names.index(one.arm), reward=one.reward / MICRO, probability=1 / 7)
    plain = state_of(learner.sums, half_life=None, columns=told.columns)
    return from_bytes(to_bytes(plain, model=library.saved()), opened_library)


EVERY: Final[Mapping[str, Mapping[str, object]]] = {
    "epsilon_greedy": {"by": "outcomes"},
    "epsilon_decreasing": {},
    "epsilon_first": {"first": 10_000},
    "ucb": {},
    "linucb": {"features": list(FEATURES)},
    "thompson": {},
    "squarecb": {"by": "outcomes"},
    "vowpal_wabbit": {"features": list(FEATURES)},
}


def exactness(full: bool, progress: Progress) -> list[Row]:
    """D5, D6: a million decisions through the pure decision function, an eighth under each policy."""
    each, people = (125_000, 250) if full else (4_000, 40)
    shown: dict[str, int] = {}
    logged: dict[str, float] = {}
    pairs: list[tuple[float, int, int]] = []  # probability, times drawn, times offered
    moved, worst_sum, least = 0, 0.0, math.inf
    for number, (name, told) in enumerate(EVERY.items()):
        progress(f"  {name}: {each:,} decisions")
        chosen_rule = rule(name, **told)
        state = taught(name, chosen_rule, number)
        policy = chosen_rule.make(state)
        form = {"name": policy.name, "parameters": dict(policy.parameters), "learned": policy.learned}
        for place, inputs in enumerate(world_inputs(people, form, policy, number)):
            counts: dict[str, int] = {}
            vector: tuple[tuple[str, str], ...] | None = None
            held = from_json(json.loads(inputs.canonical))
            assert held.policy is not None
            again_policy = recorded(held.policy).make(state)
            for turn in range(each // people):
                made = decide(inputs, f"{number}.{place}.{turn}", policy=policy)
                counts[made.choice] = counts.get(made.choice, 0) + 1
                said = tuple((one.id, one.propensity.hex()) for one in made.judged)
                if vector is None:
                    again = decide(held, f"{number}.{place}.{turn}", policy=again_policy)
                    vector = tuple((one.id, one.propensity.hex()) for one in again.judged)
                    worst_sum = max(worst_sum, abs(math.fsum(one.propensity for one in made.judged) - 1.0))
                    open_arms = [
                        one.propensity for one in made.judged if one.rejection is None or one.utility is not None
                    ]
                    least = min(least, min(open_arms) / (EPS_MIN / len(open_arms)))
                moved += said != vector
            turns = each // people
            for arm, share in vector or ():
                probability = float.fromhex(share)
                if 0.0 < probability < 1.0:
                    pairs.append((probability, counts.get(arm, 0), turns))
                shown[arm] = shown.get(arm, 0) + counts.get(arm, 0)
                logged[arm] = logged.get(arm, 0.0) + probability * turns
    statistic = math.fsum((shown[arm] - logged[arm]) ** 2 / logged[arm] for arm in logged if logged[arm] > 0)
    p = float(chi2.sf(statistic, len(logged) - 1))
    slope = calibration_slope(pairs)
    total = each * len(EVERY)
    asked = "in [0.99, 1.01]" if full else "in [0.9, 1.1]"
    return [
        Row("decision.D5", f"probabilities that differ when recomputed from what was logged, {total:,} decisions", "0", f"{moved}", moved == 0),
        Row("decision.D5", "chi2 of how often arms were shown against their mean probability", "p > 0.001", f"p = {p:.3f}", p > 0.001),
        Row("decision.D5", "slope of frequency on probability, by decile", asked, f"{slope:.4f}", abs(slope - 1) <= (0.01 if full else 0.1)),
        Row("decision.D6", "sum of probabilities", "1 within 1e-12", f"1 within {worst_sum:.0e}", worst_sum <= 1e-12),
        Row("decision.D6", "least probability of an eligible arm, over eps_min / K", "at least 1", f"{least:.6f}", least >= 1 - 1e-9),
    ]  # fmt: skip


def calibration_slope(pairs: Sequence[tuple[float, int, int]]) -> float:
    """Of mean frequency on mean probability over deciles of what was offered, each weighted by how much was."""
    ordered = sorted(pairs)
    offered = sum(one[2] for one in ordered)
    deciles: list[list[float]] = [[0.0, 0.0, 0.0] for _ in range(10)]
    so_far = 0
    for probability, drawn, turns in ordered:
        place = deciles[min(9, 10 * so_far // offered)]
        so_far += turns
        place[0] += probability * turns
        place[1] += drawn
        place[2] += turns
    held = [one for one in deciles if one[2]]
    x = np.array([one[0] / one[2] for one in held])
    y = np.array([one[1] / one[2] for one in held])
    return float(np.polyfit(x, y, 1, w=np.sqrt([one[2] for one in held]))[0])


# D7: Thompson's probabilities


def integrals(full: bool, progress: Progress) -> list[Row]:
    """D7: the integral against one with thirty times as many nodes, over arms of all sizes; and against draws."""
    rounds = 200 if full else 10
    progress(f"  thompson: {rounds} sets of arms")
    rng = generator(7, 0)
    worst, worst_drawn, draws = 0.0, 0.0, 400_000 if full else 40_000
    for number in range(rounds):
        count = int(rng.choice((2, 2, 3, 5, 8, 12, 20)))
        size = int(rng.choice((0, 10, 300, 20_000)))
        n = rng.integers(0, size + 1, count)
        won = rng.binomial(n, rng.uniform(0.05, 0.15) + rng.uniform(0, 0.03, count))
        betas = np.stack([1.0 + won, 1.0 + n - won], axis=1)
        gain, start = rng.uniform(0.5, 2.0, count), -rng.uniform(0, 0.02, count)
        found = np.array(thompson.best_shares(betas, gain, start))
        exact = np.array(thompson.best_shares(betas, gain, start, each=30 * 384 // count))
        worst = max(worst, float(np.abs(found - exact).max()))
        if number < rounds // 10:
            drawn = np.stack([s + g * rng.beta(a, b, draws) for s, g, (a, b) in zip(start, gain, betas, strict=True)])
            seen = np.bincount(drawn.argmax(axis=0), minlength=count) / draws
            worst_drawn = max(worst_drawn, float(np.abs(found - seen).max()))
    slack = 2.576 * 0.5 / math.sqrt(draws)
    return [
        Row("decision.D7", f"error of P(arm is best), {rounds} sets of 2 to 20 arms", "at most 0.002", f"{worst:.1e}", worst <= 0.002),
        Row("decision.D7", f"the same against {draws:,} draws", f"at most 0.002 + {slack:.4f} of the draws", f"{worst_drawn:.4f}", worst_drawn <= 0.002 + slack),
    ]  # fmt: skip


SECTIONS: Final = (
    Section("exactness", "probabilities: recorded, recomputed, drawn", run=exactness, long=1),
    Section("integrals", "Thompson sampling's probabilities", run=integrals),
)
