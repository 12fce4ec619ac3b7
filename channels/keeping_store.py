"""SQL on the words of messages whose time is over. Contract: as in ``store.py``."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from channels.ledger import State
from kernel.db import Conn
from kernel.ids import DeliveryId, PersonId

# What may still be sent keeps its words, however old.
_OPEN: Final = [State.RESERVED.value, State.INTENT.value]
_OLD: Final = "content IS NOT NULL AND changed_at < %s AND reserved_at < %s AND NOT (state = ANY(%s)) AND person <> ALL(%s::text[])"


async def count(conn: Conn, before: datetime, people: Sequence[PersonId]) -> int:
    """Deliveries that ended before a moment and still have their words, but those of these people."""
    got = await conn.execute(
        f"SELECT count(*) AS n FROM channels.deliveries WHERE {_OLD}", (before, before, _OPEN, list(people))
    )
    row = await got.fetchone()
    return int(row["n"]) if row is not None else 0


async def blank(
    conn: Conn, before: datetime, people: Sequence[PersonId], limit: int
) -> list[tuple[DeliveryId, str | None, datetime]]:
    """Remove the words of at most so many of them; id, connector and time of each."""
    got = await conn.execute(
        "UPDATE channels.deliveries SET content = NULL WHERE delivery_id IN"
        f" (SELECT delivery_id FROM channels.deliveries WHERE {_OLD} ORDER BY delivery_id LIMIT %s FOR UPDATE SKIP LOCKED)"
        " RETURNING delivery_id, connector, reserved_at",
        (before, before, _OPEN, list(people), limit),
    )
    return [(DeliveryId(row["delivery_id"]), row["connector"], row["reserved_at"]) for row in await got.fetchall()]
