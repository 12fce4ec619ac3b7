"""All SQL on records, identifiers and who holds them. The graph's own tables are in ``graph_store.py``.

Contract: every function runs in the caller's transaction, takes and returns sequences, and never queries a row at a
time. What enters and leaves is sealed or hashed; nothing here sees clear words. ``Unavailable`` comes from the kernel
when Postgres does not answer; an unknown id is simply absent from an answer.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from identity.index import Index
from kernel.db import Conn
from kernel.filling import fill, told
from kernel.ids import IdentifierId, KeyId, PersonId, RecordId

_GRAPH_LOCK: Final = (
    0x6964656E74697479  # "identity": one advisory lock; joining is shared, publishing and erasing exclusive
)
_CHUNK: Final = 10_000  # rows in one statement: bounded memory on both sides


COLUMN: Final = {False: "index", True: "index_even"}
# Of record_identifiers ri: the link leads to the record's person; one beyond a limit does not (limits_store.py).
COUNTS: Final = "NOT EXISTS (SELECT FROM identity.demoted d WHERE d.identifier_id = ri.identifier_id AND d.record_id = ri.record_id)"


@dataclass(frozen=True, slots=True)
class RecordRow:
    """A record to insert."""

    id: RecordId
    source: str
    row: bytes
    content: bytes
    version: int
    current: bool
    key_id: KeyId
    body: bytes
    observed_at: datetime
    purpose: str
    basis: str
    also_for: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KnownRow:
    """A stored version of a source's row."""

    id: RecordId
    content: bytes
    version: int
    current: bool
    observed_at: datetime
    person: PersonId | None


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """A stored record as it lies there; ``person`` is its live person."""

    id: RecordId
    person: PersonId
    source: str
    version: int
    current: bool
    key_id: KeyId
    body: bytes
    observed_at: datetime
    recorded_at: datetime
    purpose: str
    basis: str
    also_for: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SealedIdentifier:
    """A stored identifier as it lies there."""

    id: IdentifierId
    kind: str
    key_id: KeyId
    value: bytes


@dataclass(frozen=True, slots=True)
class Hit:
    """A wanted identifier that is stored; ``person`` and ``record`` (the newest) are None when no record carries it."""

    index: Index
    id: IdentifierId
    person: PersonId | None
    record: RecordId | None


async def share_graph(conn: Conn) -> None:
    """Join records beside others who join; waits while a graph is being published."""
    await conn.execute("SELECT pg_advisory_xact_lock_shared(%s)", (_GRAPH_LOCK,))


async def own_graph(conn: Conn) -> None:
    """Be the only one who changes memberships until this transaction ends."""
    await conn.execute("SELECT pg_advisory_xact_lock(%s)", (_GRAPH_LOCK,))


async def known_rows(conn: Conn, rows: Sequence[bytes]) -> dict[bytes, list[KnownRow]]:
    """All stored versions of these rows, oldest first."""
    found: dict[bytes, list[KnownRow]] = {}
    cursor = await conn.execute(
        "SELECT r.row_index, r.record_id, r.content, r.version, r.current, r.observed_at, m.person_id"
        " FROM identity.records r LEFT JOIN identity.members m ON m.record_id = r.record_id"
        " WHERE r.row_index = ANY(%b) ORDER BY r.row_index, r.version",
        (list(rows),),
    )
    async for r in cursor:
        found.setdefault(bytes(r["row_index"]), []).append(
            KnownRow(r["record_id"], bytes(r["content"]), r["version"], r["current"], r["observed_at"], r["person_id"])
        )
    return found


_RECORD: Final = {
    "id": "text", "source": "text", "row_index": "bytea", "content": "bytea", "version": "int", "current": "bool", "key_id": "text",
    "body": "bytea", "observed_at": "timestamptz", "purpose": "text", "basis": "text", "also_for": "text",
}  # fmt: skip


