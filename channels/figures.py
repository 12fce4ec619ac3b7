"""What the room counts for `/metrics`: every step of a delivery, once it is committed, and what waits now."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from channels.deliveries import Delivery
from channels.ledger import State
from kernel import metrics
from kernel.db import Conn, after_commit

_steps = metrics.counter("candor_delivery_steps_total", "Deliveries that reached a state.", ["channel", "state"])
_refused = metrics.counter("candor_deliveries_withheld_total", "Deliveries that may not leave, by reason.", ["channel", "reason"])  # fmt: skip
_UNSENT = frozenset({State.WITHHELD, State.CANCELLED})


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is not finished: counts by (channel, state), and for how long the oldest one that is due waits for a worker."""

    open: Mapping[tuple[str, str], int]
    oldest_due_seconds: float


def count(conn: Conn, moved: Sequence[tuple[Delivery, State, str | None]]) -> None:
    """Count these when the transaction commits."""
    steps = Counter((delivery.channel, str(state)) for delivery, state, _ in moved)
    reasons = Counter((delivery.channel, why) for delivery, state, why in moved if why and state in _UNSENT)

    async def add() -> None:
        for names, number in steps.items():
            _steps.labels(*names).inc(number)
        for names, number in reasons.items():
            _refused.labels(*names).inc(number)

    if steps:
        after_commit(conn, add)
