"""Requests of people whose id was merged into another between the asking and the doing; files that nobody noted."""

from datetime import timedelta

import numpy as np
import pytest

from consent.errors import Replanned
from consent.requests import Rights
from consent.rights.checks import Method
from events.log import CollectContext, Source
from identity.clusters import Clusters
from identity.identifiers import Identifier
from identity.linkage import Edges
from identity.records import NewRecord
from identity.regrouping import By
from orchestration.triggers.holding import Holding as Triggers

pytestmark = pytest.mark.anyio


@pytest.fixture
def rights(shop):
    found = Rights(shop.kernel, shop.audit, shop.identity, shop.consent)
    for holder in (shop.events, shop.profiles, shop.channels, shop.learning, shop.decisions):
        found.register(holder)
    return found


async def merged(shop, *, sure: bool = False) -> None:
    """All records become one person; ``sure``: on a link as strong as can be."""
    records = [row["record_id"] for row in await shop.rows("SELECT record_id FROM identity.records ORDER BY 1")]
    async with shop.kernel.db.transaction() as conn:
        links = len(records) - 1 if sure else 0
        edges = Edges(np.zeros(links, dtype=np.int64), np.arange(1, links + 1), np.full(links, 20.0))
        await shop.identity.publish(conn, Clusters(np.zeros(len(records), dtype=np.int64), ()), records, edges)


async def asked(shop, rights, right: str):
    """A request of somebody who was then merged into an older person; that person, and the request."""
    old, young = sorted([await shop.person("ada"), await shop.person("bea")])
    request = await rights.open(right, young, actor="person")
    if right == "erasure":
        await rights.approve(request.id, actor="staff:b")
    await merged(shop)
    return old, young, request


async def test_an_erasure_reaches_whoever_the_person_is_now(shop, rights):
    old, young, request = await asked(shop, rights, "erasure")
    async with shop.kernel.db.reading() as conn:
        keys = (await shop.identity.members(conn, [old]))[old].key_ids
    assert (await rights.preview(request.id)).keys == len(keys)
    # What was approved was one person; it is planned anew, and approved again, before anything goes.
    with pytest.raises(Replanned):
        await rights.run(request.id, actor="staff:a")
    again = await rights.show(request.id)
    assert (again.state, again.approved_by, rights.ledger.lines()) == ("open", None, [])
    await rights.approve(request.id, actor="staff:b")
    outcome = await rights.run(request.id, actor="staff:a")
    assert outcome.counts["keys"] == len(keys) > 0
    assert await shop.kernel.vault.unwrap(keys) == {}
    assert set(rights.ledger.among([old, young])) == {old, young}


@pytest.mark.parametrize("right", ["objection", "restriction"])
async def test_a_no_reaches_whoever_the_person_is_now(shop, rights, right):
    old, _, request = await asked(shop, rights, right)
    assert (await rights.run(request.id, actor="staff:a")).counts["consent"] > 0
    async with shop.kernel.db.reading() as conn:
        assert not (await shop.consent.check(conn, old, "marketing.email", "email")).permission.granted


async def test_an_export_holds_what_was_decided_before_the_merge(shop, rights):
    young = max(await shop.person("ada"), await shop.person("bea"))
    made = await shop.decide(young)
    request = await rights.open("access", young, actor="person", check=Method.LOGIN)
    await merged(shop, sure=True)
    package = (await rights.run(request.id, actor="staff:a")).package
    assert [one.decision for one in package.decisions] == [made.decision_id]
    assert len(package.holdings["identity"]["records"]) == 2


async def test_a_count_over_somebody_elses_events_and_what_was_decided_on_it_is_left_out(shop, rights):
    """A false merge: Ada ordered last, Bea before her; what counts both is told of neither (consent.D6)."""
    young = max(await shop.person("ada"), await shop.person("bea"))
    async with shop.kernel.db.transaction() as conn:
        await shop.events.register_source(conn, Source("web", "marketing.personalize", "consent"))
    for name in ("bea", "ada"):
        shop.clock.advance(timedelta(days=1))
        at = shop.clock.now().isoformat()
        call = {
            "type": "track",
            "userId": name,
            "event": "Order Completed",
            "messageId": name,
            "timestamp": at,
            "properties": {},
        }
        (answer,) = await shop.events.collect([call], CollectContext("web"))
        assert answer.status == "accepted", answer
    await merged(shop)
    person = (await shop.rows("SELECT DISTINCT person_id FROM identity.members"))[0]["person_id"]
    made = await shop.decide(person)
    request = await rights.open("access", "email:ada@example.org", actor="person", check=Method.LOGIN)
    package = (await rights.run(request.id, actor="staff:a")).package
    assert made.decision_id not in {one.decision for one in package.decisions}
    derived = package.holdings["profiles"]["derived"]
    told = {one["feature"] for part in derived.values() for one in part["features"]}
    assert told.isdisjoint({"orders", "days_since_order"})
    assert young not in package.model_dump_json()


