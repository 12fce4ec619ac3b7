"""SQL on explanations whose time is over. Contract: as in ``store.py``."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from explain.store import sum_levers
from kernel.db import Conn
from kernel.ids import PersonId

_OLD: Final = "made_at < %s AND redacted_at IS NULL AND (person IS NULL OR person <> ALL(%s::text[]))"


async def count(conn: Conn, before: datetime, people: Sequence[PersonId]) -> int:
    """Explanations made before a moment that can still be read, but those about these people."""
    got = await conn.execute(f"SELECT count(*) AS n FROM explain.explanations WHERE {_OLD}", (before, list(people)))
    row = await got.fetchone()
    return int(row["n"]) if row is not None else 0


async def redact(conn: Conn, before: datetime, people: Sequence[PersonId], limit: int, at: datetime) -> int:
    """Take content and person off at most so many of them; digests stay, and the count of their levers."""
    got = await conn.execute(
        "UPDATE explain.explanations SET person = NULL, body = NULL, key_id = NULL, redacted_at = %s WHERE decision_id IN"
        f" (SELECT decision_id FROM explain.explanations WHERE {_OLD} ORDER BY decision_id LIMIT %s) RETURNING decision_id",
        (at, before, list(people), limit),
    )
    gone = [str(row["decision_id"]) for row in await got.fetchall()]
    await sum_levers(conn, gone)
    return len(gone)
