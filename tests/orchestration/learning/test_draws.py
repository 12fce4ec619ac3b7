"""Choices that do not fall as their records say are found, and those that do are not: pure. decision.D17."""

import random
from datetime import timedelta

import pytest

from orchestration.learning.draws import judged
from tests.orchestration.conftest import NOW


def choices(count, arms, *, by=None, seed=1):
    """So many, each with chances of its own; drawn by them, or by `by`."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        weights = {f"a{arm}": rng.random() ** 3 for arm in range(arms)}
        whole = sum(weights.values())
        chances = {arm: weight / whole for arm, weight in weights.items()}
        (choice,) = rng.choices(list(chances), list((by or chances).values()))
        made.append((NOW + timedelta(hours=number // 50), choice, chances))
    return made


@pytest.mark.parametrize("arms", [2, 5, 40])
def test_what_falls_as_recorded_is_no_alarm(arms):
    found = judged(choices(600, arms))
    assert not found.whole.alarm
    assert sum(found.whole.observed) == found.decisions == 600
    assert sum(found.whole.expected) == pytest.approx(600)
    assert len(found.whole.observed) == min(arms, 20)


def test_what_falls_otherwise_is_one_and_the_day_is_told():
    good, bad = choices(600, 3), choices(600, 3, by={"a0": 0.6, "a1": 0.2, "a2": 0.2})
    later = [(at + timedelta(days=2), *rest) for at, *rest in bad]
    found = judged([*good, *later])
    assert found.whole.alarm
    assert min(found.days, key=lambda day: found.days[day].p) == f"{NOW + timedelta(days=2):%Y-%m-%d}"
    assert judged([(NOW, "a", {"a": 1.0})]).whole.p == 1.0
