"""Events out of the store, opened in memory, and events of our own into it.

What enters: rows with sealed words, or ``NewEvent``. What leaves: ``Event`` for those who ask, in the order of the rows. An event
whose key was destroyed is absent: nobody can say what it was.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from events import store
from events.arrivals import decision_of, message_hash, read_words, words
from events.log import Event, NewEvent
from events.store import EventRow
from identity.service import Identity
from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import EventId, RecordId, new_id
from kernel.kernel import Kernel
from kernel.vault import Vault

_PAGE: Final = 10_000  # events opened at a time; their keys fit the vault's memory
_NONE: Final[Mapping[str, Json]] = {}
_NOWHERE: Final[Mapping[str, tuple[str, ...]]] = {}


async def opened(
    vault: Vault, rows: Sequence[EventRow], also_for: Mapping[str, tuple[str, ...]] = _NOWHERE
) -> list[Event]:
    """The events of these rows; ``also_for``: what else their sources declared."""
    events = []
    for start in range(0, len(rows), _PAGE):
        page = rows[start : start + _PAGE]
        keys = await vault.unwrap({row.key_id for row in page})
        for row in page:
            key = keys.get(row.key_id)
            if key is None:
                continue
            told = read_words(key.open("events.events", "words", row.event_id, row.words))
            events.append(
                Event(
                    event_id=row.event_id,
                    record_id=row.record_id,
                    type=row.type,
                    name=row.name,
                    event_time=row.event_time,
                    known_time=row.known_time,
                    received_at=row.received_at,
                    source=row.source,
                    purpose=row.purpose,
                    basis=row.basis,
                    properties=told.get("properties", _NONE),
                    traits=told.get("traits", _NONE),
                    context=told.get("context", _NONE),
                    machine=row.machine,
                    confidence=row.confidence,
                    decision_id=row.decision_id,
                    also_for=also_for.get(row.source, ()),
                )
            )
    return events


def exported(events: Sequence[Event]) -> Json:
    """Events in words a person can read."""
    return {
        "events": [
            {
                "id": e.event_id,
                "record": e.record_id,
                "type": e.type,
                "name": e.name,
                "event_time": e.event_time.isoformat(),
                "received_at": e.received_at.isoformat(),
                "source": e.source,
                "purpose": e.purpose,
                "basis": e.basis,
                "properties": e.properties,
                "traits": e.traits,
                "context": e.context,
                "machine": e.machine,
            }
            for e in events
        ]
    }


async def note(conn: Conn, events: Sequence[NewEvent], *, kernel: Kernel, identity: Identity) -> list[EventId | None]:
    """See ``Events.note``."""
    people = list(dict.fromkeys(e.person for e in events if e.record_id is None and e.person is not None))
    members = await identity.members(conn, people)
    oldest = {person: min(held.records) for person, held in members.items() if held.records}
    records = [e.record_id or (oldest.get(e.person) if e.person is not None else None) for e in events]
    subjects = await identity.subjects(conn, list(dict.fromkeys(r for r in records if r is not None)))
    keys = await kernel.vault.unwrap({s.key_id for s in subjects.values()})
    now = kernel.clock.now()
    ids: list[EventId | None] = []
    rows: list[EventRow] = []
    for event, record in zip(events, records, strict=True):
        key = keys.get(subjects[record].key_id) if record is not None and record in subjects else None
        if record is None or key is None:
            ids.append(None)
            continue
        event_id = new_id("evt")
        ids.append(event_id)
        told = words(event.properties, message_id=event.message_id)
        rows.append(
            EventRow(
                event_id=event_id,
                record_id=RecordId(record),
                type=event.type,
                name=event.name,
                event_time=min(event.event_time, now),
                known_time=now,
                received_at=now,
                source=event.source,
                purpose=event.purpose,
                basis=event.basis,
                message=message_hash(kernel.vault, event.message_id or event_id),
                decision_id=decision_of(event.properties),
                machine=event.machine,
                confidence=event.confidence,
                key_id=key.id,
                words=key.seal("events.events", "words", event_id, told),
            )
        )
    fresh = await store.claim_messages(conn, [(r.source, r.message, r.event_id) for r in rows])
    await store.insert_events(conn, [r for r in rows if r.event_id in fresh])
    repeats = [r for r in rows if r.event_id not in fresh]
    if repeats:
        first = await store.events_of_messages(conn, [(r.source, r.message) for r in repeats])
        instead = {r.event_id: first[r.source, r.message] for r in repeats}
        ids = [instead.get(one, one) if one is not None else None for one in ids]
    return ids
