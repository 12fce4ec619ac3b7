"""How long a subject request may take. Pure; holidays are not applied, so a date may be earlier than the law's, never later.

What enters: the day of receipt, the regime, the right. What leaves: the dates of that regime. Follows GDPR Art. 12(3) with
Reg. 1182/71 (one month: the same-numbered day, or the last of the month; two more if told in time) and 11 CCR 7021, 7026
(10 business days to confirm, 45 calendar days, at most 90; an opt-out within 15 business days, without verification).
"""

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

_SATURDAY: Final = 5
CCPA: Final = "us-ca"
_ZONES: Final = {CCPA: ZoneInfo("America/Los_Angeles")}  # elsewhere UTC: never a later day than in Europe


@dataclass(frozen=True, slots=True)
class GdprDates:
    """``due`` is what we keep: the earlier of two readings (counted from the day of receipt, or from the day after)."""

    due: date
    due_if_weekend_rolls: date
    due_other_reading: date
    extended_due: date
    extension_notice_by: date


@dataclass(frozen=True, slots=True)
class CcpaDates:
    """Dates of a request to know, delete or correct. Verification does not stop this clock."""

    confirm_by: date
    due: date
    max_due: date
    extension_notice_by: date


def gdpr(received: date) -> GdprDates:
    """Art. 12(3)."""
    due = add_months(received, 1)
    return GdprDates(
        due=due,
        due_if_weekend_rolls=next_working_day(due),
        due_other_reading=add_months(received + timedelta(days=1), 1),
        extended_due=add_months(received, 3),
        extension_notice_by=due,
    )


def ccpa(received: date) -> CcpaDates:
    """11 CCR 7021."""
    due = received + timedelta(days=45)
    return CcpaDates(
        confirm_by=add_business_days(received, 10),
        due=due,
        max_due=received + timedelta(days=90),
        extension_notice_by=due,
    )


def ccpa_opt_out(received: date) -> date:
    """11 CCR 7026: as soon as feasible, at most 15 business days."""
    return add_business_days(received, 15)


def day_of(at: datetime, regime: str) -> date:
    """The calendar day of a moment where the regime is; what came in there on the evening of the 31st came in on the 31st."""
    return at.astimezone(_ZONES.get(regime, UTC)).date()


def due(received: date, *, regime: str, opt_out: bool) -> date:
    """The day by which a request must be answered; every regime but California's has the GDPR's month."""
    if regime != CCPA:
        return gdpr(received).due
    return ccpa_opt_out(received) if opt_out else ccpa(received).due


def add_months(day: date, months: int) -> date:
    """The same-numbered day that many months on, or the last day of that month."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def add_business_days(day: date, count: int) -> date:
    """That many days from Monday to Friday after ``day``."""
    while count:
        day += timedelta(days=1)
        count -= day.weekday() < _SATURDAY
    return day


def next_working_day(day: date) -> date:
    """``day``, or the Monday after it."""
    while day.weekday() >= _SATURDAY:
        day += timedelta(days=1)
    return day
