"""Every right end to end: what is decided, trained on and sent after it was exercised (consent.D1, D15)."""

from datetime import timedelta

import pytest

from consent.purposes import SALE_SHARE
from consent.requests import Rights
from consent.rights.checks import Method
from consent.rights.correcting import Correction
from profiles.service import Profiles
from profiles.settings import ProfilesSettings

pytestmark = pytest.mark.anyio
PURPOSE = "marketing.personalize"


@pytest.fixture
def rights(shop):
    found = Rights(shop.kernel, shop.audit, shop.identity, shop.consent)
    for holder in (shop.events, shop.profiles, shop.channels, shop.learning, shop.decisions):
        found.register(holder)
    found.correcting.dependants.append(shop.channels)
    return found


async def exercise(rights, right, who, **more):
    request = await rights.open(right, who, actor="person", **more)
    return await rights.run(request.id, actor="staff:a")


async def queued(shop, person, **more):
    """A decision that queued a message: sending nothing is an arm too, and is drawn now and then."""
    for _ in range(40):
        made = await shop.decide(person, send=True, **more)
        if made.delivery_id is not None:
            return made
        assert made.withheld is None, made.withheld
    raise AssertionError("nothing was ever drawn")


async def trained_on(shop) -> set[str]:
    return set((await shop.learning.training_set("open")).people)


async def features(shop, person) -> dict[str, float]:
    async with shop.kernel.db.reading() as conn:
        hot = await shop.profiles.hot(person, PURPOSE, fresh=True)
        del conn
    return dict(zip(shop.profiles.features.names, hot.features, strict=True))


@pytest.mark.parametrize(("right", "reason"), [
    ("restriction", "person.restricted"),
    ("objection", "consent.denied"),
    ("withdrawal", "consent.denied"),
])  # fmt: skip
async def test_a_no_ends_deciding_training_and_sending(shop, rights, right, reason):
    ada, bea = await shop.person("ada", age=40), await shop.person("bea", age=50)
    for person in (ada, bea):
        await shop.decide(person)
    shop.clock.advance(timedelta(days=30))
    assert await trained_on(shop) == {ada, bea}
    waiting, other = await queued(shop, ada), await queued(shop, bea)
    assert (await exercise(rights, right, ada)).counts["consent"] > 0
    again = await shop.decide(ada, send=True)
    assert (again.variant, again.delivery_id) == (None, None)
    assert again.withheld is not None  # not by chance
    assert await trained_on(shop) == {bea}
    async with shop.kernel.db.reading() as conn:
        held = (await shop.consent.check(conn, ada, "marketing.email", "email")).permission
        records = await shop.identity.records(conn, [ada])
    assert (held.granted, held.reason) == (False, reason)
    assert records[ada][0].traits["first_name"] == "Ada"  # the data stays
    await shop.channels.dispatch()
    assert (await shop.channels.show(waiting.delivery_id)).state == "withheld"
    assert (await shop.channels.show(other.delivery_id)).state != "withheld"


async def test_a_withdrawal_from_one_purpose_leaves_the_others(shop, rights):
    ada = await shop.person("ada", age=40)
    await exercise(rights, "withdraw", ada, about={"purpose": PURPOSE})
    assert await queued(shop, ada)
    assert (await features(shop, ada))["age"] != 40.0


async def test_an_opt_out_of_sale_and_sharing_binds_what_is_flagged(shop, rights):
    ada = await shop.person("ada", agree=("marketing.email", "sharing"))
    await exercise(rights, "sale:opt_out", ada, regime="us-ca")
    async with shop.kernel.db.reading() as conn:
        assert not (await shop.consent.check(conn, ada, "sharing", None)).permission.granted
        history = await shop.consent.history(conn, ada)
    assert SALE_SHARE in {line.act.purpose for line in history}
    assert await queued(shop, ada)  # it was not about messages


async def test_opting_in_again_lifts_an_opt_out_only_where_the_law_lets_it(shop, rights):
    ada = await shop.person("ada", agree=("sharing",))
    await exercise(rights, "opt_out", ada)
    await exercise(rights, "sale:opt_in", ada)
    async with shop.kernel.db.reading() as conn:
        found = (await shop.consent.check(conn, ada, "sharing", None)).permission
    assert not found.granted  # the default pack has no override


