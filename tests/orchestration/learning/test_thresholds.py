"""The figures that decide, each looked at from both sides: what just passes and what just does not (decision.D13-D18, D27, D31, D34, D41, D45)."""

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
import yaml

from kernel.ids import DecisionId
from orchestration.learning.assignment import Division
from orchestration.learning.attribution import Happening, Seen, Touch, share
from orchestration.learning.bias import Audited, band, parts
from orchestration.learning.bias import Seen as Looked
from orchestration.learning.evaluation import Z95, Estimate, Support
from orchestration.learning.experiment import check
from orchestration.learning.gate import Other, Round, _median, answer
from orchestration.learning.judging import may_go_on
from orchestration.learning.leaks import suspects
from orchestration.learning.lessons import Sums, broken
from orchestration.learning.logs import Log
from orchestration.learning.rewards import MICRO
from orchestration.learning.rollout import breach
from orchestration.learning.sequential import Group, boundary
from orchestration.learning.settings import LearningSettings
from orchestration.learning.srm import Mismatch, Watch
from orchestration.learning.stepping import allowed, shown
from orchestration.learning.variety import variety
from tests.orchestration.learning.test_judging import BEGUN, COMPARED, DECLARED, METRICS, Event, look, people
from tests.orchestration.learning.test_rollout import ROLLOUT

DAY = timedelta(days=1)


def test_who_takes_part_is_divided_evenly_at_every_share():
    """Taking part and the arm are two hashes: one would put all of the first half into the first arm."""
    made = Division(b"word", (("a", 0.5), ("b", 0.5)))
    inside = [made.arm(f"per_{n}") for n in range(2000) if made.takes_part(f"per_{n}", 0.5)]
    assert 900 < len(inside) < 1100
    assert 0.4 < inside.count("a") / len(inside) < 0.6


def test_after_the_plan_the_boundary_rises_for_ever():
    assert boundary(1e6) > 1.5 * boundary(1.0)
    assert boundary(1e9) > boundary(1e6)


def test_an_alarm_is_one_in_a_thousand_and_stays():
    assert not Mismatch((1, 1), (1.0, 1.0), 0.0011).alarm
    assert Mismatch((1, 1), (1.0, 1.0), 0.001).alarm
    watch = Watch(2)
    watch.add([900, 600], [0.5, 0.5])
    seen = watch.result().p
    watch.add([600, 900], [0.5, 0.5])
    assert watch.result().p == seen < 0.001


def test_harm_allows_for_every_metric_and_step_that_may_call_it():
    """At the size that was meant: z of 2.9 is harm in an experiment of three metrics, not in a rollout of five steps; 2.4 is none."""
    some, less = people(2000, 2000, rates=(0.074, 0.1)), people(2000, 2000, rates=(0.078, 0.1))
    assert 2.9 < -look(*some, COMPARED).primary.look.z < 3.0
    assert (look(*some, COMPARED).verdict, look(*some, DECLARED).verdict) == ("harm", "running")
    assert 2.4 < -look(*less, COMPARED).primary.look.z < 2.5
    assert look(*less, COMPARED).verdict == "running"


def test_a_breach_in_the_watch_is_held_to_the_same():
    nobody = Group.of_share(2000, 0)
    quiet = dict.fromkeys(DECLARED.guardrails, (nobody, nobody))
    old = Group.of_share(2000, 200)
    assert breach(DECLARED, {"conversion": (Group.of_share(2000, 148), old), **quiet}) is None
    assert (
        breach(DECLARED, {"conversion": (Group.of_share(2000, 140), old), **quiet}) == "worse than before: conversion"
    )


def test_a_win_rests_on_whole_weeks_alone():
    subjects, events = people(2000, 2000)
    for one in subjects:
        if one.side == "new" and one.since > BEGUN + 14 * DAY:
            events[one.person] = [Event("Order Completed", one.since + timedelta(hours=1), {"revenue": 20.0}, False)]
    found = look(subjects, events, COMPARED)
    assert found.primary.look.better
    assert found.verdict == "running"


