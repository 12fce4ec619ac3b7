"""From SendGrid's HTTP answer to an `Outcome`.

Enters: a status and headers. Leaves: the outcome that `data/sendgrid.yaml` gives it, with the time to wait. Retry-After is read in both
forms of RFC 9110 10.2.3; SendGrid's own X-RateLimit-Reset (epoch seconds) is the second choice. Spec channels.A13, A14.
"""

from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

from channels.connector import Answer, Outcome
from channels.email.table import TABLE, Row
from kernel.ids import DeliveryId

LONGEST_WAIT: Final = 7 * 86_400.0  # seconds; whatever asks for more outlives every message


def outcome(
    status: int, headers: Mapping[str, str], *, delivery_id: DeliveryId, sandbox: bool, at: datetime
) -> tuple[Outcome, Row]:
    """The outcome, and the row of the table it came from. `at`: the time of the attempt, when the answer has no Date."""
    row = TABLE.row(status, sandbox=sandbox)
    match row.answer:
        case Answer.ACCEPTED:
            # Its own name for the message; where it gives none (the sandbox), ours, so that every delivery has one.
            name = headers.get("x-message-id", "").strip() or f"sendgrid:{delivery_id}"
            return Outcome(answer=row.answer, provider_id=name[:200], reason=row.reason), row
        case Answer.DEFERRED:
            wait = wait_of(headers, at)
            return Outcome(answer=row.answer, reason=row.reason, retry_after=wait), row
        case _:
            return Outcome(answer=row.answer, reason=row.reason), row


def wait_of(headers: Mapping[str, str], at: datetime) -> float | None:
    """Seconds that the answer asks us to wait; None when it says nothing that can be read."""
    now = _date(headers.get("date", "")) or at
    said = headers.get("retry-after", "").strip()
    reset = headers.get("x-ratelimit-reset", "").strip()
    if said.isascii() and said.isdigit():
        return _bounded(float(said[:12]))
    if (then := _date(said)) is not None:
        return _bounded((then - now).total_seconds())
    if reset.isascii() and reset.isdigit():
        return _bounded(float(reset[:12]) - now.timestamp())
    return None


def _bounded(seconds: float) -> float:
    return min(max(0.0, seconds), LONGEST_WAIT)


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:  # also for an absent one
        return None
    return found if found.tzinfo is not None else None  # "-0000" says that the zone is unknown
