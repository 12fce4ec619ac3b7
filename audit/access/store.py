"""SQL of keys, staff and sessions. Takes the caller's connection; commits nothing. Absent things are None."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from audit.access.principal import ApiKey, Scope, Staff
from kernel.db import Conn

_COLUMNS: Final = (
    "api_key_id, hint, name, scopes, source, origin, created_by, created_at, expires_at, revoked_at, last_used_at"
)
_KEY: Final = f"SELECT {_COLUMNS} FROM audit.api_keys "
_BY_HASH: Final = f"SELECT secret_hash, {_COLUMNS} FROM audit.api_keys WHERE secret_hash = ANY(%b)"
_STAFF: Final = (
    "SELECT staff_id, name, password_hash, scopes, created_at, removed_at, failures, locked_until FROM audit.staff "
)


@dataclass(frozen=True, slots=True)
class Login:
    """A staff actor with what a login needs."""

    staff: Staff
    password_hash: str
    failures: int
    locked_until: datetime | None


async def add_key(conn: Conn, key: ApiKey, secret_hash: bytes) -> None:
    """Write a new key."""
    await conn.execute(
        "INSERT INTO audit.api_keys (api_key_id, secret_hash, hint, name, scopes, source, origin, created_by, created_at, "
        "expires_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            key.api_key_id, secret_hash, key.hint, key.name, sorted(key.scopes), key.source, key.origin, key.created_by,
            key.created_at, key.expires_at,
        ),
    )  # fmt: skip


async def keys_by_hash(conn: Conn, hashes: Sequence[bytes]) -> dict[bytes, ApiKey]:
    """The keys with these secrets."""
    rows = await (await conn.execute(_BY_HASH, (list(hashes),))).fetchall()
    hashed = {bytes(row.pop("secret_hash")): _key(row) for row in rows}
    return {name: key for name, key in hashed.items() if key is not None}


async def key(conn: Conn, api_key_id: str) -> ApiKey | None:
    """The key with this id."""
    return _key(await (await conn.execute(_KEY + "WHERE api_key_id = %s", (api_key_id,))).fetchone())


async def keys(conn: Conn) -> list[ApiKey]:
    """Every key, oldest first."""
    rows = await (await conn.execute(_KEY + "ORDER BY api_key_id")).fetchall()
    return [found for row in rows if (found := _key(row)) is not None]


async def revoke_key(conn: Conn, api_key_id: str, at: datetime) -> bool:
    """Revoke; False when there was nothing to revoke."""
    cursor = await conn.execute(
        "UPDATE audit.api_keys SET revoked_at = %s WHERE api_key_id = %s AND revoked_at IS NULL", (at, api_key_id)
    )
    return cursor.rowcount == 1


async def expire_key(conn: Conn, api_key_id: str, at: datetime) -> None:
    """Let a key end at `at`, unless it ends before."""
    await conn.execute(
        "UPDATE audit.api_keys SET expires_at = least(coalesce(expires_at, %s), %s) WHERE api_key_id = %s",
        (at, at, api_key_id),
    )


async def touch_keys(conn: Conn, api_key_ids: Sequence[str], at: datetime) -> None:
    """Note that keys were used."""
    await conn.execute(
        "UPDATE audit.api_keys SET last_used_at = %s WHERE api_key_id = ANY(%s)", (at, list(api_key_ids))
    )


async def add_staff(conn: Conn, staff: Staff, password_hash: str) -> bool:
    """Write a new staff actor; False when the name is taken."""
    cursor = await conn.execute(
        "INSERT INTO audit.staff (staff_id, name, password_hash, scopes, created_at) VALUES (%s, %s, %s, %s, %s) "
        "ON CONFLICT (name) DO NOTHING",
        (staff.staff_id, staff.name, password_hash, sorted(staff.scopes), staff.created_at),
    )
    return cursor.rowcount == 1


async def login(conn: Conn, name: str) -> Login | None:
    """The staff actor of this name, locked against a second login at the same moment."""
    row = await (await conn.execute(_STAFF + "WHERE name = %s FOR UPDATE", (name,))).fetchone()
    return None if row is None else Login(_staff(row), row["password_hash"], row["failures"], row["locked_until"])


async def staff(conn: Conn) -> list[Staff]:
    """Every staff actor, oldest first."""
    return [_staff(row) for row in await (await conn.execute(_STAFF + "ORDER BY staff_id")).fetchall()]


async def remove_staff(conn: Conn, staff_id: str, at: datetime) -> bool:
    """Remove and end every session; False when there was nobody to remove."""
    cursor = await conn.execute(
        "UPDATE audit.staff SET removed_at = %s WHERE staff_id = %s AND removed_at IS NULL", (at, staff_id)
    )
    await conn.execute(
        "UPDATE audit.sessions SET ended_at = %s WHERE staff_id = %s AND ended_at IS NULL", (at, staff_id)
    )
    return cursor.rowcount == 1


async def note_login(conn: Conn, staff_id: str, failures: int, locked_until: datetime | None) -> None:
    """Remember how a login ended."""
    await conn.execute(
        "UPDATE audit.staff SET failures = %s, locked_until = %s WHERE staff_id = %s",
        (failures, locked_until, staff_id),
    )


async def add_session(conn: Conn, token_hash: bytes, staff_id: str, at: datetime, expires_at: datetime) -> None:
    """Write a session."""
    await conn.execute(
        "INSERT INTO audit.sessions (token_hash, staff_id, created_at, expires_at) VALUES (%s, %s, %s, %s)",
        (token_hash, staff_id, at, expires_at),
    )


async def session(conn: Conn, token_hash: bytes) -> tuple[Staff, datetime, datetime] | None:
    """The staff actor of a session that has not been ended, when it began and when its token expires."""
    cursor = await conn.execute(
        "SELECT st.staff_id, st.name, st.scopes, st.created_at, st.removed_at, se.created_at AS since, se.expires_at "
        "FROM audit.sessions se JOIN audit.staff st USING (staff_id) "
        "WHERE se.token_hash = %s AND se.ended_at IS NULL AND st.removed_at IS NULL",
        (token_hash,),
    )
    row = await cursor.fetchone()
    return None if row is None else (_staff(row), row["since"], row["expires_at"])


async def shorten_session(conn: Conn, token_hash: bytes, expires_at: datetime) -> bool:
    """Let a living session's token end no later than this; False when there was none, or it ends sooner anyway."""
    cursor = await conn.execute(
        "UPDATE audit.sessions SET expires_at = %s WHERE token_hash = %s AND ended_at IS NULL AND expires_at > %s",
        (expires_at, token_hash, expires_at),
    )
    return cursor.rowcount == 1


async def end_session(conn: Conn, token_hash: bytes, at: datetime) -> None:
    """End a session: every token that it had since the login."""
    await conn.execute(
        "UPDATE audit.sessions AS se SET ended_at = %s FROM audit.sessions AS one WHERE one.token_hash = %s "
        "AND (se.staff_id, se.created_at) = (one.staff_id, one.created_at) AND se.ended_at IS NULL",
        (at, token_hash),
    )


def _key(row: dict[str, Any] | None) -> ApiKey | None:
    return None if row is None else ApiKey(**{**row, "scopes": frozenset(map(Scope, row["scopes"]))})


def _staff(row: dict[str, Any]) -> Staff:
    return Staff(
        row["staff_id"], row["name"], frozenset(map(Scope, row["scopes"])), row["created_at"], row["removed_at"]
    )
