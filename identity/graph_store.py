"""All SQL on people, memberships over time and the change feed; edges and doubts are in ``evidence_store.py``.

Contract: as in ``store.py``. Whoever changes memberships holds ``store.share_graph`` (joining) or ``store.own_graph``
(publishing, erasing) in the same transaction.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson

from identity import evidence_store
from identity.people import Change, Contact
from kernel import analyse as grown
from kernel.canonical import Json
from kernel.db import Conn
from kernel.filling import fill
from kernel.ids import GraphVersion, IdentifierId, KeyId, PersonId, RecordId

_CHUNK: Final = 10_000


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A person as stored; ``redirect_to`` names the live person that took over."""

    id: PersonId
    created_at: datetime
    changed_in: GraphVersion
    sure: float
    redirect_to: PersonId | None
    erased_at: datetime | None


async def version(conn: Conn) -> GraphVersion:
    """The newest graph version."""
    cursor = await conn.execute("SELECT max(version) AS newest FROM identity.graph_versions")
    row = await cursor.fetchone()
    return GraphVersion(row["newest"] if row else 0)


async def new_version(conn: Conn, number: GraphVersion, cause: str, facts: Mapping[str, Json], at: datetime) -> None:
    """Write down a graph version; the caller holds the graph alone."""
    await conn.execute(
        "INSERT INTO identity.graph_versions (version, cause, facts, made_at) VALUES (%s, %s, %s, %s)",
        (number, cause, orjson.dumps(facts).decode(), at),
    )


async def add_people(conn: Conn, people: Iterable[PersonId], number: GraphVersion, at: datetime) -> None:
    """New live people."""
    columns = {"person_id": "text", "created_at": "timestamptz", "changed_in": "int8"}
    await fill(conn, "identity.people", columns, ((person, at, number) for person in people))


async def add_members(conn: Conn, pairs: Iterable[tuple[RecordId, PersonId]], number: GraphVersion) -> None:
    """Open memberships from this version on."""
    columns = {"record_id": "text", "person_id": "text", "valid_from": "int8"}
    await fill(conn, "identity.members", columns, ((record, person, number) for record, person in pairs))


async def close_members(conn: Conn, records: Sequence[RecordId], number: GraphVersion) -> None:
    """End the memberships of these records with this version; they stay in the history."""
    await conn.execute(
        "WITH ended AS (DELETE FROM identity.members WHERE record_id = ANY(%b) RETURNING record_id, person_id, valid_from)"
        " INSERT INTO identity.past_members (record_id, person_id, valid_from, valid_to)"
        " SELECT record_id, person_id, valid_from, %b FROM ended",
        (list(records), number),
    )


async def touch_people(conn: Conn, people: Sequence[PersonId], number: GraphVersion) -> None:
    """Note that the records of these people changed in this version."""
    await conn.execute("UPDATE identity.people SET changed_in = %b WHERE person_id = ANY(%b)", (number, sorted(people)))


async def retire(conn: Conn, retired: Mapping[PersonId, PersonId], at: datetime) -> None:
    """Redirect retired people, and all who redirected to them, to the live person: one step from anywhere, forever."""
    pair = (list(retired), list(retired.values()))
    await conn.execute(
        "UPDATE identity.people p SET redirect_to = w.into_id FROM unnest(%b::text[], %b::text[]) AS w(gone, into_id)"
        " WHERE p.redirect_to = w.gone",
        pair,
    )
    await conn.execute(
        "UPDATE identity.people p SET redirect_to = w.into_id, retired_at = %b"
        " FROM unnest(%b::text[], %b::text[]) AS w(gone, into_id) WHERE p.person_id = w.gone",
        (at, *pair),
    )


async def set_sure(conn: Conn, sure: Mapping[PersonId, float]) -> set[PersonId]:
    """Write how sure each person is; everyone not named is sure. The people whose figure changed."""
    cursor = await conn.execute(
        "UPDATE identity.people p SET sure = w.sure FROM ("
        " SELECT p.person_id, coalesce(n.sure, 1) AS sure FROM identity.people p"
        " LEFT JOIN unnest(%b::text[], %b::float8[]) AS n(person_id, sure) USING (person_id)"
        " WHERE p.redirect_to IS NULL) AS w"
        " WHERE p.person_id = w.person_id AND p.sure IS DISTINCT FROM w.sure RETURNING p.person_id",
        (list(sure), list(sure.values())),
    )
    return {r["person_id"] async for r in cursor}


async def lower_sure(conn: Conn, people: Sequence[PersonId], most: float) -> None:
    """Nobody of these is surer than ``most``."""
    await conn.execute(
        "UPDATE identity.people SET sure = least(sure, %b) WHERE person_id = ANY(%b)", (most, sorted(people))
    )


