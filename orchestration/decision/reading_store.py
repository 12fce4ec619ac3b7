"""Lists of decisions for people who look: newest first, a page at a time, never with sealed content.

Takes the caller's connection and changes nothing. Ids sort by time of making, so a page begins below an id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from kernel.db import Conn
from kernel.ids import DecisionId, KeyId, PersonId


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A decision in a list."""

    id: DecisionId
    person: PersonId | None
    placement: str
    at: datetime
    choice: str
    channel: str | None
    propensity: float
    ranked_by: str
    explored: bool
    held: bool
    withheld: str | None
    delivery_id: str | None


@dataclass(frozen=True, slots=True)
class Day:
    """Decisions of one day (UTC): those with a message, and those without."""

    day: str
    chosen: int
    nothing: int


_LINE = ", ".join(Line.__dataclass_fields__)


async def listed(
    conn: Conn, *, placement: str | None, channel: str | None, withheld: str | None, before: str | None, limit: int
) -> list[Line]:
    """Decisions below the id ``before`` that fit."""
    got = await conn.execute(
        f"SELECT {_LINE} FROM decision.decisions WHERE (%(placement)s::text IS NULL OR placement = %(placement)s)"
        " AND (%(channel)s::text IS NULL OR channel = %(channel)s)"
        " AND (%(withheld)s::text IS NULL OR withheld = %(withheld)s)"
        " AND (%(before)s::text IS NULL OR id < %(before)s) ORDER BY id DESC LIMIT %(limit)s",
        {"placement": placement, "channel": channel, "withheld": withheld, "before": before, "limit": limit},
    )
    return [Line(**row) for row in await got.fetchall()]


async def of_person(
    conn: Conn, people: Sequence[PersonId], keys: Sequence[KeyId], *, until: datetime | None, limit: int
) -> list[Line]:
    """A person's decisions up to and including a moment, by every id she had and by the keys that are hers."""
    got = await conn.execute(
        f"SELECT {_LINE} FROM decision.decisions WHERE (person = ANY(%(people)s) OR key_id = ANY(%(keys)s))"
        " AND (%(until)s::timestamptz IS NULL OR at <= %(until)s) ORDER BY at DESC, id DESC LIMIT %(limit)s",
        {"people": list(people), "keys": list(keys), "until": until, "limit": limit},
    )
    return [Line(**row) for row in await got.fetchall()]


async def by_day(conn: Conn, since: datetime) -> list[Day]:
    """Decisions since a moment, day by day; days without any are absent."""
    got = await conn.execute(
        "SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day, count(*) FILTER (WHERE choice <> 'nothing') AS chosen,"
        " count(*) FILTER (WHERE choice = 'nothing') AS nothing FROM decision.decisions WHERE at >= %s GROUP BY 1 ORDER BY 1",
        (since,),
    )
    return [Day(str(row["day"]), int(row["chosen"]), int(row["nothing"])) for row in await got.fetchall()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A decision as a comparison of people needs it."""

    person: PersonId
    at: datetime
    variant: str | None
    channel: str | None
    holdout: str | None
    held: bool
    ranked_by: str


async def compared(conn: Conn, placement: str, since: datetime) -> list[Shown]:
    """Decisions at a placement about people who could have been treated, oldest first, without those of erased people."""
    got = await conn.execute(
        "SELECT person, at, variant, channel, holdout, held, ranked_by FROM decision.decisions WHERE placement = %s AND at >= %s"
        " AND in_scope AND person IS NOT NULL AND redacted_at IS NULL ORDER BY at, id",
        (placement, since),
    )
    return [Shown(**row) for row in await got.fetchall()]
