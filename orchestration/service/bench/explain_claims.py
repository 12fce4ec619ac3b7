"""Random decisions of the demo world, each explained and read a second time: nothing claimed that the record does not hold (explain.E4, E11, X55, X56).

Enters: nothing. Leaves: rows for `candor bench explain`. The demo's people, log, ranker and placements; some took their consent to personalising back, some said what should be left out. Then people are merged
wrongly, decided for, explained, and parted again.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import yaml

from explain.levers import change_of
from kernel.ids import ActId, DecisionId, PersonId
from kernel.model import Model
from kernel.yaml_text import read_yaml
from orchestration.decision.catalogue import NOTHING
from orchestration.decision.record import Record
from orchestration.decision.request import DecisionRequest
from orchestration.decision.sealed import Sealer
from orchestration.demo import story
from orchestration.service.bench import explain_parted, harness
from orchestration.service.bench.explain_checker import Case, unsupported, withheld_names
from orchestration.service.bench.learning_rows import Progress, Row, Section, generator
from orchestration.wiring import House

_SEED: Final = 7
_STAFF: Final = "staff:bench"
_PERSONALIZE: Final = "marketing.personalize"
_KINDS: Final = ("purchases", "spending", "visits", "cart", "last_purchase")


@dataclass(slots=True)
class _Found:
    decisions: int = 0
    explained: int = 0
    wrong: list[str] = field(default_factory=list)
    levers: int = 0
    flat: int = 0
    named: int = 0
    procedures: Counter[str] = field(default_factory=Counter)


def claims(full: bool, told: Progress) -> list[Row]:
    """E4, E11, X56."""
    return asyncio.run(_claims(1000 if full else 60, 1000 if full else 150, told))


async def _claims(count: int, people: int, told: Progress) -> list[Row]:
    async with harness.rig(learning={"least_rows": 100}) as engines, engines.house() as house:
        told(f"  the demo world of {people} people")
        await story.tell(house, people=people, seed=_SEED, told=lambda one: told(f"    {one}"))
        rng = generator(_SEED, count)
        async with house.kernel.db.reading() as conn:
            everybody = list(await house.identity.people(conn))
        told("  the ranker rules, without caps and groups")
        await _opened(house)
        told(f"  {count} decisions, after some took consents back")
        silent = await _withdrawn(house, everybody, rng)
        async with house.kernel.db.reading() as conn:
            sent = [row.id for row in await house.decisions.history(conn) if row.choice != NOTHING]
        sent = [sent[i] for i in rng.permutation(len(sent))[: count // 4]]
        found = await _random(house, everybody, count - len(sent), sent, rng)
        told("  pairs merged wrongly, decided for, and parted; people found to be two")
        willing = await _willing(house, everybody)
        planted = await explain_parted.planted(house, willing, sent, most=max(3, count // 20), rng=rng)
    kinds = ", ".join(f"{name} {n}" for name, n in sorted(found.procedures.items()))
    for wrong in found.wrong[:5]:
        told(f"    unsupported: {wrong}")
    return [
        Row("explain.E1", f"random decisions of the demo world that have an explanation ({kinds})", "100 %", f"{found.explained} of {found.decisions}", found.explained == found.decisions >= count),
        Row("explain.X56", f"claims on {found.decisions} pages that a second reader does not find in the record", "0", str(len(found.wrong)), not found.wrong),
        Row("explain.E4", f"levers shown that do not flip the choice when they are pulled again, of {found.levers}", "0", str(found.flat), found.flat == 0 < found.levers),
        Row("explain.X56", f"names of what consent withheld, or of what is not known ({silent} people took consents back first)", "0", str(found.named), found.named == 0),
        planted.row(),
    ]  # fmt: skip


async def _opened(house: House) -> None:
    """The demo's ranker rules from now on, whatever its gate says; caps and the group are taken off its placement, so that there is something to explain."""
    made = await house.learning.train(story.PLACEMENT, actor=_STAFF, promote=False)
    await house.learning.promote(made.digest, actor=_STAFF, reason="to be explained", force=True)
    declared = read_yaml((house.kernel.settings.data_dir / "input" / "catalogue.yaml").read_text(encoding="utf-8"))
    assert isinstance(declared, dict)
    for placement in declared["placements"]:
        if placement["name"] == story.PLACEMENT:
            for rule in ("caps", "segment", "holdout"):
                placement.pop(rule, None)
            more = explain_parted.placements(placement)
    declared["placements"] += more
    async with house.kernel.db.transaction() as conn:
        await house.decisions.publish_catalogue(conn, yaml.safe_dump(declared), actor=_STAFF)


