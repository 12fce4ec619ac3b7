"""All SQL on blocking keys: which records share one.

Contract: as in ``graph_store.py``. Keys only advise: nothing is lost where they lag behind, and whoever finds a record by them asks who owns it. Whoever writes
them holds ``store.share_graph`` at least, so that an erasure has the last word.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from identity.block_choice import MOST_ROWS, Choice
from kernel.db import Conn
from kernel.ids import PersonId, RecordId

_AT_ONCE: Final = 5_000
_ASKERS: Final = 300


async def choice(conn: Conn, run_id: str) -> Choice | None:
    """The keys of a run; None where it left none."""
    cursor = await conn.execute("SELECT names, crowds FROM identity.block_choices WHERE run_id = %b", (run_id,))
    row = await cursor.fetchone()
    return None if row is None else Choice(tuple(row["names"]), frozenset(row["crowds"]))


async def choose(conn: Conn, run_id: str, made: Choice) -> None:
    """Keep a run's choice; those of earlier runs are of no use any more."""
    await conn.execute("DELETE FROM identity.block_choices")
    await conn.execute(
        "INSERT INTO identity.block_choices (run_id, names, crowds) VALUES (%s, %s, %s)",
        (run_id, list(made.names), sorted(made.full)),
    )


async def arrived(conn: Conn, records: Sequence[RecordId]) -> None:
    """New records, in the transaction that stores them: their keys are made by and by, and nothing compared them with the others yet."""
    await conn.execute(
        "INSERT INTO identity.blocks (record_id, settled) SELECT w.id, false FROM unnest(%b::text[]) AS w(id)"
        " ON CONFLICT DO NOTHING",
        (sorted(records),),
    )


async def keep(conn: Conn, rows: Iterable[tuple[RecordId, Sequence[int]]], *, settled: bool) -> None:
    """Write the keys of records; of somebody who is gone nothing is written. Once settled a record stays so."""
    waiting = list(rows)
    for start in range(0, len(waiting), _AT_ONCE):
        part = waiting[start : start + _AT_ONCE]
        await conn.execute(
            "INSERT INTO identity.blocks AS b (record_id, keys, settled)"
            " SELECT w.id, CASE WHEN w.keys = '' THEN '{}' ELSE string_to_array(w.keys, ' ')::bigint[] END, %b"
            " FROM unnest(%b::text[], %b::text[]) AS w(id, keys) JOIN identity.members m ON m.record_id = w.id"
            " ON CONFLICT (record_id) DO UPDATE SET keys = excluded.keys, settled = b.settled OR excluded.settled"
            " WHERE b.keys IS DISTINCT FROM excluded.keys OR b.settled < excluded.settled",
            (settled, [record for record, _ in part], [" ".join(map(str, keys)) for _, keys in part]),
        )


async def tidy(conn: Conn) -> None:
    """Versions that were superseded are found by no key."""
    await conn.execute(
        "DELETE FROM identity.blocks b USING identity.records r WHERE r.record_id = b.record_id AND NOT r.current"
    )


async def forget(conn: Conn, records: Sequence[RecordId]) -> None:
    """These are found by no key any more."""
    await conn.execute("DELETE FROM identity.blocks WHERE record_id = ANY(%b)", (list(records),))


async def near(conn: Conn, asked: Mapping[str, Sequence[int]], most: int) -> dict[str, list[tuple[RecordId, PersonId]]]:
    """Living current records that share a key with each who asks, those that share most first, at most so many; blocks that are too large answer nobody."""
    found: dict[str, list[tuple[RecordId, PersonId]]] = {who: [] for who in asked}
    for start in range(0, len(asked), _ASKERS):
        part = [(who, key) for who in list(asked)[start : start + _ASKERS] for key in asked[who]]
        cursor = await conn.execute(
            "SELECT n.who, n.record_id, m.person_id, n.shared FROM ("
            "  SELECT w.who, u.record_id, count(*) AS shared FROM unnest(%b::text[], %b::bigint[]) AS w(who, key)"
            "  CROSS JOIN LATERAL (SELECT array_agg(x.record_id) AS held FROM"
            "   (SELECT b.record_id FROM identity.blocks b WHERE b.keys @> ARRAY[w.key] LIMIT %b) AS x OFFSET 0) AS h"
            "  CROSS JOIN LATERAL unnest(h.held) AS u(record_id)"
            "  WHERE cardinality(h.held) <= %b GROUP BY 1, 2) AS n"
            " JOIN identity.records r ON r.record_id = n.record_id AND r.current"
            " JOIN identity.members m ON m.record_id = n.record_id WHERE n.who <> n.record_id"
            " ORDER BY n.who, n.shared DESC, n.record_id",
            ([who for who, _ in part], [key for _, key in part], MOST_ROWS + 1, MOST_ROWS),
        )
        async for r in cursor:
            held = found[r["who"]]
            if len(held) < most:
                held.append((r["record_id"], r["person_id"]))
    return found


async def waiting(conn: Conn, limit: int) -> list[RecordId]:
    """Current records that nothing compared with the others yet, oldest first."""
    cursor = await conn.execute(
        "SELECT b.record_id FROM identity.blocks b JOIN identity.records r ON r.record_id = b.record_id AND r.current"
        " JOIN identity.members m ON m.record_id = b.record_id WHERE NOT b.settled ORDER BY b.record_id LIMIT %b",
        (limit,),
    )
    return [r["record_id"] async for r in cursor]


async def settle(conn: Conn, records: Sequence[RecordId]) -> None:
    """These were compared."""
    await conn.execute("UPDATE identity.blocks SET settled = true WHERE record_id = ANY(%b)", (list(records),))