async def insert_records(conn: Conn, rows: Sequence[RecordRow], at: datetime) -> set[RecordId]:
    """Insert versions; the ids that got in. A version that somebody else wrote meanwhile stays out.

    Where the new version is current the earlier one stops being so; its row lock makes writers of one row wait.
    """
    inserted: set[RecordId] = set()
    ordered = sorted(rows, key=lambda r: r.row)  # one order for all, so that two batches never wait for each other
    for start in range(0, len(ordered), _CHUNK):
        part = ordered[start : start + _CHUNK]
        if later := [r.row for r in part if r.version > 1 and r.current]:
            await conn.execute(
                "UPDATE identity.records SET current = false WHERE row_index = ANY(%b) AND current", (later,)
            )
        source, values = told(
            _RECORD,
            [
                (
                    r.id, r.source, r.row, r.content, r.version, r.current, r.key_id, r.body, r.observed_at, r.purpose, r.basis,
                    " ".join(r.also_for),  # purposes are keys without spaces
                )
                for r in part
            ],
        )  # fmt: skip
        cursor = await conn.execute(
            "INSERT INTO identity.records (record_id, source, row_index, content, version, current, key_id, body,"
            " observed_at, recorded_at, purpose, basis, also_for)"
            " SELECT w.id, w.source, w.row_index, w.content, w.version, w.current, w.key_id, w.body, w.observed_at, %b,"
            f" w.purpose, w.basis, string_to_array(w.also_for, ' ') FROM {source}"
            " ON CONFLICT (row_index, version) DO NOTHING RETURNING record_id",
            [at, *values],
        )
        inserted.update([r["record_id"] async for r in cursor])
    return inserted


async def find_identifiers(conn: Conn, wanted: Sequence[Index]) -> dict[Index, IdentifierId]:
    """Stored ids of blind indexes."""
    found: dict[Index, IdentifierId] = {}
    for start in range(0, len(wanted), _CHUNK):
        part = wanted[start : start + _CHUNK]
        for column, asked in asked_of(part):
            rest = {key: one for key, one in asked.items() if one not in found}
            cursor = await conn.execute(
                f"SELECT i.kind, i.{column} AS index, i.identifier_id FROM unnest(%b::text[], %b::bytea[]) AS w(kind, index)"
                f" JOIN identity.identifiers i ON i.kind = w.kind AND i.{column} = w.index",
                ([k for k, _ in rest], [x for _, x in rest]),
            )
            found.update({rest[r["kind"], bytes(r["index"])]: r["identifier_id"] async for r in cursor})
    return found


def asked_of(wanted: Sequence[Index]) -> list[tuple[str, dict[tuple[str, bytes], Index]]]:
    """What to ask of each column, that of the current secret first; one, unless a rotation of the secret overlaps."""
    asked: dict[str, dict[tuple[str, bytes], Index]] = {}
    for one in wanted:
        asked.setdefault(COLUMN[one.even], {})[one.kind, one.current] = one
    for one in wanted:
        if one.older is not None:
            asked.setdefault(COLUMN[not one.even], {})[one.kind, one.older] = one
    return list(asked.items())


async def insert_identifiers(
    conn: Conn, rows: Sequence[tuple[IdentifierId, Index, KeyId, bytes]], at: datetime
) -> set[IdentifierId]:
    """Insert (id, index, key, sealed value); the ids that got in. Waits for others who insert the same."""
    inserted: set[IdentifierId] = set()
    written = [
        (new, one.kind, one.under(even=False), one.under(even=True), key, value) for new, one, key, value in rows
    ]
    ordered = sorted(written, key=lambda r: (r[1], r[2] or b"", r[3] or b""))
    for start in range(0, len(ordered), _CHUNK):
        part = ordered[start : start + _CHUNK]
        cursor = await conn.execute(
            "INSERT INTO identity.identifiers (identifier_id, kind, index, index_even, key_id, value, created_at)"
            " SELECT w.id, w.kind, w.index, w.index_even, w.key_id, w.value, %b"
            " FROM unnest(%b::text[], %b::text[], %b::bytea[], %b::bytea[], %b::text[], %b::bytea[])"
            " AS w(id, kind, index, index_even, key_id, value) ON CONFLICT DO NOTHING RETURNING identifier_id",
            (at, *[[r[place] for r in part] for place in range(6)]),
        )
        inserted.update([r["identifier_id"] async for r in cursor])
    return inserted


