"""All SQL on copies of the keys database, and on what stands open with requests and letters. Contract: as in ``requests_store.py``."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from kernel.db import Conn

_COLUMNS: Final = "id, place, here, digest, keks, made_at, purge_on, registered_by, purged_at, purged_by, how"


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of the keys database. ``here``: ``place`` is a file of this machine, whose SHA-256 is ``digest``; ``keks`` open it."""

    id: str
    place: str
    here: bool
    digest: str | None
    keks: tuple[str, ...]
    made_at: datetime
    purge_on: date
    registered_by: str
    purged_at: datetime | None = None
    purged_by: str | None = None
    how: str | None = None


async def insert(conn: Conn, one: Copy) -> None:
    """Note it."""
    await conn.execute(
        "INSERT INTO consent.key_backups (id, place, here, digest, keks, made_at, purge_on, registered_by)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (one.id, one.place, one.here, one.digest, list(one.keks), one.made_at, one.purge_on, one.registered_by),
    )


async def listed(conn: Conn, *, standing: bool = False) -> list[Copy]:
    """All of them, or those that are not gone, the first to go first."""
    got = await conn.execute(
        f"SELECT {_COLUMNS} FROM consent.key_backups WHERE NOT %s OR purged_at IS NULL ORDER BY purge_on, id",
        (standing,),
    )
    return [_copy(row) async for row in got]


async def gone(conn: Conn, name: str, at: datetime, by: str, how: str) -> bool:
    """Note that it is gone; False when that was noted before, or there is none of this id."""
    got = await conn.execute(
        "UPDATE consent.key_backups SET purged_at = %s, purged_by = %s, how = %s WHERE id = %s AND purged_at IS NULL",
        (at, by, how, name),
    )
    return got.rowcount == 1


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands open: requests by the last alarm of their clock, requests past their date, letters by state, letters that somebody must look at."""

    by_alarm: dict[int, int]
    overdue: int
    letters: dict[str, int]
    escalated: int


async def standing(conn: Conn, today: date) -> Standing:
    """Counts."""
    got = await conn.execute(
        "SELECT alarmed, count(*) AS n, count(*) FILTER (WHERE due_on < %s) AS late FROM consent.requests"
        " WHERE closed_at IS NULL GROUP BY alarmed ORDER BY alarmed",
        (today,),
    )
    requests: Sequence[Any] = await got.fetchall()
    got = await conn.execute(
        "SELECT state, count(*) AS n, count(escalated_at) AS bad FROM consent.letters WHERE state NOT IN ('proven', 'taken') GROUP BY state"
    )
    letters: Sequence[Any] = await got.fetchall()
    return Standing(
        {int(row["alarmed"]): int(row["n"]) for row in requests},
        sum(int(row["late"]) for row in requests),
        {str(row["state"]): int(row["n"]) for row in letters},
        sum(int(row["bad"]) for row in letters),
    )


def _copy(row: Any) -> Copy:
    held = {name: row[name] for name in _COLUMNS.split(", ")}
    return Copy(**{**held, "keks": tuple(held["keks"])})
