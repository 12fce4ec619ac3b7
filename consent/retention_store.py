"""All SQL on holds, doomed keys and requests past their time. Contract: as in ``store.py``."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from kernel.db import Conn
from kernel.ids import IdentifierId, KeyId, PersonId, RecordId

_COLUMNS: Final = "id, person, ground, reference, placed_by, placed_at, until, lifted_by, lifted_at, records"


@dataclass(frozen=True, slots=True)
class Hold:
    """Why somebody's things must not be removed yet. ``reference`` names a file of somebody else's."""

    id: str
    person: PersonId
    ground: str
    reference: str
    placed_by: str
    placed_at: datetime
    until: datetime | None = None
    lifted_by: str | None = None
    lifted_at: datetime | None = None
    records: tuple[RecordId, ...] = ()
    """Hers when it was placed: they stay held whoever they belong to after a split."""


async def lock_person(conn: Conn, person: PersonId) -> None:
    """Whoever holds a person back and whoever erases her take turns, each until its transaction ends."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 7))", (person,))


async def insert_hold(conn: Conn, hold: Hold) -> None:
    """Place it."""
    await conn.execute(
        "INSERT INTO consent.holds (id, person, ground, reference, placed_by, placed_at, until, records)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (
            hold.id, hold.person, hold.ground, hold.reference, hold.placed_by, hold.placed_at, hold.until,
            list(hold.records),
        ),
    )  # fmt: skip


async def lift(conn: Conn, hold: str, actor: str, at: datetime) -> Hold | None:
    """End it; None when no such hold stands."""
    cursor = await conn.execute(
        f"UPDATE consent.holds SET lifted_by = %s, lifted_at = %s WHERE id = %s AND lifted_at IS NULL RETURNING {_COLUMNS}",
        (actor, at, hold),
    )
    row = await cursor.fetchone()
    return None if row is None else _hold(row)


async def standing(
    conn: Conn, at: datetime, people: Sequence[PersonId] | None = None, records: Sequence[RecordId] = ()
) -> list[Hold]:
    """Holds that stand now, oldest first; of everybody, or of these ids and records."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM consent.holds WHERE lifted_at IS NULL AND (until IS NULL OR until > %s)"
        " AND (%s::text[] IS NULL OR person = ANY(%s) OR records && %s::text[]) ORDER BY id",
        (at, None if people is None else list(people), None if people is None else list(people), list(records)),
    )
    return [_hold(row) async for row in cursor]


async def asking(conn: Conn) -> list[PersonId]:
    """People with a subject request that is not closed: what they asked about must be there when it is answered."""
    cursor = await conn.execute(
        "SELECT DISTINCT person FROM consent.requests WHERE closed_at IS NULL AND right_asked <> 'erasure' ORDER BY 1"
    )
    return [PersonId(row["person"]) async for row in cursor]


async def restricted_subjects(conn: Conn) -> list[IdentifierId | RecordId]:
    """Identifiers and records on which a restriction was ever recorded; whether it stands is the gate's to say."""
    cursor = await conn.execute(
        "SELECT DISTINCT subject FROM consent.acts WHERE mechanism = 'restriction' AND status = 'denied' ORDER BY 1"
    )
    return [row["subject"] async for row in cursor]


async def acted(conn: Conn, subjects: Sequence[str], purposes: Sequence[str], since: datetime) -> set[str]:
    """On which of these somebody said a word since, about one of these purposes or about all there are."""
    cursor = await conn.execute(
        "SELECT DISTINCT subject FROM consent.acts WHERE subject = ANY(%s) AND recorded_at >= %s"
        " AND (purpose = ANY(%s) OR purpose = '*')",
        (list(subjects), since, list(purposes)),
    )
    return {row["subject"] async for row in cursor}


async def doom(conn: Conn, keys: Sequence[KeyId], at: datetime) -> None:
    """Note keys that must be destroyed."""
    await conn.execute(
        "INSERT INTO consent.doomed_keys (key_id, since) SELECT k, %s FROM unnest(%s::text[]) AS k ON CONFLICT DO NOTHING",
        (at, sorted(set(keys))),
    )


async def doomed(conn: Conn, limit: int) -> list[KeyId]:
    """Keys that were noted and are not known to be destroyed."""
    cursor = await conn.execute("SELECT key_id FROM consent.doomed_keys ORDER BY key_id LIMIT %s", (limit,))
    return [KeyId(row["key_id"]) async for row in cursor]


async def undoom(conn: Conn, keys: Sequence[KeyId]) -> None:
    """They are destroyed."""
    await conn.execute("DELETE FROM consent.doomed_keys WHERE key_id = ANY(%s)", (list(keys),))


async def count_closed(conn: Conn, before: datetime, people: Sequence[PersonId]) -> int:
    """Requests closed before a moment, but those of these people."""
    cursor = await conn.execute(
        "SELECT count(*) AS n FROM consent.requests WHERE closed_at < %s AND person <> ALL(%s::text[])",
        (before, list(people)),
    )
    row = await cursor.fetchone()
    return int(row["n"]) if row is not None else 0


async def drop_closed(conn: Conn, before: datetime, people: Sequence[PersonId], limit: int) -> int:
    """Remove at most so many of them."""
    cursor = await conn.execute(
        "DELETE FROM consent.requests WHERE id IN (SELECT id FROM consent.requests WHERE closed_at < %s"
        " AND person <> ALL(%s::text[]) ORDER BY id LIMIT %s)",
        (before, list(people), limit),
    )
    return cursor.rowcount


def _hold(row: dict[str, Any]) -> Hold:
    held = {name: row[name] for name in _COLUMNS.split(", ")}
    return Hold(**{**held, "records": tuple(held["records"])})
