"""SQL on decisions whose time is over. Contract: as in ``store.py``."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from kernel.db import Conn
from kernel.ids import PersonId

_OLD: Final = "at < %s AND redacted_at IS NULL AND (person IS NULL OR person <> ALL(%s::text[]))"


async def count(conn: Conn, before: datetime, people: Sequence[PersonId]) -> int:
    """Decisions made before a moment that can still be opened, but those about these people."""
    got = await conn.execute(f"SELECT count(*) AS n FROM decision.decisions WHERE {_OLD}", (before, list(people)))
    row = await got.fetchone()
    return int(row["n"]) if row is not None else 0


async def redact(conn: Conn, before: datetime, people: Sequence[PersonId], limit: int, at: datetime) -> int:
    """Take the person and the sealed content off at most so many of them; digests and proofs stay."""
    got = await conn.execute(
        "UPDATE decision.decisions SET person = NULL, sealed = NULL, key_id = NULL, redacted_at = %s WHERE id IN"
        f" (SELECT id FROM decision.decisions WHERE {_OLD} ORDER BY at, id LIMIT %s)",
        (at, before, list(people), limit),
    )
    return got.rowcount
