"""The walk of events from the door into the log, inside one transaction: permission, repeat, subject, seal, store, remember.

What enters: arrivals, from any number of requests or a batch of a file. What leaves: one outcome each, in order. Nothing of a
filtered event is written but a count: identifiers are looked up, not registered, until the gate has said yes. Every step
is one statement for all, whatever their number.
"""

import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

import orjson

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from consent import gate
from consent.service import Consent
from consent.signals.hearing import Hearing
from events import store
from events.log import FILTERED, Arrival, NewEvent, Reject, Source, Status
from events.store import EventRow, Held, Letter
from identity.identifiers import Identifier
from identity.records import NewRecord
from identity.service import Identity
from kernel.canonical import Json, digest
from kernel.db import Conn
from kernel.ids import IdentifierId, KeyId, PersonId, RecordId
from kernel.kernel import Kernel
from kernel.vault import SubjectKey

_Subject = tuple[str, tuple[Identifier, ...]]  # purpose, identifiers that came together
Happened = Callable[[Conn, Sequence[tuple[RecordId, Arrival]]], Awaitable[None]]
Noted = Callable[[Conn, Sequence[NewEvent]], Awaitable[None]]
_DEVICES: Final = frozenset({"anonymous_id", "device_id"})
GPC_VALUE: Final = b"1"  # the only value of Sec-GPC that is a signal


class EventsStored(Protocol):
    """What is told of records that got new events; ``people``: whose they are, where that is known already."""

    async def __call__(self, conn: Conn, records: Sequence[RecordId], people: Sequence[PersonId] | None = None) -> None:
        """In the transaction that stores them."""


