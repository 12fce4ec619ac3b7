"""Visits and funnels on tiny days with known answers."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from events.log import Event
from events.sessions import current, funnel, reached, sessions

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def happened(name, minute, n=0, visit=None, **context) -> Event:
    at = NOON + timedelta(minutes=minute)
    return Event(
        event_id=f"evt_{n:03}", record_id="rec_1", type="track", name=name, event_time=at, known_time=at, received_at=at,
        source="web", purpose="analytics", basis="consent", properties={"session_id": visit} if visit else {}, traits={},
        context=context, machine=False, confidence=0.0,
    )  # fmt: skip


def test_a_pause_of_more_than_half_an_hour_begins_a_new_visit():
    day = [happened("a", 0), happened("b", 30), happened("c", 60.1), happened("d", 90.2)]
    assert [[e.name for e in one.events] for one in sessions(day)] == [["a", "b"], ["c"], ["d"]]
    assert [one.id for one in sessions(day)] == [None] * 3


def test_an_id_decides_where_there_is_one():
    day = [happened("a", 0, visit="x"), happened("b", 300, visit="x"), happened("c", 1, visit="y"), happened("d", 2)]
    found = {one.id: [e.name for e in one.events] for one in sessions(day)}
    assert found == {"x": ["a", "b"], "y": ["c"], None: ["d"]}
    told = [happened("a", 0, sessionId="z"), happened("b", 50, sessionId="z")]
    assert [one.id for one in sessions(told)] == ["z"]


def test_the_current_visit_is_none_after_a_pause():
    day = [happened("a", 0), happened("b", 20)]
    assert [e.name for e in current(day, NOON + timedelta(minutes=50))] == ["a", "b"]
    assert current(day, NOON + timedelta(minutes=51)) == ()
    assert [e.name for e in current(day, NOON + timedelta(minutes=10))] == ["a"]
    assert current([], NOON) == ()


def test_steps_count_in_order_and_nothing_between_them_matters():
    visit = [happened(name, n) for n, name in enumerate(("view", "search", "view", "add", "view", "buy"))]
    assert reached(visit, ("view", "add", "buy")) == 3
    assert reached(visit, ("add", "view", "add")) == 2
    assert reached(visit, ("buy", "view")) == 1
    assert reached(visit, ("view", "view", "view", "view")) == 3
    assert reached([], ("view",)) == 0


def test_conversions_are_shares_of_the_step_before_and_of_the_first():
    found = funnel([3, 2, 2, 1, 0], ("view", "add", "buy"))
    assert [(one.name, one.count) for one in found] == [("view", 4), ("add", 3), ("buy", 1)]
    assert [one.of_before for one in found] == [1.0, 0.75, 1 / 3]
    assert [one.of_first for one in found] == [1.0, 0.75, 0.25]
    assert [one.of_first for one in funnel([], ("view", "add"))] == [0.0, 0.0]


days = st.lists(
    st.builds(happened, st.sampled_from("abc"), st.integers(0, 400), st.integers(0, 999), st.sampled_from([None, "x", "y"])),
    max_size=12, unique_by=lambda e: e.event_id,
)  # fmt: skip


@given(days, st.randoms())
def test_every_event_is_in_one_visit_whatever_the_order(day, rng):
    found = sessions(day)
    assert sorted(e.event_id for one in found for e in one.events) == sorted(e.event_id for e in day)
    assert found == sessions(rng.sample(day, len(day)))
    for one in found:
        assert one.began <= one.ended
