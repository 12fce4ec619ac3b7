"""SQL of a rotation of the index secret: which identifiers lack a hash under the current one, and what to forget of the earlier one."""

from collections.abc import Sequence

from identity.index import Index
from identity.store import COLUMN, COUNTS, Hit, SealedIdentifier
from kernel.db import Conn
from kernel.ids import IdentifierId


async def lacking(conn: Conn, after: str, limit: int, *, even: bool) -> list[SealedIdentifier]:
    """Living identifiers without a hash in this column, by id; held until the transaction ends."""
    cursor = await conn.execute(
        "SELECT identifier_id, kind, key_id, value FROM identity.identifiers"
        f" WHERE identifier_id > %b AND erased_at IS NULL AND {COLUMN[even]} IS NULL"
        " ORDER BY identifier_id LIMIT %b FOR NO KEY UPDATE",
        (after, limit),
    )
    return [SealedIdentifier(r["identifier_id"], r["kind"], r["key_id"], bytes(r["value"])) async for r in cursor]


async def write(conn: Conn, rows: Sequence[tuple[IdentifierId, str, bytes]], *, even: bool) -> int:
    """Put (id, kind, hash) in this column, where nobody else has that hash; how many."""
    column = COLUMN[even]
    cursor = await conn.execute(
        f"UPDATE identity.identifiers i SET {column} = w.index"
        " FROM unnest(%b::text[], %b::text[], %b::bytea[]) AS w(id, kind, index) WHERE i.identifier_id = w.id AND NOT EXISTS"
        f" (SELECT FROM identity.identifiers o WHERE o.kind = w.kind AND o.{column} = w.index)",
        ([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows]),
    )
    return cursor.rowcount


async def count_lacking(conn: Conn, *, even: bool) -> int:
    """Living identifiers without a hash in this column."""
    cursor = await conn.execute(
        f"SELECT count(*) AS n FROM identity.identifiers WHERE erased_at IS NULL AND {COLUMN[even]} IS NULL"
    )
    row = await cursor.fetchone()
    return 0 if row is None else int(row["n"])


async def clear(conn: Conn, limit: int, *, even: bool) -> int:
    """Forget up to `limit` hashes of this column, of identifiers that have the other; how many."""
    column, other = COLUMN[even], COLUMN[not even]
    cursor = await conn.execute(
        f"UPDATE identity.identifiers SET {column} = NULL WHERE identifier_id IN (SELECT identifier_id FROM identity.identifiers"
        f" WHERE {column} IS NOT NULL AND {other} IS NOT NULL LIMIT %b)",
        (limit,),
    )
    return cursor.rowcount


async def held_page(conn: Conn, after: str, limit: int, *, even: bool) -> list[Hit]:
    """A page of identifiers that people hold, by id, each with every holder; found by the hash of this column."""
    column = COLUMN[even]
    cursor = await conn.execute(
        "SELECT i.kind, i.index, i.identifier_id, m.person_id, max(m.record_id) AS record_id FROM"
        f" (SELECT kind, {column} AS index, identifier_id FROM identity.identifiers WHERE identifier_id > %b AND {column} IS NOT NULL"
        "  ORDER BY identifier_id LIMIT %b) AS i"
        f" LEFT JOIN identity.record_identifiers ri ON ri.identifier_id = i.identifier_id AND {COUNTS}"
        " LEFT JOIN identity.members m ON m.record_id = ri.record_id"
        " GROUP BY i.kind, i.index, i.identifier_id, m.person_id ORDER BY i.identifier_id, m.person_id",
        (after, limit),
    )
    return [
        Hit(Index(r["kind"], bytes(r["index"]), even), r["identifier_id"], r["person_id"], r["record_id"])
        async for r in cursor
    ]
