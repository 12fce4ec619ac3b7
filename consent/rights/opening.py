"""Opening a request: the clock begins (consent.D1, D16).

What enters: what is asked, and for whom. What leaves: a ``Request``; the same asked again under any id of hers joins the one that is open. Keys and names that somebody outside chose are kept as keyed
hashes: they may name a person.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import orjson

from audit.service import Audit
from audit.tags import Tag
from consent import clocks, lifecycle, store
from consent import requests_store as rows
from consent.errors import IdempotencyMismatch, UnknownRight
from consent.lifecycle import Denial, Manner, Request, Right, State
from consent.rights import checks
from consent.rights.checks import Method
from consent.rights.clockwork import due
from consent.rights.correcting import Correcting, Correction
from consent.rights.effects import denials
from consent.rights.noting import note
from consent.service import Consent
from identity.identifiers import parse_contact
from identity.names import alone
from identity.service import Identity
from kernel.canonical import Json, digest
from kernel.db import Conn
from kernel.ids import IdentifierId, PersonId, is_id, new_id
from kernel.kernel import Kernel

NOBODY: Final = PersonId("nobody")  # of whom a request is that matched nobody


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked, and how. ``seeds``: the identifiers that she asked by, where ``who`` does not say it."""

    right: str
    regime: str | None = None
    suppress: bool = False
    manner: str = Manner.STAFF.value
    agent: str | None = None
    about: Mapping[str, str] = field(default_factory=dict)
    correction: Correction | None = None
    check: Method | None = None
    seeds: Sequence[IdentifierId] = ()


