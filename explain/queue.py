"""The queue of decisions that nobody explained yet: fed from the log, and bounded in number and in age.

Enters: the log, two bounds. Leaves: what to explain next. What there is no room for is put off, with a reason, and never lost: it is explained when somebody asks for it, and by the
same worker, newest first, once nothing else waits. After the time for which explanations are kept it is not made up for any more (`keeping.py`). The newest stay, since a person who has just got a message is the one who asks.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from audit.service import Audit
from audit.tags import Tag
from explain import queue_store as store
from explain.settings import ExplainSettings
from kernel.ids import DecisionId, earliest_id
from kernel.kernel import Kernel
from kernel.log import get_logger

_PLACES: Final = 1000  # of the log, read at a time
_TELLS_EVERY: Final = timedelta(minutes=1)
_log = get_logger("explain.queue")


class PutOff(StrEnum):
    """Why a decision is not explained ahead for now."""

    QUEUE_FULL = "queue_full"
    WAITED_TOO_LONG = "waited_too_long"


class Queue:
    """Stands at `Explain.queue`."""

    def __init__(self, kernel: Kernel, audit: Audit, settings: ExplainSettings) -> None:
        self._kernel = kernel
        self._audit = audit
        self._settings = settings
        self._untold: Counter[PutOff] = Counter()
        self._told_at: datetime | None = None

    async def feed(self) -> Mapping[PutOff, int]:
        """Take up what the log names since the last time; how many decisions had to be put off for it."""
        oldest = self._kernel.clock.now() - self._settings.queue_age
        async with self._kernel.db.transaction() as conn:
            after = await store.lock_feed(conn)
            last, decisions = await self._audit.following(
                conn, Tag.DECISION_MADE, "decision", after=after, limit=_PLACES
            )
            if last > after:
                await store.advance_feed(conn, last, decisions)
            found = await store.put_off(conn, most=self._settings.queue_most, before=earliest_id("dec", oldest))
        gone = {PutOff(reason): count for reason, count in found.items()}
        self._tell(gone)
        return gone

    def _tell(self, gone: Mapping[PutOff, int]) -> None:
        """Warn of what was put off, once a minute at most: under overload every round puts some off."""
        self._untold.update(gone)
        now = self._kernel.clock.now()
        if not self._untold or (self._told_at is not None and now - self._told_at < _TELLS_EVERY):
            return
        for reason, count in sorted(self._untold.items()):
            _log.warning("explanations_put_off", reason=reason, count=count)
        self._untold.clear()
        self._told_at = now

    async def next(self, limit: int) -> list[DecisionId]:
        """What to explain now, the oldest first; where fewer wait, those that were put off, the newest first."""
        async with self._kernel.db.reading() as conn:
            found = await store.waiting(conn, limit)
            return [*found, *(await store.later(conn, limit - len(found)))] if len(found) < limit else found

    async def waiting(self) -> int:
        """How many decisions wait for their explanation."""
        async with self._kernel.db.reading() as conn:
            return await store.queued(conn)

    async def put_off(self) -> Mapping[PutOff, int]:
        """How many were put off and have no explanation yet; counted up to a hundred thousand."""
        async with self._kernel.db.reading() as conn:
            return {PutOff(reason): count for reason, count in (await store.counts_put_off(conn)).items()}

    async def refused(self) -> Mapping[str, str]:
        """Decisions whose explanation did not add up, with the error's code."""
        async with self._kernel.db.reading() as conn:
            return await store.refused(conn)

    async def refuse(self, decision_id: DecisionId, code: str) -> None:
        """Set aside one whose explanation does not add up."""
        async with self._kernel.db.transaction() as conn:
            await store.refuse(conn, decision_id, code)

    async def done(self, decisions: list[str]) -> None:
        """Take decisions off that need no explanation."""
        if decisions:
            async with self._kernel.db.transaction() as conn:
                await store.done(conn, decisions)
