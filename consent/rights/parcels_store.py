"""All SQL on packages. Contract: as in ``requests_store.py``; a row holds ciphertext under a code that nobody here keeps."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from kernel.db import Conn
from kernel.ids import PersonId, RequestId


@dataclass(frozen=True, slots=True)
class Kept:
    """A package behind a link."""

    id: str
    request: RequestId
    person: PersonId
    parcel: bytes
    expires_at: datetime
    tries: int


async def insert(
    conn: Conn,
    name: str,
    request: RequestId,
    person: PersonId,
    parcel: bytes,
    digest: str,
    at: datetime,
    until: datetime,
) -> None:
    """Keep one; an earlier one of the same request goes."""
    await conn.execute("DELETE FROM consent.packages WHERE request = %s", (request,))
    await conn.execute(
        "INSERT INTO consent.packages (id, request, person, parcel, digest, made_at, expires_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (name, request, person, parcel, digest, at, until),
    )


async def take(conn: Conn, name: str) -> Kept | None:
    """One, held until the transaction ends."""
    cursor = await conn.execute(
        "SELECT id, request, person, parcel, expires_at, tries FROM consent.packages WHERE id = %s FOR UPDATE", (name,)
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    return Kept(row["id"], row["request"], row["person"], bytes(row["parcel"]), row["expires_at"], row["tries"])


async def tried(conn: Conn, name: str, tries: int) -> None:
    """One more wrong code."""
    await conn.execute("UPDATE consent.packages SET tries = %s WHERE id = %s", (tries, name))


async def fetched(conn: Conn, name: str, at: datetime) -> None:
    """It was opened and handed out."""
    await conn.execute(
        "UPDATE consent.packages SET fetched_at = coalesce(fetched_at, %s), tries = 0 WHERE id = %s", (at, name)
    )


async def drop(conn: Conn, name: str) -> None:
    """Remove one."""
    await conn.execute("DELETE FROM consent.packages WHERE id = %s", (name,))


async def drop_of(conn: Conn, people: Sequence[PersonId]) -> int:
    """Remove those of these people."""
    return (await conn.execute("DELETE FROM consent.packages WHERE person = ANY(%s)", (list(people),))).rowcount


async def drop_expired(conn: Conn, at: datetime) -> int:
    """Remove those whose link has run out."""
    return (await conn.execute("DELETE FROM consent.packages WHERE expires_at <= %s", (at,))).rowcount
