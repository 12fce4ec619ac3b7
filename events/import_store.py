"""All SQL on imports: where a file stands under a map, and the faults of its rows.

Contract: every function runs in the caller's transaction. A file under a map is one row, found by the two digests; ``hold``
locks it, so that of two runs on one file only one commits each batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from events.reading import Fault
from kernel.db import Conn


@dataclass(frozen=True, slots=True)
class Standing:
    """How far an import has come. ``rows_done`` counts every row of the file that was looked at, good or bad."""

    rows_done: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    filtered: int = 0
    finished: bool = False


async def begin(conn: Conn, file_digest: str, map_digest: str, what: str, source: str, at: datetime) -> Standing:
    """Register the import unless it is known; where it stands."""
    await conn.execute(
        "INSERT INTO events.imports (file_digest, map_digest, what, source, started_at, updated_at)"
        " VALUES (%b, %b, %b, %b, %b, %b) ON CONFLICT DO NOTHING",
        (file_digest, map_digest, what, source, at, at),
    )
    return await hold(conn, file_digest, map_digest)


async def hold(conn: Conn, file_digest: str, map_digest: str) -> Standing:
    """Where the import stands; nobody else moves it until this transaction ends."""
    cursor = await conn.execute(
        "SELECT rows_done, accepted, duplicates, rejected, filtered, finished_at IS NOT NULL AS finished"
        " FROM events.imports WHERE file_digest = %b AND map_digest = %b FOR UPDATE",
        (file_digest, map_digest),
    )
    row = await cursor.fetchone()
    return Standing(**row) if row is not None else Standing()


async def advance(conn: Conn, file_digest: str, map_digest: str, now: Standing, at: datetime) -> None:
    """The import stands here now."""
    await conn.execute(
        "UPDATE events.imports SET rows_done = %b, accepted = %b, duplicates = %b, rejected = %b, filtered = %b,"
        " updated_at = %b, finished_at = CASE WHEN %b THEN %b END WHERE file_digest = %b AND map_digest = %b",
        (
            now.rows_done, now.accepted, now.duplicates, now.rejected, now.filtered, at, now.finished, at,
            file_digest, map_digest,
        ),
    )  # fmt: skip


async def add_faults(conn: Conn, file_digest: str, map_digest: str, faults: Sequence[Fault]) -> None:
    """Remember what was wrong with which line; never what the line said."""
    await conn.execute(
        "INSERT INTO events.import_faults (file_digest, map_digest, line, column_name, reason)"
        " SELECT %b, %b, * FROM unnest(%b::bigint[], %b::text[], %b::text[])",
        (file_digest, map_digest, [f.line for f in faults], [f.column for f in faults], [f.reason for f in faults]),
    )


async def faults(conn: Conn, file_digest: str, map_digest: str) -> list[Fault]:
    """Every fault of the import, by line."""
    cursor = await conn.execute(
        "SELECT line, column_name, reason FROM events.import_faults WHERE file_digest = %b AND map_digest = %b ORDER BY line",
        (file_digest, map_digest),
    )
    return [Fault(r["line"], r["column_name"], r["reason"]) async for r in cursor]
