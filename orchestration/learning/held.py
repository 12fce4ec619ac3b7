"""What messages brought against the people who are held out: conversion and revenue, with interval and what could have been seen at all (decision.D19, D24, D44).

Enters: a placement, an outcome, a time. Leaves: `Brought`. Whoever is known under ids of both sides counts on neither, and is counted; events are those of who she is now.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from events.service import Events
from identity.service import Identity
from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import PersonId
from orchestration.decision import reading_store
from orchestration.learning.assignment import MIXED, side_of
from orchestration.learning.lift import Z95, Lift, lift
from orchestration.learning.metrics import amount
from orchestration.learning.sequential import smallest_seen

_TREATED, _HELD = "treated", "held"
_EVER = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Money:
    """Revenue a person in both groups; `mde` is the smallest difference that groups of this size and spread show."""

    treated: float
    held: float
    difference: float
    low: float
    high: float
    mde: float

    def to_json(self) -> dict[str, Json]:
        """As printed."""
        return {
            "treated": self.treated, "held": self.held, "difference": self.difference, "low": self.low, "high": self.high,
            "mde": self.mde if math.isfinite(self.mde) else None,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Brought:
    """`mixed`: people known under ids of both sides."""

    shares: Lift
    revenue: Money | None
    mixed: int

    def to_json(self) -> dict[str, Json]:
        """As printed: the shares as before, with what came later beside them."""
        return {
            **self.shares.to_json(), "mixed": self.mixed, "revenue": None if self.revenue is None else self.revenue.to_json(),
        }  # fmt: skip


async def brought(
    conn: Conn, identity: Identity, events: Events, placement: str, *, outcome: str, window: timedelta
) -> Brought | None:
    """Compare the sides of a placement's holdout by each person's first decision; None where nobody could have been treated."""
    rows = await reading_store.compared(conn, placement, _EVER)
    if not rows:
        return None
    now = await identity.current(conn, sorted({row.person for row in rows}))
    first: dict[PersonId, datetime] = {}
    sides: dict[PersonId, list[str]] = {}
    for row in rows:
        if (who := now.get(row.person)) is not None:
            first.setdefault(who, row.at)
            sides.setdefault(who, []).append(_HELD if row.held else _TREATED)
    where = {person: side_of(found) for person, found in sides.items()}
    people = [person for person in first if where[person] != MIXED]
    happened = await events.of_people(conn, people, names=[outcome]) if people else {}
    hits: dict[PersonId, int] = {}
    money: dict[PersonId, float] = {}
    for person in people:
        mine = [one for one in happened.get(person, []) if first[person] <= one.event_time <= first[person] + window]
        hits[person] = len(mine)
        money[person] = sum(amount(one.properties.get("revenue")) for one in mine)
    treated = [person for person in people if where[person] == _TREATED]
    held = [person for person in people if where[person] == _HELD]
    if not people:
        return None
    shares = lift(
        treated=len(treated), treated_hits=sum(hits[one] > 0 for one in treated), held=len(held),
        held_hits=sum(hits[one] > 0 for one in held),
    )  # fmt: skip
    revenue = _money([money[one] for one in treated], [money[one] for one in held]) if any(money.values()) else None
    return Brought(shares, revenue, len(first) - len(people))


def _money(treated: list[float], held: list[float]) -> Money | None:
    if len(treated) < 2 or len(held) < 2:
        return None
    one, two = np.array(treated), np.array(held)
    difference = float(one.mean() - two.mean())
    half = Z95 * math.sqrt(float(one.var(ddof=1)) / len(one) + float(two.var(ddof=1)) / len(two))
    mde = smallest_seen(float(np.concatenate([one, two]).var()), len(one), len(two))
    return Money(float(one.mean()), float(two.mean()), difference, difference - half, difference + half, mde)
