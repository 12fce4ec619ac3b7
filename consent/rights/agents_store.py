"""All SQL on agents. Contract: as in ``requests_store.py``; a token is kept as a keyed hash."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kernel.db import Conn
from kernel.ids import KeyId, RequestId


@dataclass(frozen=True, slots=True)
class Agent:
    """Somebody who asks on behalf of people."""

    id: str
    name: str
    public_key: bytes
    added_by: str
    added_at: datetime


async def add(conn: Conn, one: Agent, token_hash: bytes) -> None:
    """Note it; one of the same id gets a new key and token."""
    await conn.execute(
        "INSERT INTO consent.agents (id, name, public_key, token_hash, added_by, added_at) VALUES (%s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (id) DO UPDATE SET name = excluded.name, public_key = excluded.public_key, token_hash = excluded.token_hash,"
        " removed_at = NULL",
        (one.id, one.name, one.public_key, token_hash, one.added_by, one.added_at),
    )


async def remove(conn: Conn, name: str, at: datetime) -> bool:
    """It may not ask any more."""
    got = await conn.execute(
        "UPDATE consent.agents SET removed_at = %s WHERE id = %s AND removed_at IS NULL", (at, name)
    )
    return got.rowcount == 1


async def listed(conn: Conn) -> list[Agent]:
    """By id."""
    got = await conn.execute("SELECT * FROM consent.agents WHERE removed_at IS NULL ORDER BY id")
    return [_agent(row) async for row in got]


async def by_token(conn: Conn, token_hash: bytes) -> Agent | None:
    """Whose token it is."""
    got = await conn.execute("SELECT * FROM consent.agents WHERE token_hash = %s AND removed_at IS NULL", (token_hash,))
    row = await got.fetchone()
    return None if row is None else _agent(row)


async def known(conn: Conn, agent: str, named: str) -> RequestId | None:
    """The request that an asking became; two of the same asking take turns."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 6))", (f"{agent}|{named}",))
    got = await conn.execute(
        "SELECT request FROM consent.agent_requests WHERE agent = %s AND named = %s", (agent, named)
    )
    row = await got.fetchone()
    return None if row is None else RequestId(row["request"])


async def keep(
    conn: Conn, agent: str, named: str, request: RequestId, callback: tuple[bytes, KeyId] | None, at: datetime
) -> None:
    """Remember it, and where the agent wants to hear of it (sealed, and the key)."""
    sealed, key_id = callback if callback is not None else (None, None)
    await conn.execute(
        "INSERT INTO consent.agent_requests (agent, named, request, callback, key_id, next_at)"
        " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (agent, named, request, sealed, key_id, at if sealed is not None else None),
    )


async def named(conn: Conn, agent: str, request: RequestId) -> str | None:
    """What the agent calls it, the last name it gave."""
    got = await conn.execute(
        "SELECT named FROM consent.agent_requests WHERE agent = %s AND request = %s ORDER BY named DESC LIMIT 1",
        (agent, request),
    )
    row = await got.fetchone()
    return None if row is None else str(row["named"])


@dataclass(frozen=True, slots=True)
class Waiting:
    """An agent that has not heard how its request stands. ``stands``: what it would hear, as a digest."""

    agent: str
    named: str
    request: RequestId
    callback: bytes
    key_id: KeyId
    stands: str
    attempts: int
    closed_at: datetime | None


async def claim(conn: Conn, at: datetime, until: datetime, limit: int) -> list[Waiting]:
    """Those whose next try is due and who have something to hear; nobody else takes them before ``until``."""
    got = await conn.execute(
        "WITH due AS (SELECT a.agent, a.named, md5(concat_ws('|', r.state, r.reason, r.due_on, r.response)) AS stands, r.closed_at"
        " FROM consent.agent_requests a JOIN consent.requests r ON r.id = a.request WHERE a.next_at <= %s"
        " AND a.told IS DISTINCT FROM md5(concat_ws('|', r.state, r.reason, r.due_on, r.response))"
        " ORDER BY a.next_at LIMIT %s FOR UPDATE OF a SKIP LOCKED)"
        " UPDATE consent.agent_requests a SET next_at = %s FROM due WHERE a.agent = due.agent AND a.named = due.named"
        " RETURNING a.agent, a.named, a.request, a.callback, a.key_id, due.stands, a.attempts, due.closed_at",
        (at, limit, until),
    )
    return [
        Waiting(
            row["agent"], row["named"], RequestId(row["request"]), bytes(row["callback"]), KeyId(row["key_id"]), row["stands"],
            row["attempts"], row["closed_at"],
        )
        async for row in got
    ]  # fmt: skip


async def told(conn: Conn, one: Waiting, at: datetime) -> None:
    """It heard."""
    await conn.execute(
        "UPDATE consent.agent_requests SET told = %s, attempts = 0, next_at = %s, fault = NULL WHERE agent = %s AND named = %s",
        (one.stands, at, one.agent, one.named),
    )


async def not_told(conn: Conn, one: Waiting, fault: str, next_at: datetime) -> None:
    """It did not; again later."""
    await conn.execute(
        "UPDATE consent.agent_requests SET attempts = attempts + 1, next_at = %s, fault = %s WHERE agent = %s AND named = %s",
        (next_at, fault, one.agent, one.named),
    )


async def end(conn: Conn, one: Waiting, fault: str | None) -> None:
    """Nothing more will be told: the address goes."""
    await conn.execute(
        "UPDATE consent.agent_requests SET callback = NULL, key_id = NULL, next_at = NULL, fault = %s, told = %s"
        " WHERE agent = %s AND named = %s",
        (fault, one.stands, one.agent, one.named),
    )


async def owns(conn: Conn, agent: str, request: RequestId) -> bool:
    """Whether it asked for this."""
    got = await conn.execute("SELECT 1 FROM consent.agent_requests WHERE agent = %s AND request = %s", (agent, request))
    return await got.fetchone() is not None


def _agent(row: Any) -> Agent:
    return Agent(row["id"], row["name"], bytes(row["public_key"]), row["added_by"], row["added_at"])
