"""Dates of subject requests, and the steps between their states."""

import json
from datetime import date

import pytest

from consent import clocks, lifecycle
from consent.errors import RequestState
from consent.lifecycle import FINAL, STEPS, Denial, State
from tests.support.shared import shared_path


def test_deadline_cases() -> None:
    found = json.loads(shared_path("cases/deadlines.json").read_text())["cases"]
    assert len(found) == 12
    for case in found:
        day = date.fromisoformat(case["received"])
        if case["regime"] == "gdpr":
            dates = clocks.gdpr(day)
            got = {
                "due_nominal": dates.due,
                "due_if_weekend_rolls": dates.due_if_weekend_rolls,
                "extended_due_nominal": dates.extended_due,
                "extension_notice_by": dates.extension_notice_by,
            }
            assert clocks.due(day, regime="gdpr", opt_out=False) == dates.due
        elif case["regime"] == "ccpa_opt_out_or_limit":
            got = {"due_15_business_days": clocks.ccpa_opt_out(day)}
            assert clocks.due(day, regime="us-ca", opt_out=True) == clocks.ccpa_opt_out(day)
        else:
            ccpa = clocks.ccpa(day)
            got = {
                "confirm_receipt_by_10_business_days": ccpa.confirm_by,
                "due_45_calendar_days": ccpa.due,
                "max_due_90_calendar_days": ccpa.max_due,
                "extension_notice_by": ccpa.extension_notice_by,
            }
            assert clocks.due(day, regime="us-ca", opt_out=False) == ccpa.due
        for name, value in got.items():
            assert value.isoformat() == case[name], (case["regime"], case["received"], name)


def test_two_readings_differ_by_a_day_and_the_earlier_is_kept() -> None:
    dates = clocks.gdpr(date(2026, 3, 5))
    assert (dates.due, dates.due_other_reading) == (date(2026, 4, 5), date(2026, 4, 6))


def test_states_are_those_of_the_protocol() -> None:
    case = json.loads(shared_path("cases/drp.json").read_text())
    assert {state for state, _, _ in case["states"]} == set(State)
    assert {reason for state, reason, _ in case["states"] if state == "denied"} == set(Denial)
    assert {state for state, reason, final in case["states"] if final and reason is None} | {"denied"} == FINAL
    for name in ("sale:opt_out", "deletion", "access", "sale:opt-out"):
        assert name in lifecycle.NAMES


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("state", State)
def test_only_the_listed_steps_are_taken(name: str, state: State) -> None:
    starts, end = STEPS[name]
    if state in starts:
        assert lifecycle.step(name, state) is end
    else:
        with pytest.raises(RequestState):
            lifecycle.step(name, state)
    assert not starts & FINAL
