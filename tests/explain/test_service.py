"""Explanations on real engines: made once, sealed, named in the log, closed by erasure."""

import asyncio
import json
from dataclasses import replace

import pytest

from audit.tags import Tag
from explain.attribution import TOLERANCE
from explain.errors import Altered, NotAdditive, NotWired, Unfaithful, WrongRow
from explain.facts import NOTHING, Stage, Verdict
from explain.service import Explain, Feedback
from explain.settings import ExplainSettings
from kernel.canonical import digest
from kernel.errors import IntegrityError, NotFound
from tests.explain.conftest import NAMES, Gbm, Room, facts, gated, model, ruled_by_rules, train

pytestmark = pytest.mark.anyio


async def entries(room: Room, tag: Tag) -> list:
    return await room.audit.entries(tag=tag)


async def test_it_is_made_once_kept_and_named_in_the_log(room: Room) -> None:
    made = await room.about()
    first = await room.explain.explain(made.decision_id)
    again = await room.explain.explain(made.decision_id)
    assert again == first
    assert room.decisions.asked == 1
    (entry,) = await entries(room, Tag.EXPLANATION_MADE)
    opened = await room.audit.open_entry(entry.entry_id)
    assert opened["explanation"] == first.digest == digest(first.content.to_json())
    assert opened["ref.decision"] == made.decision_id
    assert opened["verified"] is True


async def test_it_adds_up_to_the_score_that_was_used(room: Room) -> None:
    made = await room.about()
    seen = room.explain.auditor_view(await room.explain.explain(made.decision_id))
    content = seen.content
    assert abs(content.base + sum(content.contributions) - made.score) <= TOLERANCE
    assert abs(seen.residual) <= TOLERANCE
    assert [part.feature for part in seen.features] == list(NAMES)


async def test_two_at_once_are_one_row_and_one_entry(room: Room) -> None:
    made = await room.about()
    other = Explain(room.kernel, room.audit)
    other.register(room.decisions, room.models, room.decisions)
    found = await asyncio.gather(*(one.explain(made.decision_id) for one in (room.explain, other, room.explain, other)))
    assert len({one.digest for one in found}) == 1
    assert len(await room.rows("SELECT 1 FROM explain.explanations")) == 1
    assert len(await entries(room, Tag.EXPLANATION_MADE)) == 1


async def test_it_is_equal_whenever_it_is_made(room: Room) -> None:
    made = await room.about()
    first = await room.explain._make(made)
    room.kernel.clock.advance(__import__("datetime").timedelta(days=40))
    assert (await room.explain._make(made))[0] == first[0]


async def test_the_row_shows_nothing_without_the_key(room: Room) -> None:
    made = await room.about()
    await room.explain.explain(made.decision_id)
    (row,) = await room.rows("SELECT body FROM explain.explanations")
    for word in (b"Blue Shop", b"shop", b"spend", b"Order Completed"):
        assert word not in bytes(row["body"])


async def test_a_row_moved_to_another_decision_does_not_open(room: Room) -> None:
    one, two = await room.about(), await room.about("bob@example.org")
    await room.explain.explain(one.decision_id)
    await room.explain.explain(two.decision_id)
    (body,) = await room.rows("SELECT body, key_id FROM explain.explanations WHERE decision_id = %s", one.decision_id)
    async with room.kernel.db.transaction() as conn:
        await conn.execute(
            "UPDATE explain.explanations SET body = %s, key_id = %s WHERE decision_id = %s",
            (body["body"], body["key_id"], two.decision_id),
        )
    with pytest.raises(IntegrityError):
        await room.explain.explain(two.decision_id)


async def test_an_altered_clear_row_is_refused(room: Room) -> None:
    made = room.decisions.keep(facts())
    await room.explain.explain(made.decision_id)
    async with room.kernel.db.transaction() as conn:
        await conn.execute(
            "UPDATE explain.explanations SET body = replace(convert_from(body, 'UTF8'), 'Blue', 'Red')::bytea"
        )
    with pytest.raises(Altered):
        await room.explain.explain(made.decision_id)


async def test_after_the_keys_are_destroyed_it_is_redacted_and_no_accident(room: Room) -> None:
    made = await room.about()
    kept = await room.explain.explain(made.decision_id)
    await room.kernel.vault.destroy([made.key_id])
    found = await room.explain.explain(made.decision_id)
    assert found.redacted
    assert found.digest == kept.digest
    seen = room.explain.person_view(found, "de").as_json()
    assert seen["redacted"] is True
    assert "gelöscht" in seen["headline"]
    assert room.explain.auditor_view(found).as_json() == {
        "decision_id": made.decision_id, "explanation": kept.digest, "redacted": True,
    }  # fmt: skip


