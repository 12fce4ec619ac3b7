"""A better model goes into the shadow, then to 1, 5, 20, 50, 100 % of people by evidence, is watched and rules; or goes back. decision.D21, D30, D45, D46.

The people who come by are simulated; steps, judgement, entries and what rules are real.
"""

import hashlib
import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from orchestration.learning import shadow as shadow_module
from orchestration.learning.assignment import Division
from orchestration.learning.evaluation import Estimate
from orchestration.learning.experiments import Running
from orchestration.learning.judging import Subject
from orchestration.learning.ramping import held_by
from orchestration.learning.ranker import train
from orchestration.learning.service import Learning
from orchestration.learning.settings import LearningSettings
from orchestration.learning.store import ModelRow
from orchestration.learning.tuning import tuned
from orchestration.learning.weekly import weekly
from tests.orchestration.conftest import NOW
from tests.orchestration.learning.test_judging import Event
from tests.orchestration.learning.test_service import past

pytestmark = pytest.mark.anyio
GATE = {"diff": 0.05, "low": 0.02, "high": 0.08, "decision": "promote"}


class World:
    """People who come by under a rollout: so many, and how readily they buy under either policy."""

    def __init__(self, shop, monkeypatch, count=3_500):
        self.new, self.old = 0.7, 0.3
        self.shop = shop
        self.draws = {
            f"per_{n}": int.from_bytes(hashlib.sha256(b"%d" % n).digest()[:6], "big") / 2**48 for n in range(count)
        }
        self.stages: dict = {}
        experiments = shop.learning.experiments
        monkeypatch.setattr(experiments, "subjects", self.subjects)
        monkeypatch.setattr(experiments, "_division", lambda one: Division(b"no secret", tuple((arm.name, arm.share) for arm in one.arms)))  # fmt: skip
        monkeypatch.setattr(shop.events, "of_people", self.of_people)

    async def subjects(self, conn, declared, live, begun, over=None):
        del conn, over
        running = Running(declared, self.shop.learning.experiments._division(declared), live[-1])
        sides = self.stages[begun] = {one: running.side(one, live[-1].share) for one in self.draws}
        return [
            Subject(one, side, begun, "email", ("plain", "offer")[n % 2], "ranker" if side == "new" else "rules")
            for n, (one, side) in enumerate(sides.items())
        ]

    async def of_people(self, conn, people, *, since, names):
        del conn, people, since, names
        rates = {"new": self.new, "old": self.old}
        found: dict = {}
        for begun, sides in self.stages.items():  # who buys does so a second after she came
            bought = Event("Order Completed", begun + timedelta(seconds=1), {"revenue": 20.0}, False)
            for one, side in sides.items():
                if self.draws.get(one, 1) < rates[side]:
                    found.setdefault(one, []).append(bought)
        return found


def settle(shop, **changes):
    """Other settings for learning from now on."""
    shop.learning.settings = shop.learning.rollouts._settings = shop.learning.settings.model_copy(update=changes)


async def entries(shop, tag):
    return len(await shop.rows("SELECT 1 FROM audit.entries WHERE tag = %s", tag))


async def better(shop, likes=1):
    """A registered model that the gate promotes, which likes the arm of this place."""
    names = (*shop.profiles.features.names, "variant=plain", "variant=offer", "variant=nothing")
    rows = np.eye(60, len(names))
    rows[:, -3:] = np.eye(3)[np.arange(60) % 3]
    model, content = train(
        rows, (np.arange(60) % 3 == likes).astype(float), feature_names=names, feature_set="", settings=shop.learning.settings
    )  # fmt: skip
    shop.learning.keep(content)
    row = ModelRow(
        digest=model.digest, placement="open", feature_set="", training_set="", rows=600,
        evaluation={"decision": "promote", "vs_current": GATE}, trained_at=NOW,
    )  # fmt: skip
    async with shop.kernel.db.transaction() as conn:
        await shop.learning.register(conn, row, actor="staff:ann")
    return row


class Killed(BaseException):
    """Nothing in the product may catch it."""


async def test_the_week_begins_a_rollout_which_grows_on_evidence_and_rules_after_its_watch(shop, tmp_path, monkeypatch):
    await past(shop, tmp_path, count=450)
    settle(shop, first_model="ramp", ramp_people=20, ramp_planned=2_000)
    (week,) = await weekly(shop.learning)
    assert (week.outcome, week.fresh) == ("ramp", True)
    assert (await weekly(shop.learning))[0].outcome == "ramp"  # done once
    assert (await shop.learning.active("open")).fallback == "no_model"
    (name,) = await shop.learning.experiments.running()
    first = (await shop.learning.experiments.status(name, look=False)).last
    assert (first.share, first.facts["model"], first.facts["threshold"], first.facts["rows"]) == (0.01, week.model, 0.0, 450)  # fmt: skip
    assert all(one["low"] > 0 for one in first.facts["gate"].values())
    assert first.facts["shadow"]["decisions"] == 0  # nobody was decided for yet: the log was brought along
    world = World(shop, monkeypatch)

    shares = []
    for _ in range(4):
        shop.clock.advance(timedelta(days=1))
        (told,) = await shop.learning.rollouts.round()
        shares.append(told.share)
    assert shares == [0.05, 0.2, 0.5, 1.0]
    steps = (await shop.learning.experiments.status(name, look=False)).steps
    assert [one.state for one in steps] == ["running"] * 4 + ["watched"]
    for one in steps[1:]:  # every one on evidence
        assert one.facts["low"] > -0.2 * world.old
        assert min(one.facts["treated"], one.facts["control"]) >= 20
        assert one.facts["threshold"] > 0
    assert (await shop.learning.rollouts.round())[0].reason == "watched"
    shop.clock.advance(timedelta(hours=48))

    with monkeypatch.context() as patch:  # killed between the end of the watch and the model's rule: both or none
        whole = Learning.rule

        async def kill(*given, **named):
            await whole(*given, **named)
            raise Killed

        patch.setattr(Learning, "rule", kill)
        with pytest.raises(Killed):
            await shop.learning.rollouts.round()
    assert (await shop.learning.experiments.running(), await entries(shop, "model.promoted")) == ([name], 0)
    (told,) = await shop.learning.rollouts.round()
    assert (told.moved, told.reason) == ("done", "watched without a breach")
    assert (await shop.learning.active("open")).model.digest == week.model
    assert await entries(shop, "experiment.changed") == 6
    assert await entries(shop, "model.promoted") == 1


