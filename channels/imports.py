"""Suppressions from a file: contacts that another system was told never to write to again.

Enters: mapped rows (`what: suppressions`). Leaves: one result a row. Only keyed hashes are kept, so the contact need not be known here,
and it stays silent when it comes later or comes back after an erasure.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from channels.suppression import EVERY, Suppressions, bars
from consent import effect, gate
from consent.effect import Effect, Tally
from consent.service import Consent
from events.importer import RowResult
from events.rows import MappedRow
from identity.identifiers import Identifier
from identity.service import Identity
from kernel.clock import Clock
from kernel.db import Conn
from kernel.ids import IdentifierId

Reach = Mapping[str, Sequence[str]]

_CONTACTS: Final = frozenset({"email", "phone", "device_id", "push"})
_REASON: Final = "imported"
_PART: Final = 2_000  # people looked at together


class SuppressionRows:
    """A `RowHandler` of events' importer. ``reach``: the kinds of identifier by which people are reached on each channel."""

    def __init__(
        self, suppressions: Suppressions, identity: Identity, consent: Consent, clock: Clock, reach: Reach
    ) -> None:
        self._suppressions = suppressions
        self._identity = identity
        self._consent = consent
        self._clock = clock
        self._reach = reach

    def foresee(self) -> "SuppressionsAhead":
        """What a file would change, before it does."""
        return SuppressionsAhead(self._suppressions, self._identity, self._consent, self._clock.now(), self._reach)

    async def apply(self, conn: Conn, rows: Sequence[MappedRow]) -> list[RowResult]:
        """Take a batch. A row without a channel holds on every channel."""
        taken, wanted = _wanted(rows)
        actor = f"import:{rows[0].source}" if rows else "import"
        fresh = await self._suppressions.suppress_contacts(conn, [one for _, one in wanted], actor=actor)
        new = {line for (line, _), added in zip(wanted, fresh, strict=True) if added}
        known = {row.line for row in taken}
        return [
            RowResult(row.line, "accepted" if row.line in new else "duplicate")
            if row.line in known
            else RowResult(row.line, "rejected", reason="expected an email, a phone or a device, got none")
            for row in rows
        ]


class SuppressionsAhead:
    """Looks ahead over a file of suppressions. A permission ends where the last contact of its channel falls silent; none begins."""

    def __init__(
        self, suppressions: Suppressions, identity: Identity, consent: Consent, now: datetime, reach: Reach
    ) -> None:
        self._suppressions = suppressions
        self._identity = identity
        self._consent = consent
        self._now = now
        self._reach = reach
        self._barred: dict[IdentifierId, set[str]] = defaultdict(set)
        self._unheld: set[Identifier] = set()
        self._refused = 0

    async def take(self, conn: Conn, rows: Sequence[MappedRow]) -> None:
        """The next rows."""
        taken, wanted = _wanted(rows)
        self._refused += len(rows) - len(taken)
        known = await self._identity.known_identifiers(conn, [one for _, (one, _, _) in wanted])
        for _, (contact, channel, _) in wanted:
            if contact in known:
                self._barred[known[contact]].add(channel)
            else:
                self._unheld.add(contact)

    async def effect(self, conn: Conn) -> Effect:
        """What all of them together would change."""
        held = await self._identity.subjects(conn, list(self._barred))
        people = sorted({person for found in held.values() for person in found.people})
        lonely = sum(not found.people for found in held.values()) + len(self._barred) - len(held)
        wanted = [
            (key, channel) for key, channel in effect.questions(self._consent.rules.purposes) if channel in self._reach
        ]
        tally = Tally()
        for start in range(0, len(people), _PART):
            part = people[start : start + _PART]
            contacts = await self._identity.contacts(conn, part)
            silent = await self._suppressions.of(conn, [one.id for rows in contacts.values() for one in rows])
            for person, state in (await self._consent.states(conn, part)).items():
                for key, channel in wanted:
                    kinds = self._reach[channel or ""]
                    free = [
                        one.id
                        for one in contacts.get(person, ())
                        if one.kind in kinds and not bars(silent.get(one.id, ()), channel)
                    ]
                    before = bool(free) and gate.permission(state, key, channel, self._now).granted
                    left = any(not bars(self._barred.get(one, ()), channel) for one in free)
                    tally.add(person, (key, channel), before=before, after=before and left)
        return Effect(len(people), len(self._unheld) + lonely, self._refused, tally.changes(wanted))


def _wanted(rows: Sequence[MappedRow]) -> tuple[list[MappedRow], list[tuple[int, tuple[Identifier, str, str]]]]:
    """Rows that name a contact, and what they ask for by line: contact, channel, reason."""
    taken = [row for row in rows if any(one.kind in _CONTACTS for one in row.identifiers)]
    return taken, [
        (row.line, (one, channel or EVERY, reason or _REASON))
        for row in taken
        for channel, reason in [row.suppression or (None, None)]
        for one in row.identifiers
        if one.kind in _CONTACTS
    ]
