"""Deciding on real Postgres and Valkey: one commit, fences, caps, replay, erasure, what happens when a store is down."""

import asyncio
import json

import pytest

from audit.receipt import verify
from consent.requests import Rights
from identity.identifiers import Identifier
from kernel.cache import CacheUnavailable
from kernel.db import DatabaseUnavailable
from kernel.errors import NotFound
from orchestration.decision.catalogue import NOTHING
from orchestration.decision.commit import Refused
from orchestration.decision.errors import (
    ContentChanged,
    DecisionRedacted,
    SubjectAmbiguous,
    UnknownDecision,
    UnknownPlacement,
)
from orchestration.decision.request import DecisionRequest
from orchestration.decision.service import CONTENTION
from tests.orchestration.conftest import CATALOGUE

pytestmark = pytest.mark.anyio


async def sent(shop, person, placement="open", **more):
    """Decide with seeds in turn until something is chosen."""
    for place in range(40):
        made = await shop.decide(person, placement, seed=f"s{place}", **more)
        if not made.nothing:
            return made
    pytest.fail("nothing was ever chosen")


async def test_a_decision_is_kept_with_its_log_entry_and_its_exact_vector(shop):
    ada = await shop.person("ada", age=40)
    made = await shop.decide("email:ada@example.org", seed="s1")
    assert made.person == ada
    shown = await shop.decisions.show(made.decision_id)
    vector = {one["id"]: float.fromhex(one["propensity"]) for one in shown["candidates"]}
    assert set(vector) == {"plain@email", "offer@email", NOTHING}
    assert abs(sum(vector.values()) - 1) <= 1e-12
    assert vector[made.choice] == made.propensity
    assert shown["ranked_by"] == "rules"
    assert shown["fallback"] == "no_model"
    opened = await shop.audit.open_entry(made.entry_id)
    assert opened["decision"] == (await shop.decisions.row(made.decision_id)).record
    assert opened["ref.person"] == ada
    assert opened["ref.act"]


async def test_two_processes_decide_the_same_from_the_same_state_and_seed(shop):
    await shop.person("ada")
    one = await shop.decide("email:ada@example.org", seed="x", dry_run=True)
    two = await shop.decide("email:ada@example.org", seed="x", dry_run=True)
    assert one.outcome == two.outcome


async def test_a_dry_run_writes_nothing(shop):
    await shop.person("ada")
    before = await shop.rows(
        "SELECT (SELECT count(*) FROM decision.decisions) AS d, (SELECT count(*) FROM audit.entries) AS e"
    )
    made = await shop.decide("email:ada@example.org", "cart", send=True, dry_run=True)
    assert made.entry_id is None
    assert before == await shop.rows(
        "SELECT (SELECT count(*) FROM decision.decisions) AS d, (SELECT count(*) FROM audit.entries) AS e"
    )
    with pytest.raises(UnknownDecision):
        await shop.decisions.show(made.decision_id)


async def test_a_replay_gives_the_same_bytes_and_is_itself_logged(shop):
    await shop.person("ada", age=33)
    for place in range(5):
        made = await shop.decide("email:ada@example.org", seed=str(place), context={"device": "phone", "n": 1.5})
        again = await shop.decisions.replay(made.decision_id, actor="staff:ann")
        assert again.identical
        assert again.digest == again.recorded
        assert again.entry_id


async def test_an_altered_record_is_found_by_its_replay(shop):
    await shop.person("ada")
    made = await sent(shop, "email:ada@example.org")
    sealer = shop.decisions._sealer
    opened = await sealer.open(made.decision_id)
    lied = dict(opened.record) | {"choice": "offer@email"}
    key = await sealer.key(made.person)
    words = json.dumps({"record": lied, "inputs": opened.inputs.to_json()}).encode()
    sealed = key.seal("decision.decisions", "sealed", made.decision_id, words)
    async with shop.kernel.db.transaction() as conn:
        await conn.execute("UPDATE decision.decisions SET sealed = %s WHERE id = %s", (sealed, made.decision_id))
    assert (await shop.decisions.replay(made.decision_id)).status == "different"


