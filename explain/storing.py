"""Keeping explanations with everything that goes with them, in one commit: the row, its log entry, the counts, the queue, what was promised before.

Enters: explanations that are made and sealed. Leaves: which of their decisions had none; where somebody else was faster, theirs is the one that stands.
"""

from collections.abc import Sequence

from audit.service import Audit
from explain import queue_store, quick_store, store
from explain.fresh import Fresh
from explain.promises import Promises
from explain.tallies import Tallies, tallied
from kernel.ids import DecisionId
from kernel.kernel import Kernel


class Storing:
    """Stands behind `Explain`."""

    def __init__(self, kernel: Kernel, audit: Audit, tallies: Tallies, promises: Promises) -> None:
        self._kernel = kernel
        self._audit = audit
        self._tallies = tallies
        self._promises = promises

    async def keep(self, made: Sequence[Fresh]) -> set[DecisionId]:
        """Keep them; the decisions that had none.

        Raises:
            SubjectKeyGone: somebody among them was erased since; some of the others may be kept.
        """
        fresh = await self._quick([one for one in made if one.content.facts.key_id is not None])
        rest = [one for one in made if one.decision_id not in fresh]
        return fresh | await self._slowly(rest) if rest else fresh

    async def _quick(self, made: Sequence[Fresh]) -> set[DecisionId]:
        """In one statement, those about whom nothing else is to be said."""
        if not made:
            return set()
        now = self._kernel.clock.now()
        entries = await self._audit.appending([one.entry() for one in made], kept=quick_store.KEPT)
        rows = [
            (one.row(now), entry, len(one.content.levers), tallied([one.content]))
            for one, entry in zip(made, entries.ids, strict=True)
        ]
        async with self._kernel.db.single() as conn:
            return await quick_store.keep(conn, rows, entries.piece)

    async def _slowly(self, made: Sequence[Fresh]) -> set[DecisionId]:
        now = self._kernel.clock.now()
        async with self._kernel.db.transaction() as conn:
            fresh = await store.insert(conn, [one.row(now) for one in made])
            new = [one for one in made if one.decision_id in fresh]
            await self._audit.append(conn, [one.entry() for one in new])
            await self._tallies.note(conn, [one.content for one in new])
            await self._promises.shown(conn, [one.content for one in new])
            await queue_store.done(conn, [one.decision_id for one in made])
        return fresh
