"""All SQL on the graph's ledger: what each version's lines digest to, and which entry of the log holds it.

Contract: as in ``graph_store.py``. A version's lines are its own row, the lines of the change feed, memberships that it ended, and memberships that
began under the version before: these are all there once it is made, since whoever joins records and whoever makes a version exclude each other.
"""

from collections.abc import Iterable

from kernel.db import Conn
from kernel.ids import EntryId, GraphVersion

_LINES = """
SELECT v.version, v.cause, encode(sha256(convert_to(concat_ws('#',
  concat_ws('|', v.version, v.cause, v.facts::text, extract(epoch FROM v.made_at)),
  (SELECT string_agg(concat_ws('|', c.kind, c.person_id, coalesce(c.other_id, '-'), array_to_string(c.records, ',')), ';'
    ORDER BY c.seq) FROM identity.changes c WHERE c.version = v.version),
  (SELECT string_agg(concat_ws('|', m.record_id, m.person_id, m.valid_from), ';' ORDER BY m.record_id, m.valid_from)
    FROM identity.past_members m WHERE m.valid_to = v.version),
  (SELECT string_agg(concat_ws('|', m.record_id, m.person_id), ';' ORDER BY m.record_id) FROM (
    SELECT record_id, person_id FROM identity.members WHERE valid_from = v.version - 1
    UNION ALL SELECT record_id, person_id FROM identity.past_members WHERE valid_from = v.version - 1) AS m)
), 'UTF8')), 'hex') AS digest, (SELECT count(*) FROM identity.changes c WHERE c.version = v.version) AS changes
FROM identity.graph_versions v
"""


async def unsealed(conn: Conn, *, newest: bool = False) -> list[tuple[GraphVersion, str, str, int]]:
    """Versions that no entry holds yet, oldest first: number, cause, digest of the lines, lines of the change feed.

    ``newest``: only those after the last one that is held, which is all there are unless somebody tampered; the time does not grow with the ledger.
    """
    least = "(SELECT coalesce(max(version), 0) FROM identity.ledger)" if newest else "0"
    cursor = await conn.execute(
        f"{_LINES} WHERE v.version > {least} AND NOT EXISTS (SELECT FROM identity.ledger l WHERE l.version = v.version)"
        " ORDER BY v.version"
    )
    return [(r["version"], r["cause"], r["digest"], r["changes"]) async for r in cursor]


async def add(conn: Conn, rows: Iterable[tuple[GraphVersion, EntryId]]) -> None:
    """Note which entry holds each version."""
    async with conn.cursor() as cursor:
        await cursor.executemany("INSERT INTO identity.ledger (version, entry_id) VALUES (%s, %s)", list(rows))


async def sealed(conn: Conn, after: GraphVersion, limit: int) -> list[tuple[GraphVersion, EntryId, str]]:
    """A page of versions with their entry, and what their lines digest to now."""
    cursor = await conn.execute(
        f"SELECT d.version, d.digest, l.entry_id FROM ({_LINES} WHERE v.version > %s ORDER BY v.version LIMIT %s) AS d"
        " JOIN identity.ledger l ON l.version = d.version ORDER BY d.version",
        (after, limit),
    )
    return [(r["version"], r["entry_id"], r["digest"]) async for r in cursor]


async def astray(conn: Conn) -> int:
    """Records that the newest version moved and that are not where it moved them: they are in no later version's digest yet."""
    cursor = await conn.execute(
        "SELECT count(*) AS astray FROM identity.changes c CROSS JOIN LATERAL unnest(c.records) AS w(record)"
        " JOIN identity.members m ON m.record_id = w.record"
        " WHERE c.version = (SELECT max(version) FROM identity.graph_versions) AND c.other_id IS NOT NULL"
        "  AND m.person_id <> c.other_id"
    )
    row = await cursor.fetchone()
    return int(row["astray"]) if row else 0
