"""How the graph is kept: whether a run was held back, how long records have waited to be settled, and what of identifiers lies in this process's memory.

Enters: the room.  Leaves: a `Health` of figures and codes, for the doctor and for metrics; nothing of anybody.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from identity import settler_store
from kernel.db import Conn

if TYPE_CHECKING:
    from identity.service import Identity


@dataclass(frozen=True, slots=True)
class Health:
    """``held``: objections to the newest run, none when it went live. ``run_age``: seconds since the live run read its table; None before the first.
    ``waiting`` records are not settled, the oldest for ``waited`` seconds; ``paused``: why no more is settled before the next run.
    """

    held: tuple[str, ...]
    held_run: str | None
    run_age: float | None
    waiting: int
    waited: float
    paused: str | None


async def health(conn: Conn, identity: "Identity", now: datetime) -> Health:
    """Asked of the tables: any process sees the same, but for ``paused``, which the one that settles knows."""
    newest = next(iter(await identity.runs.listed(conn, 1)), None)
    live = await identity.runs.live(conn)
    held = newest is not None and newest.verdict == "held" and newest.allowed_at is None
    progress = await settler_store.progress(conn)
    read_at = datetime.fromisoformat(live.card.read_at) if live else None
    return Health(
        held=newest.reasons if newest is not None and held else (),
        held_run=newest.run_id if newest is not None and held else None,
        run_age=None if read_at is None else max(0.0, (now - read_at).total_seconds()),
        waiting=progress.waiting if live else 0,
        waited=max(0.0, (now - progress.since).total_seconds()) if live and progress.since else 0.0,
        paused=identity.settler.paused,
    )