async def lock_identifiers(conn: Conn, ids: Sequence[IdentifierId]) -> Callable[[], Awaitable[set[IdentifierId]]]:
    """Hold these identifiers until commit, so that two batches do not each make a new person for one of them.

    What is returned tells, when it is asked, which of them live; in a pipeline nobody need wait for that.
    """
    cursor = await conn.execute(
        "SELECT identifier_id FROM identity.identifiers WHERE identifier_id = ANY(%b) AND erased_at IS NULL"
        " ORDER BY identifier_id FOR NO KEY UPDATE",
        (sorted(ids),),
    )

    async def living() -> set[IdentifierId]:
        return {r["identifier_id"] for r in await cursor.fetchall()}

    return living


async def link_identifiers(conn: Conn, pairs: Iterable[tuple[RecordId, IdentifierId]]) -> None:
    """Say which new record carries which identifier."""
    await fill(conn, "identity.record_identifiers", {"record_id": "text", "identifier_id": "text"}, pairs)


async def resolve(conn: Conn, wanted: Sequence[Index]) -> list[Hit]:
    """Who holds these identifiers: one row for each person that does, one without person when nobody does."""
    hits: list[Hit] = []
    for column, asked in asked_of(wanted):
        known = {hit.index for hit in hits}
        rest = {key: one for key, one in asked.items() if one not in known}
        if not rest:
            continue
        cursor = await conn.execute(
            f"SELECT i.kind, i.{column} AS index, i.identifier_id, m.person_id, max(m.record_id) AS record_id"
            " FROM unnest(%b::text[], %b::bytea[]) AS w(kind, index)"
            f" JOIN identity.identifiers i ON i.kind = w.kind AND i.{column} = w.index"
            f" LEFT JOIN identity.record_identifiers ri ON ri.identifier_id = i.identifier_id AND {COUNTS}"
            " LEFT JOIN identity.members m ON m.record_id = ri.record_id"
            f" GROUP BY i.kind, i.{column}, i.identifier_id, m.person_id ORDER BY i.identifier_id, m.person_id",
            ([k for k, _ in rest], [x for _, x in rest]),
        )
        hits += [
            Hit(rest[r["kind"], bytes(r["index"])], r["identifier_id"], r["person_id"], r["record_id"])
            async for r in cursor
        ]
    return hits


SEALED: Final = (
    "SELECT r.record_id, m.person_id, r.source, r.version, r.current, r.key_id, r.body, r.observed_at, r.recorded_at,"
    " r.purpose, r.basis, r.also_for FROM identity.members m JOIN identity.records r ON r.record_id = m.record_id"
    " WHERE r.body IS NOT NULL"
)


async def sealed_records(conn: Conn, people: Sequence[PersonId]) -> list[SealedRecord]:
    """Every version of every record of these people, oldest first."""
    cursor = await conn.execute(f"{SEALED} AND m.person_id = ANY(%b) ORDER BY r.record_id", (list(people),))
    return [sealed_record(r) async for r in cursor]


async def sealed_named(conn: Conn, records: Sequence[RecordId]) -> list[SealedRecord]:
    """These records, in the order named; who is erased is absent."""
    cursor = await conn.execute(f"{SEALED} AND m.record_id = ANY(%b)", (list(records),))
    found = {r["record_id"]: sealed_record(r) async for r in cursor}
    return [found[one] for one in records if one in found]


async def current_records(conn: Conn, after: str, limit: int) -> list[SealedRecord]:
    """A page of current records of everybody, by id."""
    cursor = await conn.execute(
        f"{SEALED} AND r.current AND r.record_id > %b ORDER BY r.record_id LIMIT %b", (after, limit)
    )
    return [sealed_record(r) async for r in cursor]


