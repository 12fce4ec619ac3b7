"""How large an experiment must be, said before it starts: pure."""

import math

import pytest

from orchestration.learning.experiment import parse
from orchestration.learning.planning import plan
from orchestration.learning.sequential import Group
from orchestration.learning.stepping import shown
from tests.orchestration.learning.test_rollout import ROLLOUT


@pytest.mark.parametrize("base", [0.02, 0.3])
def test_a_step_of_a_rollout_is_as_large_as_one_that_is_no_worse_needs_in_four_of_five_cases(base):
    declared = parse(ROLLOUT)
    found = plan(declared, base, 500.0)
    assert [(one.share, one.following) for one in found.stages] == [(0.01, 0.05), (0.05, 0.2), (0.2, 0.5), (0.5, 1.0)]
    assert [one.may_lose for one in found.stages] == [1.0, 0.5, 0.2, 0.2]
    for one in found.stages:
        assert one.days == math.ceil(one.people / (500 * one.share))
        control = math.ceil(one.people * (1 - one.share) / one.share)
        if one.people > declared.least_people / min(1, (1 - one.share) / one.share) + 1:
            spread = math.sqrt(base * (1 - base) * (1 / one.people + 1 / control))
            for unlucky, enough in (
                (0.83, True),
                (0.86, False),
            ):  # standard errors; one in five is more unlucky than .84
                rate = base - unlucky * spread
                seen = shown(declared, one.following, *(Group(n, r * n, r * n) for n, r in ((one.people, rate), (control, base))))  # fmt: skip
                assert (seen.lost < one.may_lose) is enough
                assert seen.time == pytest.approx(1, abs=0.01)
    assert found.until == sum(one.days for one in found.stages)


def test_a_rollout_of_a_small_shop_takes_weeks_and_not_months():
    """5 % buy, 2,000 people come a day: the first step alone took 194 days when every step asked for the margin."""
    assert plan(parse(ROLLOUT), 0.05, 2000.0).until <= 50


def test_without_traffic_no_days_are_told_and_a_win_takes_two_weeks_at_least():
    declared = parse(ROLLOUT.replace("kind: rollout\n", "").replace("share: 0.01", "share: 1"))
    assert plan(declared, 0.1).days is None
    assert plan(declared, 0.1).stages == ()
    assert plan(declared, 0.1, 1e6).days == 14
