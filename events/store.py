"""All SQL on sources, events, subjects, dead letters and refusals. Imports have a store of their own.

Contract: every function runs in the caller's transaction and is durable when that commits; none queries a row at a time.
Words come here sealed. Rows are written in one order everywhere, so that two transactions never wait for each other. An
id that is not stored is absent from an answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from events.log import Source
from kernel import analyse as grown
from kernel.db import Conn
from kernel.filling import fill
from kernel.ids import DecisionId, EventId, KeyId, RecordId

_CHUNK: Final = 10_000  # rows in one statement: bounded memory on both sides


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event as it is stored."""

    event_id: EventId
    record_id: RecordId
    type: str
    name: str
    event_time: datetime
    known_time: datetime
    received_at: datetime
    source: str
    purpose: str
    basis: str
    message: bytes
    decision_id: DecisionId | None
    machine: bool
    confidence: float
    key_id: KeyId
    words: bytes


@dataclass(frozen=True, slots=True)
class Held:
    """The record behind a subject, and its key."""

    record_id: RecordId
    key_id: KeyId


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter; ``words`` are sealed under a key of its own."""

    source: str
    received_at: datetime
    pointer: str
    reason: str
    subjects: Sequence[bytes]
    key_id: KeyId
    words: bytes
    letter_id: int = 0


_TYPES: Final = {
    "event_id": "text", "record_id": "text", "type": "text", "name": "text", "event_time": "timestamptz", "known_time": "timestamptz",
    "received_at": "timestamptz", "source": "text", "purpose": "text", "basis": "text", "message": "bytea", "decision_id": "text",
    "machine": "bool", "confidence": "float4", "key_id": "text", "words": "bytea",
}  # fmt: skip
_COLUMNS: Final = ", ".join(_TYPES)


async def ensure_days(conn: Conn, first: date, last: date) -> None:
    """Daily partitions from ``first`` to ``last`` exist."""
    await conn.execute("SELECT events.ensure_days(%b, %b)", (first, last))


async def analyse(conn: Conn) -> None:
    """Let Postgres look at the tables again: its guesses of empty ones make plans that crawl."""
    await grown.analyse(conn, ["events.events", "events.dedupe", "events.subjects"])


async def insert_source(conn: Conn, source: Source, at: datetime) -> None:
    """Register a source unless its name is taken."""
    await conn.execute(
        "INSERT INTO events.sources (name, purpose, basis, also_for, user_kind, created_at)"
        " VALUES (%b, %b, %b, %b, %b, %b) ON CONFLICT DO NOTHING",
        (source.name, source.purpose, source.basis, list(source.also_for), source.user_kind, at),
    )


async def sources(conn: Conn, names: Sequence[str] | None = None) -> dict[str, Source]:
    """Sources by name; all when ``names`` is None."""
    cursor = await conn.execute(
        "SELECT name, purpose, basis, also_for, user_kind FROM events.sources"
        " WHERE %b::text[] IS NULL OR name = ANY(%b::text[])",
        (names if names is None else list(names),) * 2,
    )
    return {
        r["name"]: Source(r["name"], r["purpose"], r["basis"], tuple(r["also_for"]), r["user_kind"])
        async for r in cursor
    }


async def plan_once(conn: Conn) -> None:
    """Until the transaction ends, a statement's plan is the one that was made for it once: for few rows, planning costs more than doing.

    Every statement on the way of an event is made of index probes, for which one plan is as good as another; a plan is made anew when Postgres has looked at its tables again.
    """
    await conn.execute("SET LOCAL plan_cache_mode = force_generic_plan")


_CLAIM: Final = (
    "INSERT INTO events.dedupe (source, message, event_id)"
    " SELECT * FROM unnest(%b::text[], %b::bytea[], %b::text[]) AS w(source, message, event_id) ORDER BY 1, 2, 3"
    " ON CONFLICT DO NOTHING RETURNING event_id"
)
_HOLD: Final = (
    "SELECT subject, record_id, key_id FROM events.subjects WHERE subject = ANY(%b::bytea[]) ORDER BY subject FOR SHARE"
)


async def claim_messages(conn: Conn, messages: Sequence[tuple[str, bytes, EventId]]) -> set[EventId]:
    """Take (source, message) pairs for these events; the events that got theirs. The others are repeats.

    A pair that another transaction is taking is waited for.
    """
    return (await claim_and_hold(conn, messages, []))[0]


async def claim_and_hold(
    conn: Conn, messages: Sequence[tuple[str, bytes, EventId]], wanted: Sequence[bytes]
) -> tuple[set[EventId], dict[bytes, Held]]:
    """Take messages, as ``claim_messages`` says, and then the records of subjects, held against erasure until the transaction ends."""
    claims = [
        await conn.execute(_CLAIM, ([m[0] for m in part], [m[1] for m in part], [m[2] for m in part]))
        for part in (messages[start : start + _CHUNK] for start in range(0, len(messages), _CHUNK))
    ]
    ordered = sorted(set(wanted))
    holds = [await conn.execute(_HOLD, (ordered[start : start + _CHUNK],)) for start in range(0, len(ordered), _CHUNK)]
    fresh = {r["event_id"] for cursor in claims for r in await cursor.fetchall()}
    found = [r for cursor in holds for r in await cursor.fetchall()]
    return fresh, {bytes(r["subject"]): Held(r["record_id"], r["key_id"]) for r in found}


async def events_of_messages(conn: Conn, messages: Sequence[tuple[str, bytes]]) -> dict[tuple[str, bytes], EventId]:
    """The events under which messages were stored."""
    cursor = await conn.execute(
        "SELECT d.source, d.message, d.event_id FROM unnest(%b::text[], %b::bytea[]) AS w(source, message)"
        " JOIN events.dedupe d USING (source, message)",
        ([m[0] for m in messages], [m[1] for m in messages]),
    )
    return {(r["source"], bytes(r["message"])): EventId(r["event_id"]) async for r in cursor}


async def keep_subjects(conn: Conn, held: Mapping[bytes, Held]) -> None:
    """Remember records of subjects."""
    rows = sorted(held.items())
    await conn.execute(
        "INSERT INTO events.subjects (subject, record_id, key_id)"
        " SELECT * FROM unnest(%b::bytea[], %b::text[], %b::text[]) AS w(subject, record_id, key_id) ORDER BY 1"
        " ON CONFLICT (subject) DO UPDATE SET record_id = excluded.record_id, key_id = excluded.key_id"
        " WHERE subjects.record_id <> excluded.record_id",
        ([s for s, _ in rows], [h.record_id for _, h in rows], [h.key_id for _, h in rows]),
    )


async def insert_events(conn: Conn, rows: Sequence[EventRow]) -> None:
    """Write events."""
    await fill(
        conn, "events.events", _TYPES,
        (
            (
                r.event_id, r.record_id, r.type, r.name, r.event_time, r.known_time, r.received_at, r.source, r.purpose,
                r.basis, r.message, r.decision_id, r.machine, r.confidence, r.key_id, r.words,
            )
            for r in rows
        ),
    )  # fmt: skip


async def events_of_records(
    conn: Conn,
    records: Sequence[RecordId],
    *,
    until: datetime | None,
    known_by: datetime | None,
    since: datetime | None = None,
    names: Sequence[str] | None = None,
) -> list[EventRow]:
    """Events of these records that happened from ``since`` up to ``until`` and were known by ``known_by``; of all names by default.

    Ordered by event time, equal times by message hash: the order does not depend on arrival.
    """
    wanted = None if names is None else list(names)
    found: list[EventRow] = []
    for start in range(0, len(records), _CHUNK):
        cursor = await conn.execute(
            f"SELECT {_COLUMNS} FROM events.events WHERE record_id = ANY(%b::text[])"
            " AND (%b::timestamptz IS NULL OR event_time <= %b) AND (%b::timestamptz IS NULL OR known_time <= %b)"
            " AND (%b::timestamptz IS NULL OR event_time >= %b) AND (%b::text[] IS NULL OR name = ANY(%b::text[]))",
            (list(records[start : start + _CHUNK]), until, until, known_by, known_by, since, since, wanted, wanted),
        )
        found.extend([_row(r) async for r in cursor])
    return sorted(found, key=lambda row: (row.event_time, row.message))


async def records_with_events(
    conn: Conn, sources: Sequence[str], purposes: Sequence[str], *, since: datetime | None, until: datetime | None
) -> list[RecordId]:
    """Records with events of these sources, or collected under these purposes, in a time."""
    cursor = await conn.execute(
        "SELECT DISTINCT record_id FROM events.events WHERE (source = ANY(%b::text[]) OR purpose = ANY(%b::text[]))"
        " AND (%b::timestamptz IS NULL OR event_time >= %b) AND (%b::timestamptz IS NULL OR event_time <= %b) ORDER BY 1",
        (list(sources), list(purposes), since, since, until, until),
    )
    return [RecordId(r["record_id"]) async for r in cursor]


async def events_of_decisions(conn: Conn, decisions: Sequence[DecisionId]) -> list[EventRow]:
    """Events that name these decisions, by event time."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM events.events WHERE decision_id = ANY(%b::text[]) ORDER BY event_time, message",
        (list(decisions),),
    )
    return [_row(r) async for r in cursor]


