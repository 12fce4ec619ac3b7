"""What fades, in whole numbers: any order, any split, undone, written down and half-life changed give the same bits (features.F47)."""

import math
import random
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiles.errors import OutOfTime
from profiles.fading import Fading, faded
from tests.profiles.making import AT

MICROS = st.integers(0, 400 * 86_400_000_000)
moments = st.lists(MICROS.map(lambda micros: AT - timedelta(microseconds=micros)), max_size=30)
lives = st.floats(0.01, 1000)


@settings(max_examples=60)
@given(moments, lives, st.randoms())
def test_stream_batch_and_replay_are_equal_in_bits(told, days, rng: random.Random):
    batch = Fading.of(days, told)
    stream = Fading.of(days)
    for moment in rng.sample(told, len(told)):
        stream = Fading.unpack(stream.pack())
        stream.add(moment)
    half = rng.randrange(len(told) + 1)
    joined = Fading.of(days, told[half:]).join(Fading.of(days, told[:half]))
    undone = Fading.of(days, [*told, AT])
    undone.take(AT)
    assert batch.pack() == stream.pack() == joined.pack() == undone.pack()
    assert batch.at(AT).hex() == stream.at(AT).hex() == joined.at(AT).hex()


@settings(max_examples=60)
@given(moments, lives)
def test_a_counter_is_the_sum_of_what_is_left_of_each(told, days):
    plain = math.fsum(math.exp2(-(AT - one) / timedelta(days=days)) for one in told)
    assert Fading.of(days, told).at(AT) == pytest.approx(plain, rel=1e-5, abs=1e-300)
    assert all(0 <= faded(one, AT, days) <= 1 for one in told)


def test_a_half_life_is_a_half_exactly():
    week = timedelta(days=7)
    assert Fading.of(7, [AT, AT - week, AT - 2 * week]).at(AT) == 1.75
    assert faded(AT - week, AT, 7) == 0.5
    assert faded(AT - 20_000 * week, AT, 7) == 0.0


def test_what_was_added_for_later_is_not_told_of_before():
    with pytest.raises(OutOfTime):
        Fading.of(7, [AT]).at(AT - timedelta(days=7))
    with pytest.raises(OutOfTime):
        Fading.of(7).join(Fading.of(8))


def test_a_very_old_counter_costs_nothing_and_says_nothing():
    old = Fading.of(1e-9, [AT - timedelta(days=3000)])
    assert old.at(AT) == 0.0
