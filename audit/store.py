"""All SQL of the log. Every function takes the caller's connection; nothing here commits.

`insert` is durable and visible when the caller commits, gone when it rolls back. `place` may be called by one transaction
at a time, under `lock`. Absent things are None or an empty list.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson
from psycopg.pq import PipelineStatus

from audit.entries import SealedEntry
from audit.tiles import Coordinates
from kernel.db import Conn, Piece
from kernel.ids import EntryId, KeyId

_LOCK: Final = 0x61756469745F7365  # "audit_se": the sequencer's advisory lock
_COPY_FROM: Final = 200  # entries; below it one statement beats three COPYs


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry as it lies in the database; `leaf_index` None until it has a place."""

    entry_id: EntryId
    tag: str
    at: datetime
    leaf: bytes
    leaf_index: int | None
    key_id: KeyId | None
    sealed: bytes | None


_INSERT = """
WITH entry AS (
    INSERT INTO audit.entries (entry_id, tag, at, leaf)
    SELECT * FROM unnest(%(ids)s::text[], %(tags)s::text[], %(ats)s::timestamptz[], %(leaves)s::bytea[])
), opening AS (
    INSERT INTO audit.openings (entry_id, key_id, sealed)
    SELECT * FROM unnest(%(ids)s::text[], %(keys)s::text[], %(sealed)s::bytea[])
)
INSERT INTO audit.refs (ref, kind, entry_id)
SELECT * FROM unnest(%(refs)s::text[], %(kinds)s::text[], %(of)s::text[])
"""


async def insert(conn: Conn, entries: Sequence[SealedEntry]) -> None:
    """Write entries, openings and references."""
    if len(entries) >= _COPY_FROM and conn.pgconn.pipeline_status == PipelineStatus.OFF:
        await _copy(conn, entries)
        return
    refs = [(ref, kind, entry.entry_id) for entry in entries for kind, ref in entry.refs]
    await conn.execute(
        _INSERT,
        {
            "ids": [entry.entry_id for entry in entries],
            "tags": [entry.tag for entry in entries],
            "ats": [entry.at for entry in entries],
            "leaves": [entry.leaf for entry in entries],
            "keys": [entry.key_id for entry in entries],
            "sealed": [entry.sealed for entry in entries],
            "refs": [ref for ref, _, _ in refs],
            "kinds": [kind for _, kind, _ in refs],
            "of": [entry_id for _, _, entry_id in refs],
        },
    )


_APPENDING: Final = """
audit_entry AS (
    INSERT INTO audit.entries (entry_id, tag, at, leaf)
    SELECT e.entry_id, e.tag, e.at, convert_to(e.leaf, 'UTF8')
    FROM json_to_recordset(%(audit_entries)s::json) AS e(entry_id text, tag text, at timestamptz, leaf text)
    WHERE e.entry_id IN (SELECT entry_id FROM {kept})
), audit_opening AS (
    INSERT INTO audit.openings (entry_id, key_id, sealed)
    SELECT e.entry_id, e.key_id, substring(%(audit_sealed)s::bytea FROM e.start FOR e.length)
    FROM json_to_recordset(%(audit_entries)s::json) AS e(entry_id text, key_id text, start integer, length integer)
    WHERE e.entry_id IN (SELECT entry_id FROM {kept})
), audit_ref AS (
    INSERT INTO audit.refs (ref, kind, entry_id)
    SELECT r.ref, r.kind, r.entry_id FROM json_to_recordset(%(audit_refs)s::json) AS r(ref text, kind text, entry_id text)
    WHERE r.entry_id IN (SELECT entry_id FROM {kept})
)"""


def appending(entries: Sequence[SealedEntry], kept: str) -> Piece:
    """The same as part of a statement, for the entries whose ids are in its relation `kept`. Sealed bytes travel as one value, each found by its place."""
    rows: list[dict[str, object]] = []
    start = 1  # as Postgres counts
    for one in entries:
        rows.append(
            {
                "entry_id": one.entry_id,
                "tag": one.tag,
                "at": one.at,
                "leaf": one.leaf.decode(),
                "key_id": one.key_id,
                "start": start,
                "length": len(one.sealed),
            }
        )
        start += len(one.sealed)
    refs = [{"ref": ref, "kind": kind, "entry_id": one.entry_id} for one in entries for kind, ref in one.refs]
    return Piece(
        _APPENDING.format(kept=kept),
        {
            "audit_entries": orjson.dumps(rows).decode(),
            "audit_sealed": b"".join([one.sealed for one in entries]),
            "audit_refs": orjson.dumps(refs).decode(),
        },
    )


