"""All SQL of decision. Inserts only, except for withdrawal of a variant and redaction of an erased person's decisions.

Every function takes the caller's connection: what it writes commits with what the caller writes, or not at all. An absent row is None.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import DecisionId, EntryId, KeyId, PersonId


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One decision as stored. Clear columns are ids, digests, names of the catalogue and numbers; the rest is in `sealed`."""

    id: DecisionId
    person: PersonId | None
    placement: str
    at: datetime
    expires_at: datetime
    trigger: str | None
    choice: str
    variant: str | None
    channel: str | None
    propensity: float
    ranked_by: str
    explored: bool
    holdout: str | None
    held: bool
    in_scope: bool
    withheld: str | None
    catalogue: str
    feature_set: str
    policy: str
    model: str | None
    record: str
    inputs: str
    entry_id: EntryId
    delivery_id: str | None
    key_id: KeyId | None
    sealed: bytes | None
    redacted_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """What a report needs of a decision: who, where, when, what, how probable."""

    id: DecisionId
    person: PersonId | None
    placement: str
    at: datetime
    variant: str | None
    channel: str | None
    propensity: float
    delivery_id: str | None


COLUMNS = tuple(Row.__dataclass_fields__)
_LIST = ", ".join(COLUMNS)
_INSERT = (
    f"INSERT INTO decision.decisions ({_LIST}) VALUES ({', '.join(['%s'] * len(COLUMNS))}) ON CONFLICT (id) DO NOTHING"
)


async def publish(conn: Conn, digest: str, document: Json, *, actor: str, at: datetime) -> None:
    """Make this document the one that rules."""
    await conn.execute(
        "INSERT INTO decision.catalogues (digest, document, actor, published_at) VALUES (%s, %s, %s, %s)",
        (digest, Jsonb(document), actor, at),
    )


async def lock_catalogue(conn: Conn) -> None:
    """One publication at a time; decisions do not wait for it."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtext('decision.catalogue'))")


async def ruling(conn: Conn) -> str | None:
    """The digest of the catalogue that rules."""
    return await (await ask_ruling(conn))()


async def ask_ruling(conn: Conn) -> Callable[[], Awaitable[str | None]]:
    """The same in two steps: what is asked next in a pipelined transaction shares its way with it."""
    got = await conn.execute("SELECT digest FROM decision.catalogues ORDER BY seq DESC LIMIT 1")

    async def answer() -> str | None:
        row = await got.fetchone()
        return None if row is None else str(row["digest"])

    return answer


async def document(conn: Conn, digest: str) -> Json | None:
    """A catalogue by digest."""
    got = await conn.execute(
        "SELECT document FROM decision.catalogues WHERE digest = %s ORDER BY seq LIMIT 1", (digest,)
    )
    row = await got.fetchone()
    return None if row is None else _json(row["document"])


async def put_variants(conn: Conn, variants: Sequence[tuple[str, str, Json]], at: datetime) -> set[str]:
    """Publish (id, digest, words); answers those that are published with another digest, which stay as they are."""
    await conn.cursor().executemany(
        "INSERT INTO decision.variants (variant, digest, words, published_at) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT (variant) DO UPDATE SET withdrawn_at = NULL WHERE decision.variants.digest = EXCLUDED.digest",
        [(name, digest, Jsonb(words), at) for name, digest, words in variants],
    )
    got = await conn.execute(
        "SELECT v.variant FROM decision.variants v JOIN unnest(%s::text[], %s::text[]) AS w(variant, digest) USING (variant) "
        "WHERE v.digest <> w.digest",
        ([name for name, _, _ in variants], [digest for _, digest, _ in variants]),
    )
    return {str(row["variant"]) for row in await got.fetchall()}


async def published(conn: Conn) -> dict[str, datetime]:
    """Variants that may be chosen, and since when they are published."""
    got = await conn.execute("SELECT variant, published_at FROM decision.variants WHERE withdrawn_at IS NULL")
    return {str(row["variant"]): row["published_at"] for row in await got.fetchall()}


async def withdraw(conn: Conn, variant: str, at: datetime) -> bool:
    """Take a variant back; False when it was not published."""
    got = await conn.execute(
        "UPDATE decision.variants SET withdrawn_at = %s WHERE variant = %s AND withdrawn_at IS NULL RETURNING 1",
        (at, variant),
    )
    return await got.fetchone() is not None


async def words(conn: Conn, variant: str) -> tuple[str, Json] | None:
    """Digest and words of a published variant."""
    got = await conn.execute("SELECT digest, words FROM decision.variants WHERE variant = %s", (variant,))
    row = await got.fetchone()
    return None if row is None else (str(row["digest"]), _json(row["words"]))


async def insert(conn: Conn, rows: Sequence[Row]) -> None:
    """Store decisions. One that is there already stays as it is."""
    for row in rows:
        await conn.execute(_INSERT, tuple(getattr(row, name) for name in COLUMNS))


async def taken(conn: Conn, ids: Sequence[DecisionId]) -> set[DecisionId]:
    """Those of these ids under which a decision is kept; the others are the caller's until its transaction ends."""
    await conn.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(id, 9)) FROM (SELECT unnest(%s::text[]) AS id ORDER BY 1) AS w",
        (list(ids),),
    )
    got = await conn.execute("SELECT id FROM decision.decisions WHERE id = ANY(%s)", (list(ids),))
    return {DecisionId(row["id"]) for row in await got.fetchall()}


