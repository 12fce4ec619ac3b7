"""SQL of receipts, many at a time: one statement for a whole post, rows touched in one order so that two posts never wait in a ring."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from channels.deliveries import Delivery
from channels.ledger import Receipt, State
from channels.store import COLUMNS, delivery_of
from kernel.db import Conn
from kernel.ids import DeliveryId


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptRow:
    """One receipt as it is kept. `name` is the connector and the provider's own id."""

    name: str
    delivery_id: DeliveryId
    receipt: Receipt
    at: datetime
    permanent: bool
    machine: bool
    code: str | None


async def patience(conn: Conn, milliseconds: int) -> None:
    """Wait for a row that somebody else holds at most this long, in this transaction."""
    await conn.execute("SELECT set_config('lock_timeout', %s, true)", (f"{milliseconds}ms",))


async def known(conn: Conn, names: Sequence[str]) -> set[str]:
    """Those of these receipts that were heard before."""
    got = await conn.execute(
        "SELECT provider_event_id FROM channels.receipts WHERE provider_event_id = ANY(%s)", (list(names),)
    )
    return {str(one["provider_event_id"]) for one in await got.fetchall()}


async def deliveries(conn: Conn, ids: Sequence[DeliveryId], *, lock: bool = False) -> dict[DeliveryId, Delivery]:
    """These deliveries, without content; `lock`: held until the end of the transaction."""
    got = await conn.execute(
        f"SELECT {COLUMNS} FROM channels.deliveries WHERE delivery_id = ANY(%s) ORDER BY delivery_id"
        + (" FOR UPDATE" if lock else ""),
        (sorted(set(ids)),),
    )
    return {found.delivery_id: found for one in await got.fetchall() for found in [delivery_of(one)]}


async def begun(conn: Conn, ids: Sequence[DeliveryId]) -> dict[DeliveryId, datetime]:
    """When the last attempt of each of these deliveries began."""
    got = await conn.execute(
        "SELECT delivery_id, max(at) AS at FROM channels.steps WHERE delivery_id = ANY(%s) AND state = 'intent' GROUP BY 1",
        (list(ids),),
    )
    return {DeliveryId(one["delivery_id"]): one["at"] for one in await got.fetchall()}


async def add(conn: Conn, rows: Sequence[ReceiptRow]) -> set[str]:
    """Keep receipts; the names of those that are new."""
    got = await conn.execute(
        """
        INSERT INTO channels.receipts (provider_event_id, delivery_id, receipt, at, permanent, machine, code)
        SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::bool[], %s::bool[], %s::text[])
               AS r(name, delivery_id, receipt, at, permanent, machine, code)
        ORDER BY r.name COLLATE "C" ON CONFLICT (provider_event_id) DO NOTHING RETURNING provider_event_id
        """,
        (
            [one.name for one in rows],
            [one.delivery_id for one in rows],
            [one.receipt for one in rows],
            [one.at for one in rows],
            [one.permanent for one in rows],
            [one.machine for one in rows],
            [one.code for one in rows],
        ),
    )
    return {str(one["provider_event_id"]) for one in await got.fetchall()}


async def move(conn: Conn, states: Mapping[DeliveryId, State], now: datetime) -> None:
    """Set the states that receipts folded to; the caller holds the rows."""
    if states:
        await conn.execute(
            "UPDATE channels.deliveries AS d SET state = s.state, lease_expires_at = NULL, changed_at = %s "
            "FROM unnest(%s::text[], %s::text[]) AS s(delivery_id, state) WHERE d.delivery_id = s.delivery_id",
            (now, list(states), list(states.values())),
        )


async def write_steps(conn: Conn, lines: Sequence[tuple[Delivery, datetime, State, str | None]]) -> None:
    """Add to the histories, in the given order."""
    if lines:
        await conn.execute(
            "INSERT INTO channels.steps (delivery_id, at, state, generation, reason) "
            "SELECT s.* FROM unnest(%s::text[], %s::timestamptz[], %s::text[], %s::bigint[], %s::text[]) AS s",
            (
                [one.delivery_id for one, _, _, _ in lines],
                [at for _, at, _, _ in lines],
                [state for _, _, state, _ in lines],
                [one.generation for one, _, _, _ in lines],
                [reason for _, _, _, reason in lines],
            ),
        )


async def count_unmatched(conn: Conn, connector: str, day: date, counts: Mapping[tuple[str, str], int]) -> None:
    """Count receipts that are about nothing here, by (receipt, reason)."""
    rows = sorted(counts.items())
    if rows:
        await conn.execute(
            """
            INSERT INTO channels.unmatched AS u (connector, day, receipt, reason, count)
            SELECT %s, %s, r.* FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS r
            ON CONFLICT (connector, day, receipt, reason) DO UPDATE SET count = u.count + EXCLUDED.count
            """,
            (connector, day, [r for (r, _), _ in rows], [why for (_, why), _ in rows], [n for _, n in rows]),
        )


async def unmatched(conn: Conn) -> list[tuple[str, str, str, int]]:
    """(connector, receipt, reason, count) over all days."""
    got = await conn.execute(
        "SELECT connector, receipt, reason, sum(count)::bigint AS n FROM channels.unmatched GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )
    return [(str(r["connector"]), str(r["receipt"]), str(r["reason"]), int(r["n"])) for r in await got.fetchall()]


async def states(conn: Conn, delivery_ids: Sequence[DeliveryId]) -> dict[str, int]:
    """How many of these deliveries are in each state."""
    cursor = await conn.execute(
        "SELECT state, count(*) AS n FROM channels.deliveries WHERE delivery_id = ANY(%b::text[]) GROUP BY 1 ORDER BY 1",
        (list(delivery_ids),),
    )
    return {str(row["state"]): int(row["n"]) async for row in cursor}