async def test_without_permission_every_arm_is_lost_to_consent_and_the_reason_is_named(shop):
    await shop.person("bob", agree=())
    made = await shop.decide("email:bob@example.org")
    assert made.nothing
    assert made.withheld == "consent.missing"
    shown = await shop.decisions.show(made.decision_id)
    assert [one["stage"] for one in shown["candidates"]] == ["consent", "consent", None]


async def test_a_withdrawal_holds_for_the_next_decision(shop):
    await shop.person("ada")
    await sent(shop, "email:ada@example.org")
    await shop.withdraw("ada")
    made = await shop.decide("email:ada@example.org")
    assert made.withheld.startswith("consent.")


async def test_a_withdrawal_between_decision_and_commit_means_deciding_again(shop, monkeypatch):
    """The fence: the first attempt rests on a state that has moved; the second one sees it."""
    await shop.person("ada")
    await shop.decide("email:ada@example.org")  # warm
    submit, refused = shop.decisions._committer.submit, []

    async def late(item):
        if not refused:
            await shop.withdraw("ada")
        answer = await submit(item)
        refused.append(answer)
        return answer

    monkeypatch.setattr(shop.decisions._committer, "submit", late)
    made = await shop.decide("email:ada@example.org")
    assert refused[0] == Refused("fence", "consent_or_graph_moved")
    assert made.attempts == 2
    assert made.nothing
    assert made.withheld.startswith("consent.")
    assert (await shop.decisions.replay(made.decision_id)).identical


async def test_a_state_that_never_holds_still_ends_in_a_recorded_nothing(shop, monkeypatch):
    await shop.person("ada")

    async def never(item):
        return Refused("fence", "consent_or_graph_moved")

    monkeypatch.setattr(shop.decisions._committer, "submit", never)
    made = await shop.decide("email:ada@example.org")
    assert (made.choice, made.withheld, made.propensity) == (NOTHING, CONTENTION, 1.0)
    assert (await shop.decisions.replay(made.decision_id)).identical


async def test_a_cap_of_one_lets_one_message_through_however_many_ask(shop):
    """decision.D9, at the scale of a test: 32 at once, cap 1 a week."""
    await shop.person("ada")
    made = await asyncio.gather(
        *(shop.decide("email:ada@example.org", "cart", send=True, seed=str(i)) for i in range(32))
    )
    sent_ones = [one for one in made if one.delivery_id]
    assert len(sent_ones) == 1
    assert sum(1 for one in made if not one.nothing) == 1
    lost = [one for one in made if one.nothing and one.withheld]
    assert {one.withheld.partition(":")[0] for one in lost} == {"cap"}
    for one in (sent_ones[0], lost[0], lost[-1]):
        assert (await shop.decisions.replay(one.decision_id)).identical


async def test_many_people_share_commits(shop):
    names = [f"p{i}" for i in range(12)]
    for name in names:
        await shop.person(name)
    made = await shop.decisions.decide_many(
        [DecisionRequest(person=f"email:{name}@example.org", placement="open") for name in names]
        + [DecisionRequest(person="email:nobody@example.org", placement="open")]
    )
    assert [type(one).__name__ for one in made] == ["Decision"] * 12 + [type(made[-1]).__name__]
    assert isinstance(made[-1], NotFound)
    transactions = await shop.rows("SELECT count(DISTINCT xmin::text) AS n FROM decision.decisions")
    assert transactions[0]["n"] < 12


async def test_holdout_people_get_nothing_and_are_the_same_people_every_time(shop):
    held = {}
    for place in range(24):
        await shop.person(f"p{place}")
        made = await shop.decide(f"email:p{place}@example.org", "tested")
        held[place] = made.outcome.holdout
        if made.outcome.holdout:
            assert (made.choice, made.propensity) == (NOTHING, 1.0)
            assert made.withheld == "holdout:h"
    assert 4 <= sum(held.values()) <= 20
    for place, was in held.items():
        again = await shop.decide(f"email:p{place}@example.org", "tested", dry_run=True)
        assert again.outcome.holdout == was


