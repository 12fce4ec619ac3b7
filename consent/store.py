"""All SQL on acts, notices and consent versions. Requests have a store of their own.

Contract: every function runs in the caller's transaction, takes and returns sequences and never queries a row at a time.
What an act's raw bytes were is sealed before it comes here. An id that is not stored is absent from an answer.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from consent.acts import ActView, ConsentAct, NewAct, Notice
from kernel import analyse as grown
from kernel.db import Conn, Piece
from kernel.ids import ActId, KeyId, PersonId

_CHUNK: Final = 10_000  # rows in one statement: bounded memory on both sides

_COLUMNS: Final = (
    "id, subject, purpose, status, channel, basis, jurisdiction, categories, controller, notice_hash, notice_version,"
    " notice_language, notice_listed, variant, mechanism, actor, given_at, recorded_at, expires_at, verified"
)


@dataclass(frozen=True, slots=True)
class ActRow:
    """A checked act to insert; ``raw`` is sealed."""

    id: ActId
    act: NewAct
    recorded_at: datetime
    raw: bytes | None
    key_id: KeyId | None


@dataclass(frozen=True, slots=True)
class Version:
    """A person's consent version and, if erased, when."""

    version: int
    erased_at: datetime | None


async def analyse(conn: Conn) -> None:
    """After a bulk load: let Postgres look at acts and versions again."""
    await grown.analyse(conn, ["consent.acts", "consent.versions"])


async def lock_subjects(conn: Conn, subjects: Iterable[str]) -> None:
    """Until the transaction ends, nobody else decides what is already said about these subjects."""
    await conn.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(s, 4)) FROM (SELECT unnest(%b::text[]) AS s ORDER BY 1) AS x",
        (sorted(set(subjects)),),
    )


async def insert_acts(conn: Conn, rows: Sequence[ActRow]) -> dict[ActId, ActId]:
    """Store the acts; the id under which each is kept. An imported act that is stored already keeps its first id."""
    kept: dict[ActId, ActId] = {}
    for start in range(0, len(rows), _CHUNK):
        part = rows[start : start + _CHUNK]
        cursor = await conn.execute(_INSERT, [list(column) for column in zip(*map(_values, part), strict=True)])
        stored = {row["id"] async for row in cursor}
        kept.update((row.id, row.id) for row in part if row.id in stored)
        missing = [row for row in part if row.id not in stored]
        if missing:
            kept.update(await _stored_before(conn, missing))
    return kept


# notice_listed travels as one text a row: unnest would flatten an array of arrays.
_INSERT: Final = f"""
INSERT INTO consent.acts ({_COLUMNS}, raw, key_id)
SELECT id, subject, purpose, status, channel, basis, jurisdiction, string_to_array(categories, ' '), controller,
       notice_hash, notice_version, notice_language, string_to_array(notice_listed, ' '), variant, mechanism, actor,
       given_at, recorded_at, expires_at, verified, raw, key_id
FROM unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[],
            %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::timestamptz[],
            %b::timestamptz[], %b::timestamptz[], %b::boolean[], %b::bytea[], %b::text[])
     AS n({_COLUMNS}, raw, key_id)
ON CONFLICT DO NOTHING RETURNING id
"""


def _values(row: ActRow) -> tuple[Any, ...]:
    act, notice = row.act, row.act.notice
    return (
        row.id, act.subject, act.purpose, act.status, act.channel, act.basis, act.jurisdiction,
        " ".join(act.categories), act.controller,
        notice.text_hash if notice else None, notice.version if notice else None, notice.language if notice else None,
        " ".join(sorted(notice.listed)) if notice else "",
        act.variant, act.mechanism, act.actor, act.given_at, row.recorded_at, act.expires_at, act.verified,
        row.raw, row.key_id,
    )  # fmt: skip


async def _stored_before(conn: Conn, rows: Sequence[ActRow]) -> dict[ActId, ActId]:
    """The ids under which these imported acts were stored earlier."""
    acts = [row.act for row in rows]
    cursor = await conn.execute(
        "SELECT n.id AS new, a.id AS old"
        " FROM unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::timestamptz[], %b::text[], %b::boolean[])"
        " AS n(id, subject, purpose, channel, status, given_at, version, verified)"
        " JOIN consent.acts a ON a.subject = n.subject AND a.purpose = n.purpose AND coalesce(a.channel, '') = n.channel"
        " AND a.status = n.status AND a.given_at = n.given_at AND coalesce(a.notice_version, '') = n.version"
        " AND a.verified = n.verified AND a.mechanism = 'import'",
        (
            [row.id for row in rows],
            [act.subject for act in acts],
            [act.purpose for act in acts],
            [act.channel or "" for act in acts],
            [act.status for act in acts],
            [act.given_at for act in acts],
            [act.notice.version if act.notice else "" for act in acts],
            [act.verified for act in acts],
        ),
    )
    return {row["new"]: row["old"] async for row in cursor}


