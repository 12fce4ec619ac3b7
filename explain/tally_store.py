"""SQL of what counted over time. Rows hold counts and sums by day, placement and kind of information, no id of anybody."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from kernel.db import Conn


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Counts of one day, placement and kind of information: told at all, told first, sum of what it added to the score."""

    day: date
    placement: str
    concept: str
    told: int
    first: int
    contribution: float


async def add(conn: Conn, rows: Sequence[Tally]) -> None:
    """Add rows; several of one day are put together later, so that nobody waits for anybody here."""
    if not rows:
        return
    await conn.execute(
        "INSERT INTO explain.tallies (day, placement, concept, told, first, contribution)"
        " SELECT * FROM unnest(%s::date[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::float8[])",
        (
            [one.day for one in rows], [one.placement for one in rows], [one.concept for one in rows],
            [one.told for one in rows], [one.first for one in rows], [one.contribution for one in rows],
        ),
    )  # fmt: skip


async def since(conn: Conn, day: date, placement: str | None) -> list[Tally]:
    """Rows from a day on, put together."""
    got = await conn.execute(
        "SELECT day, placement, concept, sum(told)::bigint AS told, sum(first)::bigint AS first, sum(contribution) AS contribution"
        " FROM explain.tallies WHERE day >= %(day)s AND (%(placement)s::text IS NULL OR placement = %(placement)s)"
        " GROUP BY day, placement, concept ORDER BY day, placement, concept",
        {"day": day, "placement": placement},
    )
    return [Tally(**row) for row in await got.fetchall()]


async def compact(conn: Conn) -> int:
    """Put rows of the same day, placement and concept together. Waits for nobody: what comes meanwhile is put together next time."""
    got = await conn.execute(
        "WITH taken AS (DELETE FROM explain.tallies AS t USING (SELECT day, placement, concept FROM explain.tallies"
        " GROUP BY day, placement, concept HAVING count(*) > 1) AS many WHERE t.day = many.day"
        " AND t.placement = many.placement AND t.concept = many.concept"
        " RETURNING t.day, t.placement, t.concept, t.told, t.first, t.contribution)"
        ", put AS (INSERT INTO explain.tallies (day, placement, concept, told, first, contribution)"
        " SELECT day, placement, concept, sum(told), sum(first), sum(contribution) FROM taken"
        " GROUP BY day, placement, concept RETURNING 1)"
        " SELECT (SELECT count(*) FROM taken) - (SELECT count(*) FROM put) AS gone"
    )
    row = await got.fetchone()
    return int(row["gone"]) if row is not None else 0


async def total(conn: Conn, concept: str) -> int:
    """How many were told of a concept, ever."""
    got = await conn.execute("SELECT coalesce(sum(told), 0)::bigint AS n FROM explain.tallies WHERE concept = %s", (concept,))  # fmt: skip
    row = await got.fetchone()
    return int(row["n"]) if row is not None else 0
