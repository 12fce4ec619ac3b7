"""Explanations of the demo world: its walk in an installation of its own, then decisions for people and placements drawn by lot, all of them explained.

Enters: nothing of the caller's. Leaves: rows for `candor bench explain`: the same bars as on the campaign's ranker, and what only a house can show: every decision
explained, terms that sum to what was compared, contrasts, levers pulled again, equal bytes whenever an explanation is made.
"""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from explain.attribution import TOLERANCE
from explain.concepts import told
from explain.explanation import Content
from explain.facts import Compared
from explain.levers import change_of
from kernel.errors import CandorError
from orchestration.decision.request import DecisionRequest
from orchestration.demo import story
from orchestration.learning.gbm import GbmModel
from orchestration.learning.promotion import shown_rows
from orchestration.service.bench import explain_direction as directed
from orchestration.service.bench import explain_subject as measured
from orchestration.service.bench import harness
from orchestration.service.bench.explain_direction import Told, told_of
from orchestration.service.bench.explain_subject import Subject
from orchestration.service.bench.learning_rows import Progress, Row, Section, generator, share
from orchestration.wiring import House

_SHOP: Final = {"consent": {"controller": "Meadow & Mill"}, "channels": {"sender_name": "Meadow & Mill"}}
_LETTER: Final = "any_letter"
_LETTERS: Final = f"""
  - name: {_LETTER}
    purpose: marketing.email
    personalize_under: marketing.personalize
    channels: [email]
    variants: [reminder, discount, bestsellers]
    nothing_logged_as: [nothing]
"""
_PLACEMENTS: Final = (_LETTER, _LETTER, _LETTER, "cart_rescue", "shop_hero")
_MOST_ROWS: Final = 1000
_ACTOR: Final = "system:bench"


def demo(full: bool, told: Progress) -> list[Row]:
    """The demo world, whole."""
    return asyncio.run(_demo(1000 if full else 600, 1000 if full else 60, told))