async def views(conn: Conn, subjects: Sequence[str], *, known_at: datetime | None = None) -> dict[str, list[ActView]]:
    """What the gate reads of every act on these subjects, as recorded up to ``known_at`` (the present when None)."""
    found: dict[str, list[ActView]] = {}
    for start in range(0, len(subjects), _CHUNK):
        cursor = await conn.execute(
            "SELECT id, subject, purpose, channel, status, basis, jurisdiction, mechanism, given_at, expires_at,"
            " notice_hash IS NOT NULL AS has_notice, verified, notice_listed FROM consent.acts"
            " WHERE subject = ANY(%b::text[]) AND (%b::timestamptz IS NULL OR recorded_at <= %b)",
            (list(subjects[start : start + _CHUNK]), known_at, known_at),
        )
        async for row in cursor:
            found.setdefault(row["subject"], []).append(
                ActView(
                    id=row["id"],
                    subject=row["subject"],
                    purpose=row["purpose"],
                    channel=row["channel"],
                    status=row["status"],
                    basis=row["basis"],
                    jurisdiction=row["jurisdiction"],
                    mechanism=row["mechanism"],
                    given_at=row["given_at"],
                    expires_at=row["expires_at"],
                    has_notice=row["has_notice"],
                    verified=row["verified"],
                    listed=frozenset(row["notice_listed"]),
                )
            )
    return found


async def acts_of(conn: Conn, subjects: Sequence[str]) -> list[ConsentAct]:
    """Every act on these subjects, whole, oldest first."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS}, raw IS NOT NULL AS has_raw FROM consent.acts WHERE subject = ANY(%b::text[])"
        " ORDER BY given_at, id",
        (list(subjects),),
    )
    return [_act(row) async for row in cursor]


async def acts(conn: Conn, ids: Sequence[ActId]) -> dict[ActId, ConsentAct]:
    """Acts, whole; unknown ones are absent."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS}, raw IS NOT NULL AS has_raw FROM consent.acts WHERE id = ANY(%b::text[])", (list(ids),)
    )
    return {found.id: found async for row in cursor if (found := _act(row))}


async def raws(conn: Conn, subjects: Sequence[str]) -> list[tuple[ActId, KeyId, bytes]]:
    """The sealed raw bytes of the acts on these subjects: act, key, bytes."""
    cursor = await conn.execute(
        "SELECT id, key_id, raw FROM consent.acts WHERE subject = ANY(%b::text[]) AND raw IS NOT NULL ORDER BY id",
        (list(subjects),),
    )
    return [(row["id"], row["key_id"], bytes(row["raw"])) async for row in cursor]


async def versions(conn: Conn, people: Sequence[PersonId]) -> dict[PersonId, Version]:
    """Consent versions; a person who never had a change is absent and counts as version 0."""
    cursor = await conn.execute(
        "SELECT person, version, erased_at FROM consent.versions WHERE person = ANY(%b::text[])", (list(people),)
    )
    return {row["person"]: Version(row["version"], row["erased_at"]) async for row in cursor}


async def bump(conn: Conn, people: Iterable[PersonId], *, erased_at: datetime | None = None) -> None:
    """One version further for each, in one order for all so that two bumps never wait for each other."""
    await conn.execute(
        "INSERT INTO consent.versions AS v (person, version, erased_at)"
        " SELECT p, 1, %b::timestamptz FROM unnest(%b::text[]) AS p ORDER BY p"
        " ON CONFLICT (person) DO UPDATE SET version = v.version + 1, erased_at = coalesce(v.erased_at, excluded.erased_at)",
        (erased_at, sorted(set(people))),
    )


async def share(conn: Conn, people: Sequence[PersonId]) -> dict[PersonId, int]:
    """Versions, held FOR SHARE until the transaction ends: a change must wait for us, or we see it.

    A row that is missing is made first: one cannot lock what does not exist, and a first withdrawal would slip by.
    """
    ordered = sorted(set(people))
    found = await _share(conn, ordered)
    if len(found) < len(ordered):
        await conn.execute(
            "INSERT INTO consent.versions (person, version) SELECT p, 0 FROM unnest(%b::text[]) AS p"
            " WHERE NOT EXISTS (SELECT FROM consent.versions v WHERE v.person = p) ORDER BY p ON CONFLICT DO NOTHING",
            (ordered,),
        )
        found = await _share(conn, ordered)
    return found


