"""SQL of the queue of decisions that have no explanation yet. Contract: as in ``store.py``."""

from collections.abc import Sequence
from typing import Final

from kernel.db import Conn
from kernel.ids import DecisionId

MOST_COUNTED: Final = 100_001  # of those that were put off: nobody needs to know how many more there are
_WAITS: Final = "refused IS NULL AND put_off IS NULL"
_PUT_OFF: Final = "refused IS NULL AND put_off IS NOT NULL"


async def lock_feed(conn: Conn) -> int:
    """The last place of the log that was looked at; nobody else feeds the queue until the transaction ends."""
    got = await conn.execute("SELECT leaf_index FROM explain.feed FOR UPDATE")
    row = await got.fetchone()
    return -1 if row is None else int(row["leaf_index"])


async def advance_feed(conn: Conn, leaf_index: int, decisions: Sequence[str]) -> None:
    """Queue decisions that have no explanation yet, and remember how far the log was read."""
    await conn.execute("UPDATE explain.feed SET leaf_index = %s", (leaf_index,))
    await conn.execute(
        "INSERT INTO explain.queue (decision_id, leaf_index) SELECT d, %s FROM unnest(%s::text[]) AS d"
        " WHERE NOT EXISTS (SELECT FROM explain.explanations AS e WHERE e.decision_id = d) ON CONFLICT DO NOTHING",
        (leaf_index, list(decisions)),
    )


async def put_off(conn: Conn, *, most: int, before: str) -> dict[str, int]:
    """Put off what waits beyond the newest `most`, and what was decided before the id `before`; how many now, by reason."""
    got = await conn.execute(
        "WITH gone AS (UPDATE explain.queue SET put_off = CASE WHEN decision_id < %(before)s THEN 'waited_too_long' ELSE 'queue_full' END"
        f" WHERE {_WAITS} AND decision_id < greatest(%(before)s, (SELECT decision_id FROM explain.queue WHERE {_WAITS}"
        "  ORDER BY decision_id DESC OFFSET %(most)s - 1 LIMIT 1)) RETURNING put_off)"
        " SELECT put_off, count(*) AS n FROM gone GROUP BY put_off ORDER BY put_off",
        {"before": before, "most": most},
    )
    return {str(row["put_off"]): int(row["n"]) for row in await got.fetchall()}


async def waiting(conn: Conn, limit: int) -> list[DecisionId]:
    """The oldest decisions that wait, without those that were refused or put off."""
    got = await conn.execute(
        f"SELECT decision_id FROM explain.queue WHERE {_WAITS} ORDER BY leaf_index, decision_id LIMIT %s", (limit,)
    )
    return [DecisionId(row["decision_id"]) for row in await got.fetchall()]


async def later(conn: Conn, limit: int) -> list[DecisionId]:
    """The newest decisions that were put off: those are the likeliest to be asked for."""
    got = await conn.execute(
        f"SELECT decision_id FROM explain.queue WHERE {_PUT_OFF} ORDER BY decision_id DESC LIMIT %s",
        (limit,),
    )
    return [DecisionId(row["decision_id"]) for row in await got.fetchall()]


async def queued(conn: Conn) -> int:
    """How many decisions wait."""
    got = await conn.execute(f"SELECT count(*) AS n FROM explain.queue WHERE {_WAITS}")
    row = await got.fetchone()
    return 0 if row is None else int(row["n"])


async def oldest(conn: Conn) -> DecisionId | None:
    """The oldest decision that waits; ids begin with the moment they were made at."""
    got = await conn.execute(f"SELECT min(decision_id) AS first FROM explain.queue WHERE {_WAITS}")
    row = await got.fetchone()
    return None if row is None or row["first"] is None else DecisionId(row["first"])


async def counts_put_off(conn: Conn) -> dict[str, int]:
    """How many were put off and have no explanation yet, by reason; counted up to `MOST_COUNTED` together."""
    got = await conn.execute(
        f"SELECT put_off, count(*) AS n FROM (SELECT put_off FROM explain.queue WHERE {_PUT_OFF} LIMIT %s) AS q"
        " GROUP BY put_off ORDER BY put_off",
        (MOST_COUNTED,),
    )
    return {str(row["put_off"]): int(row["n"]) for row in await got.fetchall()}


async def count_old(conn: Conn, before: str) -> int:
    """How many were put off and decided before the id `before`."""
    got = await conn.execute(
        f"SELECT count(*) AS n FROM explain.queue WHERE {_PUT_OFF} AND decision_id < %s", (before,)
    )
    row = await got.fetchone()
    return 0 if row is None else int(row["n"])


async def forget_old(conn: Conn, before: str, limit: int) -> int:
    """Take at most so many of them off."""
    got = await conn.execute(
        "DELETE FROM explain.queue WHERE decision_id IN"
        f" (SELECT decision_id FROM explain.queue WHERE {_PUT_OFF} AND decision_id < %s ORDER BY decision_id LIMIT %s)",
        (before, limit),
    )
    return got.rowcount


async def done(conn: Conn, decisions: Sequence[str]) -> None:
    """Take decisions off the queue."""
    await conn.execute("DELETE FROM explain.queue WHERE decision_id = ANY(%s)", (list(decisions),))


async def refuse(conn: Conn, decision_id: str, code: str) -> None:
    """Set a decision aside whose explanation does not add up, with the error's code."""
    await conn.execute("UPDATE explain.queue SET refused = %s WHERE decision_id = %s", (code, decision_id))


async def refused(conn: Conn) -> dict[str, str]:
    """Decisions that were set aside, and why."""
    got = await conn.execute(
        "SELECT decision_id, refused FROM explain.queue WHERE refused IS NOT NULL ORDER BY decision_id"
    )
    return {str(row["decision_id"]): str(row["refused"]) for row in await got.fetchall()}
