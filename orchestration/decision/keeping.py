"""Decision as a keeper: old decisions lose their sealed record and their person; what the log and receipts name stays.

Enters: a term. Leaves: counts. Afterwards a replay answers "redacted", as it does for somebody who was erased.
"""

from typing import Final

from kernel.clock import Clock
from kernel.db import Conn
from kernel.holders import Term
from orchestration.decision import keeping_store as store


class Keeping:
    """Stands at `Decisions.keeping`; implements `kernel.holders.Keeper`."""

    keeps: Final = {"decisions": "sealed records of decisions, since they were made"}

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def overdue(self, conn: Conn, term: Term) -> int:
        """How many decisions."""
        return await store.count(conn, term.before, sorted(term.people))

    async def let_go(self, conn: Conn, term: Term, limit: int) -> int:
        """Redact at most so many."""
        return await store.redact(conn, term.before, sorted(term.people), limit, self._clock.now())