def holding(people: Iterable[PersonId]) -> Piece:
    """The same as part of a statement: a query of `person` and `version`, held until its transaction ends; who has no row is absent."""
    return Piece(
        "SELECT person, version FROM consent.versions WHERE person = ANY(%(consent_people)b::text[]) ORDER BY person FOR SHARE",
        {"consent_people": sorted(set(people))},
    )


async def _share(conn: Conn, ordered: Sequence[PersonId]) -> dict[PersonId, int]:
    cursor = await conn.execute(
        "SELECT person, version FROM consent.versions WHERE person = ANY(%b::text[]) ORDER BY person FOR SHARE",
        (list(ordered),),
    )
    return {row["person"]: row["version"] for row in await cursor.fetchall()}


async def keep_notice(conn: Conn, notice: Notice, text: str, at: datetime) -> None:
    """Keep the text of a notice under its version; the same again is the same notice, with the day it was first used."""
    await conn.execute(
        "INSERT INTO consent.notices (text_hash, version, language, text, listed, first_used)"
        " VALUES (%b, %b, %b, %b, %b, %b) ON CONFLICT DO NOTHING",
        (notice.text_hash, notice.version, notice.language, text, sorted(notice.listed), at),
    )


async def notice_texts(conn: Conn, hashes: Sequence[str]) -> Mapping[str, str]:
    """Texts of notices by hash."""
    cursor = await conn.execute(
        "SELECT text_hash, text FROM consent.notices WHERE text_hash = ANY(%b::text[])", (list(hashes),)
    )
    return {row["text_hash"]: row["text"] async for row in cursor}


async def notices_named(conn: Conn, versions_: Sequence[str]) -> Mapping[str, Notice]:
    """The notices held under these versions; of several languages the one used first."""
    cursor = await conn.execute(
        "SELECT DISTINCT ON (version) version, text_hash, language, listed FROM consent.notices"
        " WHERE version = ANY(%b::text[]) ORDER BY version, first_used",
        (list(versions_),),
    )
    return {
        row["version"]: Notice(row["text_hash"], row["version"], row["language"], frozenset(row["listed"]))
        async for row in cursor
    }


async def notices(conn: Conn) -> list[Notice]:
    """Every notice that is held, oldest first."""
    cursor = await conn.execute(
        "SELECT version, text_hash, language, listed FROM consent.notices ORDER BY first_used, version"
    )
    return [Notice(row["text_hash"], row["version"], row["language"], frozenset(row["listed"])) async for row in cursor]


async def silenced(conn: Conn, contacts: Sequence[bytes]) -> set[bytes]:
    """Which of these keyed hashes belong to contacts that stay silent."""
    cursor = await conn.execute(
        "SELECT contact FROM consent.silenced WHERE contact = ANY(%b::bytea[])", (list(contacts),)
    )
    return {bytes(row["contact"]) async for row in cursor}


async def any_silenced(conn: Conn) -> bool:
    """Whether any contact was ever silenced."""
    row = await (await conn.execute("SELECT EXISTS (SELECT FROM consent.silenced) AS found")).fetchone()
    return row is not None and bool(row["found"])


async def silence(conn: Conn, contacts: Sequence[bytes], at: datetime, request: str) -> None:
    """Remember these contacts as silent."""
    await conn.execute(
        "INSERT INTO consent.silenced (contact, since, request) SELECT c, %b, %b FROM unnest(%b::bytea[]) AS c"
        " ON CONFLICT DO NOTHING",
        (at, request, list(contacts)),
    )


def _act(row: Mapping[str, Any]) -> ConsentAct:
    notice = None
    if row["notice_hash"] is not None:
        notice = Notice(
            row["notice_hash"], row["notice_version"], row["notice_language"], frozenset(row["notice_listed"])
        )
    plain = (
        "id", "subject", "purpose", "status", "channel", "basis", "jurisdiction", "mechanism", "actor", "given_at",
        "recorded_at", "expires_at", "verified", "controller", "variant", "has_raw",
    )  # fmt: skip
    return ConsentAct(notice=notice, categories=tuple(row["categories"]), **{name: row[name] for name in plain})
