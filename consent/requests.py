"""Subject requests: open, look, check who asks, preview, approve, run.

Enters: a right and a person. Leaves: a ``Request`` with its clock, an ``Outcome`` when it has run. An erasure is approved by
somebody else than its opener; it is written to the erasure ledger before the first destructive act; then every holder of
personal data erases, then the keys are destroyed, so that what remains anywhere cannot be read. Each step can be run again
after a crash. What it never does: ask for a proof of identity for an opt-out, or fail because the person is gone already.
The parts are in ``consent/rights/``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from audit.service import Audit
from audit.tags import Tag
from consent import lifecycle
from consent import requests_store as rows
from consent.errors import (
    CheckFailed,
    FourEyes,
    RequestNotFound,
    RequestState,
)
from consent.holds import Holds
from consent.ledger import Ledger
from consent.lifecycle import NEED_VERIFICATION, Denial, Manner, Request, Right, State
from consent.retention_store import Hold
from consent.rights import checks, copies_store, gathering, plans
from consent.rights.agents import Agents, status
from consent.rights.answering import Answering
from consent.rights.callbacks import Callbacks
from consent.rights.checks import Method
from consent.rights.clockwork import Clockwork
from consent.rights.copies import Copies, Left
from consent.rights.copies_store import Standing
from consent.rights.correcting import Correcting, Correction
from consent.rights.effects import Effects
from consent.rights.erasing import Erasing
from consent.rights.noting import note
from consent.rights.opening import Asked, Opening
from consent.rights.package import Package
from consent.rights.parcels import HandedOut, Parcels
from consent.rights.processors import Processors
from consent.rights.recovering import Drop, Recovering
from consent.rights.subjects import reached, whose
from consent.service import Consent
from identity.service import Identity
from kernel.canonical import Json
from kernel.db import Conn
from kernel.errors import InvalidInput
from kernel.holders import PersonalDataHolder
from kernel.ids import IdentifierId, PersonId, RequestId
from kernel.kernel import Kernel

_ROUNDS: Final = 4  # of letters at a time: whoever stops us need not wait for all of them
KNOWING: Final = frozenset({Right.ACCESS, Right.CATEGORIES, Right.PORTABILITY, Right.ADMT_ACCESS})


@dataclass(frozen=True, slots=True)
class Preview:
    """What a request would touch: number of things by room and kind, and for an erasure what becomes of them, the holds
    that stand in its way and the number of keys that would be destroyed.
    """

    request: Request
    holdings: Mapping[str, Mapping[str, int]]
    keys: int
    lines: Sequence[plans.Line] = ()
    holds: Sequence[Hold] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did. ``package`` is what a request to know is answered with, ``handed`` the link and the code to it; ``copies`` what still holds
    the keys that an erasure destroyed.
    """

    request: Request
    counts: Mapping[str, int]
    package: Package | None = None
    handed: HandedOut | None = None
    copies: Left | None = None


