"""A walk adds what is new to what it linked before, where the written rule allows it."""

from datetime import timedelta

import pytest

from identity.records import NewRecord
from orchestration.pipeline.steps import linkage
from tests.identity.linkage_world import world

pytestmark = pytest.mark.anyio
KINDS = {
    "first_name": "first_name",
    "surname": "last_name",
    "dob": "birth_date",
    "email": "email",
    "postcode": "postcode",
}


async def take(house, rows):
    at = house.kernel.clock.now() - timedelta(days=1)
    records = [
        NewRecord(
            source="shop", source_key=row["rec"], identifiers=(), traits={k: row[k] for k in KINDS if row[k] is not None}, kinds=KINDS,
            observed_at=at, purpose="service", basis="contract",
        )
        for row in rows
    ]  # fmt: skip
    async with house.kernel.db.transaction() as conn:
        return await house.identity.add_records(conn, records)


async def walk(house):
    facts = [await step(house) for step in (linkage.linkage_model, linkage.edges, linkage.identity_graph)]
    return facts[0], facts[1]


async def people(house, ids):
    async with house.kernel.db.reading() as conn:
        found = await house.identity.subjects(conn, ids)
    return {one: found[one].people[0] for one in ids}


async def test_new_records_are_weighed_alone_and_join_their_people(house):
    rows = sorted(world(people=70, seed=2).to_pylist(), key=lambda row: row["rec"])
    old, new = rows[:-8], rows[-8:]
    ids = await take(house, old)
    model, edges = await walk(house)
    assert (model["way"], edges["way"]) == ("anew: no_model", "anew: no_model")
    before = await people(house, ids)
    model_file = house.identity.linkage.read_model().as_json()
    assert house.identity.linkage.read_rows() == dict.fromkeys(ids, True)
    added = await take(house, new)
    model, more = await walk(house)
    assert (model["way"], more["way"], more["new"]) == ("added", "added", 8)
    assert house.identity.linkage.read_model().as_json() == model_file
    assert house.identity.linkage.read_rows() == {**dict.fromkeys(ids, True), **dict.fromkeys(added, False)}
    now = await people(house, [*ids, *added])
    assert sum(now[one] != before[one] for one in ids) <= 2  # who was together stays, but for a bridge
    joined = 0
    for record, row in zip(added, new, strict=True):
        kin = {now[one] for one, other in zip(ids, old, strict=True) if other["who"] == row["who"]}
        joined += now[record] in kin
    assert joined >= 5
    house.identity.linkage._rows.unlink()  # without it nobody knows what was weighed
    full, edges = await walk(house)
    assert full["way"] == "anew: no_model"
    assert abs(int(edges["edges"]) - int(more["edges"])) <= 0.1 * int(more["edges"])
    assert sum(now[one] != who for one, who in (await people(house, [*ids, *added])).items()) <= 2


async def test_an_erased_record_leaves_the_list_of_what_was_weighed(house):
    ids = await take(house, world(people=20, seed=4).to_pylist())
    await walk(house)
    who = (await people(house, ids[:1]))[ids[0]]
    async with house.kernel.db.transaction() as conn:
        await house.identity.erase(conn, who)
    assert ids[0] not in house.identity.linkage.read_rows()
