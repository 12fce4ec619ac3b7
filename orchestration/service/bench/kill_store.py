"""What the proof reads: counts over every room's tables, reads only, as somebody with the database sees them."""

from collections.abc import Sequence
from typing import Any

from kernel.db import Conn


async def _pairs(conn: Conn, query: str, *values: Any) -> dict[str, int]:
    got = await conn.execute(query, values)
    return {str(row["name"]): int(row["n"]) for row in await got.fetchall()}


async def _count(conn: Conn, query: str, *values: Any) -> int:
    got = await conn.execute(query, values)
    row = await got.fetchone()
    return int(row["n"]) if row is not None else 0


async def messages(conn: Conn, sources: Sequence[str]) -> dict[bytes, int]:
    """Stored events of these sources, by the keyed hash of their message id."""
    got = await conn.execute(
        "SELECT message, count(*) AS n FROM events.events WHERE source = ANY(%s) GROUP BY message", (list(sources),)
    )
    return {bytes(row["message"]): int(row["n"]) for row in await got.fetchall()}


async def acts(conn: Conn, actor: str) -> frozenset[str]:
    """Consent acts that this actor recorded."""
    got = await conn.execute("SELECT id FROM consent.acts WHERE actor = %s", (actor,))
    return frozenset(str(row["id"]) for row in await got.fetchall())


async def decisions(conn: Conn) -> list[dict[str, Any]]:
    """Every decision: id, what triggered it, whether its log entry has exactly one place, its delivery."""
    got = await conn.execute(
        "SELECT d.id, d.trigger, d.person, d.placement, d.delivery_id, l.leaf_index IS NOT NULL AS logged "
        "FROM decision.decisions d LEFT JOIN audit.leaves l ON l.entry_id = d.entry_id"
    )
    return [dict(row) for row in await got.fetchall()]


async def deliveries(conn: Conn) -> list[dict[str, Any]]:
    """Every delivery: id, decision, state, person, the caps it counts under, its last step."""
    got = await conn.execute(
        "SELECT d.delivery_id, d.decision_id, d.state, d.person, d.connector, d.attempts, d.cap_keys, "
        "(SELECT s.state FROM channels.steps s WHERE s.delivery_id = d.delivery_id ORDER BY s.step DESC LIMIT 1) AS last_step "
        "FROM channels.deliveries d"
    )
    return [dict(row) for row in await got.fetchall()]


async def caps(conn: Conn) -> list[dict[str, Any]]:
    """Every counter: who holds places under it, and how many there are."""
    got = await conn.execute("SELECT person, cap_key, holders, cap_limit FROM channels.caps")
    return [dict(row) for row in await got.fetchall()]


async def told(conn: Conn, name: str) -> dict[str, int]:
    """Events of this name, by the decision they speak of."""
    return await _pairs(
        conn,
        "SELECT decision_id AS name, count(*) AS n FROM events.events WHERE name = %s AND decision_id IS NOT NULL GROUP BY decision_id",
        name,
    )


async def logged(conn: Conn, tag: str, kind: str) -> dict[str, int]:
    """Log entries of this tag, by the reference of this kind."""
    return await _pairs(
        conn,
        "SELECT r.ref AS name, count(*) AS n FROM audit.entries e JOIN audit.refs r USING (entry_id) "
        "WHERE e.tag = %s AND r.kind = %s GROUP BY r.ref",
        tag, kind,
    )  # fmt: skip


async def imported(conn: Conn) -> dict[str, int]:
    """Rows of files with events, over all imports that are finished: looked at, taken, known already, turned away; and imports that are not finished."""
    got = await conn.execute(
        "SELECT coalesce(sum(rows_done), 0) AS rows, coalesce(sum(accepted), 0) AS accepted, coalesce(sum(duplicates), 0) AS duplicates, "
        "coalesce(sum(rejected + filtered), 0) AS refused, count(*) FILTER (WHERE finished_at IS NULL) AS unfinished "
        "FROM events.imports WHERE what = 'events'"
    )
    row = await got.fetchone()
    return {} if row is None else {str(name): int(number) for name, number in row.items()}


async def receipts(conn: Conn) -> dict[str, int]:
    """Provider reports, by the provider's name for them."""
    return await _pairs(
        conn,
        "SELECT split_part(provider_event_id, ':', 2) AS name, count(*) AS n FROM channels.receipts GROUP BY 1",
    )


async def unfinished(conn: Conn) -> int:
    """Deliveries that somebody should still move: queued, or claimed without an outcome."""
    return await _count(conn, "SELECT count(*) AS n FROM channels.deliveries WHERE state IN ('reserved', 'intent')")
