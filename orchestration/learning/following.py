"""The log of decisions, followed by learners: every decision once, however many come, and how far behind they are.

Enters: placements that learn. Leaves: decisions that no lesson is kept of yet. A decision is kept a little after its moment, so those of the last seconds are looked at again: only their
ids, all of them, a page at a time. What came later is taken in bounded parts, each of which moves on, so that no burst makes it stand still.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from kernel import metrics
from kernel.db import Conn
from kernel.ids import DecisionId
from orchestration.decision import lesson_store
from orchestration.decision.lesson_store import Choice
from orchestration.learning import online_store as store

MOST: Final = 5_000  # decisions in one go: some seconds of work, and then what happened to people is heard again
_PAGE: Final = 10_000
_OVERLAP: Final = timedelta(seconds=10)  # a decision is kept within that of its moment

_behind = metrics.gauge(
    "candor_learning_lag_seconds", "How old the oldest decision is that a learner has not followed yet; 0: none waits.", ["placement"]
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a placement's decisions were followed. `behind`: seconds from there to now where `more` wait, otherwise 0."""

    at: datetime
    behind: float
    more: bool


class Following:
    """One per process. `without`: a policy whose decisions teach nothing."""

    def __init__(self, without: str) -> None:
        self._without = without
        self.reached: dict[str, Reached] = {}
        self.waits = False
        """More decisions wait than the last go took."""

    def begin(self, placements: Collection[str]) -> None:
        """A go begins, of these placements: nothing is known to wait until it was looked for, and of others nobody is behind."""
        self.waits = False
        for gone in self.reached.keys() - set(placements):
            del self.reached[gone]
            _behind.labels(gone).set(0)

    async def fresh(self, conn: Conn, placements: Sequence[str], *, least: datetime, now: datetime) -> list[Choice]:
        """Decisions of these placements since `least` that have no lesson, and note how far that goes."""
        so_far: Mapping[str, datetime] = await store.followed(conn)
        found: list[Choice] = []
        for name in placements:
            begin = max(so_far.get(name, least), least)
            late = await self._late(conn, name, begin)
            rows = await lesson_store.after(conn, name, begin, self._without, MOST + 1)
            more, rows = len(rows) > MOST, rows[:MOST]
            if rows:
                await store.follow(conn, name, rows[-1].at)
            found += [*late, *rows]
            self._note(name, rows[-1].at if rows else begin, now, more=more)
            self.waits = self.waits or more
        return found

    async def _late(self, conn: Conn, placement: str, begin: datetime) -> list[Choice]:
        """Those of the seconds up to `begin` that were kept after they were looked for."""
        wanted: list[DecisionId] = []
        at, last = begin - _OVERLAP, ""
        while True:
            page = await lesson_store.ids(conn, placement, (at, last), begin, self._without, _PAGE)
            known = await store.present(conn, [one for _, one in page])
            wanted += [one for _, one in page if one not in known]
            if len(page) < _PAGE:
                break
            at, last = page[-1]
        return await lesson_store.named(conn, wanted) if wanted else []

    def _note(self, placement: str, at: datetime, now: datetime, *, more: bool) -> None:
        behind = max(0.0, (now - at).total_seconds()) if more else 0.0
        self.reached[placement] = Reached(at, behind, more)
        _behind.labels(placement).set(behind)