async def count_events(conn: Conn, records: Sequence[RecordId]) -> int:
    """How many events these records have."""
    cursor = await conn.execute(
        "SELECT count(*) AS n FROM events.events WHERE record_id = ANY(%b::text[])", (list(records),)
    )
    row = await cursor.fetchone()
    return int(row["n"]) if row is not None else 0


async def tallies(conn: Conn) -> list[tuple[str, str, int]]:
    """(source, purpose, count) of all events."""
    cursor = await conn.execute("SELECT source, purpose, count(*) AS n FROM events.events GROUP BY 1, 2 ORDER BY 1, 2")
    return [(r["source"], r["purpose"], int(r["n"])) async for r in cursor]


async def arrived(conn: Conn, since: datetime) -> tuple[int, datetime]:
    """How many events were received after a moment, and when the last of them was."""
    cursor = await conn.execute(
        "SELECT count(*) AS n, max(received_at) AS last FROM events.events WHERE received_at > %b", (since,)
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row["n"]), row["last"] or since


async def records_since(conn: Conn, since: datetime, until: datetime) -> list[RecordId]:
    """Records whose events were received after ``since``, up to and with ``until``."""
    cursor = await conn.execute(
        "SELECT DISTINCT record_id FROM events.events WHERE received_at > %b AND received_at <= %b ORDER BY 1",
        (since, until),
    )
    return [RecordId(r["record_id"]) async for r in cursor]


