"""A rollout goes on by evidence, is watched at the end, goes back on harm and tells a route. decision.D21, D22, D45."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from orchestration.decision.reading_store import Shown
from orchestration.learning import experiments as module
from orchestration.learning.experiment import parse
from orchestration.learning.rollout import Rollouts
from tests.orchestration.conftest import NOW
from tests.orchestration.learning.test_judging import DECLARED, look, people

pytestmark = pytest.mark.anyio

ROLLOUT = """
name: model
placement: open
kind: rollout
primary: conversion
control: old
share: 0.01
arms: [{name: new, share: 0.5, ranker: rules}, {name: old, share: 0.5}]
"""
GOOD = look(*people(2000, 2000, rates=(0.16, 0.1)), DECLARED)
SHY = look(*people(300, 300, rates=(0.05, 0.1)), DECLARED)
SILENT = look(*people(300, 300, rates=(0.0, 0.0)), DECLARED)
WORSE = look(*people(2000, 2000, rates=(0.05, 0.1)), DECLARED)


@pytest.fixture
def says(monkeypatch):
    """What every look says from now on; the steps that follow are real."""
    now = [GOOD]
    monkeypatch.setattr(module, "judge", lambda *_, **__: now[0])
    return now


async def test_a_rollout_grows_on_evidence_is_watched_for_two_days_and_rules(shop, says):
    ruled = []

    async def rule(conn, placement, digest, facts):
        assert facts["threshold"] is not None
        ruled.append((placement, digest))

    experiments = shop.learning.experiments
    rollouts = Rollouts(shop.kernel, experiments, shop.learning.settings, rule)
    await experiments.start(parse(ROLLOUT), actor="staff:ann")
    for report, reason in ((SHY, "not_shown_to_lose_less_than 100%"), (replace(SILENT, days=0.1), "telemetry_lost")):
        says[0] = report
        (told,) = await rollouts.round()
        assert (told.moved, told.share, told.reason) == (None, 0.01, reason)
    says[0] = GOOD
    assert [(await rollouts.round())[0].share for _ in range(4)] == [0.05, 0.2, 0.5, 1.0]
    steps = (await experiments.status("model")).steps
    assert [one.state for one in steps] == ["running", "running", "running", "running", "watched"]
    assert steps[-1].facts["control_groups"]["conversion"][0] == 2000
    assert {"z", "threshold", "treated", "from"} <= set(steps[-1].facts)
    (told,) = await rollouts.round()
    assert (told.moved, told.reason) == (None, "watched")
    shop.clock.advance(timedelta(hours=47.9))
    assert (await rollouts.round())[0].reason == "watched"
    shop.clock.advance(timedelta(hours=0.1))
    (told,) = await rollouts.round()
    assert told.moved == "done"
    assert ruled == [("open", "rules")]
    assert await rollouts.round() == []


async def test_harm_goes_back_at_once_and_a_named_route_is_told(shop, says):
    heard = asyncio.Queue()

    async def answer(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        size = next(
            int(line.partition(":")[2]) for line in head.splitlines() if line.lower().startswith("content-length")
        )
        await heard.put(json.loads(await reader.readexactly(size)))
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = shop.learning.settings.model_copy(
        update={"alert_route": "on-call", "alert_url": f"http://127.0.0.1:{port}/alerts", "watch_seconds": 0.05}
    )
    experiments = shop.learning.experiments
    rollouts = Rollouts(shop.kernel, experiments, settings, None)
    await experiments.start(parse(ROLLOUT.replace("share: 0.01", "share: 1")), actor="staff:ann")
    person = await shop.person("ann")
    assert (await experiments.treatment("open", person)).arm == "new"
    says[0] = WORSE
    stop = asyncio.Event()
    watching = asyncio.create_task(rollouts.run(stop))
    told = await asyncio.wait_for(heard.get(), 20)
    stop.set()
    await watching
    server.close()
    assert told == {"route": "on-call", "experiment": "model", "placement": "open", "reason": "worse: conversion"}
    assert await experiments.treatment("open", person) is None
    last = (await experiments.status("model")).last
    assert (last.state, last.share, last.facts["alerted"]) == ("rolled_back", 0.0, "on-call")


async def test_silence_goes_back_after_a_while(shop, says):
    settings = shop.learning.settings.model_copy(update={"silence_hours": 1.0})
    experiments = shop.learning.experiments
    await experiments.start(parse(ROLLOUT), actor="staff:ann")
    says[0] = SILENT
    (told,) = await Rollouts(shop.kernel, experiments, settings, None).round()
    assert (told.moved, told.reason) == ("rolled_back", "telemetry_lost")


async def test_who_is_held_out_above_an_experiment_takes_no_part_and_a_step_is_taken_once(shop, says, monkeypatch):
    experiments = shop.learning.experiments
    await experiments.start(parse(ROLLOUT.replace("share: 0.01", "share: 0.5")), actor="staff:ann")
    standing = await experiments.status("model", look=False)
    rows = [
        Shown(person=f"per_{held}_{name}", at=NOW, variant=None, channel=None, holdout=name, held=held, ranked_by="none")
        for name in ("model", "everywhere") for held in (True, False)
    ]  # fmt: skip

    async def compared(*_):
        return rows

    async def same(_, people):
        return {one: one for one in people}

    with monkeypatch.context() as patch:
        patch.setattr(module.reading_store, "compared", compared)
        patch.setattr(shop.identity, "current", same)
        found = await experiments.subjects(None, standing.declared, standing.steps, NOW)
    assert {one.person for one in found} == {"per_True_model", "per_False_model", "per_False_everywhere"}

    seen = await experiments.status("model")
    assert (await experiments.ramp("model", actor="staff:ann")).step.share == 1.0

    async def earlier(*_, **__):
        return seen

    monkeypatch.setattr(experiments, "status", earlier)
    assert (await experiments.ramp("model", actor="staff:bob")).held == "moved meanwhile"


async def test_a_rollout_that_begins_with_everybody_is_watched_against_those_before_and_ends(shop, says):
    ruled = []

    async def rule(conn, placement, digest, facts):
        ruled.append(digest)

    experiments = shop.learning.experiments
    rollouts = Rollouts(shop.kernel, experiments, shop.learning.settings, rule)
    await shop.people({"a": 30.0, "b": 30.0, "c": 30.0})
    shop.clock.advance(timedelta(hours=1))
    await shop.decide(shop.made["a"], seed="a")
    shop.clock.advance(timedelta(hours=1))
    step = await experiments.start(parse(ROLLOUT.replace("share: 0.01", "share: 1")), actor="staff:ann")
    assert (step.state, step.share) == ("watched", 1.0)
    for name in ("b", "c"):
        await shop.decide(shop.made[name], seed=name)
    shop.clock.advance(timedelta(hours=1))
    standing = await experiments.status("model", look=False)
    now, then = (await experiments.before_and_now(standing))["conversion"]
    assert (now.n, then.n) == (2, 1)
    assert (await rollouts.round())[0].reason == "watched"
    shop.clock.advance(timedelta(hours=48))
    assert (await rollouts.round())[0].moved == "done"
    assert ruled == ["rules"]
