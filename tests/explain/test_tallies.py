"""What counted over time: counts that name nobody, equal however they came in, and an alarm when something else is weighed than before."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explain.settings import ExplainSettings
from explain.tallies import ALL, FEWEST, Course, apart, course, stability, tallied
from explain.tally_store import Tally
from tests.explain.conftest import NOW, ruled_by_rules
from tests.explain.test_falsifying import explained

TODAY = NOW.date()
COUNTS = st.dictionaries(st.sampled_from("abcde"), st.integers(1, 400), min_size=1)


def rows(day: date, **firsts: int) -> list[Tally]:
    """A day on which these were first so often."""
    total = sum(firsts.values())
    every = Tally(day=day, placement="home", concept=ALL, told=total, first=total, contribution=0.0)
    return [every, *(Tally(day=day, placement="home", concept=name, told=n, first=n, contribution=0.1 * n) for name, n in firsts.items())]  # fmt: skip


def drawn(before: dict[str, int], now: dict[str, int], by: str = "day") -> Course:
    held = [*rows(TODAY - timedelta(days=20), **before), *rows(TODAY - timedelta(days=1), **now)]
    return course(held, by=by, today=TODAY, settings=ExplainSettings())


@given(COUNTS, COUNTS)
def test_a_distance_is_nought_of_the_same_and_never_below(one, two) -> None:
    assert stability(one, two) >= -1e-12
    assert 0.0 <= apart(one, two) <= 1.0
    assert apart(one, one) == 0.0
    assert stability(one, one) == pytest.approx(0.0, abs=1e-12)


def test_the_same_reasons_warn_nobody_and_others_do() -> None:
    same = drawn({"visits": 300, "spending": 100}, {"visits": 152, "spending": 48})
    assert same.psi is not None
    assert not same.warned
    other = drawn({"visits": 300, "spending": 100}, {"visits": 40, "spending": 160})
    assert other.warned
    assert other.variation == pytest.approx(0.55)
    assert {name for name, _, _ in other.moved} == {"visits", "spending"}


def test_a_few_explanations_are_not_told_of() -> None:
    few = drawn({"visits": FEWEST - 1}, {"spending": FEWEST - 1})
    assert few.psi is None
    assert not few.warned
    assert all(one.concepts == {} for one in few.stretches)
    assert [one.made for one in few.stretches] == [FEWEST - 1, FEWEST - 1]


def test_days_of_a_week_are_put_together() -> None:
    monday = TODAY - timedelta(days=TODAY.weekday() + 7)
    held = [*rows(monday, visits=15), *rows(monday + timedelta(days=6), visits=15, cart=10)]
    (week,) = course(held, by="week", today=TODAY, settings=ExplainSettings()).stretches
    assert (week.begin, week.made) == (monday, 40)
    assert week.concepts["visits"].first == 0.75
    assert week.concepts["cart"].contribution == pytest.approx(0.1)


def test_only_what_a_model_ruled_has_reasons() -> None:
    content = explained()
    made = tallied([content, content])
    every = next(one for one in made if one.concept == ALL)
    assert (every.told, every.first) == (2, 2)
    top = next(one for one in made if one.concept == content.concepts[0].key)
    assert (top.told, top.first) == (2, 2)
    assert top.contribution == pytest.approx(2 * content.concepts[0].contribution)
    from explain.explanation import compose

    (alone,) = tallied([compose(ruled_by_rules(), None)])
    assert (alone.concept, alone.told, alone.first) == (ALL, 1, 0)


@pytest.mark.anyio
async def test_rows_are_added_when_explanations_are_kept_put_together_and_outlive_an_erasure(room) -> None:
    people = [await room.about(f"p{place}@example.org") for place in range(3)]
    for one in people:
        await room.explain.explain(one.decision_id)
    await room.explain.explain(people[0].decision_id)  # a second look counts nothing
    before = await room.explain.tallies.over(NOW)
    assert await room.explain.tallies.compact() > 0
    assert await room.explain.tallies.compact() == 0
    assert await room.explain.tallies.over(NOW) == before
    assert await room.explain.tallies.made() == 3
    columns = await room.rows("SELECT column_name AS c FROM information_schema.columns WHERE table_schema = 'explain' AND table_name = 'tallies'")  # fmt: skip
    assert {row["c"] for row in columns} == {"day", "placement", "concept", "told", "first", "contribution"}
    async with room.kernel.db.transaction() as conn:
        await room.explain.erase(conn, people[0].person)
    assert await room.explain.tallies.over(NOW) == before
