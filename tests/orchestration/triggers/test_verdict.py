"""The pure rules: what is to be done with a run that is due, and which step may follow which."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.triggers.errors import IllegalStep
from orchestration.triggers.rules import parse
from orchestration.triggers.runs import ENDS, FROM, OPEN, State, Step, Why, after
from orchestration.triggers.verdict import CallOff, Fire, PutOff, Seen, judge

NOON = datetime(2026, 3, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
WHEN = "event: Product Added, delay: PT1H, unless: [Order Completed]"


def rule(more: str = "", when: str = WHEN):
    return parse(f"triggers: [{{name: cart, placement: cart, when: {{{when}}}{more}}}]").triggers[0]


def start(minutes: float, against: str | None = None) -> Seen:
    return Seen("Product Added", NOON + timedelta(minutes=minutes), starts=True, against=against)


def stop(minutes: float) -> Seen:
    return Seen("Order Completed", NOON + timedelta(minutes=minutes), stops=True)


STARTS = st.builds(start, st.integers(-300, 300), st.sampled_from([None, None, None, "no_match"]))
SEEN = st.lists(STARTS | st.builds(stop, st.integers(-300, 300)), max_size=8)
NOW = st.integers(0, 900).map(lambda minutes: NOON + timedelta(minutes=minutes))
SPENT = st.none() | st.integers(-3000, 0).map(lambda minutes: NOON + timedelta(minutes=minutes))


@given(seen=SEEN, now=NOW, spent=SPENT, first=st.booleans())
def test_it_fires_exactly_when_an_open_start_is_an_hour_old_and_nothing_stopped_it(seen, now, spent, first):
    """Held against the sentence of the brief, said in another way."""
    made = judge(rule(when=WHEN + (", counted_from: first" if first else "")), NOON, now, seen=seen, spent=spent)
    stops = [one.at for one in seen if one.stops]
    opened = [
        one.at for one in seen
        if one.starts and one.against is None and not any(s >= one.at for s in stops) and (spent is None or one.at > spent)
    ]  # fmt: skip
    if spent is not None and now < spent + timedelta(days=1):
        assert made == CallOff(Why.ONCE_PER)
    elif not opened:
        assert isinstance(made, CallOff)
    else:
        due = (min(opened) if first else max(opened)) + HOUR
        if now < due:
            assert made == PutOff(due, Why.NOT_DUE)
        elif now > due + timedelta(hours=6):
            assert made == CallOff(Why.TOO_LATE)
        else:
            assert made == Fire()


@given(seen=SEEN, now=NOW, order=st.randoms())
def test_the_order_and_the_number_of_tellings_make_no_difference(seen, now, order):
    shuffled = [*seen, *seen]
    order.shuffle(shuffled)
    assert judge(rule(), NOON, now, seen=shuffled) == judge(rule(), NOON, now, seen=seen)


@given(seen=SEEN, now=NOW)
def test_a_stop_now_always_stops(seen, now):
    late = Seen("Order Completed", max([now, *(one.at for one in seen)]), stops=True)
    assert isinstance(judge(rule(), NOON, now, seen=[*seen, late]), CallOff)


@given(seen=SEEN, now=NOW)
def test_what_is_put_off_is_put_off_into_the_future_and_comes_to_an_end(seen, now):
    for _ in range(20):
        made = judge(rule(', quiet: {from: "21:00", until: "08:00", zone: Asia/Tokyo}'), NOON, now, seen=seen)
        if not isinstance(made, PutOff):
            return
        assert made.due > now
        now = made.due
    pytest.fail("it is put off again and again")


def test_quiet_hours_hold_what_falls_into_them_and_nothing_is_too_late_because_of_them():
    held = rule(', quiet: {from: "13:00", until: "23:30", zone: UTC}')
    assert judge(held, NOON, NOON + HOUR, seen=[start(0)]) == PutOff(NOON + timedelta(hours=11.5), Why.QUIET_HOURS)
    assert judge(held, NOON, NOON + timedelta(hours=11.5), seen=[start(0)]) == Fire()
    # Due before the hours began, taken up within them, and then a moment after them.
    assert judge(held, NOON, NOON + timedelta(hours=2), seen=[start(-30)]) == PutOff(NOON + timedelta(hours=11.5), Why.QUIET_HOURS)  # fmt: skip
    assert judge(held, NOON, NOON + timedelta(hours=12), seen=[start(-30)]) == Fire()


def test_why_nothing_is_left_is_told():
    said = [judge(rule(), NOON, NOON + HOUR, seen=seen) for seen in (
        [start(0), stop(5)], [start(0, "no_match")], [start(0, "not_collected_for:marketing.email")], [stop(5)], [],
    )]  # fmt: skip
    assert said == [
        CallOff("happened:Order Completed"), CallOff("no_match"), CallOff("not_collected_for:marketing.email"),
        CallOff("nothing_left"), CallOff("nothing_left"),
    ]  # fmt: skip


@given(st.lists(st.sampled_from(sorted(Step)), max_size=30))
def test_a_run_ends_once_and_takes_no_step_afterwards(steps):
    state, ends = State.WAITING, 0
    for step in steps:
        if state not in FROM[step][0]:
            with pytest.raises(IllegalStep):
                after(state, step)
            continue
        before, state = state, after(state, step)
        assert before in OPEN
        ends += state in ENDS
    assert ends <= 1
    assert {*OPEN, *ENDS} == set(State)
    assert all(state not in FROM[step][0] for state in ENDS for step in Step)


def test_only_a_claimed_run_decides():
    assert {state for step in (Step.SEND, Step.WITHHOLD, Step.FAIL, Step.PUT_OFF) for state in FROM[step][0]} == {State.DECIDING}  # fmt: skip
