"""Whom an unseen profile may join: asked over HTTP, and at collection, where it joins provisionally and never against a rule."""

from dataclasses import replace

import pytest

from identity.blocks import chosen
from identity.identifiers import Identifier
from identity.service import Identity
from identity.settings import IdentitySettings
from tests.identity.running import run, shop, take
from tests.identity.test_endpoints import client, key

pytestmark = pytest.mark.anyio
__all__ = ["client"]


@pytest.fixture
async def twin(kernel, identity):
    """A shop that was linked; of one of its people a record that is not stored, and whose it is."""
    records = shop(40)
    of: dict[str, list[int]] = {}
    for place, one in enumerate(records):
        of.setdefault(one.source_key.split("-")[0], []).append(place)
    left = next(places[-1] for places in of.values() if len(places) == 3)
    own = next(p for places in of.values() if left in places for p in places if p != left)
    ids = await take(kernel, identity, [one for place, one in enumerate(records) if place != left])
    await run(kernel, identity)
    async with kernel.db.reading() as conn:
        found = await identity.subjects(conn, [ids[own - (own > left)]])
        await identity.meeting.terms(conn)
    ((person,),) = [one.people for one in found.values()]
    return replace(records[left], identifiers=()), person


async def test_a_profile_without_identifiers_is_told_whom_it_may_join_and_nothing_is_stored(
    client, kernel, identity, twin
):
    record, person = twin
    async with kernel.db.reading() as conn:
        before = await identity.counts.census(conn)
    profiles = [
        {"traits": [{"kind": kind, "value": value} for kind, value in record.traits.items()]},
        {"traits": [{"kind": "first_name", "value": "Zyxwv"}, {"kind": "birth_date", "value": "1901-02-03"}]},
    ]
    answer = (await client.post("/v1/people/resolve", json={"profiles": profiles}, headers=key("collector"))).json()
    hers, nobody = answer["profiles"]
    assert (hers["person"], hers["reason"], hers["provisional"]) == (person, None, True)
    assert 0.5 < hers["sure"] <= 1
    assert hers["candidates"][0]["person"] == person
    assert (nobody["person"], nobody["reason"]) == (None, "nobody_near")
    async with kernel.db.reading() as conn:
        assert await identity.counts.census(conn) == before
    identity.settings = IdentitySettings(first_answers=False)
    (off,) = (
        await client.post("/v1/people/resolve", json={"profiles": profiles[:1]}, headers=key("collector"))
    ).json()["profiles"]
    assert (off["person"], off["reason"]) == (None, "first_answers_off")
    odd = {"profiles": [{"traits": [{"kind": "Ada Lovelace", "value": "x"}]}]}
    with pytest.raises(Exception, match="expected kinds") as fault:
        await client.post("/v1/people/resolve", json=odd, headers=key("collector"))
    assert "Ada" not in str(fault.value)


async def test_a_new_record_joins_whom_its_words_fit_less_surely_and_its_erasure_leaves_no_key(kernel, identity, twin):
    record, person = twin
    (made,) = await take(kernel, identity, [record])
    async with kernel.db.reading() as conn:
        found = await identity.subjects(conn, [made])
        standing = await identity.standing(conn, [person])
        told = await identity.why(
            conn, made, next(r for r in (await identity.owned(conn, [person]))[person] if r != made)
        )
        row = await (
            await conn.execute("SELECT keys, settled FROM identity.blocks WHERE record_id = %s", (made,))
        ).fetchone()
    assert found[made].people == (person,)
    assert standing[person].sure <= identity.settings.contact_surety
    assert told.edge is not None or told.path
    assert row["keys"]
    assert not row["settled"]
    async with kernel.db.transaction() as conn:
        await identity.erase(conn, person)
    async with kernel.db.reading() as conn:
        left = await (
            await conn.execute(
                "SELECT count(*) AS n FROM identity.blocks b WHERE NOT EXISTS (SELECT FROM identity.members m WHERE m.record_id = b.record_id)"
            )
        ).fetchone()
    assert left["n"] == 0


async def test_nobody_joins_against_a_second_log_in_or_when_it_is_switched_off(kernel, identity, twin):
    record, person = twin
    async with kernel.db.transaction() as conn:
        other = next(r for r in (await identity.owned(conn, [person]))[person])
        (login,) = await identity.register_identifiers(conn, [Identifier("login_id", "hers")])
        await conn.execute("INSERT INTO identity.record_identifiers VALUES (%s, %s)", (other, login))
    (made,) = await take(kernel, identity, [replace(record, identifiers=(Identifier("login_id", "somebody"),))])
    off = Identity(kernel, identity._audit, IdentitySettings(first_answers=False))
    async with kernel.db.reading() as conn:
        await off.meeting.terms(conn)
    (alone,) = await take(kernel, off, [replace(record, source_key="again")])
    async with kernel.db.reading() as conn:
        found = await identity.subjects(conn, [made, alone])
    assert person not in {*found[made].people, *found[alone].people}


def test_keys_are_chosen_that_meet_what_others_missed() -> None:
    import numpy as np

    met = {
        "email": np.array([1, 0, 0, 0], bool),
        "a": np.array([1, 1, 1, 0], bool),
        "b": np.array([0, 1, 1, 0], bool),
        "c": np.array([0, 0, 0, 1], bool),
    }
    assert chosen(met, ["email"]) == ("email", "a", "c") or chosen(met, ["email"]) == ("email", "b", "c")
    assert chosen({}, []) == ()
