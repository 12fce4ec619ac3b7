"""All SQL on judgements: what staff decided, what was taken back, and what an act needs to know of records.

Contract: as in ``graph_store.py``. The three tables are insert-only; Postgres refuses the rest.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import orjson

from identity.judgements import Act, Judgement, Reason, Verdict
from kernel.db import Conn
from kernel.ids import GraphVersion, IdentifierId, PersonId, RecordId

_COLUMNS = (
    "j.judgement_id, j.act_id, j.act, j.verdict, j.actor, j.reason, j.made_at, v.revoked_by,"
    " array_agg(s.record_id ORDER BY s.record_id) FILTER (WHERE s.side = 0) AS one,"
    " array_agg(s.record_id ORDER BY s.record_id) FILTER (WHERE s.side = 1) AS other"
)
_FROM = (
    " FROM identity.judgements j JOIN identity.judged_records s USING (judgement_id)"
    " LEFT JOIN identity.revoked_judgements v USING (judgement_id)"
)
_GROUPED = " GROUP BY j.judgement_id, v.revoked_by"


async def add(
    conn: Conn, judgements: Sequence[Judgement], version: GraphVersion, sure: Mapping[PersonId, float]
) -> None:
    """Write judgements down. ``sure``: how sure the people were whom the act changes."""
    for one in judgements:
        await conn.execute(
            "INSERT INTO identity.judgements (judgement_id, act_id, act, verdict, actor, reason, version, sure, made_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                *(one.id, one.act_id, one.act.value, one.verdict.value, one.actor, one.reason.value, version),
                *(orjson.dumps(dict(sure)).decode(), one.at),
            ),
        )
        sides = [(record, 0) for record in one.left] + [(record, 1) for record in one.right]
        await conn.execute(
            "INSERT INTO identity.judged_records (judgement_id, record_id, side)"
            " SELECT %b, w.record, w.side FROM unnest(%b::text[], %b::smallint[]) AS w(record, side)",
            (one.id, [record for record, _ in sides], [side for _, side in sides]),
        )


async def revoke(conn: Conn, judgements: Iterable[str], by: str, actor: str, reason: Reason, at: datetime) -> list[str]:
    """Take judgements back; those that were not taken back before."""
    cursor = await conn.execute(
        "INSERT INTO identity.revoked_judgements (judgement_id, revoked_by, actor, reason, revoked_at)"
        " SELECT w.id, %b, %b, %b, %b FROM unnest(%b::text[]) AS w(id) ON CONFLICT DO NOTHING RETURNING judgement_id",
        (by, actor, reason.value, at, sorted(set(judgements))),
    )
    return [r["judgement_id"] async for r in cursor]


async def standing(conn: Conn, records: Sequence[RecordId] | None = None) -> list[Judgement]:
    """Judgements that were not taken back, oldest first; with ``records``, those that name one of them."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS}{_FROM} WHERE v.revoked_by IS NULL AND (%(records)s::text[] IS NULL OR j.judgement_id IN"
        " (SELECT judgement_id FROM identity.judged_records WHERE record_id = ANY(%(records)s)))"
        f"{_GROUPED} ORDER BY j.judgement_id",
        {"records": None if records is None else list(records)},
    )
    return [_judgement(r) async for r in cursor]


async def of_act(conn: Conn, act_id: str) -> list[Judgement]:
    """The judgements of an act, or the one with this id; those that were taken back too."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS}{_FROM} WHERE j.act_id = %(id)s OR j.judgement_id = %(id)s{_GROUPED} ORDER BY j.judgement_id",
        {"id": act_id},
    )
    return [_judgement(r) async for r in cursor]


async def about(conn: Conn, records: Sequence[RecordId], limit: int = 1_000) -> list[Judgement]:
    """Every judgement that names one of these records, the newest first; those that were taken back too."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS}{_FROM} WHERE j.judgement_id IN"
        f" (SELECT judgement_id FROM identity.judged_records WHERE record_id = ANY(%s)){_GROUPED}"
        " ORDER BY j.judgement_id DESC LIMIT %s",
        (list(records), limit),
    )
    return [_judgement(r) async for r in cursor]


