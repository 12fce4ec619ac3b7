"""What an experiment says at a look, and what a rollout makes of it: pure. decision.D13-D16, D19, D21-D23, D44."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import pytest

from orchestration.learning.assignment import MIXED
from orchestration.learning.bias import Seen, band, common, parts
from orchestration.learning.errors import ExperimentInvalid, MetricsInvalid, UnknownMetric
from orchestration.learning.experiment import next_step, parse
from orchestration.learning.judging import Subject, judge, may_go_on
from orchestration.learning.metrics import Measured, Metric, load
from orchestration.learning.rollout import breach
from orchestration.learning.watching import Stage, alike

BEGUN = datetime(2026, 3, 2, tzinfo=UTC)
TEXT = """
name: t
placement: open
primary: conversion
control: old
kind: rollout
planned: 2000
share: 0.5
metrics: [revenue, average_order_value, time_to_conversion, churn]
arms: [{name: new, share: 0.5, ranker: rules}, {name: old, share: 0.5}]
"""
DECLARED = parse(TEXT)
COMPARED = DECLARED.model_copy(update={"kind": "experiment"})
METRICS = load(None)


class Event(NamedTuple):
    """What metrics look at in an event."""

    name: str
    event_time: datetime
    properties: dict
    machine: bool = False
    context: dict = {}
    event_id: str = "evt_1"


def people(new, old, *, rates=(0.1, 0.1), extra=(), days=20, variants=("a", "b")):
    """People who came evenly over the days, the arms in turn; the first of each arm buy."""
    subjects, events = [], {}
    for side, count, rate in (("new", new, rates[0]), ("old", old, rates[1])):
        for place in range(count):
            who = f"{side}{place}"
            since = BEGUN + timedelta(days=days * (place + 0.5) / count)
            subjects.append(Subject(who, side, since, "email", variants[place % len(variants)]))
            bought = int((place + 1) * rate) > int(place * rate)
            events[who] = (
                [Event("Order Completed", since + timedelta(hours=1), {"revenue": 20.0}, False)] if bought else []
            )
    for name, side, every in extra:
        for one in subjects[::every]:
            if one.side == side:
                events[one.person] = [*events[one.person], Event(name, one.since + timedelta(hours=2), {}, False)]
    return subjects, events


def look(subjects, events, declared=COMPARED, *, days=20, share=0.5):
    return judge(declared, METRICS, subjects, events, begun=BEGUN, now=BEGUN + timedelta(days=days), share=share)


def test_a_win_is_called_after_two_whole_weeks_and_not_before():
    subjects, events = people(2000, 2000, rates=(0.16, 0.1))
    won = look(subjects, events)
    assert (won.verdict, won.reason, won.primary.called) == ("win", "better: conversion", True)
    assert won.primary.look.low > 0
    early = look(*people(2000, 2000, rates=(0.16, 0.1), days=13), days=13)
    assert early.primary.look.better
    assert early.verdict == "running"


def test_harm_is_called_at_any_moment_by_the_primary_or_a_guardrail():
    assert look(*people(2000, 2000, rates=(0.06, 0.1), days=2), days=2).reason == "worse: conversion"
    told = look(*people(2000, 2000, extra=[("Unsubscribed", "new", 12)], days=2), days=2)
    assert (told.verdict, told.reason) == ("harm", "worse: unsubscribed")
    assert look(*people(2000, 2000, extra=[("Unsubscribed", "old", 12)], days=2), days=2).verdict == "running"


def test_who_is_not_divided_as_declared_is_believed_nothing_and_the_part_is_named():
    subjects, events = people(2400, 1800, rates=(0.16, 0.1))
    web = [
        replace(one, channel="web") if place % 3 == 0 and one.side == "new" else one
        for place, one in enumerate(subjects)
    ]
    told = look(web, events)
    assert (told.verdict, told.reason) == ("mismatch", "sample_ratio_mismatch")
    assert told.suspects[0].by == "channel"
    assert may_go_on(COMPARED, told) == "sample_ratio_mismatch"


def test_less_variety_than_the_old_policy_shows_is_harm():
    subjects, events = people(400, 400)
    narrow = [replace(one, variant="a") if one.side == "new" else one for one in subjects]
    assert look(narrow, events).reason == "worse: diversity"
    assert look(subjects, events).variety == (pytest.approx(2.0), pytest.approx(2.0))


def test_a_model_that_is_too_slow_or_not_to_be_had_is_harm():
    subjects, events = people(400, 400)
    declared = parse(TEXT.replace("ranker: rules", f"ranker: 'sha256:{'0' * 64}'"))
    slow = [replace(one, ranked_by="rules" if place % 20 == 0 else "ranker") for place, one in enumerate(subjects)]
    assert look(slow, events, declared).reason == "worse: latency"
    assert look([replace(one, ranked_by="ranker") for one in subjects], events, declared).verdict == "running"
    assert look(slow, events).verdict == "running"  # rules were asked for


def test_people_known_on_both_sides_count_on_none():
    subjects, events = people(30, 30)
    told = look([*subjects, Subject("who", MIXED, BEGUN, None, None)], events)
    assert (told.mixed, told.people) == (1, {"new": 30, "old": 30})


def test_more_people_take_part_on_evidence_only():
    assert may_go_on(DECLARED, look(*people(50, 50), DECLARED)).startswith("too_few_people")
    assert may_go_on(DECLARED, look(*people(500, 500, rates=(0.0, 0.0)), DECLARED)) == "too_few_outcomes"
    assert may_go_on(DECLARED, look(*people(300, 300), DECLARED)).startswith("not_shown_to_lose_less")
    assert may_go_on(DECLARED, look(*people(2000, 2000, rates=(0.16, 0.1)), DECLARED)) is None
    assert [next_step(share) for share in (0.01, 0.05, 0.07, 0.5, 1.0)] == [0.05, 0.2, 0.2, 1.0, None]


def test_every_kind_of_metric_says_what_it_means():
    told = look(*people(200, 200, rates=(0.5, 0.25)))
    found = {one.metric.name: one for one in told.readings}
    assert (found["revenue"].treated, found["revenue"].control) == (10.0, 5.0)
    assert found["average_order_value"].treated == 20.0
    assert found["time_to_conversion"].control == 1.0
    assert (found["churn"].treated, found["churn"].control) == (0.5, 0.75)
    assert found["churn"].metric.better == "down"
    assert told.to_json()["metrics"][0]["relative"] == 1.0
    machine = Event("Order Completed", BEGUN + timedelta(hours=1), {"revenue": "7.5"}, True)
    assert METRICS.metric("revenue").parts([machine], BEGUN) == (0.0, 1.0)
    assert METRICS.metric("revenue").parts([machine._replace(machine=False)], BEGUN) == (7.5, 1.0)
    for odd in (
        "nan",
        "inf",
        "1e999",
        1e308,
        10**400,
        "much",
        None,
        [1],
    ):  # one event does not make a group's number none
        assert METRICS.metric("revenue").parts([Event("Order Completed", BEGUN, {"revenue": odd})], BEGUN) == (0.0, 1.0)
    depth, earned = METRICS.metric("session_depth"), METRICS.metric("revenue_per_session")
    assert depth.parts([machine], BEGUN) == earned.parts([machine], BEGUN) == (0.0, 0.0)
    order = machine._replace(machine=False)
    seen = [Event("Page Viewed", BEGUN + timedelta(minutes=at), {}) for at in (10, 20, 25, 120)]
    late = Event("Email Opened", BEGUN + timedelta(days=2), {})  # a metric does not say that it is part of a visit
    assert depth.parts([*seen, order, late], BEGUN) == (4.0, 2.0)
    assert earned.parts([*seen, order, late], BEGUN) == (7.5, 3.0)  # at 0:10 to 0:25, at 1:00 and at 2:00


def test_a_ratio_of_sums_is_compared_by_its_linear_form():
    both = Measured(np.array([10.0, 0.0, 30.0]), np.array([1.0, 0.0, 2.0]))
    assert both.values().mean() == pytest.approx(40 / 3)
    assert not Measured(np.ones(3), np.zeros(3)).values().any()


WEEK, HOUR = timedelta(days=7), timedelta(hours=1)


def stage(side, count, begun, lasted, rate, *, late):
    """People who come in evenly, all of them buying so late; those of the first half buy twice as often."""
    found, events = [], {}
    for place in range(count):
        since = begun + lasted * (place + 0.5) / count
        found.append(Subject(f"{side}{place}", side, since, "email", "a"))
        here = rate * (4 / 3 if 2 * place < count else 2 / 3)
        if int((place + 1) * here) > int(place * here):
            events[f"{side}{place}"] = [Event("Order Completed", since + late, {}, False)]
    return found, events


@pytest.mark.parametrize(
    ("lasted", "late", "watched", "seen"),
    [
        (WEEK, 30 * HOUR, 6 * HOUR, False), (6 * HOUR, 30 * HOUR, 40 * HOUR, False),
        (WEEK, HOUR, 6 * HOUR, True), (6 * HOUR, HOUR, 6 * HOUR, True), (WEEK, 30 * HOUR, 40 * HOUR, True),
    ],
)  # fmt: skip
def test_everybody_under_the_new_policy_is_held_against_the_last_people_of_the_old(lasted, late, watched, seen):
    """Purchases may take a day: who came an hour ago has bought less than those of last week, and nothing is wrong with it."""
    switched = BEGUN + WEEK
    done = switched + watched
    metrics = [METRICS.metric(name) for name in (DECLARED.primary, *DECLARED.guardrails)]
    old, then = stage("old", round(6000 * lasted / WEEK), switched - lasted, lasted, 0.1, late=late)

    def said(rate):
        new, now = stage("new", round(12000 * watched / WEEK), switched, watched, rate, late=late)
        happened = then | {who: [one for one in did if one.event_time <= done] for who, did in now.items()}
        return breach(DECLARED, alike(metrics, Stage(new, switched, done), Stage(old, switched - lasted, switched), happened))  # fmt: skip

    assert said(0.1) is None
    assert not seen or said(0.02) == "worse than before: conversion"


def test_nobody_is_no_breach():
    metrics = [METRICS.metric(name) for name in (DECLARED.primary, *DECLARED.guardrails)]
    nobody = Stage([], BEGUN, BEGUN + WEEK)
    assert breach(DECLARED, alike(metrics, nobody, nobody, {})) is None
    old, then = stage("old", 500, BEGUN, WEEK, 0.2, late=HOUR)
    assert breach(DECLARED, alike(metrics, nobody, Stage(old, BEGUN, BEGUN + WEEK), then)) is None


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("control: old", "control: new", "control"),
        ("share: 0.5, ranker", "share: 0.4, ranker", "sum to 1"),
        ("ranker: rules", "ranker: rules, nothing: true", "nothing or something"),
        ("planned: 2000", "planed: 2000", "planed"),
        ("metrics: [revenue", "metrics: [conversion", "once"),
        ("name: t", "name: [", "YAML"),
    ],
)
def test_a_faulty_declaration_is_refused_with_its_place(old, new, word):
    text = "name: t\nplacement: open\nprimary: conversion\ncontrol: old\nplanned: 2000\nmetrics: [revenue]\narms: [{name: new, share: 0.5, ranker: rules}, {name: old, share: 0.5}]\n"
    with pytest.raises(ExperimentInvalid, match=word):
        parse(text.replace(old, new))


def test_metrics_are_data_and_faults_in_them_are_named(tmp_path):
    with pytest.raises(UnknownMetric, match="conversion"):
        METRICS.metric("happiness")
    with pytest.raises(MetricsInvalid):
        load(tmp_path / "none.yaml")
    for text in ("version: '1'\nmetrics: [{name: a, kind: sum, events: [x]}]", "version: '1'\nmetrics: []", "a: ["):
        (tmp_path / "m.yaml").write_text(text)
        with pytest.raises(MetricsInvalid):
            load(tmp_path / "m.yaml")
    assert Metric(name="a", kind="share", events=("x",), better="down").sign == -1.0


def test_groups_stand_beside_everybody_else_and_few_people_are_told_of_together():
    """decision.D43."""
    young = [Seen(f"y{place}", "a" if place % 4 else None, {"age": "18 to 24"}) for place in range(200)]
    old = [Seen(f"o{place}", "a" if place % 2 else None, {"age": "65 and over"}) for place in range(200)]
    few = [Seen(f"f{place}", None, {"age": f"band {place % 2}"}) for place in range(30)]
    found = {one.value: one for one in parts([*young, *old, *few], ["age"])}
    assert set(found) == {"18 to 24", "65 and over", "others"}
    assert (found["others"].people, found["others"].shown) == (30, 0.0)
    assert found["18 to 24"].called
    assert found["18 to 24"].apart_low > 0 > found["65 and over"].apart
    assert found["18 to 24"].variants == {"a": 0.75, "nothing": 0.25}
    alike = parts([replace(one, groups={"age": one.person[0]}) for one in old for _ in range(2)], ["age"])
    assert [one.called for one in alike] == [False]


def test_of_traits_of_few_people_nothing_is_told():
    assert common([["region", "age"]] * 19 + [["region"]]) == {"region": 20}


@pytest.mark.parametrize(
    ("value", "group"),
    [
        (17, "under 18"),
        ("44", "35 to 44"),
        ("1950-01-01", "65 and over"),
        ("North", "North"),
        (None, "unknown"),
        (True, "True"),
    ],
)
def test_ages_are_told_in_bands(value, group):
    assert band(value, BEGUN) == group
