"""All SQL on linkage runs: their cards, the gate's verdicts, and what a graph just written does to the one before it.

Contract: as in ``store.py``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import orjson

from identity import census_store
from identity.run_card import Card, Hands
from kernel.db import Conn
from kernel.ids import GraphVersion

Verdict = Literal["published", "held", "allowed"]


@dataclass(frozen=True, slots=True)
class Run:
    """A run of the linkage. ``held``: the gate kept its graph from going live. ``allowed``: it went live although the gate objected."""

    run_id: str
    made_at: datetime
    verdict: Verdict
    reasons: tuple[str, ...]
    graph_version: GraphVersion | None
    card: Card
    allowed_by: str | None = None
    allowed_at: datetime | None = None
    allowed_for: str | None = None

    def as_json(self) -> dict[str, Any]:
        """For HTTP, the console and the command line."""
        return {
            "run": self.run_id,
            "made_at": self.made_at.isoformat(),
            "verdict": self.verdict,
            "reasons": list(self.reasons),
            "graph_version": self.graph_version,
            "allowed": {"by": self.allowed_by, "at": self.allowed_at.isoformat(), "for": self.allowed_for}
            if self.allowed_at
            else None,
            "card": self.card.as_json(),
        }


_COLUMNS = "run_id, made_at, verdict, reasons, graph_version, card, allowed_by, allowed_at, allowed_for"


def _run(r: Mapping[str, Any]) -> Run:
    return Run(
        r["run_id"],
        r["made_at"],
        r["verdict"],
        tuple(r["reasons"]),
        r["graph_version"],
        Card.from_json(r["card"]),
        r["allowed_by"],
        r["allowed_at"],
        r["allowed_for"],
    )


async def add(conn: Conn, run: Run) -> None:
    """Write a run down; its parameters are kept already."""
    await conn.execute(
        "INSERT INTO identity.runs (run_id, made_at, parameters, verdict, reasons, graph_version, card)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (
            run.run_id,
            run.made_at,
            run.card.model,
            run.verdict,
            list(run.reasons),
            run.graph_version,
            orjson.dumps(run.card.as_json()).decode(),
        ),
    )


async def listed(conn: Conn, limit: int) -> list[Run]:
    """Runs, the newest first."""
    cursor = await conn.execute(f"SELECT {_COLUMNS} FROM identity.runs ORDER BY run_id DESC LIMIT %b", (limit,))
    return [_run(r) async for r in cursor]


async def get(conn: Conn, run_id: str) -> Run | None:
    """One run."""
    cursor = await conn.execute(f"SELECT {_COLUMNS} FROM identity.runs WHERE run_id = %b", (run_id,))
    row = await cursor.fetchone()
    return None if row is None else _run(row)


async def live(conn: Conn, version: GraphVersion | None = None) -> Run | None:
    """The run whose graph is live, or was when this version was made; None when no graph came of a run."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM identity.runs WHERE graph_version IS NOT NULL AND graph_version <= coalesce(%b, graph_version)"
        " ORDER BY graph_version DESC LIMIT 1",
        (version,),
    )
    row = await cursor.fetchone()
    return None if row is None else _run(row)


async def live_id(conn: Conn) -> str | None:
    """The id of the run whose graph is live: its card is large, and who knows the id may know the card."""
    cursor = await conn.execute(
        "SELECT run_id FROM identity.runs WHERE graph_version IS NOT NULL ORDER BY graph_version DESC LIMIT 1"
    )
    row = await cursor.fetchone()
    return None if row is None else row["run_id"]


async def allow(conn: Conn, run_id: str, actor: str, reason: str, at: datetime) -> bool:
    """Let a held run's objections be overruled once; False when it is not held, not the newest, or allowed already."""
    cursor = await conn.execute(
        "UPDATE identity.runs SET allowed_by = %b, allowed_at = %b, allowed_for = %b WHERE run_id = %b AND verdict = 'held'"
        " AND allowed_by IS NULL AND run_id = (SELECT max(run_id) FROM identity.runs)",
        (actor, at, reason, run_id),
    )
    return cursor.rowcount == 1


async def hands(conn: Conn, version: GraphVersion, last: Run | None, exclusive: Sequence[str]) -> Hands:
    """What the graph of this version, written in this transaction, does to the one before.

    Counted are records that the last run had read: what came since had a provisional person only, whose id nobody was promised.
    """
    two_fold = len(await census_store.twofold(conn, exclusive))
    cursor = await conn.execute(
        "SELECT count(*) FILTER (WHERE kind = 'merged') AS merged, count(*) FILTER (WHERE kind = 'split') AS split"
        " FROM identity.changes WHERE version = %b",
        (version,),
    )
    row = await cursor.fetchone()
    assert row is not None
    if last is None:
        return Hands(two_fold=two_fold, merged=row["merged"], split=row["split"])
    cursor = await conn.execute(
        "SELECT (SELECT count(*) FROM identity.records WHERE erased_at IS NULL AND recorded_at <= %(read)b) AS before,"
        " (SELECT count(*) FROM identity.past_members b JOIN identity.members m ON m.record_id = b.record_id"
        "   JOIN identity.people p ON p.person_id = b.person_id JOIN identity.records r ON r.record_id = b.record_id"
        "   WHERE b.valid_to = %(version)b AND r.recorded_at <= %(read)b"
        "   AND coalesce(p.redirect_to, p.person_id) <> m.person_id) AS elsewhere",
        {"read": datetime.fromisoformat(last.card.read_at), "version": version},
    )
    counted = await cursor.fetchone()
    assert counted is not None
    return Hands(counted["before"], counted["elsewhere"], two_fold, row["merged"], row["split"])