async def people_rows(conn: Conn, people: Sequence[PersonId]) -> dict[PersonId, PersonRow]:
    """People by id, retired and erased ones too."""
    cursor = await conn.execute(
        "SELECT person_id, created_at, changed_in, sure, redirect_to, erased_at FROM identity.people"
        " WHERE person_id = ANY(%b)",
        (list(people),),
    )
    return {
        r["person_id"]: PersonRow(
            r["person_id"], r["created_at"], r["changed_in"], r["sure"], r["redirect_to"], r["erased_at"]
        )
        async for r in cursor
    }


async def live_people(conn: Conn, source: str | None = None) -> list[PersonId]:
    """Everybody who is neither retired nor erased, oldest first; with ``source``, those who have a record of it."""
    cursor = await conn.execute(
        "SELECT person_id FROM identity.people p WHERE redirect_to IS NULL AND erased_at IS NULL "
        "AND (%(source)s::text IS NULL OR EXISTS (SELECT FROM identity.members m JOIN identity.records r USING (record_id) "
        "WHERE m.person_id = p.person_id AND r.source = %(source)s)) ORDER BY person_id",
        {"source": source},
    )
    return [r["person_id"] async for r in cursor]


async def partition(conn: Conn) -> dict[RecordId, PersonId]:
    """The live person of every record."""
    cursor = await conn.execute("SELECT record_id, person_id FROM identity.members")
    return {r["record_id"]: r["person_id"] async for r in cursor}


async def earlier_versions(conn: Conn) -> list[tuple[RecordId, RecordId]]:
    """(superseded version, current version of the same row); erased rows are gone from it."""
    cursor = await conn.execute(
        "SELECT o.record_id AS old_id, c.record_id AS new_id FROM identity.records o"
        " JOIN identity.records c ON c.row_index = o.row_index AND c.current WHERE NOT o.current"
    )
    return [(r["old_id"], r["new_id"]) async for r in cursor]


async def members(conn: Conn, people: Sequence[PersonId]) -> dict[PersonId, list[tuple[RecordId, KeyId]]]:
    """Records (all versions) and their keys, by person."""
    found: dict[PersonId, list[tuple[RecordId, KeyId]]] = {}
    cursor = await conn.execute(
        "SELECT m.person_id, m.record_id, r.key_id FROM identity.members m"
        " JOIN identity.records r ON r.record_id = m.record_id"
        " WHERE m.person_id = ANY(%b) ORDER BY m.record_id",
        (list(people),),
    )
    async for r in cursor:
        found.setdefault(r["person_id"], []).append((r["record_id"], r["key_id"]))
    return found


@dataclass(frozen=True, slots=True)
class HeldKey:
    """An identifier of a person, its key, how many people hold it, and who they are unless they are a crowd."""

    id: IdentifierId
    key_id: KeyId
    kind: str
    holders: int
    people: tuple[PersonId, ...]


async def held_identifiers(conn: Conn, people: Sequence[PersonId], crowd: int) -> dict[PersonId, list[HeldKey]]:
    """Identifiers by person, each once, by id. More than ``crowd`` holders are counted, not listed.

    Two statements of index probes, joined here: OFFSET 0 keeps Postgres, whose guesses about freshly loaded tables are wild, from
    scanning them once a person.
    """
    cursor = await conn.execute(
        "SELECT w.id AS person_id, ri.identifier_id FROM unnest(%b::text[]) AS w(id)"
        " CROSS JOIN LATERAL (SELECT record_id FROM identity.members WHERE person_id = w.id OFFSET 0) AS m"
        " CROSS JOIN LATERAL (SELECT identifier_id FROM identity.record_identifiers WHERE record_id = m.record_id OFFSET 0) AS ri",
        (list(people),),
    )
    pairs = sorted({(r["identifier_id"], r["person_id"]) async for r in cursor})
    cursor = await conn.execute(
        "SELECT w.id, i.key_id, i.kind, cardinality(s.people) AS holders,"
        "  CASE WHEN cardinality(s.people) <= %b THEN s.people ELSE '{}' END AS people FROM unnest(%b::text[]) AS w(id)"
        " CROSS JOIN LATERAL (SELECT key_id, kind FROM identity.identifiers WHERE identifier_id = w.id OFFSET 0) AS i"
        " CROSS JOIN LATERAL (SELECT array_agg(DISTINCT m.person_id) AS people FROM"
        "  (SELECT record_id FROM identity.record_identifiers WHERE identifier_id = w.id OFFSET 0) AS ri"
        "  CROSS JOIN LATERAL (SELECT person_id FROM identity.members WHERE record_id = ri.record_id OFFSET 0) AS m) AS s",
        (crowd, list(dict.fromkeys(identifier for identifier, _ in pairs))),
    )
    known = {r["id"]: HeldKey(r["id"], r["key_id"], r["kind"], r["holders"], tuple(r["people"])) async for r in cursor}
    found: dict[PersonId, list[HeldKey]] = {}
    for identifier, person in pairs:
        found.setdefault(person, []).append(known[identifier])
    return found


