"""What decisions teach, summed: the same in every order, one voice a person, forgotten where it broke off."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.ids import DecisionId, PersonId
from orchestration.decision.policies.linear import fixed
from orchestration.learning.lessons import Lesson, Sums, broken, changes, epoch_of, state_of
from orchestration.learning.rewards import MICRO
from orchestration.service.bench import learning_learners as bench
from orchestration.service.bench.learning_policies import integrals
from tests.orchestration.conftest import NOW

LIMITS = {"voices": 1, "most": 5}


def lesson(number, person=0, arm="a", reward=0.0, at=NOW, context=()):
    return Lesson(
        decision=DecisionId(f"dec_{number}"), placement="p", person=PersonId(f"per_{person}"), arm=arm, at=at,
        epoch=epoch_of(at, 86_400), reward=round(reward * MICRO), context=context,
    )  # fmt: skip


TOLD = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 2), st.sampled_from("ab"), st.sampled_from((0.0, 0.1, 1.0, -1.0)),
              st.integers(0, 5)),
    max_size=25,
)  # fmt: skip


@settings(max_examples=50)
@given(told=TOLD, order=st.randoms(use_true_random=False))
def test_sums_do_not_depend_on_the_order_in_which_outcomes_are_told(told, order):
    # One decision is about one person, for one arm, at one time, whatever is told of it.
    known = {}
    final = {}
    for number, person, arm, reward, hours in told:
        first = known.setdefault(
            number, lesson(number, person, arm, reward, NOW + timedelta(hours=4 * hours), fixed(("x",), {"x": number}))
        )
        final[number] = replace(first, reward=round(reward * MICRO))
    one_by_one: dict = {}
    held: dict = {}
    turns = [(number, reward) for number, _, _, reward, _ in told] + [
        (n, one.reward / MICRO) for n, one in final.items()
    ]
    last = turns[len(told) :]
    early = turns[: len(told)]
    order.shuffle(early)
    for number, reward in [*early, *last]:
        new = replace(known[number], reward=round(reward * MICRO))
        voice = (new.person, new.epoch)
        before = [one for one in held.values() if (one.person, one.epoch) == voice]
        held[number] = new
        after = [one for one in held.values() if (one.person, one.epoch) == voice]
        for key, more in changes(before, after, **LIMITS).items():
            one_by_one[key] = one_by_one.get(key, Sums()).plus(more)
    at_once = changes((), final.values(), **LIMITS)
    assert {key: sums for key, sums in one_by_one.items() if not sums.empty} == at_once


def test_a_person_is_one_voice_and_who_comes_too_often_is_not_heard():
    twice = changes((), [lesson(1, reward=1.0), lesson(2, reward=0.0), lesson(3, person=1)], **LIMITS)
    ((_, sums),) = twice.items()
    assert (sums.n, sums.reward) == (2, MICRO // 2)
    assert changes((), [lesson(n, reward=1.0) for n in range(6)], **LIMITS) == {}
    # The one decision too many takes back what the others said.
    many = [lesson(n, reward=1.0) for n in range(6)]
    ((_, back),) = changes(many[:5], many, **LIMITS).items()
    assert (back.n, back.reward) == (-1, -MICRO)


def test_outcomes_fade_by_age_and_an_old_record_that_broke_off_is_forgotten_of_every_arm():
    def week(arm, rate, day, n=400):
        at = epoch_of(NOW + timedelta(days=day), 8 * 86_400)
        return (arm, at), Sums(n, round(n * rate * MICRO), round(n * rate * MICRO))

    steady = dict([week("a", 0.1, 0), week("a", 0.1, 8), week("b", 0.2, 0), week("b", 0.2, 8)])
    assert broken(steady) == 0
    faded = state_of(steady, half_life=8 * 86_400)
    assert faded.arm("a").n == pytest.approx(600)
    assert state_of(steady, half_life=None).arm("a").n == pytest.approx(800)
    swapped = dict([week("a", 0.3, 0), week("a", 0.1, 8), week("b", 0.2, 0)])
    assert broken(swapped) == epoch_of(NOW + timedelta(days=8), 8 * 86_400)
    assert set(state_of(swapped, half_life=8 * 86_400).arms) == {"a"}
    assert set(state_of(swapped, half_life=None).arms) == {"a", "b"}


def test_a_linear_learner_finds_what_rewards_depend_on():
    learner = bench.Learner(bench.rule("linucb", features=["x"]))
    learner.hear([
        learner.lesson(n, f"per_{n}", "a", float(n % 2), NOW, fixed(("x",), {"x": 1.0 if n % 2 else -1.0}))
        for n in range(200)
    ])  # fmt: skip
    theta = learner.state.arm("a").theta
    assert theta[0] == pytest.approx(0.5, abs=0.02)
    assert theta[1] > 0.4


@pytest.mark.parametrize("section", [bench.poisoning, integrals])
def test_one_person_does_not_move_an_estimate_and_thompson_shares_are_exact(section):
    """decision.D42, D7, a fraction of it."""
    rows = section(False, lambda _: None)
    assert [row.what for row in rows if not row.ok] == []


def test_a_learner_that_fades_follows_a_swap_of_the_best_arm():
    """decision.D34, a fraction of it."""
    fading, stationary = (
        bench.regret_after_swap(told, (0.2, 0.1), 2000, 2000, 1, batch=100)
        for told in (bench.rule("thompson", half_life="8h"), bench.rule("thompson"))
    )
    assert fading < 0.5 * stationary
