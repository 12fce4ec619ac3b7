"""A profile that no record holds is told whose it is, among people who share an address."""

from datetime import timedelta

import pytest

from identity.errors import LinkageNotReady
from identity.identifiers import Identifier
from identity.records import NewRecord
from orchestration.pipeline.steps import linkage
from tests.identity.linkage_world import world

pytestmark = pytest.mark.anyio
KINDS = {"first_name": "first_name", "surname": "last_name", "dob": "birth_date", "postcode": "postcode"}
HOME = Identifier("email", "family@example.org")
MOTHER = {"first_name": "Margarete", "surname": "Habermann", "dob": "1961-04-17", "postcode": "10115"}
SON = {"first_name": "Konstantin", "surname": "Habermann", "dob": "1992-11-02", "postcode": "10115"}


def record(house, key, traits, *ids):
    return NewRecord(
        source="shop", source_key=key, identifiers=ids, traits=traits, kinds=KINDS, observed_at=house.kernel.clock.now() - timedelta(days=1),
        purpose="service", basis="contract",
    )  # fmt: skip


async def ask(house, *ids, **traits):
    async with house.kernel.db.reading() as conn:
        return await house.identity.meeting.guess(conn, ids, traits)


async def test_the_run_tells_apart_who_shares_an_address_and_stores_nothing(house):
    with pytest.raises(LinkageNotReady):
        await ask(house, HOME)
    strangers = [
        record(
            house,
            row["rec"],
            {k: row[k] for k in KINDS if row[k] is not None},
            *([Identifier("email", row["email"])] if row["email"] else []),
        )
        for row in world(people=80, seed=6).to_pylist()
    ]
    family = [
        record(house, "m", MOTHER, HOME, Identifier("login_id", "m")),
        record(house, "s", SON, HOME, Identifier("login_id", "s")),
    ]
    async with house.kernel.db.transaction() as conn:
        *_, mother, son = await house.identity.add_records(conn, [*strangers, *family])
    for step in (linkage.linkage_model, linkage.edges, linkage.identity_graph):
        await step(house)
    async with house.kernel.db.reading() as conn:
        held = await house.identity.subjects(conn, [mother, son])
        before = await house.identity.counts.census(conn)
    (hers,), (his,) = held[mother].people, held[son].people
    assert hers != his
    assert (
        await ask(house, HOME, first_name="Margarete", last_name="Habermann", birth_date="1961-04-17")
    ).person == hers
    found = await ask(house, HOME, first_name="Konstantin", last_name="Habermann", birth_date="1992-11-02")
    assert (found.person, found.candidates[0].person) == (his, his)
    assert len(found.candidates) == 2
    stranger = await ask(house, HOME, first_name="Zacharias", last_name="Quellmann", birth_date="1938-07-29")
    assert stranger.person is None
    assert (await ask(house, Identifier("email", "nobody@example.org"), first_name="Margarete")).person is None
    async with house.kernel.db.reading() as conn:
        assert await house.identity.counts.census(conn) == before
