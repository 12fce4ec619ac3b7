"""All SQL on processors and the letters to them. Contract: as in ``requests_store.py``; a letter's words are sealed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from kernel.db import Conn
from kernel.ids import KeyId, PersonId, RequestId

_LETTER: Final = (
    "l.id, l.request, l.processor, l.act, l.state, l.words, l.key_id, l.made_at, l.attempts, l.next_at, l.fault, l.acked_at, l.ack,"
    " l.probed_at, l.escalated_at, r.person"
)


@dataclass(frozen=True, slots=True)
class Processor:
    """Somebody who gets data about people from us, and must do as they ask."""

    name: str
    url: str
    probe_url: str
    public_key: bytes
    receives: tuple[str, ...]
    purposes: tuple[str, ...]
    contract: str
    added_by: str
    added_at: datetime
    removed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """One thing asked of one processor. ``ack`` is their signed answer, as it came."""

    id: str
    request: RequestId
    person: PersonId
    processor: str
    act: str
    state: str
    words: bytes | None
    key_id: KeyId | None
    made_at: datetime
    attempts: int = 0
    next_at: datetime | None = None
    fault: str | None = None
    acked_at: datetime | None = None
    ack: str | None = None
    probed_at: datetime | None = None
    escalated_at: datetime | None = None


async def add(conn: Conn, one: Processor) -> None:
    """Note it; one of the same name is changed."""
    await conn.execute(
        "INSERT INTO consent.processors (name, url, probe_url, public_key, receives, purposes, contract, added_by, added_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (name) DO UPDATE SET url = excluded.url, probe_url = excluded.probe_url,"
        " public_key = excluded.public_key, receives = excluded.receives, purposes = excluded.purposes, contract = excluded.contract,"
        " removed_at = NULL",
        (
            one.name, one.url, one.probe_url, one.public_key, list(one.receives), list(one.purposes), one.contract,
            one.added_by, one.added_at,
        ),
    )  # fmt: skip


async def remove(conn: Conn, name: str, at: datetime) -> bool:
    """It gets nothing any more; letters on their way go on."""
    got = await conn.execute(
        "UPDATE consent.processors SET removed_at = %s WHERE name = %s AND removed_at IS NULL", (at, name)
    )
    return got.rowcount == 1


async def listed(conn: Conn, *, removed: bool = False) -> list[Processor]:
    """By name; with ``removed`` former ones too: what they got they may still hold."""
    got = await conn.execute(
        "SELECT * FROM consent.processors WHERE %s OR removed_at IS NULL ORDER BY name", (removed,)
    )
    return [
        Processor(
            row["name"], row["url"], row["probe_url"], bytes(row["public_key"]), tuple(row["receives"]), tuple(row["purposes"]),
            row["contract"], row["added_by"], row["added_at"], row["removed_at"],
        )
        async for row in got
    ]  # fmt: skip


async def write(conn: Conn, letters: Sequence[Letter]) -> None:
    """Queue letters."""
    async with conn.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO consent.letters (id, request, processor, act, state, words, key_id, made_at, next_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    one.id,
                    one.request,
                    one.processor,
                    one.act,
                    one.state,
                    one.words,
                    one.key_id,
                    one.made_at,
                    one.next_at,
                )
                for one in letters
            ],
        )


async def claim(conn: Conn, at: datetime, until: datetime, limit: int) -> list[Letter]:
    """Letters whose next step is due; nobody else takes them before ``until``."""
    got = await conn.execute(
        "WITH due AS (SELECT id FROM consent.letters WHERE next_at <= %s ORDER BY next_at LIMIT %s FOR UPDATE SKIP LOCKED)"
        f" UPDATE consent.letters l SET next_at = %s FROM due, consent.requests r WHERE l.id = due.id AND r.id = l.request RETURNING {_LETTER}",
        (at, limit, until),
    )
    return [_letter(row) async for row in got]


async def keep(conn: Conn, one: Letter) -> None:
    """Note where it stands."""
    await conn.execute(
        "UPDATE consent.letters SET state = %s, words = %s, key_id = %s, attempts = %s, next_at = %s, fault = %s, acked_at = %s, ack = %s,"
        " probed_at = %s, escalated_at = %s WHERE id = %s",
        (
            one.state, one.words, one.key_id, one.attempts, one.next_at, one.fault, one.acked_at, one.ack, one.probed_at,
            one.escalated_at, one.id,
        ),
    )  # fmt: skip


async def of_request(conn: Conn, request: RequestId | None = None, *, limit: int = 500) -> list[Letter]:
    """Letters of a request, or the newest of all."""
    got = await conn.execute(
        f"SELECT {_LETTER} FROM consent.letters l JOIN consent.requests r ON r.id = l.request"
        " WHERE %s::text IS NULL OR l.request = %s ORDER BY l.id DESC LIMIT %s",
        (request, request, limit),
    )
    return [_letter(row) async for row in got]


def _letter(row: Any) -> Letter:
    return Letter(
        row["id"], row["request"], row["person"], row["processor"], row["act"], row["state"],
        None if row["words"] is None else bytes(row["words"]), row["key_id"], row["made_at"], row["attempts"], row["next_at"],
        row["fault"], row["acked_at"], row["ack"], row["probed_at"], row["escalated_at"],
    )  # fmt: skip
