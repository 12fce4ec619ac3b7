"""All SQL that settling asks besides: how far it is, and which part of the graph a few records reach.

Contract: as in ``graph_store.py``; reads only.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from identity import evidence_store, graph_store
from identity.people import Edge
from kernel.db import Conn
from kernel.ids import PersonId, RecordId

_ROUNDS: Final = 50  # steps away from where one began


@dataclass(frozen=True, slots=True)
class Progress:
    """``waiting`` records were compared with nothing yet, the oldest of which was recorded at ``since``."""

    waiting: int
    since: datetime | None


async def progress(conn: Conn) -> Progress:
    """How far settling is."""
    cursor = await conn.execute(
        "SELECT count(*) AS waiting, min(r.recorded_at) AS since FROM identity.blocks b"
        " JOIN identity.records r ON r.record_id = b.record_id AND r.current"
        " JOIN identity.members m ON m.record_id = b.record_id WHERE NOT b.settled"
    )
    row = await cursor.fetchone()
    assert row is not None
    return Progress(int(row["waiting"]), row["since"])


async def grown(conn: Conn, read_at: datetime) -> tuple[int, int]:
    """Current records that the last run read, by its card, and those that were settled since; both at most a little off."""
    cursor = await conn.execute(
        "SELECT (SELECT (card->>'records')::bigint FROM identity.runs WHERE graph_version IS NOT NULL"
        "  ORDER BY graph_version DESC LIMIT 1) AS linked,"
        " (SELECT count(*) FROM identity.records r JOIN identity.blocks b ON b.record_id = r.record_id AND b.settled"
        "  WHERE r.record_id > coalesce((SELECT record_id FROM identity.records WHERE recorded_at <= %b"
        "   ORDER BY record_id DESC LIMIT 1), '')) AS added",
        (read_at,),
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row["linked"] or 0), int(row["added"])


async def weights(conn: Conn, run_id: str, most: int) -> tuple[list[float], list[float]]:
    """A sample of the weights of edges: those of the run, and those that came since."""
    found: list[list[float]] = []
    for what in ("<=", ">"):
        cursor = await conn.execute(
            "SELECT weight FROM identity.edges WHERE version"
            f" {what} (SELECT graph_version FROM identity.runs WHERE run_id = %b) ORDER BY record_b DESC LIMIT %b",
            (run_id, most),
        )
        found.append([float(r["weight"]) async for r in cursor])
    return found[0], found[1]


async def last_judgement(conn: Conn) -> str:
    """The newest judgement and taking back: whoever read rulings before it must read them again."""
    cursor = await conn.execute(
        "SELECT coalesce((SELECT max(judgement_id) FROM identity.judgements), '')"
        " || coalesce((SELECT max(revoked_by) FROM identity.revoked_judgements), '') AS mark"
    )
    row = await cursor.fetchone()
    return "" if row is None else str(row["mark"])


async def live_run(conn: Conn) -> str | None:
    """Whose graph is live."""
    cursor = await conn.execute(
        "SELECT run_id FROM identity.runs WHERE graph_version IS NOT NULL ORDER BY graph_version DESC LIMIT 1"
    )
    row = await cursor.fetchone()
    return None if row is None else row["run_id"]


async def reached(
    conn: Conn, seeds: Collection[RecordId], threshold: float, most: int
) -> tuple[dict[RecordId, PersonId], list[Edge]]:
    """Whole people and whole components of strong edges around some records: who owns what, and every edge that touches them.

    When more than ``most`` records are reached it stops at whole people: what lies farther is for the next run.
    """
    whose: dict[RecordId, PersonId] = {}
    edges: dict[tuple[RecordId, RecordId], Edge] = {}
    asked: set[RecordId] = set()
    waiting = set(seeds)
    for _ in range(_ROUNDS):
        if not waiting:
            break
        owners = await graph_store.subjects_of(conn, sorted(waiting))
        people = sorted({p for _, held in owners.values() for p in held})
        whose |= {r: p for p, rows in (await graph_store.members(conn, people)).items() for r, _ in rows}
        new = sorted(whose.keys() - asked)
        asked.update(new)
        found, _ = await evidence_store.evidence(conn, new)
        edges |= {(e.a, e.b): e for e in found}
        ends = {end for e in found if e.weight >= threshold for end in (e.a, e.b)}
        waiting = ends - whose.keys() if len(whose) < most else set()
    return whose, list(edges.values())
