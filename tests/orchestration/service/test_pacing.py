"""The making of explanations steps back while others need the machine, and never stops."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.service.pacing import Pace, Used, rest, share


@given(st.floats(0, 1), st.integers(1, 64), st.floats(0.05, 1), st.floats(0.01, 1))
def test_the_share_shrinks_with_what_others_use_and_never_below_the_least(
    others: float, processors: int, room: float, least: float
) -> None:
    part = share(others, processors=processors, room=room, least=least)

    assert least <= part <= 1
    assert part >= share(min(1.0, others + 0.1), processors=processors, room=room, least=least)


def test_on_a_quiet_machine_there_is_no_rest() -> None:
    seen = iter([Used(0.0, 0.0, 0.0), Used(2.0, 1.0, 1.0)])

    assert Pace(0.5, 0.05, processors=2, look=lambda: next(seen)).rest(1.0) == 0.0


def test_on_a_busy_machine_only_the_least_share_is_worked() -> None:
    seen = iter([Used(0.0, 0.0, 0.0), Used(0.2, 0.0, 0.1)])  # others use half of two processors
    pace = Pace(0.4, 0.05, processors=2, look=lambda: next(seen))

    assert pace.rest(0.1) == pytest.approx(0.1 * 19)


def test_own_work_counts_for_nobody_else() -> None:
    seen = iter([Used(0.0, 0.0, 0.0), Used(1.0, 0.5, 0.5)])

    assert Pace(0.4, 0.05, processors=2, look=lambda: next(seen)).rest(1.0) == pytest.approx(rest(1.0, 0.8))


def test_no_rest_is_so_long_that_a_quiet_machine_goes_unnoticed() -> None:
    assert rest(60.0, 0.01) == 2.0
