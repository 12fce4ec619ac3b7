"""All SQL on reviews: doubts about one person that somebody of the staff must look at.

Contract: as in ``graph_store.py``. A doubt about a pair of records is an ambiguous pair and lives with the evidence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from kernel.db import Conn
from kernel.ids import PersonId


@dataclass(frozen=True, slots=True)
class Review:
    """One doubt, open until somebody closed it. ``about`` is the id of what raised it: a decision."""

    review_id: str
    person: PersonId
    reason: str
    about: str
    opened_at: datetime
    closed_at: datetime | None = None


async def add(conn: Conn, review: Review) -> bool:
    """Open a review; False when this doubt about the same thing was raised before."""
    got = await conn.execute(
        "INSERT INTO identity.reviews (review_id, person_id, reason, about, opened_at) VALUES (%b, %b, %b, %b, %b)"
        " ON CONFLICT (person_id, reason, about) DO NOTHING RETURNING 1",
        (review.review_id, review.person, review.reason, review.about, review.opened_at),
    )
    return await got.fetchone() is not None


async def listed(conn: Conn, *, closed: bool, limit: int) -> list[Review]:
    """Reviews, the one opened first first; each with the person as she is called now."""
    got = await conn.execute(
        "SELECT r.review_id, coalesce(p.redirect_to, r.person_id) AS person_id, r.reason, r.about, r.opened_at, r.closed_at"
        " FROM identity.reviews r JOIN identity.people p USING (person_id)"
        " WHERE (r.closed_at IS NULL OR %b) ORDER BY r.opened_at, r.review_id LIMIT %b",
        (closed, limit),
    )
    return [
        Review(r["review_id"], r["person_id"], r["reason"], r["about"], r["opened_at"], r["closed_at"])
        async for r in got
    ]


async def close(conn: Conn, review_id: str, at: datetime) -> PersonId | None:
    """Close an open review; whom it was about, None when it is not open."""
    got = await conn.execute(
        "UPDATE identity.reviews SET closed_at = %b WHERE review_id = %b AND closed_at IS NULL RETURNING person_id",
        (at, review_id),
    )
    row = await got.fetchone()
    return None if row is None else PersonId(row["person_id"])


async def forget(conn: Conn, people: Sequence[PersonId]) -> int:
    """The reviews of erased people go; the number of them."""
    got = await conn.execute("DELETE FROM identity.reviews WHERE person_id = ANY(%b)", (list(people),))
    return got.rowcount