async def test_an_opt_out_of_automated_decisions_takes_her_out_of_the_ranking(shop, rights):
    ada = await shop.person("ada", age=40)
    before = await shop.decide(ada)
    assert (await features(shop, ada))["age"] == 40.0
    lines = await shop.audit.lineage([("decision", before.decision_id)], depth=1)
    assert any(entry.refs.get("record") for entry in lines)
    await exercise(rights, "admt_opt_out", ada)
    assert (await features(shop, ada))["age"] != 40.0
    after = await shop.decide(ada)
    assert after.withheld is None  # she may still be written to, as anybody is
    lines = await shop.audit.lineage([("decision", after.decision_id)], depth=1)
    assert not any(entry.refs.get("record") for entry in lines)  # and nothing of hers entered the choice
    assert await trained_on(shop) == set()


async def test_a_limit_of_sensitive_data_hides_what_is_sensitive_and_nothing_else(shop, rights):
    settings = ProfilesSettings(features_file=shop.profiles.settings.features_file, sensitive_traits=("age",))
    shop.profiles = Profiles(shop.kernel, shop.identity, shop.consent, shop.events, settings)
    ada = await shop.person("ada", age=40, agree=("marketing.email", PURPOSE, "sensitive"))

    async def seen():
        async with shop.kernel.db.reading() as conn:
            return (await shop.profiles.unified(conn, [ada], PURPOSE, shop.clock.now()))[ada].traits

    assert {"age", "first_name"} <= set(await seen())
    await exercise(rights, "limit_sensitive", ada)
    left = set(await seen())
    assert "age" not in left
    assert "first_name" in left


async def test_access_to_automated_decisions_shows_them_and_no_more(shop, rights):
    ada = await shop.person("ada", age=40)
    made = await shop.decide(ada)
    outcome = await exercise(rights, "admt_access", ada, check=Method.LOGIN)
    assert [one.decision for one in outcome.package.decisions] == [made.decision_id]
    assert [one.purpose for one in outcome.package.purposes] == [PURPOSE]
    assert set(outcome.package.holdings) == {"profiles"}
    assert outcome.package.consents == ()


async def test_a_rectification_reaches_profiles_decisions_and_messages_that_wait(shop, rights):
    ada = await shop.person("ada", age=40)
    waiting = await queued(shop, ada, deliver_after=shop.clock.now().replace(hour=20))
    async with shop.kernel.db.reading() as conn:
        (wrong,) = [one.id for one in (await shop.identity.records(conn, [ada]))[ada]]
    outcome = await exercise(
        rights, "rectification", ada, check=Method.LOGIN, correction=Correction({"age": 61, "first_name": "Adah"})
    )
    assert outcome.counts["records"] == 1
    assert outcome.counts["decisions_resting"] >= 1  # by lineage, from the record that was wrong
    assert outcome.counts["deliveries_called_off"] == 1
    assert {one.reason for one in await shop.channels.history(waiting.delivery_id)} >= {"corrected"}
    assert (await features(shop, ada))["age"] == 61.0
    made = await shop.decide(ada)
    (entry,) = [
        e for e in await shop.audit.lineage([("decision", made.decision_id)], depth=1) if e.tag == "decision.made"
    ]
    assert wrong not in entry.refs["record"]
    async with shop.kernel.db.reading() as conn:
        current = [one for one in (await shop.identity.records(conn, [ada]))[ada] if one.current]
    assert [one.traits["first_name"] for one in current] == ["Adah"]


async def test_a_wrong_address_that_was_corrected_is_not_written_to(shop, rights):
    ada = await shop.person("ada", agree=("marketing.email",))
    right = Correction(contacts={"email:ada@example.org": "email:ada.right@example.org"})
    await exercise(rights, "rectification", ada, check=Method.LOGIN, correction=right)
    async with shop.kernel.db.reading() as conn:
        (record,) = [one for one in (await shop.identity.records(conn, [ada]))[ada] if one.current]
        contacts = (await shop.identity.contacts(conn, [ada]))[ada]
        held = {one.id: one.value for one in (await shop.identity.identifiers(conn, [ada]))[ada]}
    assert "ada.right@example.org" in {one.value for one in record.identifiers}
    emails = [held[one.id] for one in contacts if one.kind == "email"]
    assert emails[0] == "ada.right@example.org"
