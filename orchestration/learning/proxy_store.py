"""SQL of the proxy audit: what was found, in figures about nobody, and what officers accepted."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from kernel.canonical import Json
from kernel.db import Conn


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyRun:
    """One audit of a placement. `findings`: as `Told.to_json`; `direct`: features that are made of an attribute; `untried`: attributes of which nobody knows enough."""

    placement: str
    at: datetime
    people: int
    findings: Sequence[Json]
    direct: dict[str, Json]
    untried: Sequence[Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """An officer's word that a feature may be used although it tells an attribute."""

    attribute: str
    feature: str
    reason: str
    actor: str
    at: datetime


async def add(conn: Conn, run: ProxyRun) -> None:
    """Keep an audit."""
    await conn.execute(
        "INSERT INTO learning.proxy_runs (placement, at, people, findings, direct, untried) VALUES (%s, %s, %s, %s::jsonb, %s::jsonb, %s::jsonb)",
        (
            run.placement,
            run.at,
            run.people,
            json.dumps(list(run.findings)),
            json.dumps(run.direct),
            json.dumps(list(run.untried)),
        ),
    )


async def newest(conn: Conn) -> list[ProxyRun]:
    """The newest audit of each placement."""
    got = await conn.execute(
        "SELECT DISTINCT ON (placement) placement, at, people, findings, direct, untried FROM learning.proxy_runs ORDER BY placement, seq DESC"
    )
    return [ProxyRun(**row) for row in await got.fetchall()]


async def accept(conn: Conn, one: Accepted) -> bool:
    """Note it; False when it was accepted before."""
    got = await conn.execute(
        "INSERT INTO learning.proxies_accepted (attribute, feature, reason, actor, at) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING RETURNING 1",
        (one.attribute, one.feature, one.reason, one.actor, one.at),
    )
    return await got.fetchone() is not None


async def accepted(conn: Conn) -> list[Accepted]:
    """Everything that was accepted."""
    got = await conn.execute("SELECT attribute, feature, reason, actor, at FROM learning.proxies_accepted ORDER BY at, attribute, feature")  # fmt: skip
    return [Accepted(**row) for row in await got.fetchall()]
