"""What the room counts for `/metrics`: acts, by purpose and answer, once they are committed."""

from collections import Counter
from collections.abc import Sequence

from consent.store import ActRow
from kernel import metrics
from kernel.db import Conn, after_commit

_acts = metrics.counter("candor_consent_acts_total", "Consent acts that were recorded.", ["purpose", "status"])


def count(conn: Conn, rows: Sequence[ActRow]) -> None:
    """Count these when the transaction commits."""
    counts = Counter((row.act.purpose.partition(":")[0], str(row.act.status)) for row in rows)

    async def add() -> None:
        for (purpose, status), number in counts.items():
            _acts.labels(purpose, status).inc(number)

    if counts:
        after_commit(conn, add)
