"""All SQL of push: signing keys, subscriptions. Secrets are sealed before they come here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from kernel.db import Conn
from kernel.ids import IdentifierId, KeyId, RecordId

_LOCK: Final = 0x7661706964  # "vapid": one maker of keys at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """A signing key as it lies there; `live` counts the subscriptions made under it."""

    vapid_id: str
    public: str
    key_id: KeyId
    private: bytes
    made_at: datetime
    live: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionRow:
    """A subscription as it lies there. `record_id` is the record of whoever registered it last: it serves nobody else."""

    identifier_id: IdentifierId
    record_id: RecordId
    key_id: KeyId
    vapid_id: str
    secrets: bytes
    version: int
    registered_at: datetime
    seen_at: datetime


async def lock_keys(conn: Conn) -> None:
    """Be the only one who makes or retires signing keys until this transaction ends."""
    await conn.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))


async def vapid_keys(conn: Conn) -> list[KeyRow]:
    """Every signing key, oldest first: the last one is current."""
    got = await conn.execute(
        "SELECT k.vapid_id, k.public, k.key_id, k.private, k.made_at,"
        " (SELECT count(*) FROM channels.push_subscriptions s WHERE s.vapid_id = k.vapid_id) AS live"
        " FROM channels.vapid_keys k ORDER BY k.vapid_id"
    )
    return [KeyRow(**{**row, "private": bytes(row["private"])}) for row in await got.fetchall()]


async def vapid_key(conn: Conn, vapid_id: str) -> KeyRow | None:
    """One signing key, without its count."""
    got = await conn.execute(
        "SELECT vapid_id, public, key_id, private, made_at FROM channels.vapid_keys WHERE vapid_id = %s", (vapid_id,)
    )
    row = await got.fetchone()
    return None if row is None else KeyRow(**{**row, "private": bytes(row["private"])})


async def add_vapid_key(conn: Conn, row: KeyRow) -> None:
    """Keep a new key."""
    await conn.execute(
        "INSERT INTO channels.vapid_keys (vapid_id, public, key_id, private, made_at) VALUES (%s, %s, %s, %s, %s)",
        (row.vapid_id, row.public, row.key_id, row.private, row.made_at),
    )


async def remove_vapid_key(conn: Conn, vapid_id: str) -> bool:
    """Forget a key that no subscription was made under; False when one was."""
    got = await conn.execute(
        "DELETE FROM channels.vapid_keys k WHERE k.vapid_id = %(id)s"
        " AND NOT EXISTS (SELECT FROM channels.push_subscriptions s WHERE s.vapid_id = %(id)s)",
        {"id": vapid_id},
    )
    return got.rowcount == 1


async def subscriptions(
    conn: Conn, ids: Sequence[IdentifierId], *, lock: bool = False
) -> dict[IdentifierId, SubscriptionRow]:
    """The living subscriptions among these contacts; `lock` holds them until this transaction ends."""
    got = await conn.execute(
        "SELECT identifier_id, record_id, key_id, vapid_id, secrets, version, registered_at, seen_at"
        f" FROM channels.push_subscriptions WHERE identifier_id = ANY(%s) ORDER BY identifier_id{' FOR UPDATE' if lock else ''}",
        (list(ids),),
    )
    return {
        row["identifier_id"]: SubscriptionRow(**{**row, "secrets": bytes(row["secrets"])})
        for row in await got.fetchall()
    }


async def put_subscription(conn: Conn, row: SubscriptionRow) -> None:
    """Keep it; one that was there is renewed, with a higher version."""
    await conn.execute(
        "INSERT INTO channels.push_subscriptions AS held"
        " (identifier_id, record_id, key_id, vapid_id, secrets, version, registered_at, seen_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (identifier_id) DO UPDATE SET record_id = EXCLUDED.record_id,"
        " key_id = EXCLUDED.key_id, vapid_id = EXCLUDED.vapid_id, secrets = EXCLUDED.secrets, version = held.version + 1,"
        " seen_at = EXCLUDED.seen_at",
        (
            row.identifier_id,
            row.record_id,
            row.key_id,
            row.vapid_id,
            row.secrets,
            row.version,
            row.registered_at,
            row.seen_at,
        ),
    )


async def seen(conn: Conn, identifier: IdentifierId, at: datetime) -> None:
    """The browser told of it again; nothing else changed."""
    await conn.execute("UPDATE channels.push_subscriptions SET seen_at = %s WHERE identifier_id = %s", (at, identifier))


async def drop(conn: Conn, identifier: IdentifierId, version: int | None = None) -> SubscriptionRow | None:
    """Remove a subscription, with `version` only that very one; what was removed."""
    got = await conn.execute(
        "DELETE FROM channels.push_subscriptions WHERE identifier_id = %s AND (%s::bigint IS NULL OR version = %s)"
        " RETURNING identifier_id, record_id, key_id, vapid_id, secrets, version, registered_at, seen_at",
        (identifier, version, version),
    )
    row = await got.fetchone()
    return None if row is None else SubscriptionRow(**{**row, "secrets": bytes(row["secrets"])})


async def of_records(conn: Conn, records: Sequence[RecordId]) -> list[SubscriptionRow]:
    """The living subscriptions that these records registered."""
    got = await conn.execute(
        "SELECT identifier_id, record_id, key_id, vapid_id, secrets, version, registered_at, seen_at"
        " FROM channels.push_subscriptions WHERE record_id = ANY(%s) ORDER BY identifier_id",
        (list(records),),
    )
    return [SubscriptionRow(**{**row, "secrets": bytes(row["secrets"])}) for row in await got.fetchall()]


async def refused_since(conn: Conn, reason: str, since: datetime) -> int:
    """How many pushes were rejected for this reason since then."""
    got = await conn.execute(
        "SELECT count(*) AS n FROM channels.deliveries"
        " WHERE channel = 'push' AND state = 'rejected' AND reason = %s AND changed_at >= %s",
        (reason, since),
    )
    row = await got.fetchone()
    return 0 if row is None else int(row["n"])