async def _copy(conn: Conn, entries: Sequence[SealedEntry]) -> None:
    # Ids, tags, names and references are of characters that COPY's text format takes as they are; bytes go as hex.
    lines = (f"{e.entry_id}\t{e.tag}\t{e.at.isoformat()}\t\\\\x{e.leaf.hex()}\n" for e in entries)
    await _copy_lines(conn, "COPY audit.entries (entry_id, tag, at, leaf) FROM STDIN", lines)
    lines = (f"{e.entry_id}\t{e.key_id}\t\\\\x{e.sealed.hex()}\n" for e in entries)
    await _copy_lines(conn, "COPY audit.openings (entry_id, key_id, sealed) FROM STDIN", lines)
    lines = (f"{ref}\t{kind}\t{e.entry_id}\n" for e in entries for kind, ref in e.refs)
    await _copy_lines(conn, "COPY audit.refs (ref, kind, entry_id) FROM STDIN", lines)


async def _copy_lines(conn: Conn, statement: str, lines: Iterable[str]) -> None:
    async with conn.cursor() as cursor, cursor.copy(statement) as copy:
        chunk: list[str] = []
        for line in lines:
            chunk.append(line)
            if len(chunk) == 1000:
                await copy.write("".join(chunk))
                chunk.clear()
        await copy.write("".join(chunk))


async def operational_key(conn: Conn) -> KeyId | None:
    """The newest key of the log itself."""
    cursor = await conn.execute(
        "SELECT key_id FROM audit.operational_keys ORDER BY created_at DESC, key_id DESC LIMIT 1"
    )
    row = await cursor.fetchone()
    return KeyId(row["key_id"]) if row else None


async def add_operational_key(conn: Conn, key_id: KeyId, at: datetime) -> None:
    """Remember a key of the log itself."""
    await conn.execute("INSERT INTO audit.operational_keys (key_id, created_at) VALUES (%s, %s)", (key_id, at))


async def lock(conn: Conn) -> None:
    """Wait for and hold the sequencer's lock until this connection's transaction ends."""
    await conn.execute("SET LOCAL statement_timeout = '60s'")
    await conn.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))


async def size(conn: Conn) -> int:
    """Leaves in the tree."""
    cursor = await conn.execute("SELECT coalesce(max(leaf_index) + 1, 0) AS size FROM audit.leaves")
    row = await cursor.fetchone()
    return int(row["size"]) if row else 0


async def pending(conn: Conn) -> int:
    """Entries that wait for a place."""
    row = await (await conn.execute("SELECT count(*) AS waiting FROM audit.pending")).fetchone()
    return int(row["waiting"]) if row else 0


_PLACE = """
WITH taken AS (
    DELETE FROM audit.pending WHERE entry_id IN (SELECT entry_id FROM audit.pending ORDER BY entry_id LIMIT %(limit)s)
    RETURNING entry_id
), placed AS (
    INSERT INTO audit.leaves (leaf_index, entry_id, leaf_hash)
    SELECT %(size)s + row_number() OVER (ORDER BY e.entry_id) - 1, e.entry_id, sha256('\\x00'::bytea || e.leaf)
    FROM taken JOIN audit.entries e USING (entry_id)
    WHERE NOT EXISTS (SELECT FROM audit.leaves l WHERE l.entry_id = e.entry_id)
    RETURNING leaf_index, leaf_hash
)
SELECT leaf_hash FROM placed ORDER BY leaf_index
"""


async def place(conn: Conn, tree_size: int, limit: int) -> list[bytes]:
    """Give up to `limit` waiting entries the next places; their leaf hashes in order."""
    cursor = await conn.execute(_PLACE, {"size": tree_size, "limit": limit})
    return [bytes(row["leaf_hash"]) for row in await cursor.fetchall()]


