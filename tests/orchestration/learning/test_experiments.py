"""Experiments on real stores: declared, started, ramped on evidence, looked at, stopped; what they do with a decision. decision.D18-D22, D44."""

from datetime import timedelta

import numpy as np
import pytest

from events.log import Source
from kernel.errors import InvalidInput
from orchestration.decision.counterfactual import Change
from orchestration.decision.policies.finding import Policies
from orchestration.learning import assignment
from orchestration.learning.bias import audited
from orchestration.learning.errors import (
    ExperimentInvalid,
    ExperimentOver,
    ExperimentTaken,
    UnknownExperiment,
    UnknownMetric,
    UnknownModel,
)
from orchestration.learning.experiment import parse
from orchestration.learning.held import brought
from orchestration.learning.ranker import train
from orchestration.learning.shadow import shadow
from orchestration.learning.store import ModelRow
from tests.orchestration.conftest import NOW
from tests.orchestration.learning.test_loop import happens

pytestmark = pytest.mark.anyio

WORDS = """
name: words
placement: open
primary: conversion
control: plain
share: 0.5
least_people: 20
arms:
  - {name: offer, share: 0.5, variants: [offer]}
  - {name: plain, share: 0.5, variants: [plain]}
"""


@pytest.fixture
def dealt(monkeypatch):
    """People are dealt to arms in turn, and every second pair takes part at a half: nothing hangs on drawn ids."""
    places = {}

    def unit(word, what, person):
        del word
        place = places.setdefault(person, len(places))
        return (place % 4) / 4 if what == b"part" else (place % 2) / 2

    monkeypatch.setattr(assignment, "_unit", unit)


async def test_an_experiment_divides_people_shows_each_arm_its_own_and_tells_what_came_of_it(shop, dealt, monkeypatch):
    await shop.people({f"p{place}": 30.0 for place in range(8)})
    experiments = shop.learning.experiments
    declared = parse(WORDS)
    started = await experiments.start(declared, actor="staff:ann")
    assert (started.state, started.share) == ("running", 0.5)
    with pytest.raises(ExperimentTaken):
        await experiments.start(parse(WORDS.replace("name: words", "name: other")), actor="staff:ann")
    sides = {}
    for name, person in shop.made.items():
        found = await shop.decide(f"email:{name}@example.org", seed="a")
        lost = {one.id: one.rejection.reason for one in found.outcome.judged if one.rejection is not None}
        treated = await experiments.treatment("open", person)
        sides[name] = treated.arm if treated is not None else None
        other = {"offer": "plain@email", "plain": "offer@email"}.get(sides[name])
        if other is not None:
            assert lost[other] == "experiment:words"
        else:
            assert "experiment:words" not in lost.values()
        assert abs(sum(one.propensity for one in found.outcome.judged) - 1) <= 1e-12
        assert found.outcome.in_scope
    assert list(sides.values()) == ["offer", "plain", None, None] * 2
    assert (await shop.decisions.replay(found.decision_id)).identical
    told = (await experiments.status("words")).report
    assert told.people == {"offer": 2, "plain": 2}
    assert (told.verdict, told.mixed) == ("running", 0)
    one, two = shop.made["p0"], shop.made["p1"]
    with monkeypatch.context() as patch:  # as if they turned out to be one

        async def merged(conn, asked):
            del conn
            return {person: one if person == two else person for person in asked}

        patch.setattr(shop.identity, "current", merged)
        told = (await experiments.status("words")).report
        assert (told.people, told.mixed) == ({"offer": 1, "plain": 1}, 1)
    moved = await experiments.ramp("words", actor="staff:ann")
    assert moved.step is None
    assert moved.held.startswith("too_few_people")
    with pytest.raises(ExperimentInvalid, match="reason"):
        await experiments.ramp("words", actor="staff:ann", force=True)
    forced = await experiments.ramp("words", actor="staff:ann", force=True, reason="small shop")
    assert (forced.step.share, forced.step.facts["forced_against"]) == (1.0, moved.held)
    for name, side in sides.items():  # nobody who was in it changed sides
        assert side in {None, (await experiments.treatment("open", shop.made[name])).arm}
    await experiments.stop("words", actor="staff:ann")
    assert await experiments.treatment("open", shop.made["p0"]) is None
    with pytest.raises(ExperimentOver):
        await experiments.ramp("words", actor="staff:ann")
    with pytest.raises(UnknownExperiment):
        await experiments.status("nonsense")
    noted = await shop.rows("SELECT 1 FROM audit.entries WHERE tag = 'experiment.changed'")
    assert len(noted) == 3


async def test_what_is_not_there_cannot_be_compared(shop):
    for old, new, fault in (
        ("variants: [offer]", "variants: [banner]", ExperimentInvalid),
        ("primary: conversion", "primary: happiness", UnknownMetric),
        ("variants: [offer]", f"ranker: 'sha256:{'0' * 64}'", UnknownModel),
    ):
        with pytest.raises(fault):
            await shop.learning.experiments.start(parse(WORDS.replace(old, new)), actor="staff:ann")


