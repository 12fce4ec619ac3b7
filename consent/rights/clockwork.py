"""The clock of a request: when it is due by which reading, confirming that it came in, moving the date once, alarms on the way (consent.D3).

What enters: requests and the hour. What leaves: dates, notes in the log, alarms at 50, 80 and 100 percent of the time, each once. The dates themselves are reckoned in ``clocks.py``.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from audit.service import Audit
from audit.tags import Tag
from consent import clocks, lifecycle
from consent import requests_store as rows
from consent.errors import RequestNotFound, TooLate
from consent.lifecycle import Request, Right
from consent.rights.noting import note
from kernel.canonical import Json
from kernel.db import Conn
from kernel.errors import InvalidInput
from kernel.ids import RequestId
from kernel.kernel import Kernel

ALARMS: Final = (100, 80, 50)
OPT_OUTS: Final = frozenset({Right.OPT_OUT, Right.OPT_IN, Right.LIMIT_SENSITIVE, Right.ADMT_OPT_OUT})
_SHORTEST_REASON: Final = 10


@dataclass(frozen=True, slots=True)
class Alarm:
    """A request has used up so much of its time."""

    request: RequestId
    percent: int
    due_on: date


def due(right: Right, received: date, regime: str) -> date:
    """The day by which it must be answered."""
    return clocks.due(received, regime=regime, opt_out=right in OPT_OUTS)


def dates(request: Request) -> dict[str, date]:
    """Every date of the request by name: both readings of the GDPR's month, or California's days."""
    received = clocks.day_of(request.received_at, request.regime)
    if request.regime != clocks.CCPA:
        read = clocks.gdpr(received)
        return {
            "due": read.due,
            "due_if_weekend_rolls": read.due_if_weekend_rolls,
            "due_counted_from_the_day_after": read.due_other_reading,
            "extended_due": read.extended_due,
            "extension_notice_by": read.extension_notice_by,
        }
    if request.right in OPT_OUTS:
        return {"due": clocks.ccpa_opt_out(received)}
    found = clocks.ccpa(received)
    return {
        "confirm_by": found.confirm_by,
        "due": found.due,
        "max_due": found.max_due,
        "extension_notice_by": found.extension_notice_by,
    }


def used(request: Request, now: datetime) -> int:
    """Percent of the time that has gone; 100 from the end of the due day on. After an extension, of the time since it."""
    begun = request.extended_at or request.received_at
    end = datetime.combine(request.due_on + timedelta(days=1), time(), UTC)
    whole = (end - begun).total_seconds()
    return 100 if whole <= 0 else min(100, int((now - begun).total_seconds() * 100 / whole))


class Clockwork:
    """Stands at ``Rights.clock``."""

    def __init__(self, kernel: Kernel, audit: Audit) -> None:
        self._kernel = kernel
        self._audit = audit

    async def confirm(self, request_id: str, *, actor: str) -> Request:
        """She was told that it came in, and how it goes on (11 CCR 7021(a)). Again: nothing changes."""
        async with self._kernel.db.transaction() as conn:
            request = await self._get(conn, request_id)
            if request.confirmed_at is None:
                await rows.confirm(conn, request.id, self._kernel.clock.now())
                await note(conn, self._audit, Tag.REQUEST_CONFIRMED, request, actor, {})
            return await self._get(conn, request_id)

    async def extend(self, request_id: str, *, actor: str, reason: str) -> Request:
        """Move the due date, once, before it, with the reason that she was told.

        Raises:
            TooLate: the first date has passed, it was moved already, or the law gives no more time for this right.
            InvalidInput: no reason.
        """
        if len(reason.strip()) < _SHORTEST_REASON:
            raise InvalidInput("expected the reason that she was told, got less than ten letters", code="consent.reason_needed", remedy="Write why more time is needed, as you wrote to her.")  # fmt: skip
        async with self._kernel.db.transaction() as conn:
            request = await self._get(conn, request_id)
            now = self._kernel.clock.now()
            later = dates(request).get("extended_due") or dates(request).get("max_due")
            if request.state in lifecycle.FINAL or later is None or request.extended_at is not None:
                raise TooLate("expected an open request whose clock the law lets run longer once, got another")
            if clocks.day_of(now, request.regime) > request.due_on:
                raise TooLate(f"expected a day until {request.due_on}, got a later one")
            await rows.extend(conn, request.id, later, reason.strip(), now)
            facts = {"from": request.due_on.isoformat(), "to": later.isoformat()}
            await note(conn, self._audit, Tag.REQUEST_EXTENDED, request, actor, facts)
            return await self._get(conn, request_id)

    async def watch(self, *, actor: str = "system:clock") -> list[Alarm]:
        """Raise the alarms that are due; each of a request once, in the log and here."""
        found = []
        async with self._kernel.db.transaction() as conn:
            for request in await rows.ticking(conn):
                gone = used(request, self._kernel.clock.now())
                percent = next((mark for mark in ALARMS if gone >= mark), 0)
                if percent <= request.alarmed:
                    continue
                await rows.set_alarm(conn, request.id, percent)
                facts: dict[str, Json] = {"percent": percent, "due_on": request.due_on.isoformat()}
                await note(conn, self._audit, Tag.REQUEST_ALARM, request, actor, facts)
                found.append(Alarm(request.id, percent, request.due_on))
        return found

    async def _get(self, conn: Conn, request_id: str) -> Request:
        found = await rows.get(conn, RequestId(request_id), claim=True)
        if found is None:
            raise RequestNotFound("expected the id of a subject request, got one that nobody opened")
        return found
