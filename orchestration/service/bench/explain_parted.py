"""Planted false merges: people taken for one, decided for by a ranker, by rules and as a group, explained, and told apart (explain.E11).

Enters: the house of `explain_claims`, people, decisions. Leaves: a row: facts of somebody else on their pages. Among them are orders of somebody else behind a feature whose
newest order is her own, which no explanation names; what is counted is read from the decision's own record, by hands of our own.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import numpy as np

from events.log import NewEvent
from explain.concepts import kind_of
from identity.identifiers import Identifier
from identity.records import NewRecord
from identity.regrouping import By
from kernel.ids import DecisionId, IdentifierId, PersonId, RecordId
from orchestration.decision.inputs import Inputs
from orchestration.decision.request import DecisionRequest
from orchestration.decision.sealed import Sealer
from orchestration.demo import story
from orchestration.service.bench.explain_checker import NAMES
from orchestration.service.bench.learning_rows import Row
from orchestration.wiring import House

RULES: Final = "told_by_rules"
GROUP: Final = "told_as_a_group"
_STAFF: Final = "staff:bench"
_PERSONALIZE: Final = "marketing.personalize"
_LONG_AGO: Final = timedelta(days=170)  # within the windows of the features, before most people's last order
_OF_HER: Final = (
    "group that you are in",
    "asked for a break",
    "does not interest you",
    "do not interest you",
    "had enough",
)
"""What pages say of her beside kinds of information."""


@dataclass(slots=True)
class Planted:
    """`pages` by what ruled, or by which record parted them; `strange`: facts on them that are not of whoever reads."""

    pages: Counter[str] = field(default_factory=Counter)
    strange: int = 0

    def row(self) -> Row:
        """The figure."""
        kinds = ", ".join(f"{name} {n}" for name, n in sorted(self.pages.items()))
        every = {story.PLACEMENT, RULES, GROUP, "newest record", "older record"} <= {
            name for name, n in self.pages.items() if n
        }
        told = f"facts of somebody else on {self.pages.total()} pages of people who were one by mistake ({kinds})"
        return Row("explain.E11", told, "0", str(self.strange), self.strange == 0 and every)


def placements(like: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Two placements like this one that no model was trained for: one for everybody, one for a group."""
    made = []
    for name in (RULES, GROUP):
        one = deepcopy({key: value for key, value in like.items() if key not in {"trigger", "nothing_logged_as"}})
        one["name"] = name
        made.append(one)
    made[1]["segment"] = {"any": ["cart_abandoned", "lapsed"]}
    return made


async def planted(
    house: House, willing: Sequence[PersonId], sent: Sequence[DecisionId], *, most: int, rng: np.random.Generator
) -> Planted:
    """Pairs merged by mistake, and people found to be two, up to `most` of each."""
    found = Planted()
    await _older(house, [willing[i] for i in rng.permutation(len(willing))], most, found)
    await _merged(house, willing, most, rng, found)
    await _parted(house, sent, most, found)
    return found


async def _merged(
    house: House, willing: Sequence[PersonId], most: int, rng: np.random.Generator, found: Planted
) -> None:
    """Every pair is decided for once by each procedure while it is one, and once more told apart."""
    order = [willing[i] for i in rng.permutation(len(willing))]
    pairs = 0
    for a, b in zip(order[::2], order[1::2], strict=False):
        if pairs >= most:
            return
        async with house.kernel.db.transaction() as conn:
            if (await house.identity.judging.merge(conn, a, b, By(_STAFF))).refused is not None:
                continue
            whole = (await house.identity.current(conn, [a]))[a]
        made: dict[str, DecisionId] = {}
        for placement in (story.PLACEMENT, RULES, GROUP):
            request = DecisionRequest(person=whole, placement=placement, seed=f"mixed-{pairs}")
            made[placement] = (await house.decisions.decide(request)).decision_id
            await house.explain.explain(made[placement])
        async with house.kernel.db.transaction() as conn:
            if (await house.identity.judging.unmerge(conn, whole, By(_STAFF))).refused is not None:
                continue
        pairs += 1
        for placement, decision_id in made.items():
            found.pages[placement] += 1
            found.strange += await strange(house, decision_id)


