"""The walk of a house that goes on collecting and erasing: what arrives between two readings is no fault, and nobody who left comes back."""

import asyncio

import pytest

from events.log import CollectContext, Source
from kernel.clock import FrozenClock
from kernel.ids import PersonId
from orchestration.pipeline.checking import graph, profiles
from orchestration.pipeline.steps import linkage
from orchestration.pipeline.steps import profiles as made
from tests.orchestration.pipeline.conftest import NOW, YES, settle

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock():
    return FrozenClock(NOW)


@pytest.fixture
async def people(house):
    async with house.kernel.db.transaction() as conn:
        await house.events.register_source(conn, Source("web", "service", "contract", ("marketing.personalize",)))
    return await settle(house, {"ada": YES, "bob": YES, "cyd": YES})


async def arrives(house, **who) -> None:
    call = {"type": "track", "event": "Product Viewed", "properties": {}, **who}
    (answer,) = await house.events.collect([call], CollectContext("web"))
    assert answer.status == "accepted"


@pytest.mark.parametrize(
    "check", [profiles.everybody_counted, profiles.nothing_lost_on_the_way, profiles.nothing_unpermitted]
)
async def test_what_arrives_while_a_check_reads_is_no_fault(house, people, monkeypatch, check):
    """After each reading of the check, somebody new comes and somebody known does something."""
    rooms = (
        (house.identity, "people"), (house.identity, "members"), (house.consent, "states"), (house.profiles, "raw"), (house.profiles, "unified"),
    )  # fmt: skip
    came = 0
    collecting: list[str] = []
    for room, name in rooms:
        whole = getattr(room, name)

        async def late(conn, *asked, whole=whole, room=room, name=name):
            nonlocal came
            found = await whole(conn, *asked)
            monkeypatch.setattr(room, name, whole)  # once each, and not by what collection itself asks
            if not collecting:
                collecting.append(name)
                came += 1
                await arrives(house, anonymousId=f"new{came}")
                await arrives(house, userId="ada")
                collecting.clear()
            return found

        monkeypatch.setattr(room, name, late)
    found = await check(house)
    assert came >= 1
    assert found.passed, found.figures


async def test_who_comes_while_features_are_written_waits_for_the_next_table(house, people):
    await made.features(house)
    await arrives(house, anonymousId="new")
    found = await profiles.rows_complete(house)
    assert found.passed, found.figures
    assert (found.figures["people"], found.figures["rows"], found.figures["too_late"]) == (4, 3, 1)


async def test_an_event_between_two_looks_at_a_hot_profile_is_no_fault(house, people, monkeypatch):
    await made.unified_profiles(house)
    whole = house.profiles.hot_many

    async def late(asked, purpose, *, fresh=False):
        found = await whole(asked, purpose, fresh=fresh)
        if not fresh:
            await arrives(house, userId="ada")
        return found

    monkeypatch.setattr(house.profiles, "hot_many", late)
    found = await profiles.hot_equals_postgres(house)
    assert found.passed, found.figures


async def test_who_is_erased_during_a_walk_is_in_no_edge(house, people):
    await arrives(house, userId="ada")
    await arrives(house, userId="bob")
    await linkage.linkage_model(house)
    ada = PersonId(people["ada"])
    async with house.kernel.db.transaction() as conn:
        await house.identity.erase(conn, ada)
    assert (await linkage.edges(house))["edges"] >= 1
    found = await graph.edges_join_the_living(house)
    assert found.passed, found.figures
    assert found.figures["edges"] == 1, "bob's, who is still there"
    async with house.kernel.db.transaction() as conn:
        cleaned = await house.identity.erase(conn, PersonId(people["bob"]))
    assert cleaned
    await linkage.identity_graph(house)
    async with house.kernel.db.reading() as conn:
        rows = await (await conn.execute("SELECT count(*) AS n FROM identity.edges")).fetchall()
    assert rows[0]["n"] == 0


async def test_who_is_active_while_she_is_erased_is_erased_all_the_same(house, people, monkeypatch):
    """Collection about her and the erasure wait for each other; Postgres ends one of them, and it is done again."""
    await arrives(house, userId="ada")
    ada = PersonId(people["ada"])
    request = await house.rights.open("erasure", ada, actor="person")
    await house.rights.approve(request.id, actor="staff:b")
    whole, collecting = house.events.erase, []

    async def meanwhile(conn, person):
        if not collecting:
            collecting.append(asyncio.create_task(arrives(house, userId="ada", anonymousId="new")))
            await asyncio.sleep(0.2)  # until it waits for us
        return await whole(conn, person)

    monkeypatch.setattr(house.events, "erase", meanwhile)
    assert (await house.rights.run(request.id, actor="staff:a")).request.state == "fulfilled"
    await collecting[0]
    async with house.kernel.db.reading() as conn:
        gone = await (
            await conn.execute(
                "SELECT r.key_id FROM identity.past_members p JOIN identity.records r USING (record_id) WHERE p.person_id = %s",
                (ada,),
            )
        ).fetchall()
        assert ada not in await house.identity.people(conn)
    assert len(gone) >= 2
    assert await house.kernel.vault.unwrap([row["key_id"] for row in gone]) == {}