async def tiles(conn: Conn, coordinates: Iterable[Coordinates]) -> dict[Coordinates, bytes]:
    """The tiles among `coordinates` that exist."""
    wanted = list(coordinates)
    cursor = await conn.execute(
        "SELECT level, index, hashes FROM audit.tiles JOIN unnest(%s::smallint[], %s::bigint[]) AS w (level, index) "
        "USING (level, index)",
        ([level for level, _ in wanted], [index for _, index in wanted]),
    )
    return {(row["level"], row["index"]): bytes(row["hashes"]) for row in await cursor.fetchall()}


async def put_tiles(conn: Conn, changed: dict[Coordinates, bytes]) -> None:
    """Write tiles; one that exists is widened."""
    await conn.execute(
        "INSERT INTO audit.tiles (level, index, hashes) SELECT * FROM unnest(%s::smallint[], %s::bigint[], %s::bytea[]) "
        "ON CONFLICT (level, index) DO UPDATE SET hashes = excluded.hashes",
        ([level for level, _ in changed], [index for _, index in changed], list(changed.values())),
    )


async def all_tiles(conn: Conn) -> list[Coordinates]:
    """The coordinates of every tile."""
    cursor = await conn.execute("SELECT level, index FROM audit.tiles ORDER BY level, index")
    return [(row["level"], row["index"]) for row in await cursor.fetchall()]


async def add_checkpoint(conn: Conn, tree_size: int, note: str, at: datetime) -> None:
    """Remember a signed checkpoint."""
    await conn.execute(
        "INSERT INTO audit.checkpoints (size, note, signed_at) VALUES (%s, %s, %s)", (tree_size, note, at)
    )


async def last_checkpoint(conn: Conn) -> tuple[str, datetime] | None:
    """The note of the largest checkpoint and when it was signed."""
    cursor = await conn.execute("SELECT note, signed_at FROM audit.checkpoints ORDER BY size DESC LIMIT 1")
    row = await cursor.fetchone()
    return (row["note"], row["signed_at"]) if row else None


async def checkpoints_after(conn: Conn, tree_size: int, limit: int) -> list[tuple[int, str]]:
    """Sizes and notes of signed checkpoints, in order of size."""
    cursor = await conn.execute(
        "SELECT size, note FROM audit.checkpoints WHERE size > %s ORDER BY size LIMIT %s", (tree_size, limit)
    )
    return [(row["size"], row["note"]) for row in await cursor.fetchall()]


async def leaves(conn: Conn, begin: int, end: int) -> list[tuple[int, EntryId, bytes, bytes | None]]:
    """(index, entry, hash, leaf bytes) of places [begin, end), in order; bytes None when the entry is gone."""
    cursor = await conn.execute(
        "SELECT l.leaf_index, l.entry_id, l.leaf_hash, e.leaf FROM audit.leaves l LEFT JOIN audit.entries e USING (entry_id) "
        "WHERE l.leaf_index >= %s AND l.leaf_index < %s ORDER BY l.leaf_index",
        (begin, end),
    )
    return [
        (row["leaf_index"], EntryId(row["entry_id"]), bytes(row["leaf_hash"]), _bytes(row["leaf"]))
        for row in await cursor.fetchall()
    ]


_ENTRY = """
SELECT e.entry_id, e.tag, e.at, e.leaf, l.leaf_index, o.key_id, o.sealed
FROM audit.entries e LEFT JOIN audit.leaves l USING (entry_id) LEFT JOIN audit.openings o USING (entry_id)
"""


async def entries(conn: Conn, entry_ids: Sequence[str]) -> list[StoredEntry]:
    """The entries among `entry_ids` that exist, by id."""
    cursor = await conn.execute(_ENTRY + "WHERE e.entry_id = ANY(%s) ORDER BY e.entry_id", (list(entry_ids),))
    return [_stored(row) for row in await cursor.fetchall()]


async def entry_at(conn: Conn, leaf_index: int) -> StoredEntry | None:
    """The entry at a place of the tree."""
    row = await (await conn.execute(_ENTRY + "WHERE l.leaf_index = %s", (leaf_index,))).fetchone()
    return _stored(row) if row else None