async def test_a_segment_is_asked_and_only_of_what_the_purpose_may_see(shop):
    await shop.person("ada", age=40)
    await shop.person("kid", age=12)
    await shop.person("shy", agree=("marketing.email",), age=40)
    assert (await shop.decide("email:ada@example.org", "adults")).withheld is None
    assert (await shop.decide("email:kid@example.org", "adults")).withheld == "segment:not_in_segment"
    # She is grown up, but did not agree to be known for it.
    assert (await shop.decide("email:shy@example.org", "adults")).withheld == "segment:not_in_segment"


@pytest.mark.parametrize(
    "subject", [{}, {"person": "email:a@example.org", "identifiers": (Identifier("login_id", "a"),)}]
)
async def test_none_or_two_subjects_are_refused(shop, subject):
    with pytest.raises(SubjectAmbiguous):
        await shop.decisions.decide(DecisionRequest(placement="open", **subject))


async def test_unknown_person_and_unknown_placement_are_named(shop):
    await shop.person("ada")
    with pytest.raises(NotFound, match="nobody does") as caught:
        await shop.decide("email:nobody@example.org")
    assert "example.org" not in str(caught.value)
    with pytest.raises(NotFound):
        await shop.decide("per_01J00000000000000000000000")
    with pytest.raises(UnknownPlacement, match="did you mean 'cart'"):
        await shop.decide("email:ada@example.org", "carts")
    assert await shop.rows("SELECT 1 FROM decision.decisions") == []


async def test_a_published_variant_cannot_change_its_words_but_may_change_its_price(shop):
    with pytest.raises(ContentChanged, match="plain"):
        await shop.publish(CATALOGUE.replace("Your basket", "Your cart"))
    again = await shop.publish()
    assert not again.changed
    cheaper = await shop.publish(CATALOGUE.replace("cost: 0.05", "cost: 0.01"))
    assert cheaper.changed
    assert (await shop.decisions.shelf.current()).digest == cheaper.digest


async def test_a_decision_on_a_catalogue_that_rules_no_more_is_made_again(shop, monkeypatch):
    await shop.person("ada")
    submit, answers = shop.decisions._committer.submit, []

    async def late(item):
        if not answers:
            await shop.publish(CATALOGUE.replace("cost: 0.05", "cost: 0.02"))
        answers.append(await submit(item))
        return answers[-1]

    monkeypatch.setattr(shop.decisions._committer, "submit", late)
    made = await shop.decide("email:ada@example.org")
    assert answers[0] == Refused("catalogue", "catalogue_moved")
    assert (await shop.decisions.row(made.decision_id)).catalogue == (await shop.decisions.shelf.current()).digest


async def test_the_facts_for_the_why_page_are_those_of_the_record(shop):
    ada = await shop.person("ada", age=40)
    made = await sent(shop, "email:ada@example.org")
    facts = await shop.decisions.facts(made.decision_id)
    assert (facts.person, facts.choice, facts.channel) == (ada, made.choice, "email")
    assert facts.propensity == made.propensity
    assert facts.permission.answer == "granted"
    assert facts.permission.given_at is not None
    assert facts.advertisement.on_behalf_of == "Blue Shop"
    assert sum(one.probability for one in facts.candidates) == pytest.approx(1)
    verdict = await shop.decisions.again(made.decision_id, {"withdraw": "marketing.email"})
    assert verdict.choice == NOTHING
    same = await shop.decisions.again(made.decision_id, {})
    assert (same.choice, same.probability) == (made.choice, made.propensity)


async def test_doing_without_a_feature_also_takes_the_segments_that_rest_on_it(shop):
    await shop.person("ada", age=40)
    for place in range(20):
        made = await shop.decide("email:ada@example.org", "adults", seed=f"s{place}")
        if not made.nothing:
            break
    facts = await shop.decisions.facts(made.decision_id)
    assert facts.segments == ("grown_up",)
    for change in ({"without": ["age"]}, {"withdraw": "marketing.personalize"}):
        assert (await shop.decisions.again(made.decision_id, change)).choice == NOTHING
    assert (await shop.decisions.again(made.decision_id, {"without": ["orders"]})).choice == made.choice