def sealed_record(r: dict[str, Any]) -> SealedRecord:
    """A row of `SEALED`."""
    return SealedRecord(
        id=r["record_id"],
        person=r["person_id"],
        source=r["source"],
        version=r["version"],
        current=r["current"],
        key_id=r["key_id"],
        body=bytes(r["body"]),
        observed_at=r["observed_at"],
        recorded_at=r["recorded_at"],
        purpose=r["purpose"],
        basis=r["basis"],
        also_for=tuple(r["also_for"]),
    )


async def identifiers_of(
    conn: Conn, records: Sequence[RecordId]
) -> tuple[dict[RecordId, list[IdentifierId]], dict[IdentifierId, SealedIdentifier]]:
    """Which identifiers these records carry, and the sealed identifiers themselves, each once."""
    links: dict[RecordId, list[IdentifierId]] = {}
    cursor = await conn.execute(
        "SELECT record_id, identifier_id FROM identity.record_identifiers WHERE record_id = ANY(%b)"
        " ORDER BY record_id, identifier_id",
        (list(records),),
    )
    async for r in cursor:
        links.setdefault(r["record_id"], []).append(r["identifier_id"])
    ids = sorted({i for held in links.values() for i in held})
    cursor = await conn.execute(
        "SELECT identifier_id, kind, key_id, value FROM identity.identifiers"
        " WHERE identifier_id = ANY(%b) AND value IS NOT NULL",
        (ids,),
    )
    sealed = {
        r["identifier_id"]: SealedIdentifier(r["identifier_id"], r["kind"], r["key_id"], bytes(r["value"]))
        async for r in cursor
    }
    return links, sealed


async def indexes_of(conn: Conn, records: Sequence[RecordId]) -> list[Index]:
    """Every blind index of the identifiers that these records carry."""
    cursor = await conn.execute(
        "SELECT DISTINCT i.kind, i.index, i.index_even FROM identity.record_identifiers ri"
        " JOIN identity.identifiers i ON i.identifier_id = ri.identifier_id"
        " WHERE ri.record_id = ANY(%b) AND i.erased_at IS NULL",
        (list(records),),
    )
    return [
        Index(r["kind"], bytes(held), even)
        async for r in cursor
        for even, held in ((False, r["index"]), (True, r["index_even"]))
        if held is not None
    ]


async def erase_records(conn: Conn, records: Sequence[RecordId], at: datetime) -> tuple[list[KeyId], list[KeyId]]:
    """Make records, and the identifiers that only they carry, unreadable and unfindable; the keys of both.

    The rows stay as tombstones (acts, events and lineage name them by id). An identifier that a record of somebody else
    carries stays his; only the link to these records goes.
    """
    cursor = await conn.execute(
        "UPDATE identity.records SET body = NULL, row_index = convert_to(record_id, 'UTF8'), content = '', erased_at = %b"
        " WHERE record_id = ANY(%b) AND erased_at IS NULL RETURNING key_id",
        (at, list(records)),
    )
    record_keys = [r["key_id"] async for r in cursor]
    cursor = await conn.execute(
        "DELETE FROM identity.record_identifiers WHERE record_id = ANY(%b) RETURNING identifier_id", (list(records),)
    )
    orphans = sorted({r["identifier_id"] async for r in cursor})
    cursor = await conn.execute(
        "UPDATE identity.identifiers i SET value = NULL, index = NULL, index_even = NULL, erased_at = %b"
        " WHERE i.identifier_id = ANY(%b) AND i.erased_at IS NULL AND NOT EXISTS"
        " (SELECT 1 FROM identity.record_identifiers ri WHERE ri.identifier_id = i.identifier_id) RETURNING key_id",
        (at, orphans),
    )
    return record_keys, [r["key_id"] async for r in cursor]
