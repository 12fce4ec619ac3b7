"""How large an experiment must be, said before it starts: pure."""

import math

import pytest

from orchestration.learning.experiment import parse
from orchestration.learning.planning import plan
from orchestration.learning.sequential import Group, look
from tests.orchestration.learning.test_rollout import ROLLOUT


@pytest.mark.parametrize("base", [0.02, 0.3])
def test_a_step_of_a_rollout_is_as_large_as_one_that_is_no_worse_needs(base):
    declared = parse(ROLLOUT)
    found = plan(declared, base, 500.0)
    assert [one.share for one in found.stages] == [0.01, 0.05, 0.2, 0.5]
    for one in found.stages:
        for times, enough in ((1.02, True), (0.9, one.people <= declared.least_people / min(1, (1 - one.share) / one.share))):  # fmt: skip
            treated = math.ceil(one.people * times)
            control = math.ceil(treated * (1 - one.share) / one.share)
            groups = [Group(n, base * n, base * n) for n in (treated, control)]
            seen = look(*groups, declared.planned)
            assert (seen.low > -declared.margin * base) == enough
        assert one.days == math.ceil(one.people / (500 * one.share))


def test_without_traffic_no_days_are_told_and_a_win_takes_two_weeks_at_least():
    declared = parse(ROLLOUT.replace("kind: rollout\n", "").replace("share: 0.01", "share: 1"))
    assert plan(declared, 0.1).days is None
    assert plan(declared, 0.1).stages == ()
    assert plan(declared, 0.1, 1e6).days == 14
