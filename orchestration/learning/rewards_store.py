"""All SQL on rewards and on the weekly job. Every function takes the caller's connection.

A reward is never changed: a version adds rows for decisions whose reward differs from the version before. Reading a version takes the newest row of
each decision up to it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import DecisionId


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """What one decision earned, as counted. `seen_at` None: no exposure was reported."""

    decision: DecisionId
    placement: str
    arm: str
    channel: str | None
    at: datetime
    seen_at: datetime | None
    closes_at: datetime
    reward: float
    credits: Mapping[str, int]
    table_of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardRun:
    """One version of the rewards."""

    version: int
    as_of: datetime
    since: datetime
    rules: Mapping[str, Json]
    digest: str
    decisions: int
    changed: int
    facts: Mapping[str, Json]
    made_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WeeklyRow:
    """Where the job of one placement and week stands."""

    placement: str
    week: str
    stage: str
    version: int | None
    model: str | None
    outcome: str | None
    facts: Mapping[str, Json]
    begun_at: datetime
    changed_at: datetime


_CHUNK: Final = 10_000  # rows in one statement
_RUN = "version, as_of, since, rules, digest, decisions, changed, facts, made_at"
_REWARD = "decision, placement, arm, channel, at, seen_at, closes_at, reward, credits, table_of"
_WEEKLY = "placement, week, stage, version, model, outcome, facts, begun_at, changed_at"


async def lock(conn: Conn) -> None:
    """One count at a time."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtext('learning.rewards'))")


async def add_run(
    conn: Conn, *, as_of: datetime, since: datetime, rules: Mapping[str, Json], digest: str, decisions: int,
    changed: int, facts: Mapping[str, Json], made_at: datetime,
) -> RewardRun:  # fmt: skip
    """Begin a version."""
    got = await conn.execute(
        "INSERT INTO learning.reward_runs (as_of, since, rules, digest, decisions, changed, facts, made_at) "
        f"VALUES (%s, %s, %s::jsonb, %s, %s, %s, %s::jsonb, %s) RETURNING {_RUN}",
        (as_of, since, _json(rules), digest, decisions, changed, _json(facts), made_at),
    )
    (row,) = await got.fetchall()
    return RewardRun(**row)


async def runs(conn: Conn, limit: int = 1) -> list[RewardRun]:
    """The newest versions, newest first."""
    got = await conn.execute(f"SELECT {_RUN} FROM learning.reward_runs ORDER BY version DESC LIMIT %s", (limit,))
    return [RewardRun(**row) for row in await got.fetchall()]


async def run(conn: Conn, version: int) -> RewardRun | None:
    """One version."""
    got = await conn.execute(f"SELECT {_RUN} FROM learning.reward_runs WHERE version = %s", (version,))
    row = await got.fetchone()
    return None if row is None else RewardRun(**row)


async def add(conn: Conn, version: int, rewards: Sequence[Reward]) -> None:
    """Write the rewards that are new or differ in this version."""
    for start in range(0, len(rewards), _CHUNK):
        part = rewards[start : start + _CHUNK]
        await conn.execute(
            "INSERT INTO learning.rewards (decision, version, placement, arm, channel, at, seen_at, closes_at, reward, credits,"
            " table_of) SELECT decision, %s, placement, arm, channel, at, seen_at, closes_at, reward, credits::jsonb, table_of "
            "FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[],"
            " %s::timestamptz[], %s::float8[], %s::text[], %s::text[])"
            " AS w(decision, placement, arm, channel, at, seen_at, closes_at, reward, credits, table_of)",
            (
                version, [one.decision for one in part], [one.placement for one in part], [one.arm for one in part],
                [one.channel for one in part], [one.at for one in part], [one.seen_at for one in part],
                [one.closes_at for one in part], [one.reward for one in part],
                [_json(one.credits) for one in part], [one.table_of for one in part],
            ),
        )  # fmt: skip


async def of_version(
    conn: Conn, version: int, *, placement: str | None = None, since: datetime | None = None
) -> dict[DecisionId, Reward]:
    """What a version says of every decision, or of those of a placement or from a moment on."""
    got = await conn.execute(
        f"SELECT DISTINCT ON (decision) {_REWARD} FROM learning.rewards WHERE version <= %(v)s "
        "AND (%(p)s::text IS NULL OR placement = %(p)s) AND (%(a)s::timestamptz IS NULL OR at >= %(a)s) "
        "ORDER BY decision, version DESC",
        {"v": version, "p": placement, "a": since},
    )
    return {row["decision"]: Reward(**row) for row in await got.fetchall()}


async def forget(conn: Conn, decisions: Sequence[str]) -> int:
    """Remove what was counted for these decisions: their person is erased."""
    got = await conn.execute("DELETE FROM learning.rewards WHERE decision = ANY(%s)", (list(decisions),))
    return got.rowcount


async def begin_week(conn: Conn, placement: str, week: str, at: datetime) -> WeeklyRow:
    """Where the job of this week stands, locked; begun when it is not known."""
    await conn.execute(
        "INSERT INTO learning.weekly (placement, week, stage, begun_at, changed_at) VALUES (%s, %s, 'begun', %s, %s) "
        "ON CONFLICT DO NOTHING",
        (placement, week, at, at),
    )
    got = await conn.execute(
        f"SELECT {_WEEKLY} FROM learning.weekly WHERE placement = %s AND week = %s FOR UPDATE", (placement, week)
    )
    (row,) = await got.fetchall()
    return WeeklyRow(**row)


async def move_week(
    conn: Conn, placement: str, week: str, *, stage: str, at: datetime, version: int | None = None,
    model: str | None = None, outcome: str | None = None, facts: Mapping[str, Json] | None = None,
) -> None:  # fmt: skip
    """The job has come this far; what is None stays as it was."""
    await conn.execute(
        "UPDATE learning.weekly SET stage = %s, version = coalesce(%s, version), model = coalesce(%s, model), "
        "outcome = coalesce(%s, outcome), facts = facts || %s::jsonb, changed_at = %s WHERE placement = %s AND week = %s",
        (stage, version, model, outcome, _json(facts or {}), at, placement, week),
    )


async def weeks(conn: Conn, limit: int = 20) -> list[WeeklyRow]:
    """The newest jobs, newest first."""
    got = await conn.execute(
        f"SELECT {_WEEKLY} FROM learning.weekly ORDER BY changed_at DESC, placement LIMIT %s", (limit,)
    )
    rows: list[dict[str, Any]] = await got.fetchall()
    return [WeeklyRow(**row) for row in rows]


def _json(value: Mapping[str, Json]) -> str:
    return json.dumps(dict(value))