async def how_sure(conn: Conn, version: GraphVersion) -> dict[PersonId, float]:
    """How sure people were before the act that made this graph version; empty when no act of staff did."""
    cursor = await conn.execute(
        "SELECT j.sure FROM identity.judgements j JOIN identity.graph_versions v USING (version)"
        " WHERE version = %s AND v.facts->>'act' = j.act_id LIMIT 1",
        (version,),
    )
    row = await cursor.fetchone()
    return {} if row is None else {PersonId(person): float(sure) for person, sure in row["sure"].items()}


async def made_in(conn: Conn, version: GraphVersion) -> set[str]:
    """The judgements of the act that made this graph version; none when no act of staff did."""
    cursor = await conn.execute(
        "SELECT judgement_id FROM identity.judgements j JOIN identity.graph_versions v USING (version)"
        " WHERE version = %s AND v.facts->>'act' = j.act_id",
        (version,),
    )
    return {r["judgement_id"] async for r in cursor}


async def current_of(conn: Conn, records: Iterable[RecordId]) -> dict[RecordId, RecordId]:
    """The record that stands for each today: the current version of its row. An erased one has none."""
    cursor = await conn.execute(
        "SELECT o.record_id AS old, c.record_id AS now FROM identity.records o"
        " JOIN identity.records c ON c.row_index = o.row_index AND c.current AND c.erased_at IS NULL"
        " WHERE o.record_id = ANY(%b) AND o.erased_at IS NULL",
        (sorted(set(records)),),
    )
    return {r["old"]: r["now"] async for r in cursor}


async def barred(conn: Conn, rows: Sequence[bytes]) -> dict[bytes, set[PersonId]]:
    """Of rows of sources, the people whose records staff found to be somebody else's than theirs."""
    found: dict[bytes, set[PersonId]] = defaultdict(set)
    cursor = await conn.execute(
        "SELECT DISTINCT r.row_index, m.person_id FROM identity.records r"
        " JOIN identity.judged_records mine ON mine.record_id = r.record_id"
        " JOIN identity.judgements j ON j.judgement_id = mine.judgement_id AND j.verdict = 'negative'"
        " JOIN identity.judged_records other ON other.judgement_id = mine.judgement_id AND other.side <> mine.side"
        " JOIN identity.members m ON m.record_id = other.record_id"
        " WHERE r.row_index = ANY(%b) AND NOT EXISTS"
        "  (SELECT FROM identity.revoked_judgements v WHERE v.judgement_id = mine.judgement_id)",
        (list(rows),),
    )
    async for r in cursor:
        found[bytes(r["row_index"])].add(r["person_id"])
    return found


async def carried(conn: Conn, records: Iterable[RecordId]) -> dict[RecordId, list[tuple[IdentifierId, str]]]:
    """Identifiers of records and their kinds."""
    found: dict[RecordId, list[tuple[IdentifierId, str]]] = defaultdict(list)
    cursor = await conn.execute(
        "SELECT ri.record_id, ri.identifier_id, i.kind FROM identity.record_identifiers ri"
        " JOIN identity.identifiers i ON i.identifier_id = ri.identifier_id WHERE ri.record_id = ANY(%b)"
        " ORDER BY ri.record_id, ri.identifier_id",
        (sorted(set(records)),),
    )
    async for r in cursor:
        found[r["record_id"]].append((r["identifier_id"], r["kind"]))
    return found


def _judgement(row: Mapping[str, object]) -> Judgement:
    made = Judgement(
        id=str(row["judgement_id"]),
        act_id=str(row["act_id"]),
        act=Act(str(row["act"])),
        verdict=Verdict(str(row["verdict"])),
        left=_side(row["one"]),
        right=_side(row["other"]),
        actor=str(row["actor"]),
        reason=Reason(str(row["reason"])),
        at=row["made_at"],  # type: ignore[arg-type]
    )
    revoked = row["revoked_by"]
    return made if revoked is None else replace(made, revoked_by=str(revoked))


def _side(held: object) -> tuple[RecordId, ...]:
    return tuple(RecordId(str(one)) for one in held) if isinstance(held, list) else ()
