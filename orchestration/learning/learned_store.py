"""SQL on what is kept of learners: how much, and what no longer need be. Contract: as in ``online_store.py``."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from kernel.db import Conn
from kernel.ids import DecisionId, PersonId

# Decisions name the state that they acted on, so the schedule keeps states as long as decisions; the newest of a placement stays.
_OLD: Final = (
    "made_at < %s AND EXISTS (SELECT 1 FROM learning.learned n WHERE n.placement = s.placement AND n.seq > s.seq)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is kept of a placement's learner."""

    states: int
    made_at: datetime
    lessons: int


async def told(conn: Conn) -> dict[str, Told]:
    """By placement."""
    got = await conn.execute(
        "SELECT s.placement, count(*) AS states, max(s.made_at) AS made_at, "
        "(SELECT count(*) FROM learning.lessons l WHERE l.placement = s.placement) AS lessons FROM learning.learned s GROUP BY s.placement"
    )
    return {
        str(row["placement"]): Told(states=row["states"], made_at=row["made_at"], lessons=row["lessons"])
        for row in await got.fetchall()
    }


async def count_old(conn: Conn, before: datetime) -> int:
    """States made before a moment, but the newest of each placement."""
    got = await conn.execute(f"SELECT count(*) AS n FROM learning.learned s WHERE {_OLD}", (before,))
    row = await got.fetchone()
    return int(row["n"]) if row is not None else 0


async def drop_old(conn: Conn, before: datetime, limit: int) -> int:
    """Remove at most so many of them, the oldest first."""
    got = await conn.execute(
        f"DELETE FROM learning.learned WHERE seq IN (SELECT seq FROM learning.learned s WHERE {_OLD} ORDER BY seq LIMIT %s)",
        (before, limit),
    )
    return got.rowcount


async def taught_of(conn: Conn, people: Sequence[PersonId], decisions: Sequence[DecisionId]) -> list[str]:
    """Placements whose library learned from a decision about any of these people, or from one of these."""
    got = await conn.execute(
        "SELECT DISTINCT placement FROM learning.lessons WHERE (person = ANY(%s) OR decision = ANY(%s)) "
        "AND taught_at IS NOT NULL ORDER BY 1",
        (list(people), list(decisions)),
    )
    return [str(row["placement"]) for row in await got.fetchall()]
