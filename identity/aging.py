"""Source records whose time is over: found by age and purpose, and taken out of the graph without taking the person with them.

What enters: a moment and purposes. What leaves: rows with all their versions; and, when records go, the keys to destroy. What it never does: decide that nobody
needs a record any more (the caller asks the rooms that use it), or leave a person without records (the caller erases her instead).
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial

from audit.service import Audit
from identity import blocks_store, census_store, evidence_store, graph_store, parting, publishing, store, undoing_store
from identity.graph import assign, surety
from identity.hot_index import HotIndex
from identity.linkage_files import LinkageFiles
from identity.people import Change, OldRow
from identity.reasons import Reasons
from identity.settings import IdentitySettings
from kernel.clock import Clock
from kernel.db import Conn, after_commit
from kernel.ids import GraphVersion, KeyId, PersonId, RecordId, new_id

Tell = Callable[[Conn, Sequence[PersonId]], Awaitable[None]]


class Aging:
    """Stands at ``Identity.aging``."""

    def __init__(
        self,
        clock: Clock,
        audit: Audit,
        settings: IdentitySettings,
        hot: HotIndex,
        linkage: LinkageFiles,
        reasons: Reasons,
        tell: Tell,
    ) -> None:
        self._clock = clock
        self._audit = audit
        self._reasons = reasons
        self._settings = settings
        self._hot = hot
        self._linkage = linkage
        self._tell = tell

    async def old_rows(
        self, conn: Conn, before: datetime, purposes: Sequence[str], *, after: str = "", limit: int = 5_000
    ) -> list[OldRow]:
        """A page of rows of sources whose newest version was recorded before a moment, by that version's id; with all versions."""
        return await census_store.old_rows(conn, before, purposes, after, limit)

    async def heard(
        self, conn: Conn, people: Sequence[PersonId], purposes: Sequence[str], since: datetime
    ) -> set[PersonId]:
        """Of which of these people a source told something since, under one of these purposes."""
        return await census_store.heard(conn, people, purposes, since)

    async def drop(self, conn: Conn, records: Sequence[RecordId]) -> list[KeyId]:
        """Tombstone these records of people who keep others; the keys of what went, for the caller to destroy after the commit.

        Whom a record held together falls apart in the same version (``parting``); whom it held by nothing stays as she is.
        """
        await store.own_graph(conn)
        owner = await census_store.owners(conn, records)
        people = sorted(set(owner.values()))
        if not people:
            return []
        neighbours = await graph_store.may_be_same(conn, people, self._settings.loose_limit)
        whose = {r: p for p, rows in (await graph_store.members(conn, people)).items() for r, _ in rows}
        indexes = await store.indexes_of(conn, list(whose))
        labels = await parting.fallen(conn, self._settings, whose, owner.keys(), await self._reasons.threshold(conn))
        outcome = assign({r: whose[r] for r in labels}, labels, partial(new_id, "per"))
        now = self._clock.now()
        number = GraphVersion(await graph_store.version(conn) + 1)
        await graph_store.new_version(conn, number, "expired", {"records": len(owner), "parted": len(labels)}, now)
        await self._reasons.forget(conn, list(owner))
        of_records, of_identifiers = await store.erase_records(conn, list(owner), now)
        await graph_store.close_members(conn, list(owner), number)
        await blocks_store.forget(conn, list(owner))
        await evidence_store.forget_evidence(conn, list(owner))
        await publishing.move(conn, outcome, number, now)
        theirs: dict[PersonId, list[RecordId]] = defaultdict(list)
        for record, person in owner.items():
            theirs[person].append(record)
        changes = [Change("expired", person, None, tuple(held)) for person, held in sorted(theirs.items())]
        await graph_store.add_changes(conn, [*changes, *outcome.changes], number, now)
        told = sorted({*people, *(other for held in neighbours.values() for other in held), *outcome.created})
        await graph_store.touch_people(conn, told, number)
        if outcome.changes:
            edges, _ = await evidence_store.evidence(conn, list(labels))
            now_sure = surety(outcome.person_of, edges)
            await undoing_store.raise_sure(conn, {p: now_sure.get(p, 1.0) for p in set(outcome.person_of.values())})
            await self._audit.append(conn, publishing.entries(outcome.changes, number))
        await self._tell(conn, told)
        await asyncio.to_thread(self._linkage.without, list(owner))
        after_commit(conn, partial(self._hot.forget, indexes))
        return [*of_records, *of_identifiers]
