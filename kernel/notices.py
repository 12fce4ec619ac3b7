"""Hearing what other processes committed: Postgres's LISTEN, on a connection of its own.

What enters: a channel. What leaves: what was said on it, in the order of the commits, after each commit is visible to everybody.
Nothing is lost while the connection stands; when it breaks, ``DatabaseUnavailable`` says so, and the listener has to assume the worst.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, LiteralString

from kernel.db import Conn, Database

_IDLE_SECONDS: Final = 1.0  # so often a quiet connection is asked whether it still stands


class Notices:
    """A channel that is being listened to."""

    def __init__(self, conn: Conn) -> None:
        self._conn = conn

    async def heard(self, seconds: float = _IDLE_SECONDS) -> list[str]:
        """What was said, as soon as something was; nothing after so many seconds of silence."""
        found = [notice.payload async for notice in self._conn.notifies(timeout=seconds, stop_after=1)]
        if not found:
            await self._conn.execute("SELECT 1")
        return found


@asynccontextmanager
async def listening(db: Database, channel: LiteralString) -> AsyncIterator[Notices]:
    """Listen while the block runs; whatever commits after it began is heard.

    Raises:
        DatabaseUnavailable: no connection, or not any more.
    """
    async with db.alone() as conn:
        await conn.execute(f"LISTEN {channel}")
        yield Notices(conn)
