"""All SQL of channels. Conditional statements only: a row that may not move is not moved, and nothing raises for its sake.

Every change of state names the states it may come from and, once claimed, the generation of the claim: a worker whose lease is gone touches
0 rows. Leases run on Postgres's clock, which all workers share; due times and deadlines on Candor's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from channels.deliveries import Delivery, StepTaken
from channels.ledger import FROM, State, Step
from kernel.db import Conn
from kernel.ids import DecisionId, DeliveryId, IdentifierId, KeyId, PersonId

COLUMNS: Final = (
    "delivery_id, decision_id, person, identifier_id, channel, purpose, state, key_id, deliver_after, expires_at, reserved_at, changed_at, "
    "generation, attempts, cap_keys, connector, provider_id, reason"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A delivery to insert, its content sealed."""

    delivery: Delivery
    content: bytes


async def insert(conn: Conn, rows: Sequence[Row]) -> dict[DecisionId, DeliveryId]:
    """Insert; answers each decision's delivery, the earlier one where the decision has one already."""
    if not rows:
        return {}
    got = conn.cursor()
    await got.executemany(
        f"INSERT INTO channels.deliveries ({COLUMNS}, content) VALUES ({', '.join(['%s'] * 19)}) ON CONFLICT (decision_id) DO NOTHING",
        [(*_values(row.delivery), row.content) for row in rows],
    )
    found = await conn.execute(
        "SELECT decision_id, delivery_id FROM channels.deliveries WHERE decision_id = ANY(%s)",
        ([row.delivery.decision_id for row in rows],),
    )
    return {DecisionId(one["decision_id"]): DeliveryId(one["delivery_id"]) for one in await found.fetchall()}


async def of_decisions(conn: Conn, decisions: Sequence[DecisionId]) -> dict[DecisionId, DeliveryId]:
    """Deliveries that these decisions have already."""
    found = await conn.execute(
        "SELECT decision_id, delivery_id FROM channels.deliveries WHERE decision_id = ANY(%s)", (list(decisions),)
    )
    return {DecisionId(one["decision_id"]): DeliveryId(one["delivery_id"]) for one in await found.fetchall()}


async def claimable(conn: Conn, now: datetime, limit: int) -> list[tuple[Delivery, bytes | None]]:
    """Due deliveries, locked; those that another worker looks at are skipped."""
    got = await conn.execute(
        f"SELECT {COLUMNS}, content FROM channels.deliveries WHERE state = 'reserved' AND deliver_after <= %s "
        "ORDER BY deliver_after, delivery_id LIMIT %s FOR UPDATE SKIP LOCKED",
        (now, limit),
    )
    return [(delivery_of(one), one["content"]) for one in await got.fetchall()]


async def claim(
    conn: Conn, ids: Sequence[DeliveryId], connectors: Sequence[str], *, lease_seconds: float, now: datetime
) -> dict[DeliveryId, int]:
    """Reserved -> intent with a lease; answers the new generations."""
    got = await conn.execute(
        """
        UPDATE channels.deliveries AS d SET state = 'intent', generation = generation + 1, attempts = attempts + 1, connector = c.connector,
            lease_expires_at = clock_timestamp() + make_interval(secs => %s), changed_at = %s, reason = NULL
        FROM unnest(%s::text[], %s::text[]) AS c(delivery_id, connector)
        WHERE d.delivery_id = c.delivery_id AND d.state = 'reserved'
        RETURNING d.delivery_id, d.generation
        """,
        (lease_seconds, now, list(ids), list(connectors)),
    )
    return {DeliveryId(one["delivery_id"]): int(one["generation"]) for one in await got.fetchall()}


async def hold(conn: Conn, delivery_id: DeliveryId, generation: int) -> bool:
    """Lock a claimed delivery for its send. False: the lease is over, or another word came; then nothing may be sent."""
    got = await conn.execute(
        "SELECT 1 FROM channels.deliveries WHERE delivery_id = %s AND generation = %s AND state = 'intent' "
        "AND lease_expires_at > clock_timestamp() FOR UPDATE",
        (delivery_id, generation),
    )
    return await got.fetchone() is not None


