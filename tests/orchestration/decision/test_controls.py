"""Each control of a why page, pressed: the next decision differs, or staff have something to look at; and levers are held to what they promise."""

from dataclasses import replace
from datetime import timedelta

import pytest

from consent.page import Preferences
from consent.requests import Rights
from consent.wording import words
from explain.concepts import OTHER, Concept, kind_of
from explain.facts import Provenance
from explain.feedback import Feedback, Said
from explain.levers import Lever, change_of
from explain.service import Explain
from orchestration.decision.feedback import acting, correcting
from profiles.kinds import kinds_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def explain(shop) -> Explain:
    made = Explain(shop.kernel, shop.audit, identity=shop.identity)
    made.register(shop.decisions, shop.learning, shop.decisions)
    made.on_feedback.append(acting(shop.identity, shop.consent, shop.clock))
    shop.rights = Rights(shop.kernel, shop.audit, shop.identity, shop.consent)
    made.hearing.on_correction = correcting(shop.identity, shop.rights, shop.kernel.db)
    shop.profiles.declined = made.not_interested
    shop.profiles.features.kinds = kinds_of(shop.profiles.features.names, kind_of)
    return made


async def lost(shop, made):
    candidates = (await shop.decisions.show(made.decision_id))["candidates"]
    return {one["id"]: (one["stage"], one["reason"]) for one in candidates}


async def naming(shop, explain, made, trait="age"):
    """The explanation as a model's would be, that names what is known of her."""
    content = (await explain.explain(made.decision_id)).content
    where = Provenance(trait=trait, source="shop", observed_at=content.facts.at, purpose="marketing.personalize")
    concept = Concept(
        key=OTHER, about="person", control="preferences", contribution=0.1, features=("age",), present=True, provenance=(where,)
    )  # fmt: skip
    lever = Lever(kind="without", subject=OTHER, choice="nothing", channel=None)
    return replace(content, concepts=(concept,), levers=(lever,))


async def test_what_she_wants_left_out_is_left_out_of_the_next_decision_and_can_be_let_in_again(shop, explain):
    ada = await shop.person("ada", age=40)
    made = await shop.decide(ada, "adults")
    assert made.variant == "plain"
    content = await naming(shop, explain, made)
    assert (await shop.decisions.again(made.decision_id, change_of(content.levers[0]))).choice == "nothing"
    assert await explain.hearing.hear(content, Said(Feedback.STOP_USING, OTHER), shop.decisions)
    shop.clock.advance(timedelta(minutes=1))
    after = await shop.decide(ada, "adults")
    assert (after.variant, (await lost(shop, after))["plain@email"]) == (None, ("segment", "not_in_segment"))
    assert (await shop.decisions.replay(after.decision_id)).identical
    assert not await explain.hearing.hear(content, Said(Feedback.STOP_USING, OTHER), shop.decisions)  # said before
    assert len(await shop.rows("SELECT 1 FROM consent.acts WHERE purpose = 'use:other'")) == 1
    # What was promised is held against what was decided next.
    await explain.explain(after.decision_id)
    told = await explain.honesty()
    assert (told.used, told.followed, told.changed) == (1, 1, 1)
    assert (told.replayed, told.flipped) == (1, 1)
    # Of offline rows it is gone too, by the same filter.
    async with shop.kernel.db.reading() as conn:
        batch = await shop.profiles.batch(conn, [ada], "marketing.personalize", shop.clock.now())
    assert batch.rows[0][0] != batch.rows[0][0]
    # On her own page it stands as a no; a yes there lets it in again, and the same no from the shared link's page does nothing.
    preferences = Preferences(shop.consent, shop.identity, shop.clock)
    contact = content.facts.identifier_id
    shop.clock.advance(timedelta(minutes=1))
    async with shop.kernel.db.transaction() as conn:
        shown = {row.field: row for row in (await preferences.page(conn, contact, words("en"))).rows}
        assert (shown["use:other|"].answer, shown["use:other|"].wish) == ("denied", True)
        assert await preferences.save(conn, contact, {"use:other|": "denied"}, words("en")) == []
        assert len(await preferences.save(conn, contact, {"use:other|": "granted"}, words("en"))) == 1
        assert "use:other|" not in {row.field for row in (await preferences.page(conn, contact, words("en"))).rows}
    assert (await shop.decide(ada, "adults")).variant == "plain"


async def test_a_pause_is_over_by_itself_and_ends_when_she_says_so(shop, explain):
    ada = await shop.person("ada")
    made = await shop.decide(ada)
    assert await explain.feedback(made.decision_id, Said(Feedback.PAUSE, "email"))
    await explain.feedback(made.decision_id, Said(Feedback.PAUSE, "email"))
    assert len(await shop.rows("SELECT 1 FROM consent.acts WHERE purpose = 'pause'")) == 1
    shop.clock.advance(timedelta(days=29))
    after = await shop.decide(ada)
    assert (await lost(shop, after))["plain@email"] == ("consent", "pause.channel")
    assert "break" in explain.person_view(await explain.explain(after.decision_id), "en").headline
    shop.clock.advance(timedelta(days=2))
    assert (await shop.decide(ada)).variant is not None


async def test_an_opt_out_ends_the_purpose_and_what_is_not_on_the_page_is_not_done(shop, explain):
    ada = await shop.person("ada")
    made = await shop.decide(ada)
    for strange in (Said(Feedback.OPT_OUT, "service"), Said(Feedback.PAUSE, "push"), Said(Feedback.STOP_USING, "cart")):
        assert not await explain.feedback(made.decision_id, strange)
    assert (await shop.decide(ada)).variant is not None
    assert await explain.feedback(made.decision_id, Said(Feedback.OPT_OUT, "marketing.email"))
    assert (await lost(shop, await shop.decide(ada)))["plain@email"] == ("consent", "withdrawn.channel")


async def test_her_words_reach_staff_unproven_and_correct_the_detail_once_they_are_carried_out(shop, explain):
    ada = await shop.person("ada", age=40)
    content = await naming(shop, explain, await shop.decide(ada, "adults"))
    word = Said(Feedback.CORRECT, OTHER, "17")
    assert await explain.hearing.hear(content, word, shop.decisions)
    assert not await explain.hearing.hear(content, word, shop.decisions)
    assert not await explain.hearing.hear(
        content, replace(word, words="No, 18"), shop.decisions
    )  # no flood of requests
    (asked,) = await shop.rights.list_requests(person=ada)
    assert (asked.right, asked.state, asked.verdict) == ("rectification", "open", None)
    async with shop.kernel.db.transaction() as conn:
        await shop.rights.correcting.correct(conn, asked)
    assert (await shop.decide(ada, "adults")).variant is None
