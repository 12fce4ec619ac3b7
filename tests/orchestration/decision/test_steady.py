"""A model that takes too long is done without, by name, and every probability stays that of what was drawn. decision.D11."""

import math
import time

import pytest

from orchestration.decision.engine import decide, total
from orchestration.decision.record import Record
from orchestration.decision.steady import FAILED, SLOW, Steady
from tests.orchestration.decision.support import Linear, arm, inputs

pytestmark = pytest.mark.anyio


class Heavy(Linear):
    """Burns processor time as told."""

    def __init__(self, seconds):
        super().__init__(["variant=a", "variant=b"], [0.1, 0.9])
        self.seconds = seconds
        self.asked = 0

    def score(self, rows):
        self.asked += 1
        until = time.thread_time() + self.seconds
        while time.thread_time() < until:
            pass
        return super().score(rows)


@pytest.fixture
def state():
    return inputs([arm("a", value=3.0), arm("b", order=1, value=2.0)])


async def test_a_quick_model_scores(state):
    used, made = await Steady(1.0).decide(state, "s", Heavy(0.0))

    assert used is state
    assert (made.ranked_by, made.fallback) == ("ranker", None)


async def test_a_slow_model_is_done_without_from_the_first_request_on_and_tried_again_later(state, monkeypatch):
    model, steady = Heavy(0.02), Steady(0.01)

    used, made = await steady.decide(state, "s", model)

    assert (made.ranked_by, made.fallback, used.versions.model) == ("rules", SLOW, None)
    assert math.isclose(total(made), 1.0, abs_tol=1e-12)
    assert max(made.judged, key=lambda one: one.propensity).id == "a@email"  # by declared values
    kept = Record(decision_id="dec_1", seed="s", inputs=used, outcome=made)
    again = Record(decision_id="dec_1", seed="s", inputs=used, outcome=decide(used, "s"))
    assert again.canonical() == kept.canonical()  # a replay needs neither the model nor the clock
    asked = model.asked
    assert (await steady.decide(state, "t", model))[1].fallback == SLOW
    assert model.asked == asked  # set aside: nobody waits for it

    model.seconds = 0.0
    monkeypatch.setattr("orchestration.decision.steady.time.monotonic", lambda: float("inf"))
    assert (await steady.decide(state, "u", model))[1].ranked_by == "ranker"


async def test_one_that_turns_slow_is_noticed_at_its_first_slow_answer(state):
    model, steady = Heavy(0.0), Steady(0.01)
    await steady.decide(state, "s", model)
    model.seconds = 0.02

    assert (await steady.decide(state, "t", model))[1].ranked_by == "ranker"  # late, and as exact as any
    assert (await steady.decide(state, "u", model))[1].fallback == SLOW


class Bursting(Linear):
    """Raises from the first time, or from the nth on."""

    def __init__(self, soundly=0):
        super().__init__(["variant=a", "variant=b"], [0.1, 0.9])
        self.soundly = soundly

    def score(self, rows):
        self.soundly -= 1
        if self.soundly < 0:
            raise ZeroDivisionError
        return super().score(rows)


class Mute(Linear):
    """Gives one score too few."""

    def score(self, rows):
        return super().score(rows)[:-1]


@pytest.mark.parametrize("model", [Bursting(), Bursting(2), Mute(["variant=a", "variant=b"], [0.1, 0.9])])
async def test_one_that_raises_is_done_without_by_name_before_and_after_its_proof(state, model):
    steady = Steady(1.0)
    for seed in ("s", "t"):
        used, made = await steady.decide(state, seed, model)
        assert (made.ranked_by, made.fallback, used.versions.model) == ("rules", FAILED, None)
        assert math.isclose(total(made), 1.0, abs_tol=1e-12)
        assert made == decide(used, seed)
