"""How explanations stand, in counts: made, waiting and for how long, refused; what held when reasons were tried.

Enters: a connection, now. Leaves: `Standing`, for figures and for whoever looks after the house. About nobody.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from explain import promises_store, queue_store, tally_store, trial_store
from explain.promises import Honesty
from explain.tallies import ALL
from explain.trial_store import Trial
from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import made_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """`oldest_seconds`: how long the oldest decision has waited for its explanation, 0 with none. `trial`: the newest one. `levers`: whether they keep what they promise.
    `put_off`: decisions that the queue had no room for and that nobody explained since, by reason.
    """

    made: int
    waiting: int
    refused: int
    oldest_seconds: float
    trial: Trial | None
    levers: Honesty
    put_off: Mapping[str, int]

    def to_json(self) -> dict[str, Json]:
        """As answered."""
        trial = self.trial
        return {
            "made": self.made, "waiting": self.waiting, "refused": self.refused, "oldest_seconds": self.oldest_seconds,
            "put_off": dict(self.put_off), "levers": self.levers.as_json(),
            "trial": None if trial is None else {"at": trial.at.isoformat(), "holds": trial.holds, **trial.counts()},
        }  # fmt: skip


async def of_explanations(conn: Conn, now: datetime) -> Standing:
    """How things stand now."""
    first = await queue_store.oldest(conn)
    trials = await trial_store.newest(conn, 1)
    return Standing(
        made=await tally_store.total(conn, ALL), waiting=await queue_store.queued(conn), refused=len(await queue_store.refused(conn)),
        put_off=await queue_store.counts_put_off(conn),
        oldest_seconds=0.0 if first is None else max(0.0, (now - made_at(first)).total_seconds()),
        trial=trials[0] if trials else None, levers=Honesty(**await promises_store.counts(conn)),
    )  # fmt: skip
