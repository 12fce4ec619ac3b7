"""SQL on events, dead letters and faults of imports whose time is over. Contract: as in ``store.py``."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from kernel.db import Conn
from kernel.ids import KeyId, RecordId

_EVENTS: Final = "received_at < %b AND purpose = ANY(%b::text[]) AND record_id <> ALL(%b::text[])"
_LETTERS: Final = "received_at < %b AND NOT (subjects && %b::bytea[])"
_FAULTS: Final = (
    "FROM events.import_faults f JOIN events.imports i USING (file_digest, map_digest) WHERE i.updated_at < %b"
)


async def count_events(conn: Conn, before: datetime, purposes: Sequence[str], kept: Sequence[RecordId]) -> int:
    """Events received before a moment under these purposes, but those of these records."""
    return await _count(conn, f"SELECT count(*) AS n FROM events.events WHERE {_EVENTS}", (before, list(purposes), list(kept)))  # fmt: skip


async def drop_events(
    conn: Conn, before: datetime, purposes: Sequence[str], kept: Sequence[RecordId], limit: int
) -> list[RecordId]:
    """Remove at most so many of them and the hashes that made them unique; the record of each event that went."""
    cursor = await conn.execute(
        "WITH gone AS (DELETE FROM events.events WHERE (event_id, received_at) IN"
        f" (SELECT event_id, received_at FROM events.events WHERE {_EVENTS} ORDER BY received_at, event_id LIMIT %b)"
        " RETURNING record_id, source, message, event_id),"
        " unique_no_more AS (DELETE FROM events.dedupe d USING gone g"
        "  WHERE d.source = g.source AND d.message = g.message AND d.event_id = g.event_id)"
        " SELECT record_id FROM gone",
        (before, list(purposes), list(kept), limit),
    )
    return [RecordId(r["record_id"]) async for r in cursor]


async def count_letters(conn: Conn, before: datetime, kept: Sequence[bytes]) -> int:
    """Dead letters from before a moment, but those that name one of these."""
    return await _count(conn, f"SELECT count(*) AS n FROM events.dead_letters WHERE {_LETTERS}", (before, list(kept)))


async def drop_letters(conn: Conn, before: datetime, kept: Sequence[bytes], limit: int) -> list[KeyId]:
    """Remove at most so many of them; the key of each, which sealed nothing else."""
    cursor = await conn.execute(
        "DELETE FROM events.dead_letters WHERE letter_id IN"
        f" (SELECT letter_id FROM events.dead_letters WHERE {_LETTERS} ORDER BY letter_id LIMIT %b) RETURNING key_id",
        (before, list(kept), limit),
    )
    return [KeyId(r["key_id"]) async for r in cursor]


async def count_faults(conn: Conn, before: datetime) -> int:
    """Faults of imports that last moved before a moment."""
    return await _count(conn, f"SELECT count(*) AS n {_FAULTS}", (before,))


async def drop_faults(conn: Conn, before: datetime, limit: int) -> int:
    """Remove at most so many of them; the imports stay, so that a file is not taken in twice."""
    cursor = await conn.execute(
        f"DELETE FROM events.import_faults WHERE ctid IN (SELECT f.ctid {_FAULTS} LIMIT %b)", (before, limit)
    )
    return cursor.rowcount


async def heard(conn: Conn, records: Sequence[RecordId], purposes: Sequence[str], since: datetime) -> set[RecordId]:
    """Of which of these records an event came since, under one of these purposes."""
    cursor = await conn.execute(
        "SELECT w.id FROM unnest(%b::text[]) AS w(id) WHERE EXISTS"
        " (SELECT 1 FROM events.events e WHERE e.record_id = w.id AND e.received_at >= %b AND e.purpose = ANY(%b::text[]))",
        (list(records), since, list(purposes)),
    )
    return {RecordId(r["id"]) async for r in cursor}


async def _count(conn: Conn, query: str, values: tuple[object, ...]) -> int:
    row = await (await conn.execute(query, values)).fetchone()
    return int(row["n"]) if row is not None else 0
