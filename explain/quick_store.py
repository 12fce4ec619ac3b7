"""Explanations kept in one statement, in one round trip: rows, log entries, tallies, levers, the queue.

Enters: rows that are sealed under somebody's key, and the piece that writes their entries. Leaves: the decisions that had none. A row whose person was promised something by a
lever is not written here: what follows must be held against it, which the long way does. Every statement is a transaction of its own.
"""

from collections.abc import Sequence
from typing import Final

import orjson

from explain.store import Row
from explain.tally_store import Tally
from kernel.db import Conn, Piece
from kernel.ids import DecisionId, EntryId

KEPT: Final = "explain_kept"
_STATEMENT: Final = f"""
WITH explain_asked AS (
    SELECT * FROM json_to_recordset(%(explain_rows)s::json) AS r(decision_id text, person text, digest text, key_id text,
        made_at timestamptz, entry_id text, levers integer, start integer, length integer)
), explain_new AS (
    INSERT INTO explain.explanations (decision_id, person, digest, key_id, made_at, body)
    SELECT decision_id, person, digest, key_id, made_at, substring(%(explain_bodies)s::bytea FROM start FOR length)
    FROM explain_asked a
    WHERE NOT EXISTS (SELECT FROM explain.uses u WHERE u.person = a.person AND u.promised IS NOT NULL)
    ON CONFLICT (decision_id) DO NOTHING RETURNING decision_id
), {KEPT} AS MATERIALIZED (
    SELECT a.decision_id, a.entry_id, a.levers FROM explain_asked a JOIN explain_new USING (decision_id)
), {{entries}}, explain_tallied AS (
    INSERT INTO explain.tallies (day, placement, concept, told, first, contribution)
    SELECT day, placement, concept, sum(told), sum(first), sum(contribution)
    FROM json_to_recordset(%(explain_tallies)s::json) AS t(decision_id text, day date, placement text, concept text,
        told bigint, first bigint, contribution float8) JOIN {KEPT} USING (decision_id)
    GROUP BY day, placement, concept
), explain_levers AS (
    INSERT INTO explain.lever_tallies (decision_id, levers) SELECT decision_id, levers FROM {KEPT} WHERE levers > 0
    ON CONFLICT DO NOTHING
), explain_done AS (
    DELETE FROM explain.queue q USING {KEPT} k WHERE q.decision_id = k.decision_id
)
SELECT decision_id FROM {KEPT}
"""


async def keep(
    conn: Conn, rows: Sequence[tuple[Row, EntryId, int, Sequence[Tally]]], entries: Piece
) -> set[DecisionId]:
    """Store what may be stored. Each row comes with its log entry, the number of levers it shows, and what it counts for; `entries` writes those in `KEPT`."""
    said: list[dict[str, object]] = []
    start = 1  # as Postgres counts
    for row, entry, levers, _ in rows:
        length = len(row.body or b"")
        said.append({
            "decision_id": row.decision_id, "person": row.person, "digest": row.digest, "key_id": row.key_id, "made_at": row.made_at,
            "entry_id": entry, "levers": levers, "start": start, "length": length,
        })  # fmt: skip
        start += length
    counted = [
        {"decision_id": row.decision_id, "day": one.day, "placement": one.placement, "concept": one.concept, "told": one.told,
         "first": one.first, "contribution": one.contribution}
        for row, _, _, tallies in rows for one in tallies
    ]  # fmt: skip
    values: dict[str, object] = {
        **entries.values,
        "explain_rows": orjson.dumps(said).decode(),
        "explain_bodies": b"".join([row.body or b"" for row, _, _, _ in rows]),
        "explain_tallies": orjson.dumps(counted).decode(),
    }
    got = await conn.execute(_STATEMENT.format(entries=entries.sql), values)
    return {DecisionId(row["decision_id"]) for row in await got.fetchall()}
