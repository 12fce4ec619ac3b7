"""Decisions that may teach a learner: those that chose by chance among several arms under a policy, without their sealed content.

Takes the caller's connection and changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from kernel.db import Conn
from kernel.ids import DecisionId, PersonId
from orchestration.decision.store import Brief

_FIT = "propensity < 1 AND withheld IS NULL AND redacted_at IS NULL AND person IS NOT NULL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What was chosen, for whom, when; `policy` is a digest."""

    id: DecisionId
    person: PersonId
    placement: str
    at: datetime
    choice: str
    policy: str


async def named(conn: Conn, ids: Sequence[DecisionId]) -> list[Choice]:
    """Those of these decisions that may teach."""
    got = await conn.execute(
        f"SELECT id, person, placement, at, choice, policy FROM decision.decisions WHERE id = ANY(%s) AND {_FIT}",
        (list(ids),),
    )
    return [Choice(**row) for row in await got.fetchall()]


async def after(conn: Conn, placement: str, begin: datetime, policy_not: str, limit: int) -> list[Choice]:
    """Those of a placement after `begin`, oldest first, but for those of one policy."""
    got = await conn.execute(
        f"SELECT id, person, placement, at, choice, policy FROM decision.decisions WHERE placement = %s AND at > %s "
        f"AND policy <> %s AND {_FIT} ORDER BY at, id LIMIT %s",
        (placement, begin, policy_not, limit),
    )
    return [Choice(**row) for row in await got.fetchall()]


async def ids(
    conn: Conn, placement: str, cursor: tuple[datetime, str], until: datetime, policy_not: str, limit: int
) -> list[tuple[datetime, DecisionId]]:
    """A page of those after a moment and id, and not after `until`: moment and id, in that order."""
    got = await conn.execute(
        f"SELECT at, id FROM decision.decisions WHERE placement = %s AND (at, id) > (%s, %s) AND at <= %s "
        f"AND policy <> %s AND {_FIT} ORDER BY at, id LIMIT %s",
        (placement, *cursor, until, policy_not, limit),
    )
    return [(row["at"], DecisionId(str(row["id"]))) for row in await got.fetchall()]


async def brief_of(conn: Conn, people: Sequence[PersonId], begin: datetime, until: datetime) -> list[Brief]:
    """Every decision about these people in a time, in one order; redacted ones left out."""
    got = await conn.execute(
        "SELECT id, person, placement, at, variant, channel, propensity, delivery_id FROM decision.decisions "
        "WHERE redacted_at IS NULL AND person = ANY(%s) AND at >= %s AND at <= %s ORDER BY at, id",
        (list(people), begin, until),
    )
    return [Brief(**row) for row in await got.fetchall()]