_RUN = (
    "INSERT INTO triggers.runs (run_id, trigger, kind, key, person, at, due_at, single, state, reason, actor, made_at, changed_at, seen_at)"
    " VALUES (%(run)s, %(run)s, 'api', %(run)s, %(person)s, %(at)s, %(at)s, false, 'sent', 'api', 'staff:a', %(at)s, %(at)s, %(at)s)"
)


async def test_after_a_merge_and_a_split_nothing_is_left_under_the_id_of_before(shop, rights):
    """The retired id leads to whom she was taken for; the records that stood under it are hers alone again (consent.D5)."""
    from pyarrow import parquet

    rows = [
        NewRecord(
            source="crm", source_key=name, identifiers=(Identifier("email", f"{name}@example.org"),), traits={}, kinds={},
            observed_at=shop.clock.now(), purpose="service", basis="contract", also_for=("marketing.personalize",),
        )
        for name in ("ada", "bea")
    ]  # fmt: skip
    by = By("staff:ann")
    async with shop.kernel.db.transaction() as conn:
        stored = await shop.identity.add_records(conn, rows)
        whose = await shop.identity.subjects(conn, stored)
        old, young = sorted(whose[record].people[0] for record in stored)
        for held in (await shop.identity.contacts(conn, [old, young])).values():
            await shop.say(conn, held[0].id, "marketing.personalize", "granted")
        await shop.profiles.write_features(conn, "marketing.personalize", shop.clock.now())
        for n, one in enumerate((old, young)):
            await conn.execute(
                "INSERT INTO learning.lessons (decision, placement, person, arm, at, epoch, reward)"
                " VALUES (%s, 'open', %s, 'plain@email', %s, 0, 0)", (f"dec_{n}", one, shop.clock.now()),
            )  # fmt: skip
        (record,) = (await shop.identity.owned(conn, [young]))[young]
        shop.clock.advance(timedelta(hours=1))
        assert (await shop.identity.judging.merge(conn, old, young, by)).refused is None
        shop.clock.advance(timedelta(hours=1))
        await conn.execute(
            "INSERT INTO learning.lessons (decision, placement, person, arm, at, epoch, reward)"
            " VALUES ('dec_both', 'open', %s, 'plain@email', %s, 0, 0)", (old, shop.clock.now()),
        )  # fmt: skip
        for n, person in enumerate((old, young, old)):
            at = shop.clock.now() - timedelta(hours=3 if n < 2 else 0)
            await conn.execute(_RUN, {"run": f"run_{n}", "person": person, "at": at})
        await shop.profiles.write_features(conn, "marketing.personalize", shop.clock.now())  # one row that counts both
        shop.clock.advance(timedelta(hours=1))
        assert (await shop.identity.judging.split(conn, old, [record], by)).refused is None
        (new,) = (await shop.identity.subjects(conn, [record]))[record].people
        told = {one: await shop.learning.export(conn, one) for one in (old, new)}
        runs = {one: await Triggers().export(conn, one) for one in (old, new)}
    assert new != young
    assert [[one["decision"] for one in told[who]] for who in (old, new)] == [["dec_0"], ["dec_1"]]
    assert [[one["trigger"] for one in runs[who]] for who in (old, new)] == [["run_0"], ["run_1"]], (
        "of both, to neither"
    )
    request = await rights.open("erasure", new, actor="person")
    await rights.approve(request.id, actor="staff:b")
    await rights.run(request.id, actor="staff:a")
    lessons = await shop.rows("SELECT decision FROM learning.lessons ORDER BY 1")
    assert [row["decision"] for row in lessons] == ["dec_0", "dec_both"]
    files = sorted((shop.kernel.settings.data_dir / "features").glob("*.parquet"))
    assert [parquet.read_table(file).column("person_id").to_pylist() for file in files] == [[old], []]


async def test_a_training_set_of_nobody_stops_no_erasure(shop, rights):
    person = await shop.person("ada")
    assert (await shop.learning.training_set("open")).people == ()
    request = await rights.open("erasure", person, actor="person")
    await rights.approve(request.id, actor="staff:b")
    assert (await rights.run(request.id, actor="staff:a")).counts["learning"] == 0


async def test_an_erasure_reaches_feature_files_that_were_never_noted(shop, rights):
    from pyarrow import parquet

    person = await shop.person("ada")
    other = await shop.person("bea")
    with pytest.raises(ZeroDivisionError):
        async with shop.kernel.db.transaction() as conn:
            await shop.profiles.write_features(conn, "marketing.personalize", shop.clock.now())
            raise ZeroDivisionError
    request = await rights.open("erasure", person, actor="person")
    await rights.approve(request.id, actor="staff:b")
    await rights.run(request.id, actor="staff:a")
    (file,) = (shop.kernel.settings.data_dir / "features").glob("*.parquet")
    assert parquet.read_table(file).column("person_id").to_pylist() == [other]
