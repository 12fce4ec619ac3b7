"""All SQL on confirmations and on the mails that ask for one.

Contract: every function runs in the caller's transaction. Evidence was sealed before it comes here. An id that is not stored is absent from an answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from consent.acts import Confirmed
from kernel.db import Conn
from kernel.ids import ActId, IdentifierId, KeyId

_COLUMNS: Final = "id, identifier, acts, language, asked_at, expires_at, mails, mailed_at, answer, answered_at"


@dataclass(frozen=True, slots=True)
class Invitation:
    """What one contact was asked to confirm. ``answer``: confirmed, refused, or None while it is open."""

    id: str
    identifier: IdentifierId
    acts: tuple[ActId, ...]
    language: str
    asked_at: datetime
    expires_at: datetime
    mails: int = 0
    mailed_at: datetime | None = None
    answer: str | None = None
    answered_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ConfirmationRow:
    """What confirms an act, to insert; the evidence is sealed."""

    act: ActId
    pending: ActId | None
    way: str
    at: datetime
    evidence: bytes | None
    key_id: KeyId | None


async def keep(conn: Conn, rows: Sequence[ConfirmationRow]) -> None:
    """Store what confirms these acts."""
    if rows:
        await conn.cursor().executemany(
            "INSERT INTO consent.confirmations (act, pending, way, confirmed_at, evidence, key_id) VALUES (%b, %b, %b, %b, %b, %b)",
            [(one.act, one.pending, one.way, one.at, one.evidence, one.key_id) for one in rows],
        )


async def confirmed(conn: Conn, acts: Sequence[ActId]) -> dict[ActId, Confirmed]:
    """What confirms each of these acts."""
    cursor = await conn.execute(
        "SELECT act, pending, way, confirmed_at FROM consent.confirmations WHERE act = ANY(%b::text[])", (list(acts),)
    )
    return {row["act"]: Confirmed(row["way"], row["confirmed_at"], row["pending"]) async for row in cursor}


async def evidence(conn: Conn, acts: Sequence[ActId]) -> list[tuple[ActId, KeyId, bytes]]:
    """The sealed evidence of these confirmations: act, key, bytes."""
    cursor = await conn.execute(
        "SELECT act, key_id, evidence FROM consent.confirmations WHERE act = ANY(%b::text[]) AND evidence IS NOT NULL",
        (list(acts),),
    )
    return [(row["act"], row["key_id"], bytes(row["evidence"])) async for row in cursor]


async def invite(conn: Conn, one: Invitation) -> None:
    """Remember what a contact is asked to confirm."""
    await conn.execute(
        "INSERT INTO consent.invitations (id, identifier, acts, language, asked_at, expires_at) VALUES (%b, %b, %b, %b, %b, %b)",
        (one.id, one.identifier, list(one.acts), one.language, one.asked_at, one.expires_at),
    )


async def invitation(conn: Conn, id_: str, *, lock: bool = False) -> Invitation | None:
    """One invitation; ``lock``: nobody else answers it until this transaction ends."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM consent.invitations WHERE id = %b{' FOR UPDATE' if lock else ''}", (id_,)
    )
    row = await cursor.fetchone()
    return None if row is None else _invitation(row)


async def waiting(conn: Conn, identifiers: Sequence[IdentifierId], now: datetime) -> list[Invitation]:
    """What these contacts have not answered and still can, newest first."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM consent.invitations WHERE identifier = ANY(%b::text[]) AND answer IS NULL AND expires_at > %b"
        " ORDER BY asked_at DESC, id DESC",
        (list(identifiers), now),
    )
    return [_invitation(row) async for row in cursor]


async def mails_since(conn: Conn, identifier: IdentifierId, since: datetime) -> int:
    """Mails to this contact that asked for a confirmation, of invitations that were last mailed after a moment."""
    cursor = await conn.execute(
        "SELECT coalesce(sum(mails), 0)::bigint AS n FROM consent.invitations WHERE identifier = %b AND mailed_at > %b",
        (identifier, since),
    )
    row = await cursor.fetchone()
    return 0 if row is None else int(row["n"])


async def mailed(conn: Conn, id_: str, at: datetime) -> None:
    """One mail more."""
    await conn.execute("UPDATE consent.invitations SET mails = mails + 1, mailed_at = %b WHERE id = %b", (at, id_))


async def answer(conn: Conn, id_: str, word: str, at: datetime) -> None:
    """It is answered; only the first answer counts."""
    await conn.execute(
        "UPDATE consent.invitations SET answer = %b, answered_at = %b WHERE id = %b AND answer IS NULL", (word, at, id_)
    )


_OVER: Final = " consent.invitations WHERE coalesce(answered_at, expires_at) < %b AND identifier <> ALL(%b::text[])"  # asked and answered, or run out


async def count_over(conn: Conn, before: datetime, held: Sequence[IdentifierId]) -> int:
    """Questions that were answered or ran out before a moment, but those to these contacts."""
    row = await (await conn.execute(f"SELECT count(*) AS n FROM{_OVER}", (before, list(held)))).fetchone()
    return 0 if row is None else int(row["n"])


async def drop_over(conn: Conn, before: datetime, held: Sequence[IdentifierId], limit: int) -> int:
    """Remove at most so many of them."""
    cursor = await conn.execute(
        f"DELETE FROM consent.invitations WHERE id IN (SELECT id FROM{_OVER} ORDER BY id LIMIT %b)",
        (before, list(held), limit),
    )
    return cursor.rowcount


def _invitation(row: Mapping[str, object]) -> Invitation:
    fields = {name: row[name] for name in _COLUMNS.split(", ")}
    acts = fields.pop("acts")
    assert isinstance(acts, list)
    return Invitation(acts=tuple(acts), **fields)  # type: ignore[arg-type]
