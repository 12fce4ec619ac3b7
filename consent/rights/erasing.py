"""Erasing a person, step by step, each of which can be run again after a crash (consent.D7, D11, D16).

What enters: an approved request. What leaves: an ``Erased``; the person is gone. Order: the plan is compared with who she is now; the erasure ledger gets its lines, on disk; processors' letters
are written while there is still something to say; every room erases in one transaction that also keeps which keys must go; the keys are destroyed.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from audit.service import Audit
from audit.tags import Tag
from consent import lifecycle, store
from consent import requests_store as rows
from consent.errors import Replanned, RequestState
from consent.holds import Holds
from consent.ledger import Ledger, Line
from consent.lifecycle import Request, State
from consent.rights import checks, parcels_store, plans
from consent.rights.copies import Copies
from consent.rights.noting import note
from consent.rights.processors import Processors
from consent.rights.subjects import reached, whose
from consent.service import CONTACTS, Consent
from identity.identifiers import HeldIdentifier
from identity.names import alone
from identity.service import Identity
from kernel.canonical import Json
from kernel.db import Conn, TransactionConflict
from kernel.holders import PersonalDataHolder
from kernel.ids import IdentifierId, KeyId, PersonId, RecordId, RequestId
from kernel.kernel import Kernel

REPLAY: Final = "system:erasure-ledger"
_PAGE: Final = 1_000  # people whose records are looked at in one go
_TRIES: Final = 4  # Postgres ends a deadlock after a second; by then whoever was in the way has gone on


@dataclass(frozen=True, slots=True)
class Erased:
    """The request as it stands afterwards, and counts by room."""

    request: Request
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class Strays:
    """Records that the ledger names; ``everything``: she has no other."""

    records: list[RecordId]
    everything: bool


class Erasing:
    """Carries out erasures. ``holders``: every room, in the order of erasing."""

    def __init__(
        self, kernel: Kernel, audit: Audit, identity: Identity, consent: Consent, ledger: Ledger, holds: Holds,
        processors: Processors, copies: Copies, holders: Callable[[], Sequence[PersonalDataHolder]],
    ) -> None:  # fmt: skip
        self._kernel = kernel
        self._audit = audit
        self._identity = identity
        self._consent = consent
        self._ledger = ledger
        self._holds = holds
        self._processors = processors
        self._copies = copies
        self._holders = holders

    async def erase(self, request: Request, actor: str) -> Erased:
        """Do it, or end what a crash broke off; a fulfilled one is answered again.

        Raises:
            RequestState: nobody approved it, or it is closed.
            Replanned: other people were merged in or split off since the approval; it is open again.
            HeldBack: a hold stands.
        """
        if request.state is State.FULFILLED:
            return Erased(request, dict(request.counts or {}))
        _insist(request)
        try:
            begun = await self._tried(request.id, actor)
        except Replanned:
            await self._replan(request, actor)
            raise
        if isinstance(begun, Erased):  # somebody else did it meanwhile
            return begun
        keys, counts = begun
        destroyed = await self._kernel.vault.destroy(keys)
        async with self._kernel.db.transaction() as conn:
            claimed = await rows.get(conn, request.id, claim=True)
            assert claimed is not None
            if claimed.state is State.FULFILLED:
                return Erased(claimed, dict(claimed.counts or {}))
            counts = {**counts, "keys": destroyed or len(keys)}  # none left: whoever was cut off had destroyed them
            now = self._kernel.clock.now()
            await rows.close(conn, request.id, State.FULFILLED, now, reason=None, counts=counts, response="erased")
            left = await self._copies.left(conn, now)
            facts: dict[str, Json] = {
                "counts": dict(counts), "key_copies": left.copies, "key_copies_until": left.until.isoformat() if left.until else None,
            }  # fmt: skip
            await note(conn, self._audit, Tag.ERASURE_DONE, claimed, actor, facts)
            done = await rows.get(conn, request.id)
            assert done is not None
        return Erased(done, counts)

    async def came_back(self) -> dict[PersonId, bool]:
        """Living people whom the erasure ledger names, and whether their contacts are to be silent."""
        lines, people = await self._unsettled()
        return await asyncio.to_thread(self._ledger.among, people, lines)

    async def strays(self) -> dict[PersonId, Strays]:
        """Records of erased people that living ones have, whom the ledger does not name: a dump of before a split holds them so."""
        lines, people = await self._unsettled()
        found: dict[PersonId, Strays] = {}
        for place in range(0, len(people), _PAGE):
            async with self._kernel.db.reading() as conn:
                members = await self._identity.members(conn, people[place : place + _PAGE])
            for person, held in members.items():
                named = await asyncio.to_thread(self._ledger.records_among, held.records, lines)
                if named:
                    found[person] = Strays(named, everything=len(named) == len(held.records))
        return found

    async def _unsettled(self) -> tuple[list[Line], list[PersonId]]:
        """Lines that may name somebody who lives, and everybody who does.

        Lines whose request this database holds as fulfilled are settled, unless its person lives: then it is a half of two dumps.
        """
        lines = await asyncio.to_thread(self._ledger.lines)
        if not lines:
            return [], []
        async with self._kernel.db.reading() as conn:
            erased = await rows.fulfilled(conn, [line.request for line in lines])
            alive = await self._identity.current(conn, sorted(set(erased.values())))
            left = [line for line in lines if line.request not in erased or erased[line.request] in alive]
            return left, await self._identity.people(conn) if left else []

    async def _moved(self, conn: Conn, request: Request, names: Sequence[PersonId]) -> bool:
        records = (request.reach or {}).get("records", ())
        subjects = await self._identity.subjects(conn, list(records)) if records else {}  # type: ignore[arg-type] # ids of records
        return plans.changed(request.reach, names, {one: subject.people for one, subject in subjects.items()})

    async def _replan(self, request: Request, actor: str) -> None:
        """Back to open: the preview shows what would be done now, and somebody must approve that."""
        async with self._kernel.db.transaction() as conn:
            claimed = await rows.get(conn, request.id, claim=True)
            if claimed is not None and claimed.counts is None and claimed.state is State.IN_PROGRESS:
                await rows.set_state(conn, request.id, lifecycle.step("replan", claimed.state), None)
                await note(conn, self._audit, Tag.REQUEST_REPLANNED, claimed, actor, {"right": claimed.right})

    async def _tried(self, request: RequestId, actor: str) -> "_Begun":
        """The rows, again while Postgres ends us in favour of somebody who collects about her at the same moment."""
        for _ in range(_TRIES - 1):
            with suppress(TransactionConflict):
                return await self._rows(request, actor)
        return await self._rows(request, actor)

    async def _rows(self, request: RequestId, actor: str) -> "_Begun":
        """Every holder erases, in one transaction that also keeps which keys must go; done once, answered again.

        Whatever could forbid it is asked in the same transaction, behind the locks of whoever could change the answer.
        """
        async with self._kernel.db.transaction() as conn:
            claimed = await rows.get(conn, request, claim=True)
            assert claimed is not None
            if claimed.state is State.FULFILLED:
                return Erased(claimed, dict(claimed.counts or {}))
            _insist(claimed)  # it may have been taken back since we looked
            if claimed.counts is not None:
                return await rows.plan(conn, request), dict(claimed.counts)
            person = await whose(self._identity, conn, claimed)
            now = self._kernel.clock.now()
            # First the fence: whoever decides for her, or adds a record to her, now waits for us, and then finds her erased. What was
            # added before is read below, so that no key of hers is left out.
            await self._consent.touch(conn, [person])
            await store.bump(conn, [person], erased_at=now)
            if await whose(self._identity, conn, claimed) != person:
                raise RequestState("expected the person to stay who she is, got a merge meanwhile; run it again")
            names = await self._allowed(conn, claimed, person, actor)
            # Before anything is destroyed; should we die after it, whatever comes back is erased again. Under every id she ever had: a
            # dump of before a merge holds her under one that is retired now.
            held = (await self._identity.members(conn, [person])).get(person)
            records = list(held.records) if held else []
            await asyncio.to_thread(
                self._ledger.write, request, [person, *names], now, silent=claimed.suppress, records=records
            )
            keys = list(held.key_ids) if held else []
            contacts: list[HeldIdentifier] = []
            if claimed.suppress:
                held_now = (await self._identity.identifiers(conn, [person])).get(person, [])
                contacts = [c for c in held_now if c.kind in CONTACTS]
                await store.silence(conn, [self._consent.contact_hash(c.kind, c.value) for c in contacts], now, request)
            names, _ = await reached(self._identity, conn, person)
            keys += await rows.drop_words(conn, names)
            await rows.drop_remarks(conn, names)
            await parcels_store.drop_of(conn, names)
            await self._processors.tell(conn, replace(claimed, person=person))
            counts = {holder.name: await holder.erase(conn, person) for holder in self._holders()}
            for shared in await self._identity.subjects(conn, [c.id for c in contacts]):
                await self._consent.silence(conn, IdentifierId(shared))  # somebody else's too, so it was not erased
            await rows.set_plan(conn, request, person, keys, counts)
            facts: dict[str, Json] = {"right": claimed.right, "counts": dict(counts), "keys": len(keys)}
            await note(conn, self._audit, Tag.REQUEST_RUN, claimed, actor, facts)
        return keys, counts

    async def _allowed(self, conn: Conn, request: Request, person: PersonId, actor: str) -> Sequence[PersonId]:
        """Every id that is hers alone, when nothing stands in the way any more.

        Raises:
            HeldBack, Replanned: see ``erase``.
        """
        names = await alone(conn, person)
        if actor != REPLAY:  # what was done once is done again
            await self._holds.forbid(conn, person)
        if await self._moved(conn, request, names):
            raise Replanned("expected the person who was approved for erasure, got one who was merged or split since")
        return names


_Begun = tuple[list[KeyId], dict[str, int]] | Erased


def _insist(request: Request) -> None:
    lifecycle.step("fulfil", request.state)
    if request.approved_by is None:
        raise RequestState("expected an erasure that a second member of staff approved, got one that nobody did")
    checks.insist(request)