async def step(
    conn: Conn,
    delivery_id: DeliveryId,
    taken: Step,
    *,
    generation: int | None,
    now: datetime,
    reason: str | None = None,
    provider_id: str | None = None,
    deliver_after: datetime | None = None,
) -> bool:
    """Take a step of the ledger. False (and nothing changed) when the state or the generation is not the one it needs."""
    allowed, following = FROM[taken]
    got = await conn.execute(
        """
        UPDATE channels.deliveries SET state = %(state)s, lease_expires_at = NULL, changed_at = %(now)s, reason = %(reason)s,
            provider_id = coalesce(%(provider_id)s, provider_id), deliver_after = coalesce(%(deliver_after)s, deliver_after)
        WHERE delivery_id = %(id)s AND state = ANY(%(allowed)s) AND (%(generation)s::bigint IS NULL OR generation = %(generation)s)
        RETURNING generation
        """,
        {
            "id": delivery_id,
            "state": following,
            "allowed": list(allowed),
            "generation": generation,
            "now": now,
            "reason": reason,
            "provider_id": provider_id,
            "deliver_after": deliver_after,
        },
    )
    return await got.fetchone() is not None


async def lost(conn: Conn, limit: int) -> list[Delivery]:
    """Claimed deliveries whose lease is over and that no worker holds, locked."""
    got = await conn.execute(
        f"SELECT {COLUMNS} FROM channels.deliveries WHERE state = 'intent' AND lease_expires_at <= clock_timestamp() "
        "ORDER BY lease_expires_at LIMIT %s FOR UPDATE SKIP LOCKED",
        (limit,),
    )
    return [delivery_of(one) for one in await got.fetchall()]


async def write_steps(conn: Conn, lines: Sequence[tuple[DeliveryId, datetime, State, int, str | None]]) -> None:
    """Add to the history."""
    await conn.cursor().executemany(
        "INSERT INTO channels.steps (delivery_id, at, state, generation, reason) VALUES (%s, %s, %s, %s, %s)", lines
    )


async def get(conn: Conn, delivery_id: DeliveryId, *, lock: bool = False) -> Delivery | None:
    """One delivery."""
    got = await conn.execute(
        f"SELECT {COLUMNS} FROM channels.deliveries WHERE delivery_id = %s" + (" FOR UPDATE" if lock else ""),
        (delivery_id,),
    )
    one = await got.fetchone()
    return None if one is None else delivery_of(one)


async def steps(conn: Conn, delivery_id: DeliveryId) -> list[StepTaken]:
    """The history of one delivery, oldest first."""
    got = await conn.execute(
        "SELECT at, state, reason FROM channels.steps WHERE delivery_id = %s ORDER BY step", (delivery_id,)
    )
    return [StepTaken(at=one["at"], state=State(one["state"]), reason=one["reason"]) for one in await got.fetchall()]


async def of_people(
    conn: Conn, people: Sequence[PersonId], contacts: Sequence[IdentifierId] = (), *, lock: bool = False
) -> list[tuple[Delivery, bytes | None]]:
    """Every delivery of these people, and to these contacts, with its sealed content, oldest first."""
    got = await conn.execute(
        f"SELECT {COLUMNS}, content FROM channels.deliveries WHERE person = ANY(%s) OR identifier_id = ANY(%s) ORDER BY delivery_id"
        + (" FOR UPDATE" if lock else ""),
        (list(people), list(contacts)),
    )
    return [(delivery_of(one), one["content"]) for one in await got.fetchall()]


async def counts(conn: Conn, people: Sequence[PersonId]) -> tuple[int, int]:
    """How many deliveries these people have, and how many of them have not left yet."""
    got = await conn.execute(
        "SELECT count(*) AS n, count(*) FILTER (WHERE state = 'reserved') AS waiting FROM channels.deliveries"
        " WHERE person = ANY(%s)",
        (list(people),),
    )
    one = await got.fetchone()
    return (int(one["n"]), int(one["waiting"])) if one else (0, 0)


async def carried(conn: Conn, people: Sequence[PersonId], connector: str) -> bool:
    """Whether a message for these people was handed to this connector."""
    got = await conn.execute(
        "SELECT 1 FROM channels.deliveries WHERE person = ANY(%s) AND connector = %s LIMIT 1", (list(people), connector)
    )
    return await got.fetchone() is not None


async def states(conn: Conn) -> dict[str, int]:
    """Deliveries by state, for reports."""
    got = await conn.execute("SELECT state, count(*) AS n FROM channels.deliveries GROUP BY state")
    return {str(one["state"]): int(one["n"]) for one in await got.fetchall()}


