"""Subject requests: open, look, preview, approve, run.

Enters: a right and a person. Leaves: a ``Request`` with its clock, an ``Outcome`` when it has run. An erasure is approved by
somebody else than its opener; it is written to the erasure ledger before the first destructive act; then every holder of
personal data erases, then the keys are destroyed, so that what remains anywhere cannot be read. Each step can be run again
after a crash. What it never does: ask for a proof of identity for an opt-out, or fail because the person is gone already.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from consent import clocks, lifecycle, store
from consent import requests_store as rows
from consent.errors import FourEyes, IdempotencyMismatch, RequestNotFound, RequestState, UnknownRight
from consent.holds import Holds
from consent.ledger import Ledger
from consent.lifecycle import Denial, Request, Right, State
from consent.purposes import EVERYTHING, SALE_SHARE
from consent.service import CONTACTS, Consent
from identity.identifiers import HeldIdentifier
from identity.service import Identity
from kernel.canonical import Json, digest
from kernel.db import Conn
from kernel.holders import PersonalDataHolder
from kernel.ids import IdentifierId, KeyId, PersonId, RecordId, RequestId, is_id, new_id
from kernel.kernel import Kernel

_REPLAY: Final = "system:erasure-ledger"
_FINISH: Final = "system:start"
# How a right that is a no is recorded: the purpose it is about, and by which mechanism.
_DENIALS: Final[Mapping[Right, tuple[str, str]]] = {
    Right.RESTRICTION: (EVERYTHING, "restriction"),
    Right.OPT_OUT: (SALE_SHARE, "opt_out_request"),
}


@dataclass(frozen=True, slots=True)
class Preview:
    """What a request would touch: number of things by room and kind; ``keys`` of an erasure would be destroyed."""

    request: Request
    holdings: Mapping[str, Mapping[str, int]]
    keys: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did. ``package`` is what an access or portability request hands out."""

    request: Request
    counts: Mapping[str, int]
    package: Mapping[str, Json] | None = None