async def _parted(house: House, sent: Sequence[DecisionId], most: int, found: Planted) -> None:
    """People whose choice rested on records of two, as it turns out: the newest record of a feature becomes somebody else's."""
    for decision_id in sent:
        state = await _inputs(house, decision_id)
        named = {RecordId(one.record_id) for one in state.origins if one.record_id}
        async with house.kernel.db.transaction() as conn:
            person = (await house.identity.current(conn, [PersonId(state.person)])).get(PersonId(state.person))
            hers = (await house.identity.owned(conn, [person])).get(person, ()) if person is not None else ()
            theirs = sorted(named & {*hers})
            if person is None or len(hers) < 2 or not theirs:
                continue
            if (await house.identity.judging.split(conn, person, theirs[:1], By(_STAFF))).refused is not None:
                continue
        found.pages["newest record"] += 1
        found.strange += await strange(house, decision_id)
        if found.pages["newest record"] == most:
            return


async def _older(house: House, willing: Sequence[PersonId], most: int, found: Planted) -> None:
    """Somebody else's order of months ago, counted with hers because of a record that is the newest of nothing."""
    now = house.kernel.clock.now()
    for n, person in enumerate(willing):
        other = NewRecord(
            source="bench", source_key=f"older-{n}", identifiers=(Identifier("customer_id", f"bench-older-{n}"),), traits={}, kinds={},
            observed_at=now - _LONG_AGO, purpose=_PERSONALIZE, basis="consent",
        )  # fmt: skip
        async with house.kernel.db.transaction() as conn:
            whole = (await house.identity.current(conn, [person])).get(person)
            (record,) = await house.identity.add_records(conn, [other])
            (stranger,) = (await house.identity.subjects(conn, [record]))[record].people
            if whole is None or (await house.identity.judging.merge(conn, whole, stranger, By(_STAFF))).refused is not None:  # fmt: skip
                continue
            order = NewEvent(
                name="Order Completed", event_time=now - _LONG_AGO, source="bench", purpose=_PERSONALIZE, basis="consent",
                record_id=record, properties={"revenue": 40.0}, message_id=f"older-{n}",
            )  # fmt: skip
            await house.events.note(conn, [order])
            whole = (await house.identity.current(conn, [whole]))[whole]
        request = DecisionRequest(person=whole, placement=story.PLACEMENT, seed=f"older-{n}")
        decision_id = (await house.decisions.decide(request)).decision_id
        await house.explain.explain(decision_id)
        async with house.kernel.db.transaction() as conn:
            if (await house.identity.judging.split(conn, whole, [record], By(_STAFF))).refused is not None:
                continue
        state = await _inputs(house, decision_id)
        if not any(record in one.also for one in state.origins) or any(record == one.record_id for one in state.origins):  # fmt: skip
            continue  # she had no later order: then it is the newest
        found.pages["older record"] += 1
        found.strange += await strange(house, decision_id)
        if found.pages["older record"] == most:
            return


async def strange(house: House, decision_id: DecisionId) -> int:
    """What the page says that rests on a record of somebody else than whoever holds the contact, or was decided for, now."""
    explanation = await house.explain.hers(await house.explain.explain(decision_id))
    view = house.explain.person_view(explanation, "en").as_json()
    state = await _inputs(house, decision_id)
    made = (await Sealer(house.kernel, house.identity).open(decision_id)).decoded().outcome.arm
    contact = state.reach.get(made.channel) if made is not None else None
    behind = {one: [RecordId(r) for r in (one.record_id, *one.also) if r] for one in state.origins}
    records = sorted({record for held in behind.values() for record in held})
    async with house.kernel.db.reading() as conn:
        now = (await house.identity.current(conn, [PersonId(state.person)])).get(PersonId(state.person))
        held = await house.identity.subjects(conn, [*records, *([IdentifierId(contact)] if contact else [])])
    reader = held[contact].people[0] if contact is not None and contact in held and held[contact].people else now
    others = {record for record in records if record in held and reader not in held[record].people}
    text = str(view)
    named = {kind for name, kind in NAMES.items() if name in text}
    theirs = {kind_of(one.feature) for one, rests in behind.items() if not others.isdisjoint(rests)}
    return len(named & theirs) + (sum(words in text for words in _OF_HER) if others else 0)


async def _inputs(house: House, decision_id: DecisionId) -> Inputs:
    return (await Sealer(house.kernel, house.identity).open(decision_id)).decoded().inputs
