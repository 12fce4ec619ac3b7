"""All SQL of experiments. Every function takes the caller's connection; a step is added, nothing is changed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from kernel.canonical import Json
from kernel.db import Conn

RUNNING = ("running", "watched")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An experiment as started."""

    name: str
    placement: str
    kind: str
    document: Mapping[str, Json]
    digest: str
    started_at: datetime
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What holds since a moment, why, and on what evidence."""

    name: str
    at: datetime
    state: str
    share: float
    reason: str
    facts: Mapping[str, Json]
    actor: str


_KEPT = ", ".join(Kept.__dataclass_fields__)
_STEP = ", ".join(Step.__dataclass_fields__)


async def lock(conn: Conn) -> None:
    """One change of experiments at a time; decisions do not wait for it."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtext('learning.experiments'))")


async def add(conn: Conn, row: Kept) -> bool:
    """Note a start; False when the name is taken."""
    got = await conn.execute(
        f"INSERT INTO learning.experiments ({_KEPT}) VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (row.name, row.placement, row.kind, json.dumps(dict(row.document)), row.digest, row.started_at, row.actor),
    )
    return got.rowcount == 1


async def move(conn: Conn, step: Step) -> None:
    """Add a step."""
    await conn.execute(
        f"INSERT INTO learning.experiment_steps ({_STEP}) VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (step.name, step.at, step.state, step.share, step.reason, json.dumps(dict(step.facts)), step.actor),
    )


async def every(conn: Conn) -> list[Kept]:
    """All experiments, the newest first."""
    got = await conn.execute(f"SELECT {_KEPT} FROM learning.experiments ORDER BY started_at DESC, name")
    return [Kept(**row) for row in await got.fetchall()]


async def one(conn: Conn, name: str) -> Kept | None:
    """An experiment by name."""
    got = await conn.execute(f"SELECT {_KEPT} FROM learning.experiments WHERE name = %s", (name,))
    row = await got.fetchone()
    return None if row is None else Kept(**row)


async def steps(conn: Conn, name: str) -> list[Step]:
    """Every step of an experiment, the oldest first."""
    got = await conn.execute(f"SELECT {_STEP} FROM learning.experiment_steps WHERE name = %s ORDER BY seq", (name,))
    return [Step(**row) for row in await got.fetchall()]


async def standing(conn: Conn) -> list[tuple[Kept, Step]]:
    """Experiments that run, with the step that holds."""
    got = await conn.execute(
        f"SELECT DISTINCT ON (name) {_STEP} FROM learning.experiment_steps ORDER BY name, seq DESC"
    )
    held = {step.name: step for step in [Step(**row) for row in await got.fetchall()] if step.state in RUNNING}
    return [(kept, held[kept.name]) for kept in await every(conn) if kept.name in held] if held else []