class Opening:
    """Behind ``Rights.open``."""

    def __init__(
        self, kernel: Kernel, audit: Audit, identity: Identity, consent: Consent, correcting: Correcting
    ) -> None:
        self._kernel = kernel
        self._audit = audit
        self._identity = identity
        self._consent = consent
        self._correcting = correcting

    async def open(self, asked: Asked, who: str, *, actor: str, idempotency_key: str | None) -> Request:
        """See ``Rights.open``."""
        right = _right(asked.right)
        if (right is Right.RECTIFICATION) != (asked.correction is not None):
            raise UnknownRight("expected what is to be corrected with a rectification, and with nothing else")
        sealed = await self._correcting.seal(asked.correction) if asked.correction is not None else None
        async with self._kernel.db.transaction() as conn:
            print_ = self._print(right, who, asked)
            key = self._hidden(idempotency_key)
            if key is not None and (known := await self._known(conn, key, print_)) is not None:
                return known
            person = await self._person(conn, who)
            await rows.lock_opening(conn, person)
            if asked.correction is None and (twin := await self._twin(conn, right, person, asked.about)) is not None:
                return await self._join(conn, twin, asked, actor)
            request = self._new(right, person, asked, actor, tuple(asked.seeds) or await self._seeds(conn, who))
            if right is Right.WITHDRAWAL:
                denials(request, self._consent.rules.purposes)  # refuses a purpose that is not listed
            words, words_key = sealed(request.id) if sealed is not None else (None, None)
            await rows.insert(conn, request, idempotency_key=key, fingerprint=print_, words=words, words_key=words_key)
            await self._note_opened(conn, request, actor)
        return request

    async def open_unmatched(self, asked: Asked, *, actor: str, idempotency_key: str) -> Request:
        """See ``Rights.open_unmatched``."""
        right, key = _right(asked.right), self._hidden(idempotency_key)
        async with self._kernel.db.transaction() as conn:
            print_ = self._print(right, NOBODY, asked)
            if key is not None and (known := await self._known(conn, key, print_)) is not None:
                return known
            request = self._new(right, NOBODY, asked, actor, ())
            await rows.insert(conn, request, idempotency_key=key, fingerprint=print_)
            await self._note_opened(conn, request, actor)
            state, now = lifecycle.step("deny", request.state), self._kernel.clock.now()
            because = Denial.NO_MATCH
            await rows.close(conn, request.id, state, now, reason=because, counts=None, response="refused")
            await note(conn, self._audit, Tag.REQUEST_REFUSED, request, actor, {"reason": because})
            closed = await rows.get(conn, request.id)
            assert closed is not None
        return closed

    async def _known(self, conn: Conn, key: str, print_: str) -> Request | None:
        await rows.lock_opening(conn, key)
        known = await rows.by_idempotency_key(conn, key)
        if known is not None and known[1] != print_:
            raise IdempotencyMismatch("expected the same content under the same key, got another")
        return None if known is None else known[0]

    async def _join(self, conn: Conn, twin: Request, asked: Asked, actor: str) -> Request:
        """The same again: dated, and a wish for silence is kept."""
        await rows.add_repeat(conn, twin.id, str(asked.manner), actor, self._kernel.clock.now())
        await note(conn, self._audit, Tag.REQUEST_REPEATED, twin, actor, {"manner": str(asked.manner)})
        if asked.suppress and not twin.suppress:
            await rows.set_suppress(conn, twin.id)
        return replace(twin, suppress=twin.suppress or asked.suppress)

    def _new(
        self, right: Right, person: PersonId, asked: Asked, actor: str, seeds: tuple[IdentifierId, ...]
    ) -> Request:
        now = self._kernel.clock.now()
        place = asked.regime or self._consent.settings.jurisdiction
        return Request(
            id=new_id("req"),
            right=right,
            person=person,
            regime=place,
            state=State.OPEN,
            reason=None,
            opened_by=actor,
            approved_by=None,
            suppress=asked.suppress,
            received_at=now,
            due_on=due(right, clocks.day_of(now, place), place),
            approved_at=None,
            closed_at=None,
            counts=None,
            manner=str(asked.manner),
            agent=asked.agent,
            seeds=seeds,
            about=dict(asked.about),
            verdict=checks.verdict(asked.check, passed=True, by=actor, at=now) if asked.check is not None else None,
        )

    async def _note_opened(self, conn: Conn, request: Request, actor: str) -> None:
        facts: dict[str, Json] = {
            "right": request.right, "regime": request.regime, "due_on": request.due_on.isoformat(), "manner": request.manner,
        }  # fmt: skip
        await note(conn, self._audit, Tag.REQUEST_OPENED, request, actor, facts)

    def _print(self, right: Right, who: str, asked: Asked) -> str:
        """What tells one content from another under the same idempotency key; it names nobody."""
        hide = self._kernel.vault.pepper
        wrong = asked.correction
        said = None if wrong is None else orjson.dumps([dict(wrong.traits), dict(wrong.contacts)], option=orjson.OPT_SORT_KEYS)  # fmt: skip
        return digest([
            right, hide("idempotency", who).hex(), asked.regime, asked.suppress, *([dict(asked.about)] if asked.about else []),
            *([hide("idempotency", said.decode()).hex()] if said is not None else []),
        ])  # fmt: skip

    def _hidden(self, key: str | None) -> str | None:
        return None if key is None else self._kernel.vault.pepper("idempotency-key", key).hex()

    async def _seeds(self, conn: Conn, who: str) -> tuple[IdentifierId, ...]:
        """The identifier that she asked by."""
        if is_id(who, "per"):
            return ()
        contact = parse_contact(who, region=self._identity.settings.default_region)
        return tuple((await self._identity.known_identifiers(conn, [contact])).values())

    async def _twin(self, conn: Conn, right: Right, person: PersonId, about: Mapping[str, str]) -> Request | None:
        """The same, asked under any id of hers and not closed yet."""
        names = await alone(conn, person)
        return await rows.open_twin(conn, names, right, about)

    async def _person(self, conn: Conn, who: str) -> PersonId:
        if is_id(who, "per") and (erased := await store.versions(conn, [PersonId(who)])):
            version = erased[PersonId(who)]
            if version.erased_at is not None:
                return PersonId(who)  # asked again after the erasure: answered, not refused
        return await self._identity.lookup(conn, who)


def _right(name: str) -> Right:
    found = lifecycle.NAMES.get(name)
    if found is None:
        raise UnknownRight(f"expected a right among {', '.join(sorted(lifecycle.NAMES))}, got another word")
    return found
