"""Explain as a keeper: old explanations lose content and person; their digests stay, as the log names them. Decisions as old that were put off are not made up for any more.

Enters: a term. Leaves: counts.
"""

from typing import Final

from explain import keeping_store as store
from explain import queue_store
from kernel.clock import Clock
from kernel.db import Conn
from kernel.holders import Term
from kernel.ids import earliest_id


class Keeping:
    """Stands at ``Explain.keeping``; implements ``kernel.holders.Keeper``."""

    keeps: Final = {
        "explanations": "content of explanations, since they were made; decisions put off without one, since they were made"
    }

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def overdue(self, conn: Conn, term: Term) -> int:
        """How many explanations, and decisions without one."""
        put_off = await queue_store.count_old(conn, earliest_id("dec", term.before))
        return put_off + await store.count(conn, term.before, sorted(term.people))

    async def let_go(self, conn: Conn, term: Term, limit: int) -> int:
        """Redact or take off the queue at most so many."""
        gone = await store.redact(conn, term.before, sorted(term.people), limit, self._clock.now())
        return gone + await queue_store.forget_old(conn, earliest_id("dec", term.before), limit - gone)