async def kept(conn: Conn, ids: Sequence[EventId]) -> set[EventId]:
    """Those of these ids that are there."""
    found: set[EventId] = set()
    for start in range(0, len(ids), _CHUNK):
        part = list(ids[start : start + _CHUNK])
        cursor = await conn.execute("SELECT event_id FROM events.events WHERE event_id = ANY(%b::text[])", (part,))
        found.update([EventId(r["event_id"]) for r in await cursor.fetchall()])
    return found


async def count_all(conn: Conn) -> int:
    """How many events there are."""
    row = await (await conn.execute("SELECT count(*) AS n FROM events.events")).fetchone()
    return int(row["n"]) if row is not None else 0


async def erase(conn: Conn, records: Sequence[RecordId], subjects_: Sequence[bytes]) -> tuple[int, list[KeyId]]:
    """Remove what names these records or blind indexes; rows touched, and keys of letters that sealed nothing else.

    Subjects go first: a collection that holds one is waited for, and its events are then seen. The dedupe hashes stay, so
    that a repeat of an erased event does not bring it back.
    """
    ids = list(records)
    gone = (await conn.execute("DELETE FROM events.subjects WHERE record_id = ANY(%b::text[])", (ids,))).rowcount
    gone += (await conn.execute("DELETE FROM events.events WHERE record_id = ANY(%b::text[])", (ids,))).rowcount
    cursor = await conn.execute(
        "DELETE FROM events.dead_letters WHERE subjects && %b::bytea[] RETURNING key_id", (list(subjects_),)
    )
    keys = [KeyId(r["key_id"]) async for r in cursor]
    return gone + len(keys), keys