class Ingest:
    """Writes events; one object serves many tasks."""

    def __init__(self, kernel: Kernel, audit: Audit, identity: Identity, consent: Consent) -> None:
        self._clock = kernel.clock
        self._vault = kernel.vault
        self._audit = audit
        self._identity = identity
        self._consent = consent
        self._hearing = Hearing(consent, audit, kernel.clock)
        self.on_stored: list[EventsStored] = []
        self.on_happened: list[Happened] = []

    async def take(self, conn: Conn, arrivals: Sequence[Arrival]) -> list[Status]:
        """Store what may be stored; what became of each."""
        outcomes: list[Status] = ["filtered"] * len(arrivals)
        if not arrivals:
            return outcomes
        await self._apply_signals(conn, arrivals)
        subjects: list[_Subject] = [(a.source.purpose, a.identifiers) for a in arrivals]
        allowed, ids = await self._permitted(conn, dict.fromkeys(subjects))
        passed = [p for p, a in enumerate(arrivals) if not a.refused and allowed[subjects[p]]]
        names = {p: b"" if arrivals[p].told else self._subject_hash(arrivals[p]) for p in passed}
        fresh, known = await store.claim_and_hold(
            conn,
            [(arrivals[p].source.name, arrivals[p].message, arrivals[p].event_id) for p in passed],
            [name for name in names.values() if name],
        )
        for place in passed:
            outcomes[place] = "accepted" if arrivals[place].event_id in fresh else "duplicate"
        taken = [p for p in passed if outcomes[p] == "accepted"]
        if taken:
            await self._store(conn, [arrivals[p] for p in taken], [names[p] for p in taken], known, ids)
        await self._remember(conn, arrivals, outcomes)
        return outcomes

    async def refuse(self, conn: Conn, rejects: Sequence[tuple[Reject, Source]], at: datetime) -> None:
        """Keep rejected items for a replay, where their subject is named and its permission known; count all of them.

        An item that names nobody is only counted: no erasure would ever find it.
        """
        allowed = await self.permitted(conn, dict.fromkeys((s.purpose, r.identifiers) for r, s in rejects))
        kept = []
        for reject, source in rejects:
            if reject.refused or not reject.identifiers or not allowed[source.purpose, reject.identifiers]:
                continue
            if (words := _letter_words(reject)) is not None:
                kept.append((reject, source, words))
        if kept:
            key_ids = await self._vault.create_keys(len(kept))
            keys = await self._vault.unwrap(key_ids)
            await store.insert_letters(
                conn,
                [
                    Letter(
                        source=source.name,
                        received_at=reject.context.received_at or at,
                        pointer=reject.pointer,
                        reason=reject.reason,
                        subjects=[x for i in reject.identifiers for x in self._vault.blind_indexes(i.kind, i.value)],
                        key_id=key_id,
                        words=keys[key_id].seal("events.dead_letters", "words", key_id, words),
                    )
                    for (reject, source, words), key_id in zip(kept, key_ids, strict=True)
                ],
            )
        await self.count(conn, Counter((source.name, "rejected") for _, source in rejects))

    async def permitted(self, conn: Conn, subjects: Mapping[_Subject, None]) -> dict[_Subject, bool]:
        """The gate's answer for each subject and purpose, from what is known of the identifiers; stores nothing."""
        return (await self._permitted(conn, subjects))[0]

    async def _permitted(
        self, conn: Conn, subjects: Mapping[_Subject, None]
    ) -> tuple[dict[_Subject, bool], Mapping[Identifier, IdentifierId]]:
        """The same, and the ids of those identifiers that are stored."""
        sets = list(dict.fromkeys(identifiers for _, identifiers in subjects))
        seen = await self._identity.surroundings.of(conn, [i for one in sets for i in one])
        states = dict(zip(sets, await self._consent.states_around(conn, seen, sets), strict=True))
        at = self._clock.now()
        allowed = {(purpose, one): gate.permission(states[one], purpose, None, at).granted for purpose, one in subjects}
        return allowed, seen.ids

    async def _apply_signals(self, conn: Conn, arrivals: Sequence[Arrival]) -> None:
        """``Sec-GPC: 1`` and consent strings bind the identifiers they came with before anything is asked about them (consent.C11, C12)."""
        signalled: dict[str, dict[Identifier, None]] = {}
        for arrival in arrivals:
            if arrival.gpc:
                signalled.setdefault(arrival.actor, {}).update(dict.fromkeys(arrival.identifiers))
        for actor, identifiers in sorted(signalled.items()):
            ids = await self._identity.register_identifiers(conn, list(identifiers))
            await self._consent.apply_gpc(conn, ids, raw=GPC_VALUE, actor=actor)
        heard = {(a.identifiers, a.strings, a.actor): None for a in arrivals if a.strings.any}
        if not heard:
            return
        everyone = list(dict.fromkeys(one for came, _, _ in heard for one in came))
        known = dict(zip(everyone, await self._identity.register_identifiers(conn, everyone), strict=True))
        for came, strings, sender in heard:
            # What a window on a device was told is about that device; without one, about whoever the sender named.
            devices = [known[one] for one in came if one.kind in _DEVICES]
            others = [known[one] for one in came]
            await self._hearing.hear(conn, devices or others, strings, actor=sender, along=others)

    async def _store(
        self,
        conn: Conn,
        arrivals: Sequence[Arrival],
        names: Sequence[bytes],
        known: Mapping[bytes, Held],
        ids: Mapping[Identifier, IdentifierId],
    ) -> None:
        """Write events under the records of their subjects, and tell of them."""
        held, keys, people = await self._subjects(conn, arrivals, names, known, ids)
        await store.insert_events(conn, [_row(a, h, keys[h.key_id]) for a, h in zip(arrivals, held, strict=True)])
        for told in self.on_stored:
            await told(conn, list(dict.fromkeys(h.record_id for h in held)), people)
        for heard in self.on_happened:
            await heard(conn, [(h.record_id, a) for a, h in zip(arrivals, held, strict=True)])

    async def _subjects(
        self,
        conn: Conn,
        arrivals: Sequence[Arrival],
        names: Sequence[bytes],
        known: Mapping[bytes, Held],
        ids: Mapping[Identifier, IdentifierId],
    ) -> tuple[list[Held], Mapping[KeyId, SubjectKey], list[PersonId]]:
        """The record of each arrival, the keys of all and the people of all; records are made where there are none.

        Identifiers alone stand for a record found by their hash, ``names``. Told traits always go to identity, which keeps versions.
        """
        keys = await self._vault.unwrap({held.key_id for held in known.values()})
        # A subject whose key is gone was erased since: it begins anew, as somebody unknown.
        held = {name: one for name, one in known.items() if one.key_id in keys}
        missing = {name or a.event_id.encode(): a for name, a in zip(names, arrivals, strict=True) if name not in held}
        made = await self._identity.add_records(conn, [_record(a) for a in missing.values()], ids) if missing else []
        there = [held[name].record_id for name in dict.fromkeys(names) if name in held]
        found = await self._identity.subjects(conn, list(dict.fromkeys([*there, *made])))
        if missing:
            fresh = {name: Held(record, found[record].key_id) for name, record in zip(missing, made, strict=True)}
            bare = {name: one for name, one in fresh.items() if not missing[name].told}
            if bare:
                await store.keep_subjects(conn, bare)
            held |= fresh
            keys = {**keys, **await self._vault.unwrap({one.key_id for one in fresh.values()})}
        people = sorted({person for one in found.values() for person in one.people})
        return [held[name or a.event_id.encode()] for name, a in zip(names, arrivals, strict=True)], keys, people

    def _subject_hash(self, arrival: Arrival) -> bytes:
        source = arrival.source
        named = sorted((i.kind, i.value) for i in arrival.identifiers)
        told = orjson.dumps([source.name, source.purpose, source.basis, source.also_for, named]).decode()
        return self._vault.pepper("events/subject", told)

    async def _remember(self, conn: Conn, arrivals: Sequence[Arrival], outcomes: Sequence[Status]) -> None:
        """One entry a source, sender and commit, with counts and a digest of the event ids; refused ones are only counted."""
        by_sender: dict[tuple[str, str], list[tuple[Arrival, Status]]] = {}
        for arrival, outcome in zip(arrivals, outcomes, strict=True):
            by_sender.setdefault((arrival.source.name, arrival.actor), []).append((arrival, outcome))
        entries = []
        filtered: Counter[tuple[str, str]] = Counter()
        for (name, actor), rows in sorted(by_sender.items()):
            counts = Counter(outcome for _, outcome in rows)
            if counts["accepted"]:
                ids = [a.event_id for a, outcome in rows if outcome == "accepted"]
                facts: dict[str, Json] = {
                    "accepted": len(ids),
                    "duplicates": counts["duplicate"],
                    "events": digest(ids),
                }
                entries.append(NewEntry(Tag.EVENTS_ACCEPTED, {"source": name}, facts, actor=actor))
            if counts["filtered"]:
                filtered[name, FILTERED] += counts["filtered"]
        await self._audit.append(conn, entries)
        await self.count(conn, filtered)

    async def count(self, conn: Conn, counts: Counter[tuple[str, str]]) -> None:
        """Add to what was refused, by (source, reason), and say so in the log."""
        if not counts:
            return
        day = self._clock.now().date()
        await store.count_refusals(conn, {(source, day, reason): n for (source, reason), n in counts.items()})
        entries = [
            NewEntry(Tag.EVENTS_REFUSED, {"source": source}, {"counts": {reason: n}})
            for (source, reason), n in sorted(counts.items())
        ]
        await self._audit.append(conn, entries)


