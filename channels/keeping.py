"""Channels as a keeper: the words of messages that ended long ago go, with the copies that connectors keep; the ledger's rows stay.

Enters: a term. Leaves: counts.
"""

from collections.abc import Mapping
from typing import Final

from channels import keeping_store as store
from channels.connector import Connector
from kernel.db import Conn
from kernel.holders import Term


class Keeping:
    """Stands at ``Channels.keeping``; implements ``kernel.holders.Keeper``."""

    keeps: Final = {"delivery_words": "words of messages, since the last word about their delivery"}

    def __init__(self, connectors: Mapping[str, Connector]) -> None:
        self._connectors = {one.name: one for one in connectors.values()}

    async def overdue(self, conn: Conn, term: Term) -> int:
        """How many messages."""
        return await store.count(conn, term.before, sorted(term.people))

    async def let_go(self, conn: Conn, term: Term, limit: int) -> int:
        """Blank at most so many."""
        gone = await store.blank(conn, term.before, sorted(term.people), limit)
        for delivery_id, connector, reserved_at in gone:
            if connector in self._connectors:
                await self._connectors[connector].forget(delivery_id, reserved_at)
        return len(gone)