async def get(conn: Conn, decision_id: str) -> Row | None:
    """One decision."""
    got = await conn.execute(f"SELECT {_LIST} FROM decision.decisions WHERE id = %s", (decision_id,))
    row = await got.fetchone()
    return None if row is None else _row(row)


async def held(conn: Conn, person: PersonId, placement: str, at: datetime) -> str | None:
    """The variant that was chosen last for her at this placement and whose time to live is not over."""
    got = await conn.execute(
        "SELECT variant FROM decision.decisions WHERE person = %s AND placement = %s AND expires_at > %s AND variant IS NOT NULL"
        " ORDER BY at DESC, id DESC LIMIT 1",
        (person, placement, at),
    )
    row = await got.fetchone()
    return None if row is None else str(row["variant"])


async def of_person(conn: Conn, person: PersonId, keys: Sequence[KeyId]) -> list[Row]:
    """Every decision of a person, oldest first: by id, and by the keys that are hers (decisions of people merged into her)."""
    got = await conn.execute(
        f"SELECT {_LIST} FROM decision.decisions WHERE person = %s OR key_id = ANY(%s) ORDER BY at, id",
        (person, list(keys)),
    )
    return [_row(row) for row in await got.fetchall()]


async def history(conn: Conn, placement: str | None, since: datetime | None, until: datetime | None) -> list[Row]:
    """Decisions in a time, oldest first, redacted ones left out."""
    got = await conn.execute(
        f"SELECT {_LIST} FROM decision.decisions WHERE redacted_at IS NULL AND (%(p)s::text IS NULL OR placement = %(p)s) "
        "AND (%(a)s::timestamptz IS NULL OR at >= %(a)s) AND (%(b)s::timestamptz IS NULL OR at < %(b)s) ORDER BY at, id",
        {"p": placement, "a": since, "b": until},
    )
    return [_row(row) for row in await got.fetchall()]


async def brief(conn: Conn, since: datetime | None, until: datetime) -> list[Brief]:
    """Decisions from ``since`` up to ``until``, in one order, without their sealed content; redacted ones left out."""
    got = await conn.execute(
        "SELECT id, person, placement, at, variant, channel, propensity, delivery_id FROM decision.decisions "
        "WHERE redacted_at IS NULL AND at <= %(b)s AND (%(a)s::timestamptz IS NULL OR at >= %(a)s) ORDER BY at, id",
        {"a": since, "b": until},
    )
    return [Brief(**row) for row in await got.fetchall()]


async def chosen(conn: Conn) -> list[str]:
    """Placements at which a choice between several outcomes was ever made."""
    got = await conn.execute("SELECT DISTINCT placement FROM decision.decisions WHERE propensity < 1 ORDER BY 1")
    return [str(row["placement"]) for row in await got.fetchall()]


async def counts(conn: Conn, since: datetime | None = None) -> list[dict[str, Any]]:
    """Decisions by placement, channel and the reason for nothing, for reports."""
    got = await conn.execute(
        "SELECT placement, channel, variant, withheld, held, count(*) AS n FROM decision.decisions "
        "WHERE %s::timestamptz IS NULL OR at >= %s GROUP BY 1, 2, 3, 4, 5 ORDER BY n DESC",
        (since, since),
    )
    return [dict(row) for row in await got.fetchall()]


async def count(conn: Conn, people: Sequence[PersonId]) -> int:
    """How many decisions these people have."""
    got = await conn.execute("SELECT count(*) AS n FROM decision.decisions WHERE person = ANY(%s)", (list(people),))
    row = await got.fetchone()
    return 0 if row is None else int(row["n"])


async def redact(conn: Conn, person: PersonId, keys: Sequence[KeyId], at: datetime) -> int:
    """Take the person and the sealed content off her decisions; digests and proofs stay. The number touched."""
    got = await conn.execute(
        "UPDATE decision.decisions SET person = NULL, sealed = NULL, key_id = NULL, redacted_at = %s "
        "WHERE (person = %s OR key_id = ANY(%s)) AND redacted_at IS NULL",
        (at, person, list(keys)),
    )
    return got.rowcount


def _row(row: dict[str, Any]) -> Row:
    values = {name: row[name] for name in COLUMNS}
    if values["sealed"] is not None:
        values["sealed"] = bytes(values["sealed"])
    return Row(**values)


def _json(value: Any) -> Json:
    parsed: Json = json.loads(value) if isinstance(value, str | bytes) else value
    return parsed