def _record(arrival: Arrival) -> NewRecord:
    """The source record of an arrival.

    Traits told under one set of names replace the same set told earlier (a version of one row); another set of names is
    another row, so that a partial identify never hides what an earlier one told.
    """
    source = arrival.source
    named = orjson.dumps(sorted((i.kind, i.value) for i in arrival.identifiers))
    if arrival.told:
        first = arrival.identifiers[0]
        kinds_told = sorted({*arrival.traits, *(i.kind for i in arrival.identifiers)})
        source_key = f"told:{first.kind}:{first.value}:{_short(orjson.dumps(kinds_told))}"
    else:
        source_key = f"seen:{_short(named)}"
    return NewRecord(
        source=source.name,
        source_key=source_key,
        identifiers=arrival.identifiers,
        traits=arrival.traits if arrival.told else {},
        kinds=arrival.kinds if arrival.told else {},
        observed_at=arrival.event_time,
        purpose=source.purpose,
        basis=source.basis,
        also_for=source.also_for,
    )


def _short(words: bytes) -> str:
    """A short name for words; it lives inside the sealed record and under a keyed hash, nowhere else."""
    return hashlib.blake2b(words, digest_size=16).hexdigest()


def _row(arrival: Arrival, held: Held, key: SubjectKey) -> EventRow:
    return EventRow(
        event_id=arrival.event_id,
        record_id=RecordId(held.record_id),
        type=arrival.type,
        name=arrival.name,
        event_time=arrival.event_time,
        known_time=arrival.known_time,
        received_at=arrival.received_at,
        source=arrival.source.name,
        purpose=arrival.source.purpose,
        basis=arrival.source.basis,
        message=arrival.message,
        decision_id=arrival.decision_id,
        machine=arrival.machine,
        confidence=arrival.confidence,
        key_id=held.key_id,
        words=key.seal("events.events", "words", arrival.event_id, arrival.words),
    )


def _letter_words(reject: Reject) -> bytes | None:
    """The item and the circumstances a replay needs; None for what JSON cannot say, which no client can send."""
    context = reject.context
    sent_at = context.sent_at.isoformat() if context.sent_at is not None else None
    kept = {
        "item": reject.item,
        "kind": context.kind,
        "sentAt": sent_at,
        "browser": context.browser,
        "gpc": context.gpc,
        "userAgent": context.user_agent,
    }
    try:
        return orjson.dumps(kept)
    except orjson.JSONEncodeError:
        return None