async def insert_letters(conn: Conn, letters: Sequence[Letter]) -> None:
    """Keep rejected items."""
    async with conn.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO events.dead_letters (source, received_at, pointer, reason, subjects, key_id, words)"
            " VALUES (%b, %b, %b, %b, %b, %b, %b)",
            [(x.source, x.received_at, x.pointer, x.reason, list(x.subjects), x.key_id, x.words) for x in letters],
        )


async def letters(conn: Conn, source: str | None, after: int, limit: int) -> list[Letter]:
    """Kept items, oldest first, after a letter id."""
    cursor = await conn.execute(
        "SELECT letter_id, source, received_at, pointer, reason, subjects, key_id, words FROM events.dead_letters"
        " WHERE letter_id > %b AND (%b::text IS NULL OR source = %b) ORDER BY letter_id LIMIT %b",
        (after, source, source, limit),
    )
    return [
        Letter(
            r["source"], r["received_at"], r["pointer"], r["reason"], [bytes(s) for s in r["subjects"]], r["key_id"],
            bytes(r["words"]), r["letter_id"],
        )
        async for r in cursor
    ]  # fmt: skip


async def index_letter(conn: Conn, letter_id: int, subjects_: Sequence[bytes]) -> None:
    """Replace the blind indexes of a letter."""
    await conn.execute(
        "UPDATE events.dead_letters SET subjects = %b WHERE letter_id = %b", (list(subjects_), letter_id)
    )


async def drop_letters(conn: Conn, ids: Sequence[int]) -> int:
    """Remove letters that were taken, or can never be opened again; how many of them were still there."""
    cursor = await conn.execute("DELETE FROM events.dead_letters WHERE letter_id = ANY(%b::bigint[])", (list(ids),))
    return cursor.rowcount


async def count_refusals(conn: Conn, counts: Mapping[tuple[str, date, str], int]) -> None:
    """Add to the counts by (source, day, reason): all that is left of a refused event."""
    rows = sorted(counts.items())
    await conn.execute(
        "INSERT INTO events.refusals (source, day, reason, count)"
        " SELECT * FROM unnest(%b::text[], %b::date[], %b::text[], %b::bigint[]) AS w(source, day, reason, count) ORDER BY 1, 2, 3"
        " ON CONFLICT (source, day, reason) DO UPDATE SET count = refusals.count + excluded.count",
        ([k[0] for k, _ in rows], [k[1] for k, _ in rows], [k[2] for k, _ in rows], [n for _, n in rows]),
    )


async def refusals(conn: Conn) -> list[tuple[str, date, str, int]]:
    """(source, day, reason, count) of everything that was refused."""
    cursor = await conn.execute("SELECT source, day, reason, count FROM events.refusals ORDER BY 1, 2, 3")
    return [(r["source"], r["day"], r["reason"], r["count"]) async for r in cursor]


def _row(r: dict[str, Any]) -> EventRow:
    return EventRow(
        event_id=r["event_id"],
        record_id=r["record_id"],
        type=r["type"],
        name=r["name"],
        event_time=r["event_time"],
        known_time=r["known_time"],
        received_at=r["received_at"],
        source=r["source"],
        purpose=r["purpose"],
        basis=r["basis"],
        message=bytes(r["message"]),
        decision_id=r["decision_id"],
        machine=r["machine"],
        confidence=r["confidence"],
        key_id=r["key_id"],
        words=bytes(r["words"]),
    )
