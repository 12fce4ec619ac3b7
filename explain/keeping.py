"""Explain as a keeper: old explanations lose content and person; their digests stay, as the log names them.

Enters: a term. Leaves: counts.
"""

from typing import Final

from explain import keeping_store as store
from kernel.clock import Clock
from kernel.db import Conn
from kernel.holders import Term


class Keeping:
    """Stands at ``Explain.keeping``; implements ``kernel.holders.Keeper``."""

    keeps: Final = {"explanations": "content of explanations, since they were made"}

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def overdue(self, conn: Conn, term: Term) -> int:
        """How many explanations."""
        return await store.count(conn, term.before, sorted(term.people))

    async def let_go(self, conn: Conn, term: Term, limit: int) -> int:
        """Redact at most so many."""
        return await store.redact(conn, term.before, sorted(term.people), limit, self._clock.now())
