"""All SQL on which rules were in force when.

Contract: every function runs in the caller's transaction. Rows are only added, by whoever holds ``alone``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from consent.rulebook import Rulebook
from kernel.canonical import Json
from kernel.db import Conn


@dataclass(frozen=True, slots=True)
class InForce:
    """Rules that were in force from ``began_at`` on; ``says``: what each file said, by part."""

    digest: str
    jurisdiction: str
    says: Mapping[str, Json]
    signed_by: tuple[str, ...]
    began_at: datetime


async def alone(conn: Conn) -> None:
    """Until the transaction ends, nobody else puts rules in force."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('consent.rulebooks', 4))")


async def newest(conn: Conn) -> str | None:
    """The digest of the rules that were put in force last."""
    row = await (await conn.execute("SELECT digest FROM consent.rulebooks ORDER BY seq DESC LIMIT 1")).fetchone()
    return None if row is None else str(row["digest"])


async def at(conn: Conn, moments: Sequence[datetime]) -> list[InForce | None]:
    """Those that were in force at each moment; the first that were ever written down for a moment before, None when none ever were."""
    if not moments:
        return []
    cursor = await conn.execute(
        "SELECT m.place, r.seq FROM unnest(%b::timestamptz[]) WITH ORDINALITY AS m(moment, place), LATERAL ("
        " SELECT coalesce((SELECT seq FROM consent.rulebooks WHERE began_at <= m.moment ORDER BY seq DESC LIMIT 1),"
        " (SELECT min(seq) FROM consent.rulebooks)) AS seq) AS r",
        (list(moments),),
    )
    seqs = {row["place"]: row["seq"] async for row in cursor}
    cursor = await conn.execute(
        "SELECT * FROM consent.rulebooks WHERE seq = ANY(%b::bigint[])", ([*set(seqs.values())],)
    )
    books = {row["seq"]: _row(row) async for row in cursor}
    return [books.get(seqs[place]) for place in range(1, len(moments) + 1)]


async def history(conn: Conn) -> list[InForce]:
    """Every time that rules were put in force, oldest first."""
    cursor = await conn.execute("SELECT * FROM consent.rulebooks ORDER BY seq")
    return [_row(row) async for row in cursor]


async def add(conn: Conn, book: Rulebook, began_at: datetime) -> None:
    """These are in force from now on."""
    says = {part.name: part.says for part in book.parts}
    await conn.execute(
        "INSERT INTO consent.rulebooks (digest, jurisdiction, says, signed_by, began_at) VALUES (%s, %s, %s, %s, %s)",
        (book.digest, book.rules.jurisdiction, orjson.dumps(says).decode(), list(book.signed_by), began_at),
    )


def _row(row: Mapping[str, Any]) -> InForce:
    return InForce(row["digest"], row["jurisdiction"], row["says"], tuple(row["signed_by"]), row["began_at"])