async def test_a_holdout_arm_gets_nothing_says_why_and_a_counterfactual_tells_what_it_would_have_been(shop, dealt):
    await shop.people({"a": 30.0, "b": 30.0})
    text = WORDS.replace("variants: [offer]", "ranker: rules").replace("variants: [plain]", "nothing: true")
    await shop.learning.experiments.start(parse(text.replace("share: 0.5\nleast", "share: 1\nleast")), actor="a")
    sent = await shop.decide("email:a@example.org", seed="a")
    held = await shop.decide("email:b@example.org")
    assert (held.outcome.holdout, held.withheld) == (True, "holdout:words")
    assert not sent.outcome.holdout
    assert held.outcome.in_scope
    async with shop.kernel.db.transaction() as conn:
        await shop.events.register_source(conn, Source("web", "marketing.personalize", "consent"))
    shop.clock.advance(timedelta(hours=1))
    assert await happens(shop, "Order Completed", "a", revenue=30) == "accepted"
    async with shop.kernel.db.reading() as conn:
        found = await brought(
            conn, shop.identity, shop.events, "open", outcome="Order Completed", window=timedelta(days=7)
        )
    shares = found.shares
    assert (shares.treated_hits, shares.treated, shares.held_hits, shares.held, found.mixed) == (1, 1, 0, 1, 0)
    primary = (await shop.learning.experiments.status("words")).report.primary
    assert (primary.treated, primary.control) == (1.0, 0.0)
    declared = (await shop.learning.experiments.status("words", look=False)).declared
    assert await shop.learning.experiments.present(declared) == (
        0.5,
        2.0,
    )  # one of two bought; two people on the first day
    before = await shop.rows("SELECT count(*) AS n FROM decision.decisions")
    ask = shop.decisions.counterfactual.ask
    other = await ask(sent.decision_id, Change(exclude=(sent.choice,)))
    assert other.differs
    assert other.now.choice != sent.choice
    assert other.was.choice == sent.choice
    same = await ask(sent.decision_id, Change(features={"age": 30.0}))
    assert not same.differs
    none = await ask(sent.decision_id, Change(withdraw="marketing.email"))
    assert (none.now.choice, none.now.withheld) == ("nothing", "consent.withdrawn")
    for wrong in (Change(without=("height",)), Change(exclude=("x@email",))):
        with pytest.raises(InvalidInput):
            await ask(sent.decision_id, wrong)
    assert await shop.rows("SELECT count(*) AS n FROM decision.decisions") == before
    assert (await shop.decisions.replay(sent.decision_id)).identical


async def test_a_model_in_the_shadow_touches_nobody_and_says_where_it_differs(shop):
    """decision.D30."""
    await shop.people({f"p{place}": 20.0 + place for place in range(6)})
    names = (*shop.profiles.features.names, "variant=plain", "variant=offer", "variant=nothing")
    rows = np.eye(60, len(names))
    rows[:, -3:] = np.eye(3)[np.arange(60) % 3]
    model, content = train(
        rows, (np.arange(60) % 3 == 1).astype(float), feature_names=names, feature_set=shop.profiles.features.digest,
        settings=shop.learning.settings,
    )  # fmt: skip
    shop.learning.keep(content)
    row = ModelRow(
        digest=model.digest, placement="open", feature_set="", training_set="", rows=60, evaluation={"decision": "hold"},
        trained_at=NOW,
    )  # fmt: skip
    async with shop.kernel.db.transaction() as conn:
        await shop.learning.register(conn, row, actor="staff:ann")
    served = [(await shop.decide(f"email:{name}@example.org", seed="a")).choice for name in shop.made]
    asked = {"placement": "open", "digest": model.digest, "since": NOW - timedelta(days=1), "rewards": {}}
    policies = Policies(shop.learning.learners, "epsilon_greedy")
    async with shop.kernel.db.reading() as conn:
        found = await shadow(conn, shop.learning.sealer, shop.learning, policies, **asked)
    assert (found.decisions, found.served_same) == (6, 6)
    assert sum(found.otherwise.values()) == found.disagreed
    assert all(one in served and one != two for one, two in found.otherwise)
    assert found.to_json()["reason"] == "no counted reward"


async def test_who_is_shown_something_is_told_by_group_and_small_groups_are_not(shop):
    """decision.D43."""
    await shop.people({"a": 20.0, "b": 40.0})
    for name in shop.made:
        await shop.decide(f"email:{name}@example.org", seed="a")
    now = shop.clock.now()
    asked = {"placement": "open", "traits": ["age"], "since": NOW - timedelta(days=1), "now": now}
    async with shop.kernel.db.reading() as conn:
        found = (await audited(conn, shop.identity, shop.profiles, purpose="marketing.personalize", **asked)).parts
    assert found == ()  # two people are no group
