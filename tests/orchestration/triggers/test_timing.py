"""Quiet hours and calendars on wall clocks that jump."""

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.triggers.timing import Quiet, instant, occurrences

MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))
ZONES = st.sampled_from(sorted(available_timezones() - {"localtime"}))
TIMES = st.builds(time, st.integers(0, 23), st.sampled_from([0, 30, 59]))


def quiet(begin: str | time, end: str | time, zone: str = "UTC") -> Quiet:
    return Quiet.model_validate({"from": begin, "until": end, "zone": zone})


@given(begin=TIMES, end=TIMES, zone=ZONES, at=MOMENTS)
def test_quiet_hours_end_outside_of_themselves_and_within_a_day(begin, end, zone, at):
    hours = quiet(begin, end, zone)
    held = hours.after(at)
    assert at <= held <= at + timedelta(hours=26)
    assert hours.after(held) == held or held.astimezone(ZoneInfo(zone)).time() != end
    if begin == end:
        assert held == at


@pytest.mark.parametrize(
    ("at", "held"),
    [
        ("2026-03-05T20:29", "2026-03-05T20:29"),  # 21:29 in Berlin
        ("2026-03-05T20:30", "2026-03-06T07:00"),
        ("2026-03-06T06:59", "2026-03-06T07:00"),
        ("2026-03-06T07:00", "2026-03-06T07:00"),
        ("2026-03-28T22:00", "2026-03-29T06:00"),  # the night in which clocks go forward
        ("2026-10-24T22:00", "2026-10-25T07:00"),  # and back
    ],
)
def test_a_night_in_berlin(at, held):
    hours = quiet("21:30", "08:00", "Europe/Berlin")
    assert hours.after(datetime.fromisoformat(at).replace(tzinfo=UTC)) == datetime.fromisoformat(held).replace(
        tzinfo=UTC
    )


def test_an_end_that_the_clock_skips_is_the_moment_after_the_gap_and_one_that_comes_twice_the_first():
    hours = quiet("22:00", "02:30", "Europe/Berlin")
    assert hours.after(datetime(2026, 3, 29, 0, tzinfo=UTC)) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert hours.after(datetime(2026, 10, 24, 23, tzinfo=UTC)) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    # 02:15 for the second time: the hours have been over once, the clock says that they are not.
    assert hours.after(datetime(2026, 10, 25, 1, 15, tzinfo=UTC)) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


@given(zone=ZONES, at=MOMENTS, hour=st.integers(0, 23), minute=st.sampled_from([0, 30, 45]))
def test_every_day_at_a_time_is_once_a_day_whatever_the_clocks_do(zone, at, hour, minute):
    found = list(occurrences(f"{minute} {hour} * * *", zone, at, at + timedelta(days=20)))
    assert 19 <= len(found) <= 21
    assert found == sorted(set(found))
    assert all(timedelta(hours=21) <= b - a <= timedelta(hours=27) for a, b in pairwise(found)) or _leapt(zone, at)  # fmt: skip


def _leapt(zone: str, at: datetime) -> bool:
    """Zones that moved over the date line, or by more than usual, in these days."""
    offsets = {(at + timedelta(hours=n)).astimezone(ZoneInfo(zone)).utcoffset() for n in range(20 * 24)}
    return max(offsets) - min(offsets) > timedelta(hours=2)


@given(zone=ZONES, at=MOMENTS, split=st.integers(1, 40 * 24))
def test_looking_in_two_steps_finds_what_one_look_finds(zone, at, split):
    """A restart in between neither repeats nor loses an hour."""
    end = at + timedelta(days=40)
    whole = list(occurrences("30 2 * * *", zone, at, end))
    middle = at + timedelta(hours=split)
    first = list(occurrences("30 2 * * *", zone, at, middle))
    rest = list(occurrences("30 2 * * *", zone, first[-1] if first else at, end))
    assert first + rest == whole


def test_the_days_of_the_change():
    days = occurrences("30 2 * * *", "Europe/Berlin", datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 3, 30, 12, tzinfo=UTC))  # fmt: skip
    assert [one.isoformat() for one in days] == ["2026-03-29T01:30:00+00:00", "2026-03-30T00:30:00+00:00"]
    days = occurrences("30 2 * * *", "Europe/Berlin", datetime(2026, 10, 24, 12, tzinfo=UTC), datetime(2026, 10, 26, 12, tzinfo=UTC))  # fmt: skip
    assert [one.isoformat() for one in days] == ["2026-10-25T00:30:00+00:00", "2026-10-26T01:30:00+00:00"]
    assert instant(datetime(2026, 1, 1, 9), "Europe/Berlin") == datetime(2026, 1, 1, 8, tzinfo=UTC)
