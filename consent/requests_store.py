"""All SQL on subject requests.

Contract: every function runs in the caller's transaction. ``claim`` holds the row until it ends, so two runs of one request
take turns. Rows hold ids, states, counts and times; a plan holds key ids, never words.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

import orjson

from consent.lifecycle import FINAL, Request, Right, State, Verdict
from kernel.db import Conn
from kernel.ids import IdentifierId, KeyId, PersonId, RequestId

_COLUMNS: Final = (
    "id, right_asked, person, regime, state, reason, opened_by, approved_by, suppress, received_at, due_on, approved_at,"
    " closed_at, counts, manner, agent, seeds, about, check_method, check_passed, check_evidence, check_by, check_at, confirmed_at,"
    " first_due_on, extended_at, extension_reason, alarmed, reach, response"
)


async def insert(
    conn: Conn,
    request: Request,
    *,
    idempotency_key: str | None,
    fingerprint: str | None,
    words: bytes | None = None,
    words_key: KeyId | None = None,
) -> None:
    """Open a request."""
    await conn.execute(
        "INSERT INTO consent.requests (id, right_asked, person, regime, state, opened_by, suppress, received_at, due_on,"
        " idempotency_key, fingerprint, manner, agent, seeds, about, first_due_on, words, words_key)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            request.id, request.right, request.person, request.regime, request.state, request.opened_by,
            request.suppress, request.received_at, request.due_on, idempotency_key, fingerprint, request.manner,
            request.agent, list(request.seeds), _json(request.about), request.due_on, words, words_key,
        ),
    )  # fmt: skip
    if request.verdict is not None:
        await set_verdict(conn, request.id, request.state, None, request.verdict)


async def add_repeat(conn: Conn, request_id: RequestId, manner: str, actor: str, at: datetime) -> None:
    """The same was asked for once more."""
    await conn.execute(
        "INSERT INTO consent.repeats (request, asked_at, manner, actor) VALUES (%s, %s, %s, %s)",
        (request_id, at, manner, actor),
    )


async def repeats(conn: Conn, request_id: RequestId) -> list[tuple[datetime, str, str]]:
    """When, how and by whom it was asked for again."""
    cursor = await conn.execute(
        "SELECT asked_at, manner, actor FROM consent.repeats WHERE request = %s ORDER BY asked_at", (request_id,)
    )
    return [(row["asked_at"], row["manner"], row["actor"]) async for row in cursor]


async def words(conn: Conn, request_id: RequestId) -> tuple[bytes, KeyId] | None:
    """What she wants corrected, sealed, and the key."""
    cursor = await conn.execute(
        "SELECT words, words_key FROM consent.requests WHERE id = %s AND words IS NOT NULL", (request_id,)
    )
    row = await cursor.fetchone()
    return None if row is None else (bytes(row["words"]), KeyId(row["words_key"]))


async def drop_words(conn: Conn, people: Sequence[PersonId]) -> list[KeyId]:
    """Blank the sealed words of these people's requests; the keys they were under."""
    cursor = await conn.execute(
        "UPDATE consent.requests r SET words = NULL, words_key = NULL FROM consent.requests o"
        " WHERE o.id = r.id AND r.person = ANY(%s) AND r.words_key IS NOT NULL RETURNING o.words_key",
        (list(people),),
    )
    return [KeyId(row["words_key"]) async for row in cursor]


async def drop_words_of(conn: Conn, request_id: RequestId) -> list[KeyId]:
    """Blank the sealed words of one request; the key they were under."""
    cursor = await conn.execute(
        "UPDATE consent.requests r SET words = NULL, words_key = NULL FROM consent.requests o"
        " WHERE o.id = r.id AND r.id = %s AND r.words_key IS NOT NULL RETURNING o.words_key",
        (request_id,),
    )
    return [KeyId(row["words_key"]) async for row in cursor]


async def drop_remarks(conn: Conn, people: Sequence[PersonId]) -> None:
    """Blank what staff wrote about these people's requests."""
    await conn.execute(
        "UPDATE consent.requests SET extension_reason = '' WHERE person = ANY(%s) AND extension_reason <> ''",
        (list(people),),
    )


async def set_verdict(conn: Conn, request_id: RequestId, state: State, reason: str | None, verdict: Verdict) -> None:
    """Note what came of the identity check."""
    await conn.execute(
        "UPDATE consent.requests SET state = %s, reason = %s, check_method = %s, check_passed = %s, check_evidence = %s,"
        " check_by = %s, check_at = %s WHERE id = %s",
        (state, reason, verdict.method, verdict.passed, verdict.evidence, verdict.by, verdict.at, request_id),
    )


async def set_state(conn: Conn, request_id: RequestId, state: State, reason: str | None) -> None:
    """Move it; an approval does not outlive going back to open."""
    await conn.execute(
        "UPDATE consent.requests SET state = %(s)s, reason = %(r)s,"
        " approved_by = CASE WHEN %(s)s = 'open' THEN NULL ELSE approved_by END,"
        " approved_at = CASE WHEN %(s)s = 'open' THEN NULL ELSE approved_at END WHERE id = %(id)s",
        {"s": state, "r": reason, "id": request_id},
    )


