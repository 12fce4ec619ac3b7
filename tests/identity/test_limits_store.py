"""Limits in the store: kept by runs, acts and two processes at once, and by who holds identifiers in memory (identity.I12)."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from identity.clusters import Clusters
from identity.identifiers import Identifier
from identity.judgements import Reason
from identity.limits import Limit
from identity.regrouping import By
from identity.service import Identity
from identity.settings import IdentitySettings
from identity.why_not import Cause
from tests.identity.running import run, shop, take

pytestmark = pytest.mark.anyio
POLICY = IdentitySettings(limits={"email": Limit(most=2), "anonymous_id": Limit(most=2)})
BY = By("staff:ada", Reason.LOOKED)


@pytest.fixture
def identity(kernel, identity):
    return Identity(kernel, identity._audit, POLICY)


async def demoted(kernel):
    async with kernel.db.reading() as conn:
        cursor = await conn.execute("SELECT record_id, identifier_id FROM identity.demoted ORDER BY 1, 2")
        return [(r["record_id"], r["identifier_id"]) async for r in cursor]


async def over(kernel, identity):
    async with kernel.db.reading() as conn:
        return await identity.limiting.over(conn)


async def test_whoever_merges_nobody_exceeds_a_limit_and_an_unmerge_restores_what_counted(kernel, identity, record):
    rows = [record(f"{p}{n}", ("login_id", p), ("anonymous_id", f"{p}{n}")) for p in "ab" for n in range(3)]
    ids = await take(kernel, identity, rows)
    before = await demoted(kernel)
    assert len(before) == 2
    async with kernel.db.transaction() as conn:
        a, b = await identity.people(conn)
        found = await identity.judging.merge(conn, a, b, BY)
        assert found.refused == "unique_identifier"  # two logins; without them staff may
        await conn.execute("DELETE FROM identity.record_identifiers USING identity.identifiers i WHERE i.kind = 'login_id' AND i.identifier_id = record_identifiers.identifier_id")  # fmt: skip
        assert (await identity.judging.merge(conn, a, b, BY)).refused is None
    assert len(await demoted(kernel)) == 4
    assert await over(kernel, identity) == []
    async with kernel.db.transaction() as conn:
        assert (await identity.judging.unmerge(conn, b, BY)).refused is None
    assert await demoted(kernel) == before
    async with kernel.db.transaction() as conn:  # a graph that no guard looked at
        await identity.publish(conn, Clusters(np.zeros(len(ids), np.int64), ()), ids)
    assert await over(kernel, identity) == []


async def test_a_run_refuses_what_likeness_would_bring_beyond_a_limit(kernel, identity):
    records = shop(16)
    of: dict[str, list[int]] = {}
    for place, one in enumerate(records):
        of.setdefault(one.source_key.split("-")[0], []).append(place)
    three = next(places for places in of.values() if len(places) == 3)
    first = records[three[0]]
    for n, place in enumerate(three):  # one person by everything she says, with three mailboxes
        own = (Identifier("email", f"m{n}@example.org"),)
        records[place] = replace(first, source_key=records[place].source_key, identifiers=own)
    ids = await take(kernel, identity, records)
    await run(kernel, identity)
    async with kernel.db.reading() as conn:
        whose = [(await identity.subjects(conn, [ids[p]]))[ids[p]].people[0] for p in three]
        assert len(set(whose)) == 2
        alone = next(p for p in three if whose.count(whose[three.index(p)]) == 1)
        other = next(p for p in three if p != alone)
        assert (await identity.reasons.why_not(conn, ids[alone], ids[other])).cause is Cause.LIMIT
        wide = Identity(kernel, identity._audit, IdentitySettings())
    await run(kernel, wide)
    async with kernel.db.reading() as conn:
        assert len({(await identity.subjects(conn, [ids[p]]))[ids[p]].people[0] for p in three}) == 1


async def test_two_processes_at_once_and_whoever_remembers_hear_of_what_counts_no_more(kernel, identity, record):
    other = Identity(kernel, identity._audit, POLICY)
    stop = asyncio.Event()
    remembering = asyncio.create_task(other.residing.run(stop))
    await asyncio.wait_for(other.residing.full.wait(), 20)
    try:
        rows = [record(f"r{n}", ("login_id", "ada"), ("anonymous_id", f"v{n}")) for n in range(8)]
        await asyncio.gather(*(take(kernel, one, [row]) for row, one in zip(rows, [identity, other] * 4, strict=True)))
        assert await over(kernel, identity) == []
        assert len(await demoted(kernel)) == 6
        await other.residing.settle()
        asked = [[Identifier("anonymous_id", f"v{n}")] for n in range(8)]
        async with kernel.db.reading() as conn:
            cold = [one.person for one in await identity.resolve(conn, asked)]
        assert sum(person is not None for person in cold) == 2
        for one in (identity, other):
            assert [found.person for found in await one.resolve_hot(asked)] == cold
    finally:
        stop.set()
        await remembering


async def test_who_had_more_before_a_limit_was_made_stricter_is_not_torn(kernel, identity, record):
    free = Identity(kernel, identity._audit, IdentitySettings(limits={}))
    await take(
        kernel, free, [record(f"k{n}", ("email", f"{n}@example.org"), ("anonymous_id", "hers")) for n in range(4)]
    )
    await take(
        kernel, identity, [record("again", ("email", "1@example.org")), record("more", ("anonymous_id", "hers"))]
    )
    async with kernel.db.reading() as conn:
        (person,) = await identity.people(conn)
        assert len((await identity.owned(conn, [person]))[person]) == 6
    assert await over(kernel, identity) == []
