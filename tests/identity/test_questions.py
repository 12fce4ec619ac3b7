"""The review queue's sense of likelihood is read off the graph itself: where its own decisions turn."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity.questions import FEW, Doubt, ask, likely, turn

MEANS = st.lists(st.integers(-40, 40).map(lambda n: n / 8), min_size=FEW, max_size=40)


@settings(max_examples=50)
@given(MEANS, MEANS, st.integers(-5, 5), st.randoms(use_true_random=False))
def test_the_turn_moves_with_the_weights_and_not_with_their_order(joined, apart, shift, rng) -> None:
    at = turn(joined, apart)
    moved = turn([m + shift for m in joined], [m + shift for m in apart])
    assert moved.even == pytest.approx(at.even + shift)
    assert moved.steep == pytest.approx(at.steep)
    rng.shuffle(joined)
    rng.shuffle(apart)
    assert turn(joined, apart) == at


def test_it_turns_between_what_is_joined_and_what_is_kept_apart() -> None:
    high, low = [3 + n / 10 for n in range(30)], [-6 + n / 10 for n in range(30)]
    at = turn(high, low)
    assert max(low) < at.even <= min(high)
    assert likely([at.even], 1, 1, at) == pytest.approx(0.5)
    assert likely([max(low)], 1, 1, at) < 0.5 < likely([max(high)], 1, 1, at)


def test_whoever_stands_near_the_turn_on_the_other_side_is_asked_about_first() -> None:
    groups, edges, doubts = {}, [], []
    for n in range(FEW + 5):  # people of two records, strongly tied, and faint links between neighbours
        groups |= {4 * n: f"a{n}", 4 * n + 1: f"a{n}", 4 * n + 2: f"b{n}", 4 * n + 3: f"b{n}"}
        edges += [(4 * n, 4 * n + 1, 5.0), (4 * n + 2, 4 * n + 3, 5.0), (4 * n, 4 * n + 2, -3.0)]
        doubts.append(Doubt(4 * n, 4 * n + 2, -3.0))
    edges += [(1, 3, 4.0), (0, 3, 4.0), (1, 2, 4.0)]  # all but one pair of these two people agree
    first, *rest = ask(groups, edges, doubts)
    assert {first.a, first.b} == {0, 2}
    assert first.chance > max(one.chance for one in rest)
