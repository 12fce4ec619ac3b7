"""SQL on imported decisions and training sets whose time is over. Contract: as in ``store.py``."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from kernel.db import Conn
from kernel.ids import IdentifierId, RecordId

_LOGGED: Final = "imported_at < %s AND subject <> ALL(%s::text[])"


async def count_logged(conn: Conn, before: datetime, kept: Sequence[RecordId | IdentifierId]) -> int:
    """Decisions imported before a moment, but those about these subjects."""
    got = await conn.execute(f"SELECT count(*) AS n FROM learning.logged WHERE {_LOGGED}", (before, list(kept)))
    row = await got.fetchone()
    return int(row["n"]) if row is not None else 0


async def drop_logged(conn: Conn, before: datetime, kept: Sequence[RecordId | IdentifierId], limit: int) -> int:
    """Remove at most so many of them."""
    got = await conn.execute(
        "DELETE FROM learning.logged WHERE (source, key) IN"
        f" (SELECT source, key FROM learning.logged WHERE {_LOGGED} ORDER BY source, key LIMIT %s)",
        (before, list(kept), limit),
    )
    return got.rowcount


async def old_files(conn: Conn, before: datetime) -> list[str]:
    """Files of training sets made before a moment, but the newest of each placement."""
    got = await conn.execute(
        "SELECT file FROM learning.training_sets s WHERE made_at < %s AND EXISTS (SELECT 1 FROM learning.training_sets n"
        " WHERE n.placement = s.placement AND n.made_at > s.made_at) ORDER BY file",
        (before,),
    )
    return [str(row["file"]) for row in await got.fetchall()]
