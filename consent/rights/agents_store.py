"""All SQL on agents. Contract: as in ``requests_store.py``; a token is kept as a keyed hash."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kernel.db import Conn
from kernel.ids import RequestId


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


async def keep(conn: Conn, agent: str, named: str, request: RequestId) -> None:
    """Remember it."""
    await conn.execute(
        "INSERT INTO consent.agent_requests (agent, named, request) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        (agent, named, request),
    )


async def owns(conn: Conn, agent: str, request: RequestId) -> bool:
    """Whether it asked for this."""
    got = await conn.execute("SELECT 1 FROM consent.agent_requests WHERE agent = %s AND request = %s", (agent, request))
    return await got.fetchone() is not None


def _agent(row: Any) -> Agent:
    return Agent(row["id"], row["name"], bytes(row["public_key"]), row["added_by"], row["added_at"])
