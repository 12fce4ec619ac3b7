"""How fast an explanation is told over HTTP, and whether making explanations costs the decisions anything (spec decision.D3).

Enters: nothing of the caller's. Leaves: rows for `candor bench explain`. The real server in a process of its own, an open loop over loopback: a request that has to wait pays for
the wait. One installation is served twice: first explanations are made when they are asked for only, then ahead, by the process beside the server; decisions
come at one rate in both.
"""

import asyncio
import json
from dataclasses import replace
from typing import Final

from orchestration.service.bench import harness, seeding, store
from orchestration.service.bench.decide import requests
from orchestration.service.bench.figures import Cost
from orchestration.service.bench.harness import Rig, Served, Shots
from orchestration.service.bench.learning_rows import Progress, Row, Section

_RPS: Final = 50.0
_WARM_MS, _FIRST_MS = 10.0, 60.0
_MORE_MS: Final = 4.0  # decision.D3
_ARMS: Final = 50
_CATCH_UP: Final = 30  # seconds until the helper has loaded its libraries and explained the warm-up


def speed(full: bool, told: Progress) -> list[Row]:
    """`GET /v1/decisions/{id}/why` at 50 a second, first and warm; decisions with and without explanations."""
    return asyncio.run(_speed(400 if full else 60, 20.0 if full else 2.0, told))


async def _speed(people: int, seconds: float, told: Progress) -> list[Row]:
    async with harness.rig() as rig:
        told(f"  seeding {people} people, {_ARMS} arms")
        async with rig.house() as house:
            world = await seeding.seed(house, count=people, arms=_ARMS)
        owner = rig.engines.addresses().owner
        assert owner is not None  # the engines are ours
        store.prepare(owner)
        later = replace(rig, settings=rig.settings.model_copy(update={"explain": rig.settings.explain.model_copy(update={"ahead": False})}))  # fmt: skip
        async with later.serve() as served:
            told("  decisions, nothing explained")
            without = await _decisions(rig, served, world, seconds)
            told("  explanations, each for the first time, then warm")
            ids = _ids(without[0])[: round(_RPS * seconds)]
            await harness.shoot(rig.folder, served.url, _asked(served, world, ids[:5]), rps=5, seconds=1)
            first = await harness.measured(
                rig, served, _asked(served, world, ids[5:]), rps=_RPS, seconds=(len(ids) - 5) / _RPS
            )
            warm = await harness.measured(rig, served, _asked(served, world, ids[5:]), rps=_RPS, seconds=seconds)
        async with rig.serve() as served:
            told("  decisions, explained as they come")
            await harness.shoot(rig.folder, served.url, requests(served.url, world), rps=_RPS, seconds=2)
            for _ in range(_CATCH_UP):
                if not await asyncio.to_thread(store.unexplained, owner):
                    break
                await asyncio.sleep(1)
            beside = await _decisions(rig, served, world, seconds)
            waiting = await asyncio.to_thread(store.unexplained, owner)
        return [
            _row("the explanation of a decision, kept already", warm, _WARM_MS),
            _row("the explanation of a decision, made for it", first, _FIRST_MS),
            _beside(without, beside, waiting),
        ]


async def _decisions(rig: Rig, served: Served, world: seeding.World, seconds: float) -> tuple[Shots, Cost]:
    asked = requests(served.url, world)
    await harness.shoot(rig.folder, served.url, asked, rps=_RPS, seconds=max(2.0, len(asked) / _RPS))  # warm profiles
    return await harness.measured(rig, served, asked, rps=_RPS, seconds=seconds)


def _asked(served: Served, world: seeding.World, ids: list[str]) -> list[str]:
    return [harness.request(served.url, "GET", f"/v1/decisions/{one}/why", secret=world.secret) for one in ids]


def _ids(shots: Shots) -> list[str]:
    told = (json.loads(body) for body, status in zip(shots.bodies, shots.status, strict=True) if status == 200)
    return [str(one["decision_id"]) for one in told]


def _row(what: str, found: tuple[Shots, Cost], bar: float) -> Row:
    shots, cost = found
    figures = shots.figures
    wrong = sum(figures.errors.values())
    spread = figures.latency
    figure = f"p50 {spread.p50:.1f} ms, p99 {spread.p99:.1f} ms, {wrong} errors, {cost.server_ms:.1f} ms CPU a request"
    return Row("explain.E1", f"{what}: {figures.answered} at {_RPS:g} a second", f"p99 at most {bar:g} ms, no error", figure, spread.p99 <= bar and not wrong)  # fmt: skip


def _beside(without: tuple[Shots, Cost], beside: tuple[Shots, Cost], waiting: int) -> Row:
    before, after = without[0].figures.latency, beside[0].figures.latency
    wrong = sum(without[0].errors.values()) + sum(beside[0].errors.values())
    more = after.p99 - before.p99
    figure = (
        f"p99 {before.p99:.1f} ms without, {after.p99:.1f} ms with; p50 {before.p50:.1f}, {after.p50:.1f}; CPU {without[1].server_ms:.1f}, "
        f"{beside[1].server_ms:.1f} ms; {waiting} wait at the end"
    )
    return Row("decision.D3", f"decisions at {_RPS:g} a second, without and with explanations made beside them", f"p99 at most {_MORE_MS:g} ms more", figure, more <= _MORE_MS and not wrong)  # fmt: skip


SECTIONS: Final = (Section("speed", "how fast an explanation is told, and what it costs a decision", run=speed),)
