"""What was learned from people is taken back: their lessons, what these gave to the sums, and the weights of a library that heard them (features.F49).

Enters: people by every id, records and decisions that are theirs, in the transaction that erases them. Leaves: how many lessons went. A decision of before people were parted
stands under the id of whom she was parted from; its lesson goes with the decision, and the voice it was a part of is summed again without it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from kernel.canonical import digest_of
from kernel.db import Conn
from kernel.ids import DecisionId, PersonId
from orchestration.decision.catalogue import Catalogue, Placement
from orchestration.decision.policies.learned import to_bytes
from orchestration.decision.policies.rules import LibraryRule, Rule, digest_of_rule
from orchestration.learning import learned_store
from orchestration.learning import lessons as teaching
from orchestration.learning import online_store as store
from orchestration.learning.lessons import state_of
from orchestration.learning.library import untaught
from orchestration.learning.settings import LearningSettings


@dataclass(frozen=True, slots=True)
class Plan:
    """The placements that learn, by name, under the catalogue that rules."""

    catalogue: Catalogue | None
    rules: Mapping[str, tuple[Placement, Rule]]


async def forget(
    conn: Conn, people: Sequence[PersonId], subjects: Sequence[str], decisions: Sequence[DecisionId], *,
    plan: Callable[[], Awaitable[Plan]], settings: LearningSettings, now: datetime,
) -> int:  # fmt: skip
    """Take lessons about these people and of these decisions out of lessons and sums, under the lock.

    What a library learned from them cannot be taken back: it begins anew here, and learns the lessons that stay again, some at a time as any others.
    """
    theirs = await store.of_people(conn, people, decisions)
    taught = await learned_store.taught_of(conn, people, decisions)
    before = await store.voices(conn, {(one.placement, one.person, one.epoch) for one in theirs})
    gone_ids = {one.decision for one in theirs}
    after = [one for one in before if one.decision not in gone_ids]
    await store.tally(conn, teaching.changes(before, after, voices=settings.voices, most=settings.most_decisions))
    gone = await store.forget(conn, people, subjects, decisions)
    rules = (await plan()).rules if taught else {}
    for name in taught:
        rule = rules[name][1] if name in rules else None
        if isinstance(rule, LibraryRule):
            state = state_of(await store.tallies(conn, name, 0), half_life=rule.half_life, columns=rule.columns)
            content = to_bytes(state, model=await asyncio.to_thread(untaught, rule))
            await store.add_state(conn, name, digest_of_rule(rule), digest_of(content), content, now)
            await store.unteach(conn, name)
    return gone
