"""Whose rows are whose after people were merged and parted and time went by: nothing is left under a name that nobody goes by any more (consent.D5, D12)."""

from datetime import timedelta

import pytest

from audit.entries import NewEntry
from audit.tags import Tag
from explain.facts import NOTHING, DecisionFacts, Verdict
from explain.feedback import Feedback
from identity.names import names
from identity.regrouping import By
from kernel.holders import Term
from tests.explain.conftest import NOW, Room, facts

pytestmark = pytest.mark.anyio
STAFF = By("staff:ann")


async def test_what_she_said_is_hers_through_merge_retention_and_split_and_goes_with_her(room: Room) -> None:
    room.decisions.flips = {"marketing.email": Verdict(choice=NOTHING, channel=None, probability=1.0)}
    ada, bea = await room.about("ada@example.org"), await room.about("bea@example.org")
    ada, bea = sorted((ada, bea), key=lambda one: one.person)  # the older one keeps her id when they merge
    for made in (ada, bea):
        content = (await room.explain.explain(made.decision_id)).content
        assert await room.explain.feedback(made.decision_id, Feedback.NOT_INTERESTED)
        assert await room.explain.significant.ask_review(content)
    room.kernel.clock.advance(timedelta(hours=1))  # what is said at the very moment of a merge may be either's
    async with room.kernel.db.transaction() as conn:
        (hers,) = (await room.identity.owned(conn, [bea.person]))[bea.person]
        merged = await room.identity.judging.merge(conn, ada.person, bea.person, STAFF)
        assert merged.refused is None
        assert (await names(conn, [ada.person]))[ada.person].every == [ada.person, bea.person]

    async def told(person: str) -> set[str]:
        async with room.kernel.db.reading() as conn:
            return {
                one["decision"]
                for one in await room.explain.export(conn, person)
                if one.get("said") or "human_review" in one
            }

    honest = await room.explain.honesty()
    old = Term(kind="explanations", before=NOW + timedelta(days=1))
    async with room.kernel.db.transaction() as conn:
        assert await room.explain.keeping.let_go(conn, old, 10) == 2
    assert await told(ada.person) == {ada.decision_id, bea.decision_id}, (
        "what she was is forgotten, what she said is not"
    )
    assert await room.rows("SELECT 1 FROM explain.lever_tallies") == [], "the rule of explanations"
    assert await room.explain.honesty() == honest, "what was shown stays counted"
    assert honest.shown == 2
    assert await room.explain.promises.unchecked(5) == []

    async with room.kernel.db.transaction() as conn:
        assert (await room.identity.judging.split(conn, ada.person, [hers], STAFF)).refused is None
        (alone,) = (await room.identity.subjects(conn, [hers]))[hers].people
        assert {one: known.every for one, known in (await names(conn, [alone, ada.person])).items()} == {
            alone: [alone, bea.person], ada.person: [ada.person],
        }  # fmt: skip
    assert alone not in {ada.person, bea.person}
    assert await told(alone) == {bea.decision_id}
    assert await told(ada.person) == {ada.decision_id}, "the other one is told nothing of hers"
    async with room.kernel.db.transaction() as conn:
        assert await room.explain.erase(conn, alone) == 3
    for table in ("uses", "feedback", "human_reviews"):
        left = await room.rows(f"SELECT decision_id FROM explain.{table}")
        assert [one["decision_id"] for one in left] == [ada.decision_id], table


async def test_of_two_who_were_parted_each_is_told_her_own_and_nobody_what_was_said_while_they_were_one(
    room: Room,
) -> None:
    """The retired id of one leads to the other; what she said of a content acts for herself."""
    ada, bea = await room.about("ada@example.org"), await room.about("bea@example.org")
    ada, bea = sorted((ada, bea), key=lambda one: one.person)

    async def says(made: DecisionFacts) -> None:
        content = (await room.explain.explain(made.decision_id)).content
        assert await room.explain.feedback(made.decision_id, Feedback.NOT_INTERESTED)
        assert await room.explain.significant.ask_review(content)
        room.kernel.clock.advance(timedelta(hours=1))

    await says(ada)
    await says(bea)
    async with room.kernel.db.transaction() as conn:
        (hers,) = (await room.identity.owned(conn, [bea.person]))[bea.person]
        assert (await room.identity.judging.merge(conn, ada.person, bea.person, STAFF)).refused is None
        version = await room.identity.graph_version(conn)
    both = room.decisions.keep(
        facts(
            person=ada.person,
            key_id=ada.key_id,
            identifier_id=ada.identifier_id,
            graph_version=version,
            at=room.kernel.clock.now(),
        )
    )
    async with room.kernel.db.transaction() as conn:
        entry = NewEntry(Tag.DECISION_MADE, {"decision": both.decision_id}, {}, key_id=both.key_id)
        await room.audit.append(conn, [entry])
    await says(both)
    async with room.kernel.db.transaction() as conn:
        assert (await room.identity.judging.split(conn, ada.person, [hers], STAFF)).refused is None
        (alone,) = (await room.identity.subjects(conn, [hers]))[hers].people

    async def told(person: str) -> list[tuple[str, str]]:
        async with room.kernel.db.reading() as conn:
            return sorted(
                (one["decision"], word)
                for one in await room.explain.export(conn, person)
                for word in ("said", "human_review")
                if one.get(word)
            )

    pages = {
        one.decision_id: (await room.explain.hers(await room.explain.explain(one.decision_id))).mixed
        for one in (ada, bea, both)
    }
    assert pages == {ada.decision_id: False, bea.decision_id: False, both.decision_id: True}
    async with room.kernel.db.reading() as conn:
        acts = await room.explain.not_interested(conn, [ada.person, alone])
    assert acts == {ada.person: {"offer"}, alone: {"offer"}}, "under the id that is hers, not where it leads to"
    own = {
        one: [(made.decision_id, "human_review"), (made.decision_id, "said")]
        for one, made in ((ada.person, ada), (alone, bea))
    }
    assert {one: await told(one) for one in own} == own
    async with room.kernel.db.transaction() as conn:
        assert (
            await room.explain.keeping.let_go(conn, Term(kind="explanations", before=NOW + timedelta(days=1)), 10) == 3
        )
    assert {one: await told(one) for one in own} == own, "what explained it is gone, and it is told to neither still"
