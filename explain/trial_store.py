"""SQL of trials: samples of what was explained, and counts of what held. A trial names nobody."""

from dataclasses import dataclass, fields
from datetime import datetime

from kernel.db import Conn
from kernel.ids import DecisionId


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One trial. `reasons`: explanations whose reasons were tried, of which `falsified` told one that is not so, `idle` one that does nothing, `scores` were of another score than the record's; `levers` were
    pulled again, of which `flat` flip nothing.
    """

    at: datetime
    since: datetime
    looked: int = 0
    reasons: int = 0
    falsified: int = 0
    idle: int = 0
    scores: int = 0
    levers: int = 0
    flat: int = 0

    @property
    def bad(self) -> int:
        """What did not hold."""
        return self.falsified + self.scores + self.flat

    @property
    def holds(self) -> bool:
        """At most one reason in a hundred is false or does nothing, no score is another, no lever flat (X53, X55)."""
        return not self.scores and not self.flat and (self.falsified + self.idle) * 100 <= self.reasons

    def counts(self) -> dict[str, int]:
        """The counts by name."""
        return {one.name: int(getattr(self, one.name)) for one in fields(self) if one.name not in {"at", "since"}}


async def sample(conn: Conn, since: datetime, limit: int) -> list[DecisionId]:
    """Decisions explained since a moment, drawn at random."""
    got = await conn.execute(
        "SELECT decision_id FROM explain.explanations WHERE made_at >= %s AND body IS NOT NULL ORDER BY random() LIMIT %s",
        (since, limit),
    )
    return [DecisionId(row["decision_id"]) for row in await got.fetchall()]


async def any_since(conn: Conn, since: datetime) -> bool:
    """Whether anything was explained since."""
    got = await conn.execute("SELECT 1 FROM explain.explanations WHERE made_at >= %s LIMIT 1", (since,))
    return await got.fetchone() is not None


async def add(conn: Conn, made: Trial) -> None:
    """Keep a trial."""
    await conn.execute(
        "INSERT INTO explain.trials (at, since, looked, reasons, falsified, idle, scores, levers, flat)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (made.at, made.since, made.looked, made.reasons, made.falsified, made.idle, made.scores, made.levers, made.flat),
    )  # fmt: skip


async def newest(conn: Conn, limit: int) -> list[Trial]:
    """The newest trials, newest first."""
    got = await conn.execute(
        "SELECT at, since, looked, reasons, falsified, idle, scores, levers, flat FROM explain.trials ORDER BY seq DESC LIMIT %s",
        (limit,),
    )
    return [Trial(**row) for row in await got.fetchall()]
