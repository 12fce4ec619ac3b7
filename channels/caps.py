"""Frequency caps: how many messages a person may get in a time.

Enters: rules, the time a message is for. Leaves: the key and the start of the window each rule counts in; the counting itself is one conditional statement in
`store.py`, so N workers at a cap of k take exactly k places. A calendar day is that of the zone the rule names; a place is
taken at reservation and given back when nothing was sent. Where several rules hold, all must have room.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kernel.errors import InvalidInput

ALWAYS: Final = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class CapRule:
    """At most `limit` in `window`: a rolling time, or the calendar day in `zone` when `window` is None."""

    name: str
    limit: int
    window: timedelta | None = None
    zone: str = "UTC"

    def __post_init__(self) -> None:
        """Refuse a rule that could not be counted."""
        if self.limit < 1 or (self.window is not None and self.window <= timedelta(0)):
            msg = f"expected a limit of at least 1 and a window above zero in the cap {self.name!r}, got {self.limit} in {self.window}"
            raise InvalidInput(msg, code="channels.bad_cap", remedy="Correct the cap in the catalogue.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Where a message counts: a key of its own per rule (and day), and the moment after which places count."""

    key: str
    start: datetime
    limit: int

    def before(self, ahead: timedelta) -> datetime:
        """The start of the same window for a message that is sent so much sooner: what is planned ahead ends no place of today."""
        return self.start - ahead if self.start - ALWAYS > ahead else ALWAYS


def window(rule: CapRule, at: datetime) -> Window:
    """The window of `rule` that a message for `at` counts in."""
    if rule.window is not None:
        return Window(key=f"{rule.name}|{int(rule.window.total_seconds())}s", start=at - rule.window, limit=rule.limit)
    day = at.astimezone(_zone(rule)).date()
    return Window(key=f"{rule.name}|{day.isoformat()}|{rule.zone}", start=ALWAYS, limit=rule.limit)


def _zone(rule: CapRule) -> ZoneInfo:
    try:
        return ZoneInfo(rule.zone)
    except (ZoneInfoNotFoundError, ValueError) as unknown:
        msg = f"expected an IANA time zone in the cap {rule.name!r}, got {rule.zone!r}"
        raise InvalidInput(msg, code="channels.bad_zone", remedy="Name a zone such as Europe/Berlin.") from unknown
