"""Tests in production and the audit of proxies, held to what they promise: honest reasons hold, planted lies are found; planted proxies are found, honest features are not (explain.X53, E7).

Enters: the folder with hillstrom_even.csv for reasons, coins for proxies. Leaves: rows for `candor bench explain`.
"""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from explain.attribution import attribute
from explain.explanation import Content, compose
from explain.facts import NOTHING, Advertisement, Candidate, DecisionFacts, PolicyFacts, Stage
from explain.falsifying import Found, tried
from explain.reasons import Procedure
from kernel.ids import DecisionId
from orchestration.learning.proxies import inferred
from orchestration.service.bench.explain_hillstrom import features_of, subject
from orchestration.service.bench.explain_subject import Floats, Subject
from orchestration.service.bench.learning_rows import Progress, Row, Section, generator, share

_AT: Final = datetime(2026, 3, 5, 12, tzinfo=UTC)
_NAMES: Final = ("visits_30d", "views_30d", "orders_180d", "spend_180d", "email_opens_30d", "days_since_order")
_AREA: Final = 0.65


def lies(full: bool, told: Progress, folder: Path) -> list[Row]:
    """Honest explanations, then the same with the strongest reason turned round, with a feature nobody looked at, with another score."""
    one = subject(folder, 2000 if full else 100)
    told("  honest reasons, and planted lies")
    honest, turned, invented, moved = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for row, score in zip(one.rows, one.model.score(one.rows), strict=True):
        content = _explained(one, row, float(score))
        first, *others = content.concepts
        facts = content.facts
        honest[str(tried(content, facts, one.model))] += 1
        lie = replace(content, concepts=(replace(first, contribution=-first.contribution), *others))
        turned[str(tried(lie, facts, one.model))] += 1
        made_up = replace(content, concepts=(replace(first, features=("religion",)), *others))
        invented[str(tried(made_up, facts, one.model))] += 1
        moved[str(tried(content, replace(facts, score=float(score) + 1e-6), one.model))] += 1
    count = len(one.rows)
    return [
        Row("explain.X53", "tried in production: honest reasons that hold, trees walked by hand", "at least 99 %", share(honest[Found.HOLDS], count), honest[Found.HOLDS] >= 0.99 * count),
        Row("explain.X53", "tried in production: reasons turned round that are found", "at least 99 %", share(turned[Found.FALSE], count), turned[Found.FALSE] >= 0.99 * count),
        Row("explain.X53", "tried in production: features that nobody looked at, and other scores, found", "100 %", share(invented[Found.FALSE] + moved[Found.SCORE], 2 * count), invented[Found.FALSE] + moved[Found.SCORE] == 2 * count),
    ]  # fmt: skip


def proxies(full: bool, told: Progress) -> list[Row]:
    """An attribute of two in five people, six features: in half of the worlds one of them tells it, in a way drawn."""
    worlds = 200 if full else 10
    told(f"  {worlds} worlds of people")
    found = false = planted = looked = 0
    for world in range(worlds):
        draw = generator(7, world)
        people = 600
        held = draw.random(people) < 0.4
        features = draw.normal(size=(people, len(_NAMES)))
        column = int(draw.integers(len(_NAMES))) if world % 2 else -1
        if column >= 0:
            planted += 1
            _plant(features, held, column, ("more", "middling", "absent")[world // 2 % 3])
        said = inferred("attribute", [bool(one) for one in held], features, _NAMES, area=_AREA, seed=world)
        flagged = {one.subject for one in said if one.kind == "feature" and one.flagged}
        found += column >= 0 and _NAMES[column] in flagged
        false += len(flagged - ({_NAMES[column]} if column >= 0 else set()))
        looked += len(_NAMES) - (column >= 0)
    return [
        Row("explain.E7", f"proxies that tell an attribute, {planted} planted", "all found", share(found, planted), found == planted),
        Row("explain.E7", f"features that tell nothing, {looked} looked at", "at most 1 % flagged", share(false, looked), false <= 0.01 * looked),
    ]  # fmt: skip


def _plant(features: Floats, held: "np.typing.NDArray[np.bool_]", column: int, how: str) -> None:
    if how == "more":
        features[:, column] += 1.2 * held
    elif how == "middling":
        features[:, column] = np.where(held, features[:, column] * 0.2, features[:, column] * 1.5)
    else:
        features[held & (np.arange(len(held)) % 5 > 0), column] = np.nan


def _explained(one: Subject, row: Floats, score: float) -> Content:
    """What the product would keep of a choice of this row."""
    features = features_of(one, row)
    facts = DecisionFacts(
        decision_id=DecisionId("dec_01M7YSHH3HH5F2BVKR7RA8EA0E"), at=_AT, person=None, placement="open", purpose="marketing.email", channel="email",
        choice="a@email", title="", candidates=(
            Candidate(candidate_id="a@email", content="a", channel="email", score=score, probability=0.9),
            Candidate(candidate_id=NOTHING, content=NOTHING, channel=None, stage=Stage.SCORE, reason="lower_utility", score=0.0, probability=0.1),
        ), policy=PolicyFacts(name="epsilon_greedy", ranked_by="ranker"), features=features, score=score, propensity=0.9, model_digest=one.model.digest,
        advertisement=Advertisement(is_advertisement=True, on_behalf_of="", paid_by=""), permission=None, key_id=None,
    )  # fmt: skip
    return replace(compose(facts, attribute(one.model, row, score, check=False)), procedure=Procedure.MODEL)


SECTIONS: Final = (
    Section("lies", "reasons that were shown, tried to be proven wrong", over_files=lies),
    Section("proxies", "features that tell what nobody may decide by", run=proxies),
)
