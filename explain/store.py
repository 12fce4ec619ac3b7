"""All SQL of explain.

Every function takes the caller's connection: what it writes commits with what the caller writes, or not at all. An absent row is None.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from explain.belonging import HERS, Whose
from kernel.db import Conn
from kernel.ids import DecisionId, KeyId, PersonId


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One explanation as stored. `body` is sealed under `key_id`, clear where there is no key; None once redacted."""

    decision_id: DecisionId
    person: PersonId | None
    digest: str
    body: bytes | None
    key_id: KeyId | None
    made_at: datetime


async def insert(conn: Conn, rows: Sequence[Row]) -> set[DecisionId]:
    """Store explanations; the decisions that had none. One that is there already stays. Waits for another one that is under way."""
    columns = list(zip(*((r.decision_id, r.person, r.digest, r.body, r.key_id, r.made_at) for r in rows), strict=True))
    got = await conn.execute(
        "INSERT INTO explain.explanations (decision_id, person, digest, body, key_id, made_at)"
        " SELECT * FROM unnest(%b::text[], %b::text[], %b::text[], %b::bytea[], %b::text[], %b::timestamptz[])"
        " ON CONFLICT (decision_id) DO NOTHING RETURNING decision_id",
        [list(column) for column in columns],
    )
    return {DecisionId(row["decision_id"]) for row in await got.fetchall()}


async def get(conn: Conn, decision_id: str) -> Row | None:
    """The explanation of a decision."""
    got = await conn.execute(f"{_ROWS} WHERE decision_id = %s", (decision_id,))
    row = await got.fetchone()
    return None if row is None else _row(row)


async def of_person(conn: Conn, whose: Whose) -> list[Row]:
    """Explanations about a person that can still be read."""
    got = await conn.execute(f"{_ROWS} WHERE {HERS} AND body IS NOT NULL ORDER BY decision_id", whose.slots())
    return [_row(row) for row in await got.fetchall()]


async def redact(conn: Conn, whose: Whose, at: datetime) -> int:
    """Take content and person off; digests stay, because the log names them. The number touched, feedback included."""
    gone = await conn.execute(f"DELETE FROM explain.feedback WHERE {HERS}", whose.slots())
    got = await conn.execute(
        "UPDATE explain.explanations SET person = NULL, body = NULL, key_id = NULL, redacted_at = %(at)s"
        f" WHERE {HERS} AND redacted_at IS NULL RETURNING decision_id",
        {**whose.slots(), "at": at},
    )
    redacted = [str(row["decision_id"]) for row in await got.fetchall()]
    await sum_levers(conn, redacted)
    return len(redacted) + gone.rowcount


async def sum_levers(conn: Conn, decisions: Sequence[str]) -> None:
    """The levers of explanations that are let go: one sum about nobody, instead of a row each."""
    await conn.execute(
        "WITH gone AS (DELETE FROM explain.lever_tallies WHERE decision_id = ANY(%s) RETURNING levers, replayed, flipped),"
        " more AS (SELECT sum(levers) AS levers, sum(replayed) AS replayed, sum(flipped) AS flipped FROM gone HAVING count(*) > 0)"
        " UPDATE explain.lever_sums AS s SET levers = s.levers + more.levers, replayed = s.replayed + more.replayed,"
        " flipped = s.flipped + more.flipped FROM more",
        (sorted(decisions),),
    )


async def count(conn: Conn, people: Sequence[PersonId]) -> int:
    """How many explanations these people have."""
    got = await conn.execute("SELECT count(*) AS n FROM explain.explanations WHERE person = ANY(%s)", (list(people),))
    row = await got.fetchone()
    return 0 if row is None else int(row["n"])


# what people said


async def add_feedback(
    conn: Conn,
    decision_id: str,
    kind: str,
    *,
    person: PersonId | None,
    key_id: KeyId | None,
    content: str | None,
    at: datetime,
) -> bool:
    """Keep what was said of a decision; False when it was said before."""
    got = await conn.execute(
        "INSERT INTO explain.feedback (decision_id, kind, person, key_id, content, at) VALUES (%s, %s, %s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING RETURNING 1",
        (decision_id, kind, person, key_id, content, at),
    )
    return await got.fetchone() is not None


async def contents_refused(conn: Conn, kind: str, people: Sequence[PersonId]) -> list[tuple[PersonId, str]]:
    """(person, content) for what people said of contents."""
    got = await conn.execute(
        "SELECT DISTINCT person, content FROM explain.feedback WHERE kind = %s AND person = ANY(%s) AND content IS NOT NULL",
        (kind, list(people)),
    )
    return [(PersonId(row["person"]), str(row["content"])) for row in await got.fetchall()]


_ROWS = "SELECT decision_id, person, digest, body, key_id, made_at FROM explain.explanations"


def _row(row: dict[str, object]) -> Row:
    values = dict(row)
    if values["body"] is not None:
        values["body"] = bytes(values["body"])  # type: ignore[call-overload]
    return Row(**values)  # type: ignore[arg-type]
