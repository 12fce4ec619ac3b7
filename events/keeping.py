"""Events as a keeper: what is past its time, and what is known of a record.

Enters: a term, or records. Leaves: counts. Who is held back is left alone: events by record, dead letters by the blind indexes of her identifiers.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from consent.service import Consent
from events import keeping_store, store
from events.ingest import EventsStored
from identity.service import Identity
from kernel.db import Conn
from kernel.holders import Term
from kernel.ids import PersonId, RecordId
from kernel.kernel import Kernel


class Keeping:
    """Stands at ``Events.keeping``; implements ``kernel.holders.Keeper`` and consent's ``RecordUser``."""

    keeps: Final = {
        "events": "events, since they were received",
        "dead_letters": "items that were refused and kept for a replay, since they were received",
        "import_faults": "faulty rows of imported files, since the import last moved",
    }

    def __init__(self, kernel: Kernel, identity: Identity, consent: Consent, told: list[EventsStored]) -> None:
        self._kernel = kernel
        self._identity = identity
        self._consent = consent
        self._told = told  # what is told of new events is told of gone ones: profiles rest on both

    async def overdue(self, conn: Conn, term: Term) -> int:
        """How many things the term names."""
        if term.kind == "events":
            return await keeping_store.count_events(conn, term.before, term.purposes, sorted(term.records))
        if term.kind == "dead_letters":
            return await keeping_store.count_letters(conn, term.before, await self._indexes(conn, term))
        return await keeping_store.count_faults(conn, term.before)

    async def let_go(self, conn: Conn, term: Term, limit: int) -> int:
        """Remove at most so many of them."""
        if term.kind == "events":
            gone = await keeping_store.drop_events(conn, term.before, term.purposes, sorted(term.records), limit)
            for told in self._told if gone else ():
                await told(conn, list(dict.fromkeys(gone)))
            return len(gone)
        if term.kind == "dead_letters":
            keys = await keeping_store.drop_letters(conn, term.before, await self._indexes(conn, term), limit)
            await self._consent.shredder.doom(conn, keys)
            return len(keys)
        return await keeping_store.drop_faults(conn, term.before, limit)

    async def heard(
        self, conn: Conn, people: Sequence[PersonId], purposes: Sequence[str], since: datetime
    ) -> set[PersonId]:
        """To which of these people something happened since, under one of these purposes."""
        members = await self._identity.members(conn, people)
        owner = {record: person for person, held in members.items() for record in held.records}
        found = await keeping_store.heard(conn, list(owner), purposes, since)
        return {owner[record] for record in found}

    async def drop(self, conn: Conn, records: Sequence[RecordId]) -> int:
        """Remove every event of these records, and what stands for them at the door."""
        return (await store.erase(conn, records, []))[0]

    async def _indexes(self, conn: Conn, term: Term) -> list[bytes]:
        held = await self._identity.identifiers(conn, sorted(term.people)) if term.people else {}
        return [
            x for ids in held.values() for one in ids for x in self._kernel.vault.blind_indexes(one.kind, one.value)
        ]