async def test_a_decision_closed_before_it_was_explained_is_redacted(room: Room) -> None:
    made = await room.about()
    room.decisions.closed.add(made.decision_id)
    assert (await room.explain.explain(made.decision_id)).redacted
    assert await room.rows("SELECT 1 FROM explain.explanations") == []


async def test_a_key_destroyed_between_reading_and_keeping_keeps_nothing(room: Room) -> None:
    made = await room.about()
    await room.kernel.vault.destroy([made.key_id])
    assert (await room.explain.explain(made.decision_id)).redacted
    assert await room.rows("SELECT 1 FROM explain.explanations") == []


async def test_erasure_takes_the_person_off_and_export_tells_why(room: Room) -> None:
    made, other = await room.about(), await room.about("bob@example.org")
    for one in (made, other):
        await room.explain.explain(one.decision_id)
        await room.explain.feedback(one.decision_id, Feedback.NOT_INTERESTED)
    async with room.kernel.db.transaction() as conn:
        (told,) = await room.explain.export(conn, made.person)
        assert told["decision"] == made.decision_id
        assert told["why"]["main_parameters"]
        assert await room.explain.count(conn, [made.person, other.person]) == {"explanations": 2}
        assert [one["control"] for one in told["said"]] == ["not_interested"]
        assert await room.explain.erase(conn, made.person) == 3
        assert await room.explain.erase(conn, made.person) == 0
        assert await room.explain.export(conn, made.person) == []
        assert len(await room.explain.export(conn, other.person)) == 1
    assert (await room.explain.explain(made.decision_id)).redacted
    rows = await room.rows("SELECT decision_id, person FROM explain.feedback")
    assert [row["person"] for row in rows] == [other.person]


async def test_erasure_finds_decisions_made_under_an_earlier_id(room: Room) -> None:
    """A person merged into another: the decision names the old id, the key is the survivor's."""
    made = await room.about()
    earlier = replace(made, decision_id="dec_01J0000000000000000000000A", person="per_01J0000000000000000000000A")
    room.decisions.keep(earlier)
    await room.explain.explain(earlier.decision_id)
    async with room.kernel.db.transaction() as conn:
        assert await room.explain.erase(conn, made.person) == 1


async def test_what_does_not_add_up_is_refused_and_not_kept(room: Room) -> None:
    room.decisions.keep(off := facts(score=99.0))
    with pytest.raises(Unfaithful):
        await room.explain.explain(off.decision_id)
    room.decisions.keep(short := facts(features=facts().features[:-1]))
    with pytest.raises(WrongRow):
        await room.explain.explain(short.decision_id)

    class Leaking(Gbm):
        def contributions(self, row):
            base, parts = super().contributions(row)
            return base + 1e-6, parts

    room.models.found = Leaking(train(), digest="sha256:leaking")
    room.decisions.keep(leaks := facts())
    with pytest.raises(NotAdditive):
        await room.explain.explain(leaks.decision_id)
    assert await room.rows("SELECT 1 FROM explain.explanations") == []


async def test_unknown_decisions_and_an_unwired_room_say_so(room: Room) -> None:
    with pytest.raises(NotFound):
        await room.explain.explain("dec_unknown")
    with pytest.raises(NotWired):
        await Explain(room.kernel, room.audit).explain("dec_unknown")


async def test_the_worker_explains_what_the_log_names_and_sets_aside_what_does_not_add_up(room: Room) -> None:
    good = [await room.about(f"p{n}@example.org") for n in range(3)]
    bad = await room.about("bad@example.org", score=99.0)
    gone = await room.about("gone@example.org")
    room.decisions.closed.add(gone.decision_id)
    unknown = await room.about("unknown@example.org")
    del room.decisions.held[unknown.decision_id]
    await room.explain.explain(good[0].decision_id)
    assert await room.explain.explain_pending(50) == 0  # nothing has a place in the log yet
    await room.audit.sequence()
    assert await room.explain.explain_pending(2) == 2
    with pytest.raises(Unfaithful):
        await room.explain.explain_pending(50)
    assert await room.explain.explain_pending(50) == 0
    assert await room.explain.queue.refused() == {bad.decision_id: "explain.unfaithful"}
    rows = await room.rows("SELECT decision_id FROM explain.explanations ORDER BY 1")
    assert [row["decision_id"] for row in rows] == sorted(one.decision_id for one in good)
    late = await room.about("late@example.org")
    await room.audit.sequence()
    assert await room.explain.explain_pending(50) == 1
    assert not (await room.explain.explain(late.decision_id)).redacted


