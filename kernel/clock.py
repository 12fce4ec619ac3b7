"""Time as an argument. What leaves is always an aware UTC ``datetime``; nothing else in Candor asks the wall clock."""

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Protocol
from zoneinfo import available_timezones

from kernel.errors import InvalidInput


class Clock(Protocol):
    """Tells the time. Implementations never go back within one process, and always answer in UTC."""

    def now(self) -> datetime:
        """The present as an aware UTC datetime, microsecond resolution."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The machine's time in UTC."""
        return datetime.now(UTC)


class FrozenClock:
    """A clock that moves only when told to: for tests, replays and seeded worlds."""

    def __init__(self, at: datetime) -> None:
        if at.tzinfo is None:
            msg = "expected an aware datetime for the frozen clock, got a naive one"
            raise InvalidInput(msg, code="naive_datetime", remedy="Give the time zone, for example tzinfo=UTC.")
        self._now = at.astimezone(UTC)

    def now(self) -> datetime:
        """The time it was frozen at, plus every advance."""
        return self._now

    def advance(self, by: timedelta) -> datetime:
        """Move forward and return the new time; a negative step is refused, time does not go back."""
        if by < timedelta(0):
            msg = f"expected a step of zero or more, got {by}"
            raise InvalidInput(msg, code="clock_backwards", remedy="Make a new FrozenClock for an earlier time.")
        self._now += by
        return self._now


@cache
def zones() -> frozenset[str]:
    """The names of the IANA time zones of this machine; looked up once, since that walks through every file of the database."""
    return frozenset(available_timezones())
