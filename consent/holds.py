"""Holds: whose things must not be removed yet, by retention or by an erasure, and why.

What enters: a person, a ground, perhaps a day until when. What leaves: ``Hold``s, and everybody who is held back. Beside holds that staff placed, retention leaves
alone whoever has a request open (what was asked about must be there when it is answered) and whoever had her data restricted (GDPR Art. 18: it
stays, unused).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from consent import gate
from consent import retention_store as rows
from consent.errors import HeldBack, HoldNotFound
from consent.reasons import Reason
from consent.retention_store import Hold
from consent.service import Consent
from identity.names import alone, names, owners
from identity.service import Identity
from kernel.canonical import Json
from kernel.db import Conn
from kernel.errors import InvalidInput
from kernel.ids import GraphVersion, PersonId, RecordId, new_id
from kernel.kernel import Kernel

_REFERENCE: Final = re.compile(r"[A-Za-z0-9/.:_-]{0,80}")


class Ground(StrEnum):
    """Why: GDPR Art. 17(3) and 18(2)."""

    LEGAL_CLAIM = "legal_claim"
    AUTHORITY = "authority"
    LEGAL_OBLIGATION = "legal_obligation"
    PUBLIC_INTEREST = "public_interest"


def parse(ground: str, reference: str) -> Ground:
    """The ground by its name, if the reference is one: letters, digits and signs of a file number, at most 80.

    Raises:
        InvalidInput: another ground; a reference that could hold words about somebody.
    """
    if ground not in set(Ground):
        raise InvalidInput(f"expected a ground among {', '.join(Ground)}, got another word", code="consent.bad_ground", remedy="Name one of them.")  # fmt: skip
    if not _REFERENCE.fullmatch(reference):
        raise InvalidInput(
            "expected a file number of at most 80 letters, digits and / . : _ -, got something else",
            code="consent.bad_reference",
            remedy="Give the number of the file, without names or spaces.",
        )
    return Ground(ground)


@dataclass(frozen=True, slots=True)
class Held:
    """Who is held back: every id of theirs, every record, and how many for which reason."""

    people: frozenset[PersonId] = frozenset()
    records: frozenset[RecordId] = frozenset()
    reasons: Mapping[str, int] = field(default_factory=dict)


class Holds:
    """Stands at ``Rights.holds``."""

    def __init__(self, kernel: Kernel, audit: Audit, identity: Identity, consent: Consent) -> None:
        self._kernel = kernel
        self._audit = audit
        self._identity = identity
        self._consent = consent

    async def place(
        self, who: str, ground: Ground, *, actor: str, reference: str = "", until: datetime | None = None
    ) -> Hold:
        """Hold a person's things back. ``who``: a person id or ``kind:value``.

        Raises:
            NotFound: nobody is known under ``who``.
        """
        now = self._kernel.clock.now()
        async with self._kernel.db.transaction() as conn:
            person = await self._locked(conn, who)
            held = (await self._identity.members(conn, [person])).get(person)
            records = tuple(held.records) if held is not None else ()
            hold = Hold(new_id("hld"), person, ground, reference, actor, now, until, records=records)
            await rows.insert_hold(conn, hold)
            facts: dict[str, Json] = {"ground": ground, "until": until.isoformat() if until else None}
            await self._audit.append(
                conn, [NewEntry(Tag.HOLD_PLACED, {"hold": hold.id, "person": person}, facts, actor=actor)]
            )
        return hold

    async def lift(self, hold_id: str, *, actor: str) -> Hold:
        """End a hold.

        Raises:
            HoldNotFound: no such hold stands.
        """
        async with self._kernel.db.transaction() as conn:
            hold = await rows.lift(conn, hold_id, actor, self._kernel.clock.now())
            if hold is None:
                raise HoldNotFound("expected the id of a hold that stands, got another")
            refs = {"hold": hold.id, "person": hold.person}
            await self._audit.append(conn, [NewEntry(Tag.HOLD_LIFTED, refs, {"ground": hold.ground}, actor=actor)])
        return hold

    async def listed(self) -> list[Hold]:
        """Holds that stand, oldest first."""
        async with self._kernel.db.reading() as conn:
            return await rows.standing(conn, self._kernel.clock.now())

    async def of(self, conn: Conn, person: PersonId) -> list[Hold]:
        """Holds that stand on any id of hers, or on a record that she has now, oldest first."""
        known = await alone(conn, person)
        held = (await self._identity.members(conn, [person])).get(person)
        return await rows.standing(
            conn, self._kernel.clock.now(), known, list(held.records) if held is not None else ()
        )

    async def _locked(self, conn: Conn, who: str) -> PersonId:
        """The person, whom nobody erases before this transaction ends: an erasure that has begun is waited for, and then she is not found."""
        person = await self._identity.lookup(conn, who)
        await rows.lock_person(conn, person)
        return await self._identity.lookup(conn, who)

    async def forbid(self, conn: Conn, person: PersonId) -> None:
        """Nothing, when the person may be erased; until this transaction ends no hold comes to stand.

        Raises:
            HeldBack: a hold on one of her ids stands.
        """
        await rows.lock_person(conn, person)
        standing = await self.of(conn, person)
        if standing:
            grounds = ", ".join(sorted({one.ground for one in standing}))
            raise HeldBack(f"expected a person whose data nobody holds back, got one under {len(standing)} hold(s): {grounds}")  # fmt: skip

    async def held(self, conn: Conn) -> Held:
        """Everybody whom retention must leave alone."""
        now = self._kernel.clock.now()
        holds = await rows.standing(conn, now)
        subjects = await self._identity.subjects(conn, sorted({record for one in holds for record in one.records}))
        by_reason = {
            "hold": sorted({one.person for one in holds} | {p for one in subjects.values() for p in one.people}),
            "open_request": await rows.asking(conn),
            "restricted": await self._restricted(conn, now),
        }
        named = sorted({person for people in by_reason.values() for person in people})
        live = await self._identity.current(conn, named)
        alive = set(live.values())
        for old in (one for one in named if live.get(one, one) != one):  # where it leads to need not be whose it was
            alive |= await owners(conn, old, GraphVersion(0), now)
        every = {one: known.every for one, known in (await names(conn, sorted(alive))).items()}
        meant = {one: ids for one, ids in every.items() if not set(ids).isdisjoint(named)}
        members = await self._identity.members(conn, sorted(meant))
        return Held(
            frozenset({*named, *(one for ids in meant.values() for one in ids)}),
            frozenset(record for held in members.values() for record in held.records),
            {reason: len(people) for reason, people in by_reason.items() if people},
        )

    async def _restricted(self, conn: Conn, now: datetime) -> list[PersonId]:
        subjects = await self._identity.subjects(conn, await rows.restricted_subjects(conn))
        people = sorted({person for one in subjects.values() for person in one.people})
        states = await self._consent.states(conn, people) if people else {}
        return [p for p in people if gate.permission(states[p], "service", None, now).reason == Reason.RESTRICTED]
