"""Triggers as a holder and keeper of what is about people.

Enters: a person, a term. Leaves: her runs in words, counts. A run holds ids and times, no word of hers; an erasure removes it, under every id she ever had.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from identity.names import hers_only, names
from kernel.canonical import Json
from kernel.db import Conn
from kernel.holders import Term
from kernel.ids import PersonId
from orchestration.triggers import store


class Holding:
    """Implements `PersonalDataHolder` and `ImpactCounter`."""

    async def export(self, conn: Conn, person: PersonId) -> Json:
        """What was set off for her, what became of it, and why; not what may have been set off by somebody she was taken for."""
        runs = await store.of_people(conn, (await names(conn, [person]))[person].alone)
        hers = await hers_only(conn, person, {(one.person, one.made_at) for one in runs if one.person is not None})
        return [
            {"trigger": one.trigger, "set_off_by": one.kind, "at": one.at.isoformat(), "state": one.state.value,
             "because": one.reason, "decision": one.decision_id if one.settled_at is not None else None}
            for one in runs if (one.person, one.made_at) in hers
        ]  # fmt: skip

    async def erase(self, conn: Conn, person: PersonId) -> int:
        """Remove her runs and her places in segments; what was waiting never happens."""
        return await store.forget(conn, (await names(conn, [person]))[person].every)

    async def count(self, conn: Conn, people: Sequence[PersonId]) -> Mapping[str, int]:
        """Runs that wait for these people."""
        return {"trigger_runs": await store.open_of(conn, people)}


class Keeping:
    """Implements `kernel.holders.Keeper`."""

    keeps: Final = {"trigger_runs": "runs of triggers, since they ended"}

    async def overdue(self, conn: Conn, term: Term) -> int:
        """How many runs."""
        return await store.count_old(conn, term.before, sorted(term.people))

    async def let_go(self, conn: Conn, term: Term, limit: int) -> int:
        """Remove at most so many."""
        return await store.drop_old(conn, term.before, sorted(term.people), limit)
