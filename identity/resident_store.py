"""SQL that fills the resident index: every identifier that somebody holds, as fixed-width bytes by COPY.

Contract: as in ``store.py``; reads only. A page at a time, so that no statement runs long.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from identity.resident import KEY_BYTES, Words, ids_of, words_of
from identity.store import COLUMN, COUNTS
from kernel.db import Conn

_HEAD: Final = 19  # bytes before the first row of a binary COPY
_TAIL: Final = 2
# A row: how many fields, then each with its length.
_ROW: Final = np.dtype(
    [
        ("fields", ">i2"),
        ("key_length", ">i4"),
        ("key", f"V{KEY_BYTES}"),
        ("person_length", ">i4"),
        ("person", "u1", 26),
        ("record_length", ">i4"),
        ("record", "u1", 26),
    ]
)


async def last_of_page(conn: Conn, after: str, size: int) -> str:
    """The identifier that ends a page of this size behind `after`; "" when nothing is behind it."""
    cursor = await conn.execute(
        "SELECT max(identifier_id) AS last FROM (SELECT identifier_id FROM identity.identifiers"
        " WHERE identifier_id > %b ORDER BY identifier_id LIMIT %b) AS page",
        (after, size),
    )
    row = await cursor.fetchone()
    return str(row["last"]) if row is not None and row["last"] is not None else ""


async def held(conn: Conn, after: str, last: str, *, even: bool) -> tuple[Words, Words, Words]:
    """Keys, people and records of the identifiers behind `after` up to `last`, one row a holder."""
    column = COLUMN[even]
    parts: list[bytes] = []
    async with (
        conn.cursor() as cursor,
        cursor.copy(
            f"COPY (SELECT substr(i.{column}, 1, {KEY_BYTES}), substr(m.person_id, 5), substr(max(m.record_id), 5)"
            " FROM identity.identifiers i"
            " JOIN identity.record_identifiers ri ON ri.identifier_id = i.identifier_id"
            " JOIN identity.members m ON m.record_id = ri.record_id"
            f" WHERE i.identifier_id > %s AND i.identifier_id <= %s AND i.{column} IS NOT NULL AND {COUNTS}"
            " GROUP BY i.identifier_id, m.person_id) TO STDOUT (FORMAT BINARY)",
            (after, last),
        ) as copy,
    ):
        parts.extend([bytes(block) async for block in copy])
    rows: NDArray[np.void] = np.frombuffer(b"".join(parts)[_HEAD:-_TAIL], _ROW)
    return words_of(rows["key"]), ids_of(rows["person"]), ids_of(rows["record"])