async def test_the_receipt_proves_consents_sources_and_decision_offline(shop):
    await shop.person("ada", age=40)
    made = await sent(shop, "email:ada@example.org")
    await shop.audit.sequence()
    receipt = await shop.decisions.receipt(made.decision_id)
    verdict = verify(receipt, key=(await shop.audit.verifier_keys())[0].text)
    assert verdict.ok
    assert verdict.trusted
    assert receipt.evidence["decision"]["choice"] == made.choice
    assert receipt.evidence["consents"]["marketing.email|email"]["act"].startswith("act_")
    assert any(one["trait"] == "age" for one in receipt.evidence["sources"])
    assert "40" not in json.dumps(receipt.evidence["sources"])
    lied = dict(receipt.evidence) | {"consents": {}}
    assert not verify(
        type(receipt)(
            receipt.leaf, receipt.openings, lied, receipt.index, receipt.proof, receipt.checkpoint, receipt.key
        )
    ).ok


async def test_after_an_erasure_the_decision_is_redacted_everywhere_and_its_proof_holds(shop):
    ada = await shop.person("ada", age=40)
    made = await sent(shop, "email:ada@example.org")
    rights = Rights(shop.kernel, shop.audit, shop.identity, shop.consent)
    rights.register(shop.decisions)
    rights.register(shop.learning)
    request = await rights.open("erasure", "email:ada@example.org", actor="staff:ann")
    await rights.approve(request.id, actor="staff:bob")
    await rights.run(request.id, actor="staff:bob")
    assert (await shop.decisions.replay(made.decision_id)).status == "redacted"
    with pytest.raises(DecisionRedacted):
        await shop.decisions.facts(made.decision_id)
    (row,) = await shop.rows("SELECT * FROM decision.decisions WHERE id = %s", made.decision_id)
    assert (row["person"], row["sealed"], row["key_id"]) == (None, None, None)
    await shop.audit.sequence()
    verdict = verify(await shop.decisions.receipt(made.decision_id))
    assert verdict.ok
    assert verdict.redacted
    with pytest.raises(NotFound):
        await shop.decide(ada)


async def test_with_the_hot_store_down_decisions_go_on_from_postgres(shop, monkeypatch):
    await shop.person("ada")

    async def down(*args, **kwargs):
        raise CacheUnavailable("expected the hot store to answer, got nothing")

    monkeypatch.setattr(shop.kernel.cache, "run", down)
    made = await shop.decide("email:ada@example.org", "cart", send=True)
    assert made.entry_id
    assert made.outcome.ranked_by == "rules"


async def test_with_postgres_down_a_decision_is_unavailable_and_nothing_is_half_written(shop, monkeypatch):
    await shop.person("ada")
    made = await shop.decide("email:ada@example.org")
    before = await shop.rows("SELECT count(*) AS n FROM decision.decisions")
    reserve = shop.channels.reserve

    async def dies(conn, deliveries):
        answers = await reserve(conn, deliveries)
        await conn.close()
        return answers

    with monkeypatch.context() as broken:
        broken.setattr(shop.channels, "reserve", dies)
        with pytest.raises(DatabaseUnavailable):
            for place in range(40):
                await shop.decide("email:ada@example.org", "cart", send=True, seed=f"s{place}")
    after = await shop.rows(
        "SELECT count(*) AS n FROM decision.decisions WHERE placement = 'cart' AND delivery_id IS NOT NULL"
    )
    assert after[0]["n"] == 0
    assert before[0]["n"] >= 1
    assert (await shop.decisions.replay(made.decision_id)).identical


async def test_an_export_tells_a_person_her_decisions(shop):
    ada = await shop.person("ada")
    made = await shop.decide("email:ada@example.org")
    async with shop.kernel.db.reading() as conn:
        told = await shop.decisions.export(conn, ada)
        counted = await shop.decisions.count(conn, [ada])
    assert told[0]["decision"] == made.decision_id
    assert counted == {"decisions": 1}