async def _willing(house: House, people: list[PersonId]) -> list[PersonId]:
    """Those who permit the campaign's mail."""
    found = await house.profiles.hot_many(people, _PERSONALIZE)
    return [one for one in people if one in found and found[one].permissions["marketing.email|email"].granted]


async def _withdrawn(house: House, people: list[PersonId], rng: np.random.Generator) -> int:
    """A fifth takes the consent to personalising back, another fifth says what should be left out."""
    order = [people[i] for i in rng.permutation(len(people))]
    fifth = max(1, len(order) // 5)
    async with house.kernel.db.transaction() as conn:
        contacts = await house.identity.contacts(conn, order[: 2 * fifth])
        for place, person in enumerate(order[: 2 * fifth]):
            purpose = _PERSONALIZE if place < fifth else f"use:{_KINDS[place % len(_KINDS)]}"
            for one in contacts.get(person, ()):
                await house.consent.withdraw(conn, one.id, purpose, None, mechanism="why_page", actor="person")
    return 2 * fifth


async def _random(
    house: House, people: list[PersonId], count: int, sent: list[DecisionId], rng: np.random.Generator
) -> _Found:
    """So many decisions, half for anybody, most of whom a gate keeps from everything, half for who permits mail; and those of the campaign that were `sent`."""
    placements = [one.name for one in (await house.decisions.shelf.current()).catalogue.placements]
    willing = await _willing(house, people)
    requests = [
        DecisionRequest(person=willing[rng.integers(len(willing))], placement=story.PLACEMENT, seed=f"claims-{n}") if n % 2
        else DecisionRequest(person=people[rng.integers(len(people))], placement=placements[rng.integers(len(placements))], seed=f"claims-{n}")
        for n in range(count)
    ]  # fmt: skip
    found = _Found(decisions=len(sent))
    for decision_id in sent:
        await _read(house, decision_id, found)
    for answer in await house.decisions.decide_many(requests, at_once=8):
        if isinstance(answer, Exception):
            raise answer
        found.decisions += 1
        await _read(house, answer.decision_id, found)
    return found


async def _read(house: House, decision_id: DecisionId, found: _Found) -> None:
    explanation = await house.explain.hers(await house.explain.explain(decision_id))
    if explanation.content is None:
        return
    found.explained += 1
    view = house.explain.person_view(explanation, "en").as_json()
    case = await _case(house, decision_id)
    found.procedures[str(view["procedure"])] += 1
    found.wrong += [f"{decision_id} ({view['procedure']}): {one}" for one in unsupported(view, case)]
    found.named += len(withheld_names(view, case))
    for lever in explanation.content.levers:
        found.levers += 1
        again = await house.decisions.again(decision_id, change_of(lever))
        found.flat += again.choice == case.record.outcome.choice


async def _case(house: House, decision_id: DecisionId) -> Case:
    """The record, read by hands of our own."""
    record: Record = (await Sealer(house.kernel, house.identity).open(decision_id)).decoded()
    model: Model | None = None
    if record.inputs.versions.model is not None and record.outcome.ranked_by == "ranker":
        model = await house.learning.model(record.inputs.versions.model)
    arm = record.outcome.arm
    act_id = record.inputs.permit(arm).act if arm is not None else None
    named = {one.act for one in record.inputs.origins if one.act} | ({act_id} if act_id is not None else set())
    async with house.kernel.db.reading() as conn:
        acts = await house.consent.acts(conn, sorted(ActId(one) for one in named))
    catalogue = await house.decisions.shelf.by_digest(record.inputs.versions.catalogue)
    return Case(
        record=record,
        catalogue=catalogue,
        model=model,
        act=acts.get(ActId(act_id)) if act_id is not None else None,
        acts={str(one): act for one, act in acts.items()},
    )


SECTIONS: Final = (Section("claims", "random decisions of the demo world, read a second time", run=claims),)