async def latest(conn: Conn, tag: str | None, before: str | None, limit: int) -> list[StoredEntry]:
    """Entries, newest first, older than the id `before`."""
    cursor = await conn.execute(
        _ENTRY
        + "WHERE (%(tag)s::text IS NULL OR e.tag = %(tag)s) AND (%(before)s::text IS NULL OR e.entry_id < %(before)s) "
        "ORDER BY e.entry_id DESC LIMIT %(limit)s",
        {"tag": tag, "before": before, "limit": limit},
    )
    return [_stored(row) for row in await cursor.fetchall()]


async def following(conn: Conn, tag: str, kind: str, after: int, limit: int) -> tuple[int, list[str]]:
    """What entries of `tag` name by `kind`, of the next `limit` places after `after`; and the last place looked at."""
    cursor = await conn.execute(
        "SELECT l.leaf_index, r.ref FROM (SELECT leaf_index, entry_id FROM audit.leaves WHERE leaf_index > %s"
        " ORDER BY leaf_index LIMIT %s) AS l JOIN audit.entries AS e USING (entry_id) LEFT JOIN audit.refs AS r"
        " ON r.entry_id = l.entry_id AND e.tag = %s AND r.kind = %s ORDER BY l.leaf_index",
        (after, limit, tag, kind),
    )
    rows = await cursor.fetchall()
    return (int(rows[-1]["leaf_index"]) if rows else after), [str(row["ref"]) for row in rows if row["ref"] is not None]


async def entries_by_refs(conn: Conn, refs: Sequence[tuple[str, str]], limit: int) -> list[str]:
    """Ids of entries that carry any of the (kind, ref) pairs, oldest first."""
    cursor = await conn.execute(
        "SELECT DISTINCT entry_id FROM audit.refs JOIN unnest(%s::text[], %s::text[]) AS w (kind, ref) USING (kind, ref) "
        "ORDER BY entry_id LIMIT %s",
        ([kind for kind, _ in refs], [ref for _, ref in refs], limit),
    )
    return [row["entry_id"] for row in await cursor.fetchall()]


async def refs_of(conn: Conn, entry_ids: Sequence[str]) -> list[tuple[str, str, str]]:
    """(entry, kind, ref) of these entries."""
    cursor = await conn.execute(
        "SELECT entry_id, kind, ref FROM audit.refs WHERE entry_id = ANY(%s) ORDER BY entry_id, kind, ref",
        (list(entry_ids),),
    )
    return [(row["entry_id"], row["kind"], row["ref"]) for row in await cursor.fetchall()]


async def forget_refs(conn: Conn, refs: Sequence[tuple[str, str]]) -> int:
    """Delete look-ups by these (kind, ref) pairs; the leaves stay."""
    cursor = await conn.execute(
        "DELETE FROM audit.refs r USING unnest(%s::text[], %s::text[]) AS w (kind, ref) "
        "WHERE r.kind = w.kind AND r.ref = w.ref",
        ([kind for kind, _ in refs], [ref for _, ref in refs]),
    )
    return cursor.rowcount


async def without_place(conn: Conn, limit: int) -> list[str]:
    """Entries that have no place and do not wait for one: only tampering makes these."""
    cursor = await conn.execute(
        "SELECT entry_id FROM audit.entries e WHERE NOT EXISTS (SELECT FROM audit.leaves l WHERE l.entry_id = e.entry_id) "
        "AND NOT EXISTS (SELECT FROM audit.pending p WHERE p.entry_id = e.entry_id) ORDER BY entry_id LIMIT %s",
        (limit,),
    )
    return [row["entry_id"] for row in await cursor.fetchall()]


def _bytes(value: bytes | memoryview | None) -> bytes | None:
    return None if value is None else bytes(value)


def _stored(row: dict[str, Any]) -> StoredEntry:
    return StoredEntry(
        entry_id=EntryId(row["entry_id"]),
        tag=row["tag"],
        at=row["at"],
        leaf=bytes(row["leaf"]),
        leaf_index=row["leaf_index"],
        key_id=None if row["key_id"] is None else KeyId(row["key_id"]),
        sealed=_bytes(row["sealed"]),
    )