async def confirm(conn: Conn, request_id: RequestId, at: datetime) -> None:
    """The person was told that it came in; the first time counts."""
    await conn.execute(
        "UPDATE consent.requests SET confirmed_at = coalesce(confirmed_at, %s) WHERE id = %s", (at, request_id)
    )


async def extend(conn: Conn, request_id: RequestId, due_on: date, reason: str, at: datetime) -> None:
    """A later due date; the alarms of its clock begin anew."""
    await conn.execute(
        "UPDATE consent.requests SET due_on = %s, extension_reason = %s, extended_at = %s, alarmed = 0 WHERE id = %s",
        (due_on, reason, at, request_id),
    )


async def ticking(conn: Conn) -> list[Request]:
    """Every request that is not closed, oldest first, held until the transaction ends."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM consent.requests WHERE closed_at IS NULL ORDER BY id FOR UPDATE SKIP LOCKED"
    )
    return [_request(row) async for row in cursor]


async def set_alarm(conn: Conn, request_id: RequestId, percent: int) -> None:
    """Note the last alarm."""
    await conn.execute("UPDATE consent.requests SET alarmed = %s WHERE id = %s", (percent, request_id))


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


async def open_twin(conn: Conn, names: Sequence[PersonId], right: Right, about: Mapping[str, str]) -> Request | None:
    """The request for the same right about the same, under any of a person's ids, that is not closed yet; held until the transaction ends."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM consent.requests WHERE person = ANY(%s) AND right_asked = %s AND about = %s::jsonb"
        " AND closed_at IS NULL ORDER BY id LIMIT 1 FOR UPDATE",
        (list(names), right, _json(about)),
    )
    row = await cursor.fetchone()
    return None if row is None else _request(row)


async def set_suppress(conn: Conn, request_id: RequestId) -> None:
    """Keep the contacts silent after the erasure."""
    await conn.execute("UPDATE consent.requests SET suppress = true WHERE id = %s", (request_id,))


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


async def approve(
    conn: Conn, request_id: RequestId, state: State, actor: str, at: datetime, reach: Mapping[str, Sequence[str]]
) -> None:
    """Note who approved, and whom and what the approval was about."""
    await conn.execute(
        "UPDATE consent.requests SET state = %s, reason = NULL, approved_by = %s, approved_at = %s, reach = %s WHERE id = %s",
        (state, actor, at, _json(reach), request_id),
    )


async def close(
    conn: Conn,
    request_id: RequestId,
    state: State,
    at: datetime,
    *,
    reason: str | None,
    counts: Mapping[str, int] | None,
    response: str,
) -> None:
    """Bring a request to its end; the plan is not needed any more."""
    assert state in FINAL
    await conn.execute(
        "UPDATE consent.requests SET state = %s, closed_at = %s, reason = %s, counts = coalesce(%s, counts), plan = NULL,"
        " response = %s WHERE id = %s",
        (state, at, reason, _json(counts) if counts is not None else None, response, request_id),
    )


async def plan(conn: Conn, request_id: RequestId) -> list[KeyId]:
    """The keys that an erasure under way must destroy."""
    cursor = await conn.execute("SELECT plan FROM consent.requests WHERE id = %s", (request_id,))
    row = await cursor.fetchone()
    return [] if row is None or row["plan"] is None else [KeyId(key) for key in row["plan"]["keys"]]


async def set_plan(
    conn: Conn, request_id: RequestId, person: PersonId, keys: Sequence[KeyId], counts: Mapping[str, int]
) -> None:
    """Note who was erased, the keys to destroy, and what the rooms erased."""
    await conn.execute(
        "UPDATE consent.requests SET person = %s, plan = %s, counts = %s WHERE id = %s",
        (person, _json({"keys": list(keys)}), _json(counts), request_id),
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
        manner=row["manner"],
        agent=row["agent"],
        seeds=tuple(IdentifierId(one) for one in row["seeds"]),
        about=row["about"],
        verdict=None
        if row["check_method"] is None
        else Verdict(row["check_method"], row["check_passed"], row["check_by"], row["check_at"], row["check_evidence"]),
        confirmed_at=row["confirmed_at"],
        first_due_on=row["first_due_on"],
        extended_at=row["extended_at"],
        extension_reason=row["extension_reason"],
        alarmed=row["alarmed"],
        reach=row["reach"],
        response=row["response"],
    )


def _json(value: Mapping[str, object]) -> str:
    return orjson.dumps(dict(value)).decode()


async def schemas_about_people(conn: Conn) -> list[str]:
    """Schemas of this database with a table that names people, their records, identifiers or keys."""
    cursor = await conn.execute(
        "SELECT DISTINCT n.nspname AS name FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped"
        " AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema'"
        " AND a.attname IN ('person', 'person_id', 'record_id', 'identifier_id', 'subject', 'key_id') ORDER BY 1",
        (),
    )
    return [str(row["name"]) async for row in cursor]
