"""All SQL on subject requests.

Contract: every function runs in the caller's transaction. ``claim`` holds the row until it ends, so two runs of one request
take turns. Rows hold ids, states, counts and times; a plan holds key ids, never words.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import orjson

from consent.lifecycle import FINAL, Request, Right, State
from kernel.db import Conn
from kernel.ids import KeyId, PersonId, RequestId

_COLUMNS: Final = (
    "id, right_asked, person, regime, state, reason, opened_by, approved_by, suppress, received_at, due_on, approved_at,"
    " closed_at, counts"
)


async def insert(conn: Conn, request: Request, *, idempotency_key: str | None, fingerprint: str | None) -> None:
    """Open a request."""
    await conn.execute(
        "INSERT INTO consent.requests (id, right_asked, person, regime, state, opened_by, suppress, received_at, due_on,"
        " idempotency_key, fingerprint) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            request.id, request.right, request.person, request.regime, request.state, request.opened_by,
            request.suppress, request.received_at, request.due_on, idempotency_key, fingerprint,
        ),
    )  # fmt: skip


async def lock_opening(conn: Conn, name: str) -> None:
    """Until the transaction ends nobody else opens under this name (a person, an idempotency key)."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 5))", (name,))


async def by_idempotency_key(conn: Conn, key: str) -> tuple[Request, str] | None:
    """The request opened under this key, and the fingerprint of its content."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS}, fingerprint FROM consent.requests WHERE idempotency_key = %s", (key,)
    )
    row = await cursor.fetchone()
    return None if row is None else (_request(row), row["fingerprint"])


async def open_twin(conn: Conn, person: PersonId, right: Right) -> Request | None:
    """The person's request for the same right that is not closed yet."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM consent.requests WHERE person = %s AND right_asked = %s AND closed_at IS NULL"
        " ORDER BY id LIMIT 1",
        (person, right),
    )
    row = await cursor.fetchone()
    return None if row is None else _request(row)


async def get(conn: Conn, request_id: RequestId, *, claim: bool = False) -> Request | None:
    """One request; claimed: held until the transaction ends."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM consent.requests WHERE id = %s{' FOR UPDATE' if claim else ''}", (request_id,)
    )
    row = await cursor.fetchone()
    return None if row is None else _request(row)


async def find(conn: Conn, *, state: State | None, person: PersonId | None, after: str, limit: int) -> list[Request]:
    """Requests in order of opening, after the one named."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM consent.requests WHERE id > %s AND (%s::text IS NULL OR state = %s)"
        " AND (%s::text IS NULL OR person = %s) ORDER BY id LIMIT %s",
        (after, state, state, person, person, limit),
    )
    return [_request(row) async for row in cursor]


async def approve(conn: Conn, request_id: RequestId, state: State, actor: str, at: datetime) -> None:
    """Note who approved."""
    await conn.execute(
        "UPDATE consent.requests SET state = %s, approved_by = %s, approved_at = %s WHERE id = %s",
        (state, actor, at, request_id),
    )


async def close(
    conn: Conn,
    request_id: RequestId,
    state: State,
    at: datetime,
    *,
    reason: str | None,
    counts: Mapping[str, int] | None,
) -> None:
    """Bring a request to its end; the plan is not needed any more."""
    assert state in FINAL
    await conn.execute(
        "UPDATE consent.requests SET state = %s, closed_at = %s, reason = %s, counts = coalesce(%s, counts), plan = NULL"
        " WHERE id = %s",
        (state, at, reason, orjson.dumps(dict(counts)).decode() if counts is not None else None, request_id),
    )


async def plan(conn: Conn, request_id: RequestId) -> list[KeyId]:
    """The keys that an erasure under way must destroy."""
    cursor = await conn.execute("SELECT plan FROM consent.requests WHERE id = %s", (request_id,))
    row = await cursor.fetchone()
    return [] if row is None or row["plan"] is None else [KeyId(key) for key in row["plan"]["keys"]]


async def set_plan(conn: Conn, request_id: RequestId, keys: Sequence[KeyId], counts: Mapping[str, int] | None) -> None:
    """Note the keys to destroy, and what the rooms erased once they have."""
    await conn.execute(
        "UPDATE consent.requests SET plan = %s, counts = %s WHERE id = %s",
        (
            orjson.dumps({"keys": list(keys)}).decode(),
            orjson.dumps(dict(counts)).decode() if counts is not None else None,
            request_id,
        ),
    )


async def broken_off(conn: Conn) -> list[RequestId]:
    """Erasures whose rows are gone and whose keys are still to be destroyed."""
    cursor = await conn.execute(
        "SELECT id FROM consent.requests WHERE closed_at IS NULL AND plan IS NOT NULL AND counts IS NOT NULL ORDER BY id"
    )
    return [RequestId(row["id"]) async for row in cursor]


async def fulfilled(conn: Conn, ids: Sequence[str]) -> dict[str, PersonId]:
    """Whom each of these erasures was about, of those that are done."""
    cursor = await conn.execute(
        "SELECT id, person FROM consent.requests WHERE id = ANY(%s) AND state = %s", (list(ids), State.FULFILLED)
    )
    return {row["id"]: PersonId(row["person"]) async for row in cursor}


def _request(row: Mapping[str, Any]) -> Request:
    return Request(
        id=row["id"],
        right=Right(row["right_asked"]),
        person=row["person"],
        regime=row["regime"],
        state=State(row["state"]),
        reason=row["reason"],
        opened_by=row["opened_by"],
        approved_by=row["approved_by"],
        suppress=row["suppress"],
        received_at=row["received_at"],
        due_on=row["due_on"],
        approved_at=row["approved_at"],
        closed_at=row["closed_at"],
        counts=row["counts"],
    )
