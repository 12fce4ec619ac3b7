"""Durations, quiet hours and calendars of triggers. Pure.

Enters: what the file says, a moment. Leaves: moments, always aware UTC. Wall clocks are of a named zone: a time that a change of the clock skips is the moment
after the gap, one that happens twice is the first (spec channels.A29).
"""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from croniter import CroniterBadCronError, croniter
from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationError

from kernel.clock import zones
from orchestration.decision.parts import Part, Seconds

_SHORT: Final[TypeAdapter[int]] = TypeAdapter(Seconds)
_DAY_MINUTES: Final = 24 * 60
_LONGEST: Final = timedelta(days=366)


def _lasting(value: object) -> object:
    """`1h`, `30m`, `7d` as a duration; what pydantic reads itself (ISO 8601: PT1H) and seconds stay."""
    if isinstance(value, str) and not value.upper().startswith("P"):
        try:
            return timedelta(seconds=_SHORT.validate_python(value))
        except ValidationError:
            msg = "expected a duration such as PT1H, P7D, 30m, 12h or 7d"
            raise ValueError(msg) from None
    return value


def _bounded(value: timedelta) -> timedelta:
    if not timedelta(0) <= value <= _LONGEST:
        msg = "expected a duration from nothing to 366 days"
        raise ValueError(msg)
    return value


def _zone(value: str) -> str:
    if value not in zones():
        msg = "expected an IANA time zone such as Europe/Berlin"
        raise ValueError(msg)
    return value


def _clock(value: object) -> object:
    """YAML reads an unquoted 21:00 as the number 1260: minutes of a day."""
    if isinstance(value, int):
        if isinstance(value, bool) or not 0 <= value < _DAY_MINUTES:
            msg = "expected a time of day such as '21:00'"
            raise ValueError(msg)
        return time(value // 60, value % 60)
    return value


def _cron(value: str) -> str:
    try:
        parts = len(croniter.expand(value)[0])
    except (CroniterBadCronError, ValueError, KeyError) as fault:
        msg = f"expected five fields of a crontab, such as '0 9 * * mon', got {fault}"
        raise ValueError(msg) from None
    if parts != 5:
        msg = f"expected five fields of a crontab, such as '0 9 * * mon', got {parts}"
        raise ValueError(msg)
    return value


Lasting = Annotated[timedelta, BeforeValidator(_lasting), AfterValidator(_bounded)]
Zone = Annotated[str, AfterValidator(_zone)]
Clock = Annotated[time, BeforeValidator(_clock)]
Cron = Annotated[str, AfterValidator(_cron)]


class Quiet(Part):
    """Hours in which nothing is decided; what falls into them waits for their end. They may pass midnight; equal ends are no hours at all."""

    begin: Clock = Field(alias="from")
    end: Clock = Field(alias="until")
    zone: Zone = "UTC"

    def after(self, at: datetime) -> datetime:
        """The moment itself, or the end of the quiet hours that it falls into."""
        local = at.astimezone(ZoneInfo(self.zone))
        now = local.time()
        if self.begin <= self.end:
            if not self.begin <= now < self.end:
                return at
            day = local.date()
        elif now >= self.begin:
            day = local.date() + timedelta(days=1)
        elif now < self.end:
            day = local.date()
        else:
            return at
        ends = [instant(datetime.combine(day, self.end), self.zone, fold=fold) for fold in (0, 1)]
        return next((one for one in ends if one > at), ends[-1])


def instant(wall: datetime, zone: str, *, fold: int = 0) -> datetime:
    """The moment at which a zone's clocks show `wall` (naive)."""
    return wall.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


def occurrences(cron: str, zone: str, after: datetime, until: datetime) -> Iterator[datetime]:
    """The moments of a crontab in a zone after one moment and up to another, oldest first, each once.

    Counted on the wall clock, so that "every day at 02:30" is once a day on the two days of the year whose clocks change as well.
    """
    walls = croniter(cron, after.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0))
    newest = after
    while (found := instant(walls.get_next(datetime), zone)) <= until:
        if found > newest:
            newest = found
            yield found
