"""The commit of plain decisions in one statement: fence, catalogue, log entries and decisions together, in one round trip.

Enters: rows that ask nothing of a cap, an outbox or a page, and the pieces of the rooms below. Leaves: the ids that are kept. A row whose ground moved, or whose person has
a page to be told, is not written and not answered: the long way of `commit` says why. Every statement is a transaction of its own.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from kernel.db import Conn, Piece
from kernel.ids import DecisionId
from orchestration.decision.store import COLUMNS, Row

KEPT: Final = "decision_kept"
_PLAIN: Final = tuple(name for name in COLUMNS if name not in {"sealed", "redacted_at", "delivery_id"})
_LIST: Final = ", ".join(_PLAIN)
_TYPES: Final = {
    "at": "timestamptz", "expires_at": "timestamptz", "propensity": "double precision", "explored": "boolean",
    "held": "boolean", "in_scope": "boolean",
}  # fmt: skip
_SHAPE: Final = ", ".join(f"{name} {_TYPES.get(name, 'text')}" for name in _PLAIN)
_STATEMENT: Final = f"""
WITH decision_asked AS (
    SELECT * FROM json_to_recordset(%(decision_rows)s::json)
    AS r({_SHAPE}, fence bigint, told boolean, start integer, length integer)
), decision_held AS ({{held}}), decision_watching AS ({{watching}}), {KEPT} AS MATERIALIZED (
    SELECT a.* FROM decision_asked a JOIN decision_held h ON h.person = a.person AND h.version = a.fence
    WHERE a.catalogue = (SELECT digest FROM decision.catalogues ORDER BY seq DESC LIMIT 1)
    AND NOT (a.told AND a.person IN (SELECT person FROM decision_watching))
), {{entries}}
INSERT INTO decision.decisions ({_LIST}, sealed)
SELECT {_LIST}, substring(%(decision_sealed)s::bytea FROM start FOR length) FROM {KEPT}
RETURNING id
"""


async def keep(
    conn: Conn, rows: Sequence[tuple[Row, int, bool]], *, held: Piece, watching: Piece, entries: Piece
) -> set[DecisionId]:
    """Store what may be stored. Each row comes with the consent version that it rests on, and whether its person's pages would be told of it.

    `held`: people with their consent versions; `watching`: people with pages; `entries`: the log entries of the rows in `KEPT`.
    """
    said: list[dict[str, object]] = []
    start = 1  # as Postgres counts
    for row, fence, told in rows:
        length = len(row.sealed or b"")
        said.append(
            {name: getattr(row, name) for name in _PLAIN}
            | {"fence": fence, "told": told, "start": start, "length": length}
        )
        start += length
    values: Mapping[str, object] = {
        **held.values,
        **watching.values,
        **entries.values,
        "decision_rows": orjson.dumps(said).decode(),
        "decision_sealed": b"".join([row.sealed or b"" for row, _, _ in rows]),
    }
    got = await conn.execute(_STATEMENT.format(held=held.sql, watching=watching.sql, entries=entries.sql), values)
    return {DecisionId(row["id"]) for row in await got.fetchall()}