class Rights:
    """Requests of people. ``register`` every room that holds personal data, but identity and consent, which are known."""

    def __init__(self, kernel: Kernel, audit: Audit, identity: Identity, consent: Consent) -> None:
        self._kernel = kernel
        self._audit = audit
        self._identity = identity
        self._consent = consent
        self._registered: dict[str, PersonalDataHolder] = {}
        self._whole = False
        self.ledger = Ledger(kernel.settings.data_dir, kernel.vault)
        self.holds = Holds(kernel, audit, identity, consent)
        self.parcels = Parcels(kernel, audit, consent.settings.package_days)
        self.clock = Clockwork(kernel, audit)
        self.copies = Copies(kernel, audit, consent.settings.key_copy_days)
        self.correcting = Correcting(kernel, audit, identity, consent)
        self.processors = Processors(kernel, audit, identity, consent)
        self.agents = Agents(kernel, audit, consent.settings.business_id)
        self.callbacks = Callbacks(kernel, audit, consent, self.processors.pen, status)
        self._effects = Effects(consent, identity, kernel.clock)
        self._answering = Answering(kernel, audit, identity, consent, self.parcels, self.processors)
        self._erasing = Erasing(
            kernel,
            audit,
            identity,
            consent,
            self.ledger,
            self.holds,
            self.processors,
            self.copies,
            lambda: self.holders,
        )
        self._opening = Opening(kernel, audit, identity, consent, self.correcting)
        self._recovering = Recovering(kernel, audit, identity, consent, self, self._erasing)

    def register(self, holder: PersonalDataHolder) -> None:
        """From now on requests include what this room holds."""
        self._registered[holder.name] = holder

    def records_dropped_by(self, drop: Drop) -> None:
        """From now on records that a restored dump brought back under somebody else go from this room too."""
        self._recovering.users.append(drop)

    def all_registered(self) -> None:
        """Every room is known: from now on an answer without one of those that the database has is refused."""
        self._whole = True

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
        manner: str = Manner.STAFF,
        agent: str | None = None,
        about: Mapping[str, str] | None = None,
        correction: Correction | None = None,
        check: Method | None = None,
        seeds: Sequence[IdentifierId] = (),
    ) -> Request:
        """Begin the clock. ``who`` is a person id or ``kind:value``; a twin that is still open is answered instead, and the asking noted.

        ``suppress`` (erasure): keep the contacts silent for ever, as keyed hashes. ``about`` (withdrawal): purpose and channel. ``correction``
        (rectification): what is wrong, kept sealed. ``check``: how who asks was checked by the way the request came. ``seeds``: the identifiers
        that she asked by, where ``who`` is her id: a link that went to one contact, an agent's word for one.

        Raises:
            UnknownRight: no such right.
            NotFound: nobody is known under ``who``.
            IdempotencyMismatch: the key came before with another content.
            UnknownPurpose: ``about`` names one that is not listed.
        """
        return await self._opening.open(
            Asked(right, regime, suppress, str(manner), agent, dict(about or {}), correction, check, seeds),
            who, actor=actor, idempotency_key=idempotency_key,
        )  # fmt: skip

    async def open_unmatched(
        self, right: str, *, actor: str, regime: str | None, agent: str, idempotency_key: str
    ) -> Request:
        """An agent asked for somebody whom nobody is: kept, and denied at once with the protocol's reason."""
        asked = Asked(right, regime, manner=Manner.AGENT, agent=agent, check=Method.AGENT)
        return await self._opening.open_unmatched(asked, actor=actor, idempotency_key=idempotency_key)

    async def show(self, request_id: str) -> Request:
        """One request, or RequestNotFound."""
        async with self._kernel.db.reading() as conn:
            return await self._get(conn, request_id)

    async def repeats(self, request_id: str) -> Sequence[Mapping[str, str]]:
        """When, how and by whom the same was asked for again."""
        async with self._kernel.db.reading() as conn:
            found = await rows.repeats(conn, RequestId(request_id))
        return [{"at": at.isoformat(), "manner": manner, "actor": actor} for at, manner, actor in found]

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
            await self._insist(conn)
            holdings = {h.name: gathering.count(await h.export(conn, request.person)) for h in self.holders}
            held = (await self._identity.members(conn, [request.person])).get(request.person)
            if request.right is not Right.ERASURE:
                return Preview(request, holdings, 0)
            holds = await self.holds.of(conn, request.person)
        return Preview(request, holdings, len(held.key_ids) if held else 0, plans.plan(holdings, holds), holds)

    async def check(
        self, request_id: str, method: Method, *, actor: str, passed: bool = True, evidence: bytes | None = None,
        points: Sequence[str] = (),
    ) -> Request:  # fmt: skip
        """Note what came of looking at who asks. Points are compared with what is held; evidence is kept as a salted digest only."""
        async with self._kernel.db.transaction() as conn:
            request = await self._of_now(conn, await self._get(conn, request_id, claim=True))
            state = lifecycle.step("verify", request.state)
            if method in checks.BY_ITSELF:
                raise InvalidInput(f"expected a way in which she showed who she is, got {method}, which nobody notes by hand", code="consent.bad_method", remedy="Name what you looked at: points, document, login, declaration or contact_link.")  # fmt: skip
            if method is Method.POINTS:
                found = await checks.matching(conn, self._identity, request.person, points)
                passed = found >= checks.ENOUGH_POINTS
            said = checks.verdict(method, passed=passed, by=actor, at=self._kernel.clock.now(), evidence=evidence)
            enough = checks.passed(replace(request, verdict=said))
            await rows.set_verdict(conn, request.id, state, None if enough else NEED_VERIFICATION, said)
            facts: dict[str, Json] = {"method": method, "passed": passed, "enough": enough}
            await self._note(conn, Tag.REQUEST_CHECKED, request, actor, facts)
            return await self._get(conn, request_id)

    async def approve(self, request_id: str, *, actor: str) -> Request:
        """A second member of staff agrees to an erasure and, where nobody checked it, that whoever asks is who they say.

        Raises:
            FourEyes: the actor opened it.
            RequestState: it is not open, or was approved.
            CheckFailed: an identity check did not go well.
        """
        async with self._kernel.db.transaction() as conn:
            request = await self._of_now(conn, await self._get(conn, request_id, claim=True))
            state = lifecycle.step("approve", request.state)
            if request.approved_by is not None:
                raise RequestState("expected a request that waits for approval, got one that was approved")
            if actor == request.opened_by:
                raise FourEyes("expected another actor than the one who opened the request, got the same")
            if request.verdict is not None and not request.verdict.passed:
                raise CheckFailed("expected an identity check that went well, got one that did not")
            now = self._kernel.clock.now()
            names, records = await reached(self._identity, conn, request.person)
            await rows.approve(conn, request.id, state, actor, now, plans.reach(names, records))
            if not checks.passed(request):
                said = checks.verdict(Method.SECOND_OFFICER, passed=True, by=actor, at=now)
                await rows.set_verdict(conn, request.id, state, None, said)
            await self._note(conn, Tag.REQUEST_APPROVED, request, actor, {"right": request.right})
            return await self._get(conn, request_id)

    async def deny(self, request_id: str, *, actor: str, reason: Denial) -> Request:
        """Refuse, with one of the protocol's reasons."""
        facts: dict[str, Json] = {"reason": reason}
        return await self._end(request_id, "deny", actor, Tag.REQUEST_REFUSED, facts, reason=reason, response="refused")

    async def revoke(self, request_id: str, *, actor: str) -> Request:
        """She took it back."""
        return await self._end(
            request_id, "revoke", actor, Tag.REQUEST_ENDED, {"how": "revoked"}, response="taken back"
        )

    async def expire(self, request_id: str, *, actor: str) -> Request:
        """She did not answer what we had to ask her, and the time for it is over."""
        return await self._end(request_id, "expire", actor, Tag.REQUEST_ENDED, {"how": "expired"}, response="no answer")

    async def run(self, request_id: str, *, actor: str) -> Outcome:
        """Do what was asked. A fulfilled erasure is answered again, not done again.

        Raises:
            RequestState: closed, or an erasure that nobody approved.
            CheckNeeded, CheckFailed: who asks was not checked as closely as the right needs.
            Replanned: an erasure whose person changed since its approval.
        """
        request = await self.show(request_id)
        if request.right is Right.ERASURE:
            done = await self._erasing.erase(request, actor)
            async with self._kernel.db.reading() as conn:
                left = await self.copies.left(conn, done.request.closed_at or self._kernel.clock.now())
            return Outcome(done.request, done.counts, copies=left)
        async with self._kernel.db.transaction() as conn:
            request = await self._get(conn, request_id, claim=True)
            state = lifecycle.step("fulfil", request.state)
            checks.insist(request)
            request = await self._of_now(conn, request)
            if request.right in KNOWING:
                await self._insist(conn)
                return Outcome(*await self._answering.know(conn, request, self.holders, actor))
            if request.right is Right.RECTIFICATION:
                # First the letters: others know her by what is about to be corrected.
                letters = await self.processors.tell(conn, request, correct=await self.correcting.told(conn, request))
                counts = await self.correcting.correct(conn, request)
            else:
                counts = {"consent": await self._effects.apply(conn, request, actor)}
                letters = await self.processors.tell(conn, request, self._effects.purposes(request))
            counts |= {"letters": letters} if letters else {}
            now = self._kernel.clock.now()
            await rows.close(conn, request.id, state, now, reason=None, counts=counts, response="done")
            await self._note(conn, Tag.REQUEST_RUN, request, actor, {"right": request.right, "counts": dict(counts)})
            return Outcome(await self._get(conn, request_id), counts)

    async def chores(self) -> None:
        """What time brings by itself: alarms of clocks, what must go, letters and callbacks whose next step is due."""
        await self.clock.watch()
        await self.tidy()
        for _ in range(_ROUNDS):
            if not [*await self.processors.work(), *await self.callbacks.work()]:
                break

    async def tidy(self) -> Mapping[str, int]:
        """Remove packages whose days are over and copies of keys whose day has come; how many of each."""
        return {"packages": await self.parcels.tidy(), "key_copies": len(await self.copies.purge())}

    async def standing(self) -> Standing:
        """Counts of what stands open."""
        async with self._kernel.db.reading() as conn:
            return await copies_store.standing(conn, self._kernel.clock.now().date())

    async def finish(self) -> list[RequestId]:
        """End erasures that a crash broke off after the rows were gone and before the keys were; asked at every start."""
        return await self._recovering.finish()

    async def replay(self) -> list[PersonId]:
        """Erase again whoever the ledger names and the database holds; asked at every start. Those who came back with a restored dump."""
        return await self._recovering.replay()

    async def came_back(self) -> list[PersonId]:
        """Living people whom the erasure ledger names."""
        return list(await self._erasing.came_back())

    # within

    async def _end(
        self, request_id: str, step: str, actor: str, tag: Tag, facts: Mapping[str, Json], *, response: str,
        reason: str | None = None,
    ) -> Request:  # fmt: skip
        async with self._kernel.db.transaction() as conn:
            request = await self._get(conn, request_id, claim=True)
            if await rows.plan(conn, request.id):
                raise RequestState("expected an erasure that has not begun, got one that is under way")
            state = lifecycle.step(step, request.state)
            now = self._kernel.clock.now()
            await rows.close(conn, request.id, state, now, reason=reason, counts=None, response=response)
            await self._note(conn, tag, request, actor, facts)
            return await self._get(conn, request_id)

    async def _insist(self, conn: Conn) -> None:
        if self._whole:
            await gathering.insist_on_all(conn, self.holders)

    async def _of_now(self, conn: Conn, request: Request) -> Request:
        """The request about whoever the person is now: she may have been merged into another since it was opened."""
        return replace(request, person=await whose(self._identity, conn, request))

    async def _get(self, conn: Conn, request_id: str, *, claim: bool = False) -> Request:
        found = await rows.get(conn, RequestId(request_id), claim=claim)
        if found is None:
            raise RequestNotFound("expected the id of a subject request, got one that nobody opened")
        return found

    async def _note(self, conn: Conn, tag: Tag, request: Request, actor: str, facts: Mapping[str, Json]) -> None:
        await note(conn, self._audit, tag, request, actor, facts)