async def _demo(people: int, count: int, told: Progress) -> list[Row]:
    async with harness.rig(**_SHOP) as rig:
        async with rig.house() as house:
            told(f"  the walk of {people} people")
            await story.tell(house, people=people, seed=7)
            await _ranked(house)
            told(f"  {count} decisions by lot")
            named = await _decided(house, count)
            told("  explaining them")
            found, refused = await _explained(house, named)
            rows = [
                Row("explain.E2", "demo: decisions by lot that are explained", "all", f"{share(len(found), len(named))}{f', {refused[0]}' if refused else ''}", len(found) == len(named)),
                *_records(found), *await _contrasts(house, found), *await _levers(house, found),
            ]  # fmt: skip
            one = await _subject(house, found)
            told_ = await _told(house, found, one.model) if one is not None else []
            learned = shown_rows((await house.learning.training_set(story.PLACEMENT)).log)
        if one is not None:
            told("  the ranker's attributions")
            few = Subject(one.name, one.model, one.rows[:300], one.others, one.reasons)
            rows += [*measured.additivity(one, some=50), *measured.faithfulness(few), *measured.stability(one, None), *directed.direction("demo", one.model, told_, learned)]  # fmt: skip
        told("  once more after a restart")
        async with rig.house() as again:
            rows += await _anew(again, found[:: max(1, len(found) // 100)])
        return rows


async def _ranked(house: House) -> None:
    """A placement beside the demo's own, with its messages and its ranker, for anybody and without a cap: the walk's campaign has written to all who may be written to."""
    text = (story.HERE / "catalogue.yaml").read_text(encoding="utf-8").replace("\nrewards:", f"{_LETTERS}rewards:", 1)
    async with house.kernel.db.transaction() as conn:
        await house.decisions.publish_catalogue(conn, text, actor=_ACTOR)
    row = replace(await house.learning.fit(story.PLACEMENT), placement=_LETTER)
    async with house.kernel.db.transaction() as conn:
        await house.learning.register(conn, row, actor=_ACTOR)
        await house.learning.rule(conn, row, actor=_ACTOR, reason="bench")


async def _decided(house: House, count: int) -> list[str]:
    """Decisions by lot, for anybody; those of the walk are among them."""
    async with house.kernel.db.reading() as conn:
        people = sorted(await house.identity.people(conn))
    draw = generator(55)
    for _ in range(count):
        placement = _PLACEMENTS[int(draw.integers(len(_PLACEMENTS)))]
        person = people[int(draw.integers(len(people)))]
        await house.decisions.decide(
            DecisionRequest(person=person, placement=placement, seed=f"lot-{draw.integers(2**62)}")
        )
    async with house.kernel.db.reading() as conn:
        return [row.id for row in await house.decisions.history(conn)]


async def _explained(house: House, named: Sequence[str]) -> tuple[list[Content], list[str]]:
    found: list[Content] = []
    refused: list[str] = []
    for one in named:
        try:
            made = await house.explain.explain(one)
        except CandorError as fault:
            refused.append(fault.code)
            continue
        if made.content is not None:
            found.append(made.content)
    return found, refused


def _records(found: Sequence[Content]) -> list[Row]:
    """Base and contributions against the score that was used; terms against the number that was compared."""
    scored = [one for one in found if one.base is not None]
    off = max((abs(math.fsum((one.base or 0.0, *one.contributions)) - (one.facts.score or 0.0)) for one in scored), default=math.inf)  # fmt: skip
    arms = [arm for one in found for arm in one.facts.candidates if arm.compared is not None]
    whole = sum(
        math.fsum(term.amount for term in arm.terms) == arm.compared and (arm.by is not Compared.UTILITY or arm.compared == arm.utility)
        for arm in arms
    )  # fmt: skip
    losers = [arm for one in found for arm in one.facts.candidates if arm.candidate_id != one.facts.choice]
    named = sum(arm.stage is not None and bool(arm.reason) for arm in losers)
    return [
        Row("explain.X51", f"demo: base and parts of kept explanations against the score in the record, {len(scored)} decisions", "at most 1e-9", f"{off:.1e}", off <= TOLERANCE),
        Row("decision.D12", "demo: terms of an arm that sum to what was compared, to the last bit", "all", share(whole, len(arms)), whole == len(arms) > 0),
        Row("decision.D10", "demo: losers with a stage and a reason", "all", share(named, len(losers)), named == len(losers) > 0),
    ]  # fmt: skip


async def _contrasts(house: House, found: Sequence[Content]) -> list[Row]:
    exact = told = by_column = 0
    for one in found:
        for arm in one.facts.candidates:
            if arm.candidate_id == one.facts.choice:
                continue
            parted = await house.explain.contrast(one.facts.decision_id, None, arm.candidate_id)
            told += 1
            by_column += parted.score_gap is not None
            exact += (
                (math.fsum(each.difference for each in parted.differences) == parted.gap if parted.gap is not None else parted.b.stage is not None)
                and math.fsum(each.difference for each in parted.features) == (parted.score_gap or 0.0)
            )  # fmt: skip
    return [
        Row("explain.X55", f"demo: why not that, for every loser ({by_column} by column): differences sum to the gap to the last bit, or the gate is named", "all", share(exact, told), exact == told > 0),
    ]  # fmt: skip


async def _levers(house: House, found: Sequence[Content]) -> list[Row]:
    """Every lever that is shown, pulled again."""
    flipped = shown = 0
    for one in found:
        for lever in one.levers:
            shown += 1
            verdict = await house.decisions.again(one.facts.decision_id, change_of(lever))
            flipped += verdict.choice != one.facts.choice and verdict.choice == lever.choice
    return [Row("explain.X55", "demo: levers that flip the choice when they are pulled again", "all", share(flipped, shown), flipped == shown > 0)]  # fmt: skip


async def _subject(house: House, found: Sequence[Content]) -> Subject | None:
    """The ranker that decided most, and the rows that it scored; None where none did."""
    ranked = [one for one in found if one.facts.policy.ranked_by == "ranker" and one.facts.model_digest is not None]
    if not ranked:
        return None
    digests = [str(one.facts.model_digest) for one in ranked]
    most = max(set(digests), key=digests.count)
    model = await house.learning.model(most)
    assert isinstance(model, GbmModel)
    rows: list[list[float]] = []
    reasons: dict[str, list[str]] = {}
    for one in ranked:
        if one.facts.model_digest != most:
            continue
        for concept in one.concepts:
            for name in concept.features:
                reasons.setdefault(_prefix(name), []).append(name)
        for arm in one.facts.candidates:
            if arm.score is not None:
                row = await house.decisions.scored(one.facts.decision_id, arm.candidate_id)
                rows.append([feature.value for feature in row])
    place = {name: at for at, name in enumerate(model.feature_names)}
    things = {name: tuple(sorted({place[each] for each in names})) for name, names in reasons.items()}
    return Subject("demo", model, np.array(rows[:_MOST_ROWS]), np.array(rows), things)


async def _told(house: House, found: Sequence[Content], model: GbmModel) -> list[Told]:
    """Every arm that this ranker scored: of what was chosen the reasons that were kept, of the others what would have been told."""
    arms: list[Told] = []
    for one in found:
        if one.facts.policy.ranked_by != "ranker" or one.facts.model_digest != model.digest:
            continue
        for arm in one.facts.candidates:
            if arm.score is None:
                continue
            made = told_of(model, await house.decisions.scored(one.facts.decision_id, arm.candidate_id))
            kept = arm.candidate_id == one.facts.choice and one.base is not None
            arms.append(replace(made, reasons=tuple(told(one.concepts))) if kept else made)
    return arms[:_MOST_ROWS]


def _prefix(column: str) -> str:
    """Columns of one property of a message are one thing."""
    return column.partition("=")[0]


async def _anew(house: House, found: Sequence[Content]) -> list[Row]:
    """Made again in another process's state: the digest that was kept."""
    same = 0
    for one in found:
        kept = await house.explain.explain(one.facts.decision_id)
        same += (await house.explain.anew(one.facts.decision_id)).digest == kept.digest
    return [Row("explain.E1", "demo: explanations that are made again after a restart with the digest that was kept", "all", share(same, len(found)), same == len(found) > 0)]  # fmt: skip


SECTIONS: Final = (
    Section("demo", "the demo world: every decision explained, contrasted, its levers pulled", run=demo),
)