async def test_a_key_destroyed_before_the_common_commit_costs_its_neighbours_nothing(room: Room, monkeypatch) -> None:
    one, lost, two = [await room.about(f"{name}@example.org") for name in ("ada", "bea", "cy")]
    await room.audit.sequence()
    keep = room.explain._keep_all

    async def erased_first(made):
        await room.kernel.vault.destroy([lost.key_id])
        await keep(made)

    monkeypatch.setattr(room.explain, "_keep_all", erased_first)
    assert await room.explain.explain_pending(50) == 3
    rows = await room.rows("SELECT decision_id FROM explain.explanations")
    assert {row["decision_id"] for row in rows} == {one.decision_id, two.decision_id}
    assert await room.explain.queue.waiting() == 1
    assert await room.explain.explain_pending(50) == 1  # found to be redacted
    assert await room.explain.queue.waiting() == 0


async def test_gates_rules_and_chance_are_explained_without_a_model(room: Room) -> None:
    for made in (ruled_by_rules(), gated(Stage.CONSENT), gated(Stage.HOLDOUT, holdout=True)):
        room.decisions.keep(made)
        found = await room.explain.explain(made.decision_id)
        assert found.content.base is None
        assert room.explain.person_view(found).main_parameters == ()
        assert room.explain.auditor_view(found).residual is None
    assert room.explain.person_view(found).preferences_url == ""


async def test_levers_are_kept_with_the_explanation(room: Room) -> None:
    room.decisions.flips = {"marketing.email": Verdict(choice=NOTHING, channel=None, probability=1.0)}
    made = await room.about()
    await room.explain.explain(made.decision_id)
    room.decisions.flips = {}
    seen = room.explain.person_view(await room.explain.explain(made.decision_id))
    assert seen.levers == ("If you take back “offers by email”, you would get: nothing.",)


async def test_both_views_agree_and_speak_the_law_s_field_names(room: Room) -> None:
    made = await room.about()
    found = await room.explain.explain(made.decision_id)
    person, auditor = room.explain.person_view(found, "en").as_json(), room.explain.auditor_view(found).as_json()
    json.dumps([person, auditor])
    for name in ("is_advertisement", "on_behalf_of", "paid_by"):
        assert person[name] == auditor[name]
    assert {"name", "value_class", "contribution", "source", "control_url"} <= set(person["main_parameters"][0])
    assert all(one["control_url"] for one in person["main_parameters"])
    told = [one.key for one in room.explain.person_view(found, "en").main_parameters]
    assert told == [one["concept"] for one in auditor["concepts"]][: len(told)]
    link = person["preferences_url"].rsplit("/", 1)[1]
    assert room.kernel.tokens.read(link, "preferences").subject == made.identifier_id
    assert auditor["seed"] == "5eed"
    assert auditor["model"] == model().digest


async def test_what_people_say_is_kept_once_and_told_to_those_who_hooked_in(room: Room) -> None:
    heard = []

    async def hook(conn, about, said) -> None:
        heard.append((about.decision_id, said.kind))

    room.explain.on_feedback.append(hook)
    made = await room.about()
    assert await room.explain.feedback(made.decision_id, Feedback.NOT_INTERESTED)
    assert not await room.explain.feedback(made.decision_id, Feedback.NOT_INTERESTED)
    assert await room.explain.feedback(made.decision_id, Feedback.NOT_ME)
    assert heard == [(made.decision_id, "not_interested"), (made.decision_id, "not_me")]
    assert len(await entries(room, Tag.FEEDBACK_GIVEN)) == 1
    (entry,) = await entries(room, Tag.IDENTITY_QUESTIONED)
    assert (await room.audit.open_entry(entry.entry_id))["actor"] == "person"
    async with room.kernel.db.reading() as conn:
        assert await room.explain.not_interested(conn, [made.person, "per_other"]) == {
            made.person: frozenset({"offer"})
        }


async def test_the_second_computation_can_be_turned_off_without_another_explanation(room: Room) -> None:
    made = await room.about()
    plain = Explain(room.kernel, room.audit, ExplainSettings(verify_attributions=False))
    plain.register(room.decisions, room.models, room.decisions)
    (content, checked), (same, again) = await plain._make(made), await room.explain._make(made)
    assert (checked, again) == (False, True)
    assert content == same