async def open_states(conn: Conn) -> dict[tuple[str, str], int]:
    """Deliveries that are not finished, by channel and state."""
    got = await conn.execute(
        "SELECT channel, state, count(*) AS n FROM channels.deliveries "
        "WHERE state IN ('reserved', 'intent', 'uncertain', 'deferred') GROUP BY channel, state"
    )
    return {(str(one["channel"]), str(one["state"])): int(one["n"]) for one in await got.fetchall()}


async def oldest_due(conn: Conn) -> datetime | None:
    """When the delivery was due that waits longest for a worker."""
    got = await conn.execute("SELECT min(deliver_after) AS due FROM channels.deliveries WHERE state = 'reserved'")
    one = await got.fetchone()
    return None if one is None else one["due"]


async def blank(conn: Conn, ids: Sequence[DeliveryId]) -> None:
    """Remove sealed contents."""
    await conn.execute("UPDATE channels.deliveries SET content = NULL WHERE delivery_id = ANY(%s)", (list(ids),))


async def lock_contacts(conn: Conn, hashes: Sequence[bytes], *, shared: bool) -> None:
    """Hold the suppression of these contact points still until the end of the transaction (shared) or change it (not shared)."""
    keys = sorted({int.from_bytes(one[:8], "big", signed=True) for one in hashes})
    name = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
    if keys:
        await conn.execute(f"SELECT {name}(k) FROM (SELECT unnest(%s::bigint[]) AS k ORDER BY 1) AS x", (keys,))


async def suppress(
    conn: Conn, entries: Sequence[tuple[bytes, str, str]], *, actor: str, now: datetime
) -> set[tuple[bytes, str]]:
    """Add (hash, channel, reason); answers those that were not there before."""
    added: set[tuple[bytes, str]] = set()
    for hash_, channel, reason in entries:
        got = await conn.execute(
            "INSERT INTO channels.suppressions (hash, channel, reason, actor, since) VALUES (%s, %s, %s, %s, %s) "
            "ON CONFLICT (hash, channel) DO NOTHING RETURNING 1",
            (hash_, channel, reason, actor, now),
        )
        if await got.fetchone() is not None:
            added.add((hash_, channel))
    return added


async def lift(conn: Conn, hashes: Sequence[bytes], channel: str) -> int:
    """Remove suppressions; the number removed."""
    got = await conn.execute(
        "DELETE FROM channels.suppressions WHERE hash = ANY(%s) AND channel = %s", (list(hashes), channel)
    )
    return got.rowcount


async def any_suppressed(conn: Conn) -> bool:
    """Whether there is any suppression at all."""
    got = await conn.execute("SELECT EXISTS (SELECT FROM channels.suppressions) AS found")
    one = await got.fetchone()
    return one is not None and bool(one["found"])


async def suppressions(conn: Conn, hashes: Sequence[bytes]) -> dict[bytes, dict[str, str]]:
    """Suppressed channels and reasons by hash; channel `*` is every channel."""
    got = await conn.execute(
        "SELECT hash, channel, reason FROM channels.suppressions WHERE hash = ANY(%s)", (list(hashes),)
    )
    found: dict[bytes, dict[str, str]] = {}
    for one in await got.fetchall():
        found.setdefault(bytes(one["hash"]), {})[one["channel"]] = one["reason"]
    return found


def _values(one: Delivery) -> tuple[Any, ...]:
    return (
        one.delivery_id, one.decision_id, one.person, one.identifier_id, one.channel, one.purpose, one.state, one.key_id, one.deliver_after,
        one.expires_at, one.reserved_at, one.changed_at, one.generation, one.attempts, list(one.cap_keys), one.connector, one.provider_id,
        one.reason,
    )  # fmt: skip


def delivery_of(one: Mapping[str, Any]) -> Delivery:
    """A row as the noun."""
    return Delivery(
        delivery_id=DeliveryId(one["delivery_id"]),
        decision_id=DecisionId(one["decision_id"]),
        person=PersonId(one["person"]),
        identifier_id=IdentifierId(one["identifier_id"]),
        channel=one["channel"],
        purpose=one["purpose"],
        state=State(one["state"]),
        key_id=KeyId(one["key_id"]),
        deliver_after=one["deliver_after"],
        expires_at=one["expires_at"],
        reserved_at=one["reserved_at"],
        changed_at=one["changed_at"],
        generation=int(one["generation"]),
        attempts=int(one["attempts"]),
        cap_keys=tuple(one["cap_keys"]),
        connector=one["connector"],
        provider_id=one["provider_id"],
        reason=one["reason"],
    )
