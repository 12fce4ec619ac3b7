"""Every version of the graph is in the log with its cause; a line that is tampered with is found; the past can be asked exactly, and replay is the present."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg.rows import dict_row

from identity import graph_store
from identity.judgements import Reason
from identity.ledger import Ledger
from identity.regrouping import By
from kernel.clock import FrozenClock
from kernel.ids import PersonId, RecordId
from tests.identity.running import run, shop, take

STAFF = By("stf_ada", Reason.LOOKED)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(datetime(2026, 3, 5, 12, tzinfo=UTC))


class Tampered:
    """A database as its owner sees it in a transaction that is taken back."""

    def __init__(self, conn: psycopg.AsyncConnection) -> None:
        self.conn = conn

    @asynccontextmanager
    async def snapshot(self):
        yield self.conn


async def nothing() -> None:
    """Nobody looks."""


async def lived(kernel, identity, look=nothing) -> None:
    """A graph with a history: arrivals, a run, a split, a merge, an erasure, more arrivals, another run."""
    await take(kernel, identity, shop(10))
    await look()
    await run(kernel, identity)
    await look()
    async with kernel.db.transaction() as conn:
        people = await identity.members(conn, await identity.people(conn))
        large = next(p for p, held in sorted(people.items()) if len(held.records) > 1)
        others = sorted(set(people) - {large})
        await identity.judging.split(conn, large, [people[large].records[0]], STAFF)
    await look()
    async with kernel.db.transaction() as conn:
        await identity.judging.merge(conn, others[0], others[1], STAFF)
    await look()
    async with kernel.db.transaction() as conn:
        await identity.erase(conn, others[2])
    await take(kernel, identity, shop(3, seed=8, source="crm"))
    await look()
    await run(kernel, identity)
    await look()


TAMPERING = {
    "a line of the change feed": "UPDATE identity.changes SET other_id = person_id WHERE seq = (SELECT min(seq) FROM identity.changes WHERE other_id IS NOT NULL)",
    "a line that is gone": "DELETE FROM identity.changes WHERE seq = (SELECT max(seq) FROM identity.changes)",
    "a past membership": "UPDATE identity.past_members SET valid_from = valid_from - 1 WHERE ctid = (SELECT ctid FROM identity.past_members LIMIT 1)",
    "a living membership": "UPDATE identity.members SET person_id = (SELECT max(person_id) FROM identity.people WHERE redirect_to IS NULL) WHERE record_id = (SELECT min(record_id) FROM identity.members)",
    "the cause of a version": "UPDATE identity.graph_versions SET cause = 'published' WHERE cause = 'erased'",
}


async def test_every_version_is_in_the_log_with_its_cause_and_tampering_is_found(kernel, identity, addresses) -> None:
    await lived(kernel, identity)
    found = await identity.ledger.verify()
    assert found.ok, found.findings
    async with kernel.db.reading() as conn:
        assert found.versions == await identity.graph_version(conn)
        cursor = await conn.execute("SELECT entry_id FROM identity.ledger ORDER BY version")
        causes = [(await identity._audit.open_entry(row["entry_id"]))["cause"] async for row in cursor]
    assert causes == ["published", "split", "merge", "erased", "published"]
    async with await psycopg.AsyncConnection.connect(addresses.owner, row_factory=dict_row) as conn:
        ledger = Ledger(Tampered(conn), identity._audit)
        for what, statement in TAMPERING.items():
            assert (await conn.execute(statement)).rowcount == 1, what
            assert (await ledger.verify()).findings, what
            await conn.rollback()
        assert (await ledger.verify()).ok
        await conn.execute("ALTER TABLE identity.ledger DISABLE TRIGGER append_only")
        await conn.execute("DELETE FROM identity.ledger WHERE version = 2")
        assert "graph versions in no entry of the log: 1 (2)" in (await ledger.verify()).findings
        await conn.rollback()


async def test_the_past_is_exact_and_replaying_the_feed_gives_the_present(kernel, identity) -> None:
    """Whatever was done, each record's person at each moment is the one it was seen with then."""
    seen: list[tuple[datetime, dict[RecordId, PersonId]]] = []

    async def look() -> None:
        async with kernel.db.reading() as conn:
            seen.append((kernel.clock.now(), await graph_store.partition(conn)))
        kernel.clock.advance(timedelta(minutes=1))

    await lived(kernel, identity, look)
    async with kernel.db.reading() as conn:
        living = seen[-1][1]
        for at, partition in seen:
            there = {r: p for r, p in partition.items() if r in living}
            assert await identity.past.owners(conn, sorted(living), at) == there
            of_person: dict[PersonId, set[RecordId]] = {}
            for record, person in there.items():
                of_person.setdefault(person, set()).add(record)
            told = await identity.past.members(conn, sorted(of_person), at)
            assert {p: set(one.records) & living.keys() for p, one in told.items()} == of_person
        cursor = await conn.execute(
            "SELECT DISTINCT ON (record_id) record_id, person_id FROM (SELECT record_id, person_id, valid_from FROM identity.past_members"
            " UNION ALL SELECT record_id, person_id, valid_from FROM identity.members) AS m ORDER BY record_id, valid_from"
        )
        replayed = {r["record_id"]: r["person_id"] async for r in cursor}
        for _, _, change in await identity.changes(conn, limit=10_000):
            for record in change.records:
                assert replayed[record] == change.person
                if change.other is None:
                    del replayed[record]
                else:
                    replayed[record] = change.other
    assert replayed == living