async def contacts(conn: Conn, people: Sequence[PersonId]) -> dict[PersonId, list[Contact]]:
    """Identifiers of people, the one observed last first, ties by the newer id."""
    found: dict[PersonId, list[Contact]] = {}
    cursor = await conn.execute(
        "SELECT w.id AS person_id, h.identifier_id, i.kind FROM unnest(%b::text[]) AS w(id) CROSS JOIN LATERAL ("
        "  SELECT ri.identifier_id, max(r.observed_at) AS seen FROM identity.members m"
        "  JOIN identity.records r ON r.record_id = m.record_id"
        "  JOIN identity.record_identifiers ri ON ri.record_id = m.record_id WHERE m.person_id = w.id"
        "  GROUP BY ri.identifier_id) AS h JOIN identity.identifiers i ON i.identifier_id = h.identifier_id"
        " ORDER BY h.seen DESC, h.identifier_id DESC",
        (list(people),),
    )
    async for r in cursor:
        found.setdefault(r["person_id"], []).append(Contact(r["identifier_id"], r["kind"]))
    return found


async def subjects_of(conn: Conn, ids: Sequence[str]) -> dict[str, tuple[KeyId, list[PersonId]]]:
    """Key and live people of identifiers and records that are not erased."""
    cursor = await conn.execute(
        "SELECT i.identifier_id AS id, i.key_id,"
        " array_remove(array_agg(DISTINCT m.person_id), NULL) AS people FROM identity.identifiers i"
        " LEFT JOIN identity.record_identifiers ri ON ri.identifier_id = i.identifier_id"
        " LEFT JOIN identity.members m ON m.record_id = ri.record_id"
        " WHERE i.identifier_id = ANY(%(ids)b) AND i.erased_at IS NULL GROUP BY i.identifier_id, i.key_id"
        " UNION ALL SELECT r.record_id, r.key_id, array_remove(ARRAY[m.person_id], NULL) FROM identity.records r"
        " LEFT JOIN identity.members m ON m.record_id = r.record_id"
        " WHERE r.record_id = ANY(%(ids)b) AND r.erased_at IS NULL",
        {"ids": list(ids)},
    )
    return {r["id"]: (r["key_id"], r["people"]) async for r in cursor}


async def may_be_same(
    conn: Conn, people: Sequence[PersonId], crowd: int, held: Mapping[PersonId, Sequence[HeldKey]] | None = None
) -> dict[PersonId, set[PersonId]]:
    """Other live people tied to these by a refused pair, or by an identifier that is not a crowd's or a group's."""
    held = held if held is not None else await held_identifiers(conn, people, crowd)
    refused = await evidence_store.refused_with(conn, people)
    return {
        person: found
        for person in people
        if (
            found := {p for i in held.get(person, ()) if i.kind != "group_id" for p in i.people}.union(
                refused.get(person, ())
            )
            - {person}
        )
    }


async def analyse(conn: Conn) -> None:
    """Tell Postgres what the tables look like after a bulk load: its guesses of empty tables make plans that crawl."""
    await grown.analyse(
        conn,
        [
            f"identity.{name}"
            for name in ("records", "identifiers", "record_identifiers", "people", "members", "edges", "ambiguous")
        ],
    )


async def add_changes(conn: Conn, changes: Iterable[Change], number: GraphVersion, at: datetime) -> None:
    """Append to the change feed, in order."""
    async with (
        conn.cursor() as cursor,
        cursor.copy(
            "COPY identity.changes (version, kind, person_id, other_id, records, made_at) FROM STDIN (FORMAT BINARY)"
        ) as copy,
    ):
        copy.set_types(["int8", "text", "text", "text", "text[]", "timestamptz"])
        for change in changes:
            await copy.write_row((number, change.kind, change.person, change.other, list(change.records), at))


async def changes(conn: Conn, after: int, limit: int) -> list[tuple[int, GraphVersion, Change]]:
    """The change feed after an offset: (sequence number, graph version, change)."""
    cursor = await conn.execute(
        "SELECT seq, version, kind, person_id, other_id, records FROM identity.changes WHERE seq > %b ORDER BY seq"
        " LIMIT %b",
        (after, limit),
    )
    return [
        (r["seq"], r["version"], Change(r["kind"], r["person_id"], r["other_id"], tuple(r["records"])))
        async for r in cursor
    ]


async def retired_into(conn: Conn, people: Sequence[PersonId]) -> dict[PersonId, PersonId]:
    """Retired ids that redirect to these people, each with the one who took over."""
    cursor = await conn.execute(
        "SELECT person_id, redirect_to FROM identity.people WHERE redirect_to = ANY(%b)", (list(people),)
    )
    return {r["person_id"]: r["redirect_to"] async for r in cursor}


async def mark_erased(conn: Conn, person: PersonId, at: datetime) -> None:
    """The person and everyone who redirects to it are erased."""
    await conn.execute(
        "UPDATE identity.people SET erased_at = %b WHERE (person_id = %b OR redirect_to = %b) AND erased_at IS NULL",
        (at, person, person),
    )