def test_a_model_that_was_done_without_a_little_too_often_by_chance_is_no_harm():
    named = DECLARED.model_copy(
        update={"arms": (DECLARED.arms[0].model_copy(update={"ranker": f"sha256:{'0' * 64}"}), DECLARED.arms[1])}
    )
    subjects, events = people(300, 300)

    def without(count):
        return [replace(one, ranked_by="rules" if place < count else "ranker") for place, one in enumerate(subjects)]

    assert look(without(5), events, named).verdict == "running"
    assert look(without(15), events, named).reason == "worse: latency"


def test_a_loss_is_one_downwards_where_less_is_better():
    found = look(*people(2000, 2000), DECLARED)

    def held(better, treated):
        metric = METRICS.metric("unsubscribed" if better == "down" else "conversion")
        groups = tuple(Group.of_share(20_000, hits) for hits in (treated, 2_000))
        primary = replace(found.primary, metric=metric, groups=groups)
        return may_go_on(DECLARED, replace(found, readings=(primary, *found.readings[1:]), variety=None))

    for better, worse, much_worse in (("down", 2_300, 2_700), ("up", 1_700, 1_300)):
        assert held(better, 2_000) is None
        assert held(better, worse) == "shown_to_be_worse"  # by less than the margin, but surely
        assert held(better, much_worse) == "shown_to_be_worse"
        assert held(better, 4_000 - worse) is None


def test_the_fewer_people_a_step_reaches_the_more_it_may_lose_and_never_less_than_the_margin():
    rollout = check(yaml.safe_load(ROLLOUT))
    assert [allowed(rollout, share) for share in (0.05, 0.2, 0.4, 1.0)] == [1.0, 0.5, 0.25, 0.2]
    assert allowed(COMPARED, 0.2) == 1.0  # half of a fifth is treated


def test_of_few_outcomes_nothing_is_shown_and_nobody_bought_is_never_enough():
    rollout = check(yaml.safe_load(ROLLOUT))
    assert math.isinf(shown(rollout, 0.05, Group.of_share(200, 1), Group.of_share(200, 18)).lost)
    assert not shown(rollout, 0.05, Group.of_share(2_000, 0), Group.of_share(100_000, 5_000)).enough
    assert shown(rollout, 0.05, Group.of_share(300, 14), Group.of_share(29_700, 1_485)).enough
    assert not shown(rollout, 0.2, Group.of_share(300, 14), Group.of_share(29_700, 1_485)).enough


def test_a_small_share_of_people_sees_fewer_items_without_any_being_left_out():
    """1 % of people, a thousand items shown alike on both sides: two hundred people cannot see a thousand."""
    rng = np.random.default_rng(3)
    few, many = ([f"i{item}" for item in rng.integers(0, 1000, n)] for n in (200, 19_800))
    found = variety(few, many, keep=0.8, planned=20_000)
    assert not found.less
    assert found.treated == pytest.approx(found.control, rel=0.1)
    narrow = [f"i{item}" for item in rng.integers(0, 40, 400)]
    assert variety(narrow, many, keep=0.8, planned=20_000).less
    assert not variety(["a", "b"] * 9 + ["a"] * 4, ["a", "b"] * 11, keep=0.99, planned=100).less  # a little, by chance
    assert variety([], many, keep=0.8, planned=20_000).treated == 0.0


def test_an_outcome_in_the_last_moment_of_a_window_still_counts():
    touch = Touch(DecisionId("dec_1"), BEGUN, BEGUN, BEGUN + 7 * DAY, Seen.REPORTED)
    for names in (None, touch.decision):
        assert share(Happening("o", touch.until, names), [touch], "last") == {touch.decision: MICRO}
        assert share(Happening("o", touch.until + timedelta(microseconds=1), names), [touch], "last") == {}
        assert share(Happening("o", touch.at, names), [touch], "last") == {touch.decision: MICRO}


