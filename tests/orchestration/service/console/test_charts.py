"""Pictures of explanations: what is drawn ends where the figures do."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explain.tallies import Course
from orchestration.service.console.charts import LEFT, RIGHT, fall, lines
from orchestration.service.console.reasons import drawn
from orchestration.service.console.whatif import side_by_side
from orchestration.service.console.why import from_score, to_score

PARTS = st.lists(st.floats(-5, 5), max_size=12)


@given(st.floats(-5, 5), PARTS)
def test_a_waterfall_ends_at_the_sum_and_stays_on_its_sheet(base, parts) -> None:
    steps = [{"kind": "level", "name": "base", "value": base}, *({"kind": "part", "name": "p", "value": one} for one in parts)]  # fmt: skip
    drawn = fall(steps)
    assert drawn.bars[-1].total == pytest.approx(base + sum(parts), abs=1e-9)
    for before, bar in zip(drawn.bars, drawn.bars[1:], strict=False):
        assert LEFT <= bar.x <= RIGHT
        assert bar.x + bar.width <= RIGHT + 2.001
        assert before.end == pytest.approx(bar.x if bar.value > 0 else bar.x + abs(bar.end - before.end), abs=1e-6)
    if min(one.total for one in drawn.bars) <= 0 <= max(one.total for one in drawn.bars):
        assert drawn.zero is not None


@given(st.floats(0.01, 1), st.floats(0.1, 50), st.lists(st.floats(0.1, 3), max_size=4), st.lists(st.floats(0, 2), max_size=3))  # fmt: skip
def test_steps_from_the_score_end_at_the_utility(score, value, boosts, taken) -> None:
    utility = score * value
    for one in boosts:
        utility *= one
    arm = {
        "factors": [{"name": "value", "factor": value}, {"name": "score", "factor": score}, *({"name": "sale", "factor": one} for one in boosts)],
        "deductions": [{"name": "cost", "amount": one} for one in taken], "utility": utility - sum(taken),
    }  # fmt: skip
    steps = from_score(arm)
    assert steps[0]["name"] == "score"
    moved = steps[0]["value"] + sum(one["value"] for one in steps[1:-1])
    assert moved == pytest.approx(steps[-1]["value"], abs=1e-9)
    assert from_score(None) == []


def test_concepts_and_their_features_reach_the_same_score() -> None:
    def part(name: str, value: float) -> dict:
        return {"feature": name, "value": 1.0, "contribution": value, "provenance": []}

    numbers = {
        "base": 0.5, "score": 0.8, "features": [part("a", 0.1), part("b", 0.4), part("c", -0.2), part("d", 0.0)],
        "concepts": [{"concept": "visits", "contribution": 0.5, "alone": 0.4, "direction": "raised", "features": ["a", "b"]}, {"concept": "cart", "contribution": -0.2, "alone": None, "direction": None, "features": ["c", "d"]}],
    }  # fmt: skip
    grouped, single = to_score(numbers, "concepts"), to_score(numbers, "features")
    assert [one["name"] for one in grouped] == ["base", "visits", "cart", "score"]
    assert [one["name"] for one in single] == ["base", "b", "c", "a", "score"]
    for steps in (grouped, single):
        assert sum(one["value"] for one in steps[:-1]) == pytest.approx(steps[-1]["value"])
    assert to_score({**numbers, "base": None}, "concepts") == []


def test_what_hardly_moved_is_not_told_as_having_moved() -> None:
    moved = (("visits", 0.21, 0.26), ("cart", 0.255, 0.26), ("spending", 0.4, 0.3))
    course = Course("open", "week", (), 0.4, 0.1, 0.1, warned=True, moved=moved)
    assert [one["concept"] for one in drawn(course)["moved"]] == ["visits", "spending"]
    assert drawn(replace(course, moved=moved[1:2]))["moved"] == []


def test_a_line_is_broken_where_nothing_is_known() -> None:
    made = lines(["1", "2", "3", "4", "5"], {"a": [1.0, 0.5, None, 0.25, 0.0]})
    (series,) = made.series
    assert series.paths == ("0.0,0.0 180.0,90.0", "540.0,135.0 720.0,180.0")
    assert len(series.dots) == 4
    assert [label for _, label in made.ticks] == ["1", "3", "5"]
    assert lines([], {}).ticks == ()


def test_who_moved_stands_first() -> None:
    still = {"id": "a", "stage": "score", "reason": "lower_utility", "propensity": 0.1, "score": 0.2}
    lost = {"id": "b", "stage": None, "reason": None, "propensity": 0.9, "score": 0.3}
    gone = {**lost, "stage": "consent", "reason": "consent.withdrawn", "propensity": 0.0}
    was = {"choice": "b", "channel": "email", "propensity": 0.9, "ranked_by": "ranker", "withheld": None, "candidates": [still, lost]}  # fmt: skip
    made = side_by_side({"differs": True, "was": was, "would_be": {**was, "choice": "a", "candidates": [still, gone]}})
    assert [(one["id"], one["moved"]) for one in made["rows"]] == [("b", True), ("a", False)]


def test_every_step_of_a_score_has_what_the_page_asks_of_it() -> None:
    """A page fails at an undefined name: where one step says which way it worked by itself, the start and the end are asked, too."""
    part = {"feature": "age", "value": 40.0, "contribution": 0.5, "provenance": []}
    told = {"concept": "other", "features": ["age"], "contribution": 0.5, "alone": 0.5, "direction": "raised"}
    steps = to_score({"base": 0.1, "score": 0.6, "features": [part], "concepts": [told]}, "concepts")
    assert [one["direction"] for one in steps] == ["", "raised", ""]
    assert {frozenset(one) for one in steps} == {frozenset(steps[0])}
