"""What a person says on a why page acts on the very next decision, is explained, and costs a warm person no read."""

import pytest

from explain.service import Explain, Feedback
from orchestration.decision.feedback import acting

pytestmark = pytest.mark.anyio


@pytest.fixture
def explain(shop) -> Explain:
    made = Explain(shop.kernel, shop.audit, identity=shop.identity)
    made.register(shop.decisions, shop.learning, shop.decisions)
    made.on_feedback.append(acting(shop.identity, shop.consent, shop.clock))
    shop.profiles.declined = made.not_interested
    return made


async def shown(shop, person, variant):
    for place in range(60):
        made = await shop.decide(person, seed=f"s{place}")
        if made.variant == variant:
            return made
    pytest.fail(f"{variant} was never chosen")


async def lost(shop, made):
    return {
        one["id"]: (one["stage"], one["reason"]) for one in (await shop.decisions.show(made.decision_id))["candidates"]
    }


async def test_not_interested_takes_the_content_out_of_the_next_decision_and_the_why_page_says_so(shop, explain):
    ada = await shop.person("ada")
    made = await shown(shop, ada, "plain")
    assert await explain.feedback(made.decision_id, Feedback.NOT_INTERESTED)
    after = await shop.decide(ada)
    assert (await lost(shop, after))["plain@email"] == ("publication", "not_interested")
    assert after.variant != "plain"
    assert (await shop.decisions.replay(after.decision_id)).identical
    view = explain.person_view(await explain.explain(after.decision_id), "en")
    assert any("told us that they do not interest you" in rule for rule in view.rules)
    bob = await shop.decide(await shop.person("bob"))
    assert (await lost(shop, bob))["plain@email"][1] != "not_interested"


async def test_when_nothing_is_left_the_headline_names_what_she_said(shop, explain):
    ada = await shop.person("ada")
    for variant in ("plain", "offer"):
        made = await shown(shop, ada, variant)
        await explain.feedback(made.decision_id, Feedback.NOT_INTERESTED)
    after = await shop.decide(ada)
    assert after.nothing
    assert after.withheld == "publication:not_interested"
    assert "does not interest you" in explain.person_view(await explain.explain(after.decision_id), "en").headline


async def test_a_decision_that_was_gathered_before_the_word_is_made_afresh(shop, explain, monkeypatch):
    """The hook moves the consent version, so the commit's fence refuses what rests on the profile of before."""
    ada = await shop.person("ada")
    made = await shown(shop, ada, "plain")
    gather, said = shop.decisions._gatherer.gather, []

    async def late(*args, **more):
        found = await gather(*args, **more)
        if not said:
            said.append(await explain.feedback(made.decision_id, Feedback.NOT_INTERESTED))
        return found

    monkeypatch.setattr(shop.decisions._gatherer, "gather", late)
    after = await shop.decide(ada)
    assert after.attempts == 2
    assert (await lost(shop, after))["plain@email"][1] == "not_interested"


async def test_a_warm_person_s_words_are_read_from_the_hot_profile(shop, explain):
    ada = await shop.person("ada")
    await explain.feedback((await shown(shop, ada, "plain")).decision_id, Feedback.NOT_INTERESTED)
    await shop.decide(ada)
    shop.profiles.declined = None  # asking again would answer nothing
    assert (await lost(shop, await shop.decide(ada)))["plain@email"][1] == "not_interested"


async def test_this_is_not_me_opens_one_review_that_staff_can_close(shop, explain):
    ada = await shop.person("ada")
    made = await shop.decide(ada)
    await explain.feedback(made.decision_id, Feedback.NOT_ME)
    async with shop.kernel.db.transaction() as conn:
        (review,) = await shop.identity.reviews(conn)
        assert (review.person, review.reason, review.about) == (ada, "not_me", made.decision_id)
        assert not await shop.identity.review(conn, ada, "not_me", about=made.decision_id)
        assert await shop.identity.close_review(conn, review.review_id, actor="staff:ann")
        assert not await shop.identity.close_review(conn, review.review_id, actor="staff:ann")
        assert await shop.identity.reviews(conn) == []
        assert len(await shop.identity.reviews(conn, closed=True)) == 1
        await shop.identity.erase(conn, ada)
        assert await shop.identity.reviews(conn, closed=True) == []