def test_a_record_breaks_at_four_standard_errors_and_not_at_three():
    def record(before, after):
        return {("a", at): Sums(200, won * MICRO, won * MICRO) for at, won in ((0, before), (604_800, after))}

    assert broken(record(100, 130)) == 0
    assert broken(record(100, 145)) == 604_800


def test_a_number_is_refused_just_beyond_each_limit():
    """D27."""

    def refused(n=1000, ess=500.0, heaviest=0.01, overlap=1.0):
        return Support(n, ess, heaviest, overlap).refusal

    assert (refused(ess=100.0), refused(n=100_000, ess=1000.0), refused(heaviest=0.05), refused(overlap=0.8)) == (
        None,
    ) * 4
    assert refused(ess=99.9).startswith("effective sample size")
    assert refused(n=100_000, ess=999.0) == "effective sample size 999.0 is below 1000"
    assert refused(heaviest=0.051).startswith("one row carries 5.1%")
    assert refused(overlap=0.799).startswith("overlap")


def judged(gap, shown=(200, 200, 3)):
    """A log of three arms, and scores under which the first earns so much more than the second, and the third more than all, seen three times."""
    arm = np.repeat(np.arange(3), shown)
    n = len(arm)
    log = Log(("a", "b", "c"), arm, np.zeros(n), np.full(n, 0.45), np.zeros((n, 0)), ())
    noise = np.where(np.arange(n) % 2, 1.0, -1.0)
    scores = np.column_stack([noise + gap, np.zeros(n), np.full(n, 9.0)])
    policy = np.tile([0.5, 0.5, 0.0], (n, 1))
    fixed = np.tile([0.0, 1.0, 0.0], (n, 1))
    return answer(log, [Round(scores, policy, scores)] * 2, {"vs_b": Other(fixed)})


def test_more_in_the_mean_is_not_more_by_interval_and_an_arm_seen_thrice_is_no_best():
    """D31: the learner may rule when the lower end is above nought, not when the value is."""
    little, much = judged(0.05), judged(1.0)
    assert little["vs_b"]["diff"] > 0 > little["vs_b"]["low"]
    assert (little["vs_b"]["decision"], much["vs_b"]["decision"]) == ("hold", "promote")
    assert (little["best_fixed"], much["best_fixed"]) == ("a", "a")


def test_fits_that_disagree_are_less_sure():
    half = Z95 * 0.1
    found = _median([Estimate(one, one - half, one + half) for one in (1.0, 2.0, 9.0)])
    assert (found.value, found.high - found.value) == pytest.approx((2.0, Z95 * (0.01 + 1.0) ** 0.5))


def test_where_most_answer_a_value_at_which_all_do_gives_nothing_away():
    """F46: the same value where few answer is a leak."""
    settings = LearningSettings()
    marked = np.zeros((1000, 1))
    marked[:60] = 1.0
    many, few = np.arange(1000) % 10 < 6, np.arange(1000) % 10 == 0
    many[:60] = few[:60] = True
    assert suspects(marked, many, ["mark"], settings) == []
    assert [one.feature for one in suspects(marked, few, ["mark"], settings)] == ["mark"]


def test_a_postcode_is_no_age_and_a_group_that_is_everybody_is_compared_with_nobody():
    now = BEGUN
    assert [band(value, now) for value in ("60311", "00120", 17, "64.5", -3, "north", None)] == [
        "60311", "00120", "under 18", "55 to 64", "-3", "north", "unknown",
    ]  # fmt: skip
    seen = [Looked(f"per_{n}", "a", {"region": "unknown", "age": str(n % 2)}) for n in range(60)]
    found = Audited(tuple(parts(seen, ["region", "age"])), 60, {})
    assert [(one.by, found.alone(one)) for one in found.parts] == [("region", True), ("age", False), ("age", False)]
    assert found.unknown == ["region"]