class Rights:
    """Requests of people. ``register`` every room that holds personal data, but identity and consent, which are known."""

    def __init__(self, kernel: Kernel, audit: Audit, identity: Identity, consent: Consent) -> None:
        self._kernel = kernel
        self._audit = audit
        self._identity = identity
        self._consent = consent
        self._registered: dict[str, PersonalDataHolder] = {}
        self.ledger = Ledger(kernel.settings.data_dir, kernel.vault)
        self.holds = Holds(kernel, audit, identity, consent)

    def register(self, holder: PersonalDataHolder) -> None:
        """From now on requests include what this room holds."""
        self._registered[holder.name] = holder

    @property
    def holders(self) -> Sequence[PersonalDataHolder]:
        """In the order of erasing: identity last, because the others find their rows through it."""
        known = {self._consent.name, self._identity.name}
        return [*(h for name, h in self._registered.items() if name not in known), self._consent, self._identity]

    async def open(
        self,
        right: str,
        who: str,
        *,
        actor: str,
        regime: str | None = None,
        suppress: bool = False,
        idempotency_key: str | None = None,
    ) -> Request:
        """Begin the clock. ``who`` is a person id or ``kind:value``; a twin that is still open is answered instead.

        ``suppress`` (erasure): keep the contacts silent for ever, as keyed hashes.

        Raises:
            UnknownRight: no such right.
            NotFound: nobody is known under ``who``.
            IdempotencyMismatch: the key came before with another content.
        """
        asked = lifecycle.NAMES.get(right)
        if asked is None:
            raise UnknownRight(f"expected a right among {', '.join(sorted(lifecycle.NAMES))}, got another word")
        print_ = digest([asked, self._kernel.vault.pepper("idempotency", who).hex(), regime, suppress])
        async with self._kernel.db.transaction() as conn:
            if idempotency_key is not None:
                await rows.lock_opening(conn, idempotency_key)
                known = await rows.by_idempotency_key(conn, idempotency_key)
                if known is not None:
                    if known[1] != print_:
                        raise IdempotencyMismatch("expected the same content under the same key, got another")
                    return known[0]
            person = await self._person(conn, who)
            await rows.lock_opening(conn, person)
            twin = await rows.open_twin(conn, person, asked)
            if twin is not None:
                return twin
            now = self._kernel.clock.now()
            place = regime or self._consent.settings.jurisdiction
            request = Request(
                id=new_id("req"),
                right=asked,
                person=person,
                regime=place,
                state=State.OPEN,
                reason=None,
                opened_by=actor,
                approved_by=None,
                suppress=suppress,
                received_at=now,
                due_on=clocks.due(now.date(), regime=place, opt_out=asked is Right.OPT_OUT),
                approved_at=None,
                closed_at=None,
                counts=None,
            )
            await rows.insert(conn, request, idempotency_key=idempotency_key, fingerprint=print_)
            facts: dict[str, Json] = {"right": asked, "regime": place, "due_on": request.due_on.isoformat()}
            await self._note(conn, Tag.REQUEST_OPENED, request, actor, facts)
        return request

    async def show(self, request_id: str) -> Request:
        """One request.

        Raises:
            RequestNotFound: no request has this id.
        """
        async with self._kernel.db.reading() as conn:
            return await self._get(conn, request_id)

    async def list_requests(
        self, *, state: State | None = None, person: PersonId | None = None, after: str = "", limit: int = 100
    ) -> list[Request]:
        """Requests in order of opening, a page at a time."""
        async with self._kernel.db.reading() as conn:
            return await rows.find(conn, state=state, person=person, after=after, limit=limit)

    async def preview(self, request_id: str) -> Preview:
        """What it would touch, room by room; changes nothing."""
        async with self._kernel.db.reading() as conn:
            request = await self._of_now(conn, await self._get(conn, request_id))
            holdings = {h.name: _count(await h.export(conn, request.person)) for h in self.holders}
            members = await self._identity.members(conn, [request.person])
        held = members.get(request.person)
        return Preview(request, holdings, len(held.key_ids) if held and request.right is Right.ERASURE else 0)

    async def approve(self, request_id: str, *, actor: str) -> Request:
        """A second member of staff agrees to an erasure.

        Raises:
            FourEyes: the actor opened it.
            RequestState: it is not open.
        """
        async with self._kernel.db.transaction() as conn:
            request = await self._get(conn, request_id, claim=True)
            state = lifecycle.step("approve", request.state)
            if actor == request.opened_by:
                raise FourEyes("expected another actor than the one who opened the request, got the same")
            await rows.approve(conn, request.id, state, actor, self._kernel.clock.now())
            await self._note(conn, Tag.REQUEST_APPROVED, request, actor, {"right": request.right})
            return await self._get(conn, request_id)

    async def deny(self, request_id: str, *, actor: str, reason: Denial) -> Request:
        """Refuse, with one of the protocol's reasons."""
        async with self._kernel.db.transaction() as conn:
            request = await self._get(conn, request_id, claim=True)
            if await rows.plan(conn, request.id):
                raise RequestState("expected an erasure that has not begun, got one that is under way")
            state = lifecycle.step("deny", request.state)
            await rows.close(conn, request.id, state, self._kernel.clock.now(), reason=reason, counts=None)
            await self._note(conn, Tag.REQUEST_REFUSED, request, actor, {"reason": reason})
            return await self._get(conn, request_id)

    async def run(self, request_id: str, *, actor: str) -> Outcome:
        """Do what was asked. A fulfilled erasure is answered again, not done again.

        Raises:
            RequestState: closed, or an erasure that nobody approved.
        """
        request = await self.show(request_id)
        if request.right is Right.ERASURE:
            return await self._erase(request, actor)
        async with self._kernel.db.transaction() as conn:
            request = await self._get(conn, request_id, claim=True)
            state = lifecycle.step("fulfil", request.state)
            request = await self._of_now(conn, request)
            package: dict[str, Json] | None = None
            if request.right in {Right.ACCESS, Right.PORTABILITY}:
                package = await self._package(conn, request)
                counts = {h: sum(_count(part).values()) for h, part in package.items() if h != "request"}
                await self._note(conn, Tag.EXPORT_MADE, request, actor, {"digest": digest(package)})
            else:
                counts = {"consent": await self._deny_all(conn, request, actor)}
            await rows.close(conn, request.id, state, self._kernel.clock.now(), reason=None, counts=counts)
            await self._note(conn, Tag.REQUEST_RUN, request, actor, {"right": request.right, "counts": dict(counts)})
            return Outcome(await self._get(conn, request_id), counts, package)

    async def finish(self) -> list[RequestId]:
        """End erasures that a crash broke off after the rows were gone and before the keys were; asked at every start."""
        async with self._kernel.db.reading() as conn:
            begun = await rows.broken_off(conn)
        for request in begun:
            await self.run(request, actor=_FINISH)
        await self._consent.shredder.finish()
        return begun

    async def replay(self) -> list[PersonId]:
        """After a restore: erase again whoever the ledger names and the database holds. Those erased again.

        Lines whose request this database holds as fulfilled are settled, unless its person lives: then it is a half of two dumps.
        """
        await self.finish()
        back = await self.came_back()
        for person in back:
            request = await self.open(Right.ERASURE, person, actor=_REPLAY)
            if request.state is State.OPEN:
                await self.approve(request.id, actor=f"{_REPLAY}:approval")
            await self.run(request.id, actor=_REPLAY)
        if back:
            entry = NewEntry(Tag.SYSTEM_RESTORED, {}, {"erased_again": len(back)}, actor=_REPLAY)
            async with self._kernel.db.transaction() as conn:
                await self._audit.append(conn, [entry])
        return back

    async def came_back(self) -> list[PersonId]:
        """Living people whom the erasure ledger names."""
        lines = await asyncio.to_thread(self.ledger.lines)
        async with self._kernel.db.reading() as conn:
            people = await self._identity.people(conn)
            erased = await rows.fulfilled(conn, [line.request for line in lines])
            alive = await self._identity.current(conn, sorted(set(erased.values())))
        settled = {request for request, person in erased.items() if person not in alive}
        return await asyncio.to_thread(self.ledger.among, people, settled=settled)

    # erasure

    async def _erase(self, request: Request, actor: str) -> Outcome:
        if request.state is State.FULFILLED:
            return Outcome(request, request.counts or {})
        lifecycle.step("fulfil", request.state)
        if request.approved_by is None:
            raise RequestState("expected an erasure that a second member of staff approved, got one that nobody did")
        # Before anything is destroyed; should we die after it, a restore can only bring back what is erased again.
        async with self._kernel.db.reading() as conn:
            live = await self._of_now(conn, request)
            if actor != _REPLAY and request.counts is None:  # what has begun is ended, what was done is done again
                await self.holds.forbid(conn, live.person)
            names = (await self._identity.former(conn, [live.person]))[live.person]
        # Under every id she ever had: a dump of before a merge holds her under one that is retired now.
        everyone = dict.fromkeys((request.person, *names))
        await asyncio.to_thread(self.ledger.write, request.id, everyone, self._kernel.clock.now())
        request = live
        keys, counts = await self._erase_rows(request, actor)
        destroyed = await self._kernel.vault.destroy(keys)
        async with self._kernel.db.transaction() as conn:
            claimed = await self._get(conn, request.id, claim=True)
            if claimed.state is State.FULFILLED:
                return Outcome(claimed, claimed.counts or {})
            counts = {**counts, "keys": destroyed}
            await rows.close(conn, request.id, State.FULFILLED, self._kernel.clock.now(), reason=None, counts=counts)
            await self._note(conn, Tag.ERASURE_DONE, request, actor, {"counts": dict(counts)})
            done = await self._get(conn, request.id)
        return Outcome(done, counts)

    async def _erase_rows(self, request: Request, actor: str) -> tuple[list[KeyId], dict[str, int]]:
        """Every holder erases, in one transaction that also keeps which keys must go; done once, answered again."""
        async with self._kernel.db.transaction() as conn:
            claimed = await self._get(conn, request.id, claim=True)
            if claimed.counts is not None:
                return await rows.plan(conn, request.id), dict(claimed.counts)
            person = request.person
            held = (await self._identity.members(conn, [person])).get(person)
            keys = list(held.key_ids) if held else []
            now = self._kernel.clock.now()
            contacts: list[HeldIdentifier] = []
            if request.suppress:
                held_now = (await self._identity.identifiers(conn, [person])).get(person, [])
                contacts = [c for c in held_now if c.kind in CONTACTS]
                await store.silence(
                    conn, [self._consent.contact_hash(c.kind, c.value) for c in contacts], now, request.id
                )
            # First the fence: whoever decides for her now waits for us, and then finds her erased.
            await self._consent.touch(conn, [person])
            await store.bump(conn, [person], erased_at=now)
            if (await self._of_now(conn, request)).person != person:
                raise RequestState("expected the person to stay who she is, got a merge meanwhile; run it again")
            counts = {holder.name: await holder.erase(conn, person) for holder in self.holders}
            for shared in await self._identity.subjects(conn, [c.id for c in contacts]):
                await self._consent.silence(conn, IdentifierId(shared))  # somebody else's too, so it was not erased
            await rows.set_plan(conn, request.id, keys, counts)
            facts: dict[str, Json] = {"right": request.right, "counts": dict(counts), "keys": len(keys)}
            await self._note(conn, Tag.REQUEST_RUN, request, actor, facts)
        return keys, counts

    # the other rights

    async def _package(self, conn: Conn, request: Request) -> dict[str, Json]:
        about: dict[str, Json] = {
            "id": request.id,
            "right": request.right,
            "person": request.person,
            "controller": self._consent.settings.controller,
            "made_at": self._kernel.clock.now().isoformat(),
        }
        return {"request": about} | {h.name: await h.export(conn, request.person) for h in self.holders}

    async def _deny_all(self, conn: Conn, request: Request, actor: str) -> int:
        """Record the no on everything of the person; the number of acts."""
        held = (await self._identity.members(conn, [request.person])).get(request.person)
        if held is None:
            return 0
        if request.right in _DENIALS:
            asked = [_DENIALS[request.right]]
        else:  # objection: every purpose at the top of the tree that a person may refuse
            tree = self._consent.rules.purposes.by_key.values()
            asked = [(p.key, "officer") for p in tree if p.parent is None and p.takes_choice()]
        subjects: list[IdentifierId | RecordId] = [*held.identifiers, *held.records]
        given = [
            await self._consent.withdraw(conn, subject, purpose, None, mechanism=mechanism, actor=actor)
            for subject in subjects
            for purpose, mechanism in asked
        ]
        return sum(act is not None for act in given)

    # within

    async def _person(self, conn: Conn, who: str) -> PersonId:
        if is_id(who, "per") and (erased := await store.versions(conn, [PersonId(who)])):
            version = erased[PersonId(who)]
            if version.erased_at is not None:
                return PersonId(who)  # asked again after the erasure: answered, not refused
        return await self._identity.lookup(conn, who)

    async def _of_now(self, conn: Conn, request: Request) -> Request:
        """The request about whoever the person is now: she may have been merged into another since it was opened."""
        live = await self._identity.current(conn, [request.person])
        return replace(request, person=live.get(request.person, request.person))

    async def _get(self, conn: Conn, request_id: str, *, claim: bool = False) -> Request:
        found = await rows.get(conn, RequestId(request_id), claim=claim)
        if found is None:
            raise RequestNotFound("expected the id of a subject request, got one that nobody opened")
        return found

    async def _note(self, conn: Conn, tag: Tag, request: Request, actor: str, facts: Mapping[str, Json]) -> None:
        refs = {"request": request.id, "person": request.person}
        await self._audit.append(conn, [NewEntry(tag, refs, facts, actor=actor)])


def _count(exported: Json) -> dict[str, int]:
    """How many things of each kind an export holds."""
    if not isinstance(exported, Mapping):
        return {"items": len(exported)} if isinstance(exported, list | tuple) else {}
    return {name: len(part) if isinstance(part, list | tuple | Mapping) else 1 for name, part in exported.items()}
