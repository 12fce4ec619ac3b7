"""Why this and not that on a real campaign's ranker: the pure heart decides between its messages for people it has not seen (spec explain.X55).

Enters: the folder with hillstrom_even.csv. Leaves: rows for `candor bench explain`: differences of what was compared and of the scores, for every loser, and what would flip
the choice, decided again.
"""

import math
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

from explain.attribution import attribute
from explain.contrast import Scored, contrast
from explain.facts import Advertisement, DecisionFacts, FeatureValue, PolicyFacts
from kernel.ids import DecisionId
from orchestration.decision import facts as facts_of
from orchestration.decision.balance import Balance, Boost
from orchestration.decision.engine import GREEDY, Outcome, decide
from orchestration.decision.inputs import Arm, Inputs, Permit, Versions
from orchestration.decision.ranking import rows
from orchestration.decision.worth import worths
from orchestration.service.bench.explain_hillstrom import subject
from orchestration.service.bench.explain_subject import Floats, Subject
from orchestration.service.bench.learning_rows import Progress, Row, Section, generator, share

_MARK: Final = "variant="
_VERSIONS: Final = Versions(
    graph=1, consent=1, profile=1, catalogue="", feature_set="", policy="", model="sha256:hillstrom"
)


def contrasts(full: bool, told: Progress, folder: Path) -> list[Row]:
    """X55."""
    told("  every loser against the choice")
    one = subject(folder, 1000 if full else 50)
    draw = generator(55, 1)
    exact = asked = flipped = 0
    for place, row in enumerate(one.rows):
        state = _inputs(one, row, factor=float(draw.uniform(0.5, 2.0)), cost=float(draw.uniform(0, 0.02)))
        made = decide(state, f"{place}", model=one.model)
        facts, scored = _facts(state, made), _scored(one, state, made)
        for arm in facts.candidates:
            if arm.candidate_id == made.choice:
                continue
            asked += 1
            found = contrast(facts, made.choice, arm.candidate_id, scored)
            exact += (
                math.fsum(each.difference for each in found.differences) == found.gap
                and math.fsum(each.difference for each in found.features) == (found.score_gap or 0.0)
            )  # fmt: skip
        without = replace(state, declined=frozenset({made.choice}))
        flipped += made.arm is None or decide(without, f"{place}", model=one.model).choice != made.choice
    return [
        Row("explain.X55", f"{one.name}: why not that, for every loser of {len(one.rows)} decisions: differences of worth and of scores sum to their gap to the last bit", "all", share(exact, asked), exact == asked > 0),
        Row("explain.X55", f"{one.name}: a word against the choice flips it, decided again", "all", share(flipped, len(one.rows)), flipped == len(one.rows)),
    ]  # fmt: skip


def _inputs(one: Subject, row: Floats, *, factor: float, cost: float) -> Inputs:
    """A person of the campaign, who may get any of its messages; one lever and one cost, so that worth is more than the score."""
    names = one.model.feature_names
    arms = tuple(
        Arm(variant=name.removeprefix(_MARK), channel="email", purpose="marketing.email", order=order, epsilon=0.1, cost=cost * order)
        for order, name in enumerate(name for name in names if name.startswith(_MARK))
    )  # fmt: skip
    kept = [place for place, name in enumerate(names) if not name.startswith(_MARK)]
    return Inputs(
        at="2026-01-05T10:00:00.000000Z", person="per_01J00000000000000000000000", placement="mail", personalize_under="marketing.personalize",
        arms=arms, permits={"marketing.email|email": Permit(answer="granted", reason="consent.granted")}, reach={"email": "idn_1"},
        versions=_VERSIONS, feature_names=tuple(names[place] for place in kept), features=tuple(float(row[place]) for place in kept),
        balance=Balance(unit="visits", boosts=(Boost("season", "lever", factor, (arms[0].id,)),), channel_costs={"email": 0.001}),
    )  # fmt: skip


def _facts(state: Inputs, made: Outcome) -> DecisionFacts:
    worth = worths(state, made, GREEDY)
    return DecisionFacts(
        decision_id=DecisionId("dec_bench"), at=datetime.fromisoformat(state.at), person=None, placement=state.placement,
        purpose="marketing.email", channel=made.arm.channel if made.arm else None, choice=made.choice, title="",
        candidates=tuple(facts_of.candidate(one, worth.get(one.id)) for one in made.judged),
        policy=PolicyFacts(name=made.policy, ranked_by=made.ranked_by), features=(), score=None, propensity=made.propensity,
        model_digest=state.versions.model, advertisement=Advertisement(is_advertisement=True, on_behalf_of="", paid_by=""),
        permission=None, key_id=None,
    )  # fmt: skip


def _scored(one: Subject, state: Inputs, made: Outcome) -> dict[str, Scored]:
    found: dict[str, Scored] = {}
    for arm in made.judged:
        if arm.arm is None or arm.score is None:
            continue
        row = rows(one.model.feature_names, state, [arm.arm])[0]
        told = tuple(
            FeatureValue(name=name, value=float(value))
            for name, value in zip(one.model.feature_names, row, strict=True)
        )
        found[arm.id] = (told, attribute(one.model, row, arm.score, check=False))
    return found


SECTIONS: Final = (Section("contrast", "why this and not that, to the last bit", over_files=contrasts),)