async def test_a_breach_in_the_watch_goes_back_and_a_later_better_model_must_ramp(shop, monkeypatch):
    settle(shop, ramp_people=50, ramp_planned=2_000, ramp_share=0.5, alert_route="on-call")
    one = await better(shop)
    assert await shop.learning.release(one, actor="staff:ann") == "promoted"  # the first of all
    assert await shop.learning.release(one, actor="staff:ann") == "held"  # and it rules already
    two = await better(shop, likes=0)
    assert await shop.learning.release(two, actor="staff:ann") == "ramp"
    (name,) = await shop.learning.experiments.running()
    arms = (await shop.learning.experiments.status(name, look=False)).declared.arms
    assert [arm.ranker for arm in arms] == [two.digest, one.digest]
    assert await shop.learning.release(two, actor="staff:ann") == "busy"  # one at a time
    world = World(shop, monkeypatch, count=800)
    assert (await shop.learning.rollouts.round())[0].share == 1.0
    world.new = 0.05
    shop.clock.advance(timedelta(hours=1))
    (told,) = await shop.learning.rollouts.round()
    assert (told.moved, told.reason) == ("rolled_back", "worse than before: conversion")
    last = (await shop.learning.experiments.status(name, look=False)).last
    assert (last.facts["alerted"], last.share) == ("on-call", 0.0)
    assert {"z", "threshold", "treated"} <= set(last.facts)
    assert (await shop.learning.active("open")).model.digest == one.digest
    assert await shop.learning.experiments.treatment("open", "per_1") is None

    # The word to roll back ends a rollout that runs, and lets what rules rule.
    assert await shop.learning.release(two, actor="staff:ann") == "ramp"
    back = await shop.learning.rollback("open", actor="staff:ann", reason="looks odd")
    assert back.digest == one.digest
    assert await shop.learning.experiments.running() == []
    states = {kept.last.state for kept in await shop.learning.experiments.every()}
    assert states == {"rolled_back"}


async def test_a_watch_in_which_nothing_is_heard_or_nobody_comes_lets_nothing_rule(shop, monkeypatch):
    settle(shop, ramp_people=50, ramp_planned=2_000, ramp_share=0.5, first_model="ramp")
    row = await better(shop)
    assert await shop.learning.release(row, actor="staff:ann") == "ramp"
    world = World(shop, monkeypatch, count=800)
    assert (await shop.learning.rollouts.round())[0].share == 1.0
    everybody, world.draws = world.draws, {}
    shop.clock.advance(timedelta(hours=49))
    assert (await shop.learning.rollouts.round())[0].reason == "watched: too_few_people"
    world.draws, world.new = everybody, 0.0
    assert (await shop.learning.rollouts.round())[0].moved == "rolled_back"
    assert (await shop.learning.active("open")).fallback == "no_model"


async def test_what_the_shadow_shows_may_keep_a_model_in(shop, monkeypatch):
    settle(shop, first_model="ramp")
    for name in ("a", "b"):
        await shop.person(name)
        await shop.decide(f"email:{name}@example.org", seed=name)
    row = await better(shop)
    made = await shop.learning.ramping.shadow("open", row.digest)
    assert (made.decisions, made.served_same, made.done_without, made.skipped) == (2, 2, 0, 0)
    settings = LearningSettings()
    worse = Estimate(-0.2, -0.3, -0.1)
    for changed, why in (
        ({}, None),
        ({"served_same": 1}, "not_reproduced"),
        ({"milliseconds": 21.0}, "too_slow"),
        ({"done_without": 1}, "done_without"),
        ({"gain": worse}, "would_earn_less"),
        ({"gain": Estimate(-0.2, -0.3, 0.1)}, None),
    ):
        assert held_by(replace(made, **changed), settings, 0.01) == why
    assert json.dumps(made.to_json())

    class Raises(shadow_module.Guarded):
        def score(self, rows):
            raise shadow_module.ModelFailed("expected scores, got none")

    monkeypatch.setattr(shadow_module, "Guarded", Raises)
    assert await shop.learning.release(row, actor="staff:ann") == "shadow"
    assert await shop.learning.experiments.running() == []
    assert await entries(shop, "model.held") == 1


def test_another_size_of_tree_is_used_only_where_it_foretells_better_by_interval():
    """decision.D46: the same hyperparameters unless evaluation says otherwise."""
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(900, 3))
    settings = LearningSettings(trees=20, rate=0.2, leaves=2)
    corners = ((rows > 0).sum(axis=1) % 2).astype(float)  # a corner of three: no stump sees it
    best, told = tuned(rows, corners, settings)
    assert best.leaves == told["leaves"] == 15
    assert {one["leaves"]: one["low"] > 0 for one in told["tried"]}[15]
    noise = rng.normal(size=900)
    assert tuned(rows, noise, settings)[0] == settings
    assert tuned(rows, corners, settings) == (best, told)  # of the same rows, the same word
    assert tuned(rows[:10], corners[:10], settings)[0] == settings
