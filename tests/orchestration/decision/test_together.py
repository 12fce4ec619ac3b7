"""Levers pulled together choose what each of them chooses when the decision is made again in full, and no row is scored twice."""

import asyncio
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.decision.engine import GREEDY, decide
from orchestration.decision.pulling import pulled
from orchestration.decision.record import Record
from orchestration.decision.together import picks
from tests.orchestration.decision.support import arm, inputs
from tests.orchestration.decision.test_engine import states

NAMES = ("visits_7d", "orders", "spend")
COLUMNS = (*NAMES, "variant=v0", "variant=v1", "variant=v2", "variant=nothing", "channel=email", "channel=web")
CHANGES = (
    {"without": ["orders"]}, {"without": [*NAMES]}, {"declined": "v0"}, {"declined": "v1"}, {"pause": "email"},
    {"withdraw": "marketing.personalize"}, {"withdraw": "marketing.email"}, {"grant": "marketing.web|web"}, {"uncapped": True}, {},
)  # fmt: skip
numbers = st.floats(-3, 3).map(lambda one: one if abs(one) > 0.2 else float("nan"))


class Stepped:
    """Scores a row by itself, as trees do; NaN goes its own way."""

    feature_names = COLUMNS
    digest = "sha256:stepped"

    def __init__(self, weights):
        self.weights = np.array(weights)
        self.asked = []

    def score(self, rows):
        self.asked.append([row.tobytes() for row in rows])
        return np.where(np.isnan(rows), 0.3, rows * self.weights).sum(axis=1)


@given(states(), st.lists(numbers, min_size=3, max_size=3), st.lists(st.floats(-2, 2), min_size=9, max_size=9), st.text(max_size=4))  # fmt: skip
@settings(max_examples=120, deadline=None)
def test_together_is_as_one_by_one(state, features, weights, seed):
    model = Stepped(weights)
    state = replace(
        state,
        feature_names=NAMES,
        features=tuple(features),
        versions=replace(state.versions, model=model.digest),
    )
    record = Record(decision_id="dec_1", seed=seed, inputs=state, outcome=decide(state, seed, model=model))
    recorded = model.asked.pop() if model.asked else []
    changed = [made for one in CHANGES if (made := pulled(state, one, None, lambda _: True)) is not None]
    found = asyncio.run(picks(record, changed, model, GREEDY))
    asked = [row for rows in model.asked for row in rows]
    assert len(set(asked)) == len(asked)
    assert set(recorded[:-1]).isdisjoint(asked)  # what the record holds is not asked again, but for sending nothing
    for pick, one in zip(found, changed, strict=True):
        made = decide(one, seed, model=model)
        assert (pick.choice, pick.arm, pick.propensity) == (made.choice, made.arm, made.propensity)


def test_without_a_model_rules_rank_for_all():
    state = inputs([arm("v0", value=3.0), arm("v1", value=2.0)])
    record = Record(decision_id="dec_1", seed="s", inputs=state, outcome=decide(state, "s"))
    changed = [pulled(state, {"declined": "v0"}, None, lambda _: True), state]
    found = asyncio.run(picks(record, changed, None, GREEDY))
    assert [one.choice for one in found] == [decide(one, "s").choice for one in changed]
