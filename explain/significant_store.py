"""SQL of reviews that people asked for. A row names a decision and its person; an erasure takes it out."""

from dataclasses import dataclass
from datetime import datetime

from explain.belonging import HERS, Whose
from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import DecisionId, KeyId, PersonId


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A review that was asked for."""

    decision_id: DecisionId
    asked_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    outcome: str | None

    def as_json(self) -> dict[str, Json]:
        """As answered."""
        return {
            "decision": self.decision_id, "asked_at": self.asked_at.isoformat(), "outcome": self.outcome, "closed_by": self.closed_by,
            "closed_at": None if self.closed_at is None else self.closed_at.isoformat(),
        }  # fmt: skip


_COLUMNS = "decision_id, asked_at, closed_at, closed_by, outcome"


async def ask(
    conn: Conn, decision_id: DecisionId, at: datetime, *, person: PersonId | None, key_id: KeyId | None
) -> bool:
    """Note that a review is wanted; False when it was before."""
    got = await conn.execute(
        "INSERT INTO explain.human_reviews (decision_id, person, key_id, asked_at) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING RETURNING 1",
        (decision_id, person, key_id, at),
    )
    return await got.fetchone() is not None


async def listed(conn: Conn, *, closed: bool, limit: int) -> list[Review]:
    """Open ones, oldest first, or closed ones, newest first."""
    order = "closed_at IS NOT NULL ORDER BY closed_at DESC" if closed else "closed_at IS NULL ORDER BY asked_at"
    got = await conn.execute(
        f"SELECT {_COLUMNS} FROM explain.human_reviews WHERE {order}, decision_id LIMIT %s", (limit,)
    )
    return [Review(**row) for row in await got.fetchall()]


async def close(conn: Conn, decision_id: DecisionId, outcome: str, actor: str, at: datetime) -> bool:
    """Note what came of it; False when none is open."""
    got = await conn.execute(
        "UPDATE explain.human_reviews SET closed_at = %s, closed_by = %s, outcome = %s WHERE decision_id = %s AND closed_at IS NULL",
        (at, actor, outcome, decision_id),
    )
    return got.rowcount > 0


async def of_person(conn: Conn, whose: Whose) -> list[tuple[Review, PersonId | None]]:
    """Reviews about a person, each with the id that it was asked under."""
    got = await conn.execute(
        f"SELECT {_COLUMNS}, person FROM explain.human_reviews WHERE {HERS} ORDER BY decision_id", whose.slots()
    )
    return [(Review(**row), person) for row in await got.fetchall() for person in [row.pop("person")]]


async def forget(conn: Conn, whose: Whose) -> int:
    """Remove them."""
    got = await conn.execute(f"DELETE FROM explain.human_reviews WHERE {HERS}", whose.slots())
    return got.rowcount
