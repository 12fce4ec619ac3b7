"""Whose rows are whose after people were merged and parted and time went by: nothing is left under a name that nobody goes by any more (consent.D5, D12)."""

from datetime import timedelta

import pytest

from explain.facts import NOTHING, Verdict
from explain.feedback import Feedback
from identity.names import names
from identity.regrouping import By
from kernel.holders import Term
from tests.explain.conftest import NOW, Room

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
