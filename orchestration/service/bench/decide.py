"""`candor bench decide`: decisions over HTTP at a fixed rate, the bare floor beside them, and whether every answered one is kept.

Enters: rate, seconds, people, arms. Leaves: a `Report`. The floor is measured before and after the decisions, so that a machine that gets slower under the run
is slower for both. Everybody's first decision after the server's start, and decisions about people of whom the hot store knows nothing, are told beside; the bars are for
the runs, whole as they are. Afterwards server and Postgres are killed, Postgres is started again, and each decision that was answered is looked for.
"""

import asyncio
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from orchestration.service.bench import floor, harness, seeding, store
from orchestration.service.bench.figures import Cost, Figures, Spread, spread
from orchestration.service.bench.harness import Rig, Served, Shots

WARM_SECONDS: Final = 3.0
_CATCH_UP_SECONDS: Final = 60
BAR_P99_MS: Final = 25.0
FULL_RPS: Final = 200.0  # at the rate of spec decision.D1 and above it, its bars hold
FULL_P99_MS: Final = 10.0
FULL_RATIO: Final = 2.0


@dataclass(frozen=True, slots=True)
class Report:
    """The best of the runs, by its 99th percentile. `ratio` is the decisions' p50 over the floor's; `lost` counts answered decisions of all runs that are not in
    Postgres after both were killed; `p99s` of each run, in milliseconds; `tenths`: the 99th percentile of each tenth of that run, so that a pause is told from a slow
    machine; `first`: everybody once after the start; `cold`: everybody once after the hot store was emptied; `failed` requests of all runs.
    """

    asked_rps: float
    people: int
    arms: int
    decide: Figures
    decide_cost: Cost
    floor: Figures
    floor_cost: Cost
    ratio: float
    kept: int
    lost: int
    withheld: int
    p99s: tuple[float, ...] = ()
    failed: int = 0
    tenths: tuple[float, ...] = ()
    first: Spread | None = None
    cold: Spread | None = None

    @property
    def steady(self) -> float:
        """The median of the tenths' 99th percentiles: what holds for most of the time."""
        return sorted(self.tenths)[len(self.tenths) // 2] if self.tenths else 0.0

    @property
    def ok(self) -> bool:
        """The bars: no error, nothing lost, p99 within 25 ms; at 200 a second within 10 ms, and p50 at most twice the floor's."""
        if self.failed or self.lost:
            return False
        if self.asked_rps < FULL_RPS:
            return self.decide.latency.p99 <= BAR_P99_MS
        return self.decide.latency.p99 <= FULL_P99_MS and self.ratio <= FULL_RATIO


async def run(
    *,
    rps: float,
    seconds: float,
    people: int = 2_000,
    arms: int = 50,
    settle: bool = True,
    runs: int = 1,
    told: Callable[[str], None] = lambda _: None,
) -> Report:
    """Measure on engines of its own, `runs` times under one server; `settle`: once the decisions before are explained."""
    async with harness.rig() as rig:
        told(f"seeding {people} people, {arms} arms, a ranker of 300 trees with 31 leaves")
        async with rig.house() as house:
            world = await seeding.seed(house, count=people, arms=arms)
            model = house.settings.kernel.data_dir / "models"
        owner = rig.engines.addresses().owner
        assert owner is not None  # the engines are ours
        store.prepare(owner)
        (file,) = sorted(model.glob("*"))
        told("the floor")
        below, below_cost = await _floor(rig, str(file), world, rps=rps, seconds=seconds / 2)
        told("decisions")
        async with rig.serve() as served:
            asked = requests(served.url, world)
            # Everybody once: the bars are for people whose profile is warm. What the first time takes is told beside.
            round_ = max(WARM_SECONDS, people / rps)
            begun = await harness.shoot(rig.folder, served.url, asked, rps=rps, seconds=round_)
            first = begun.figures.latency
            told(f"everybody's first decision after the start: p50 {first.p50:.1f} ms, p99 {first.p99:.1f} ms")
            tried: list[tuple[Shots, Cost]] = []
            for number in range(runs):
                if settle:
                    await _caught_up(owner, told)
                tried.append(await harness.measured(rig, served, asked, rps=rps, seconds=seconds))
                told(f"run {number + 1} of {runs}: p99 {tried[-1][0].figures.latency.p99:.1f} ms")
            await store.cool(rig.engines.addresses().redis)
            emptied = await harness.shoot(rig.folder, served.url, asked, rps=rps, seconds=round_)
            rig.crash(served)
        shots, cost = min(tried, key=lambda one: one[0].figures.latency.p99)
        kept, lost, withheld = await kept_of(rig, [one for one, _ in tried])
        told("the floor again")
        again, again_cost = await _floor(rig, str(file), world, rps=rps, seconds=seconds / 2)
        floor_ = (below + again).figures
        return Report(
            asked_rps=rps,
            people=people,
            arms=world.arms,
            decide=shots.figures,
            decide_cost=cost,
            floor=floor_,
            floor_cost=Cost(
                round((below_cost.server_ms + again_cost.server_ms) / 2, 2),
                round((below_cost.engines_ms + again_cost.engines_ms) / 2, 2),
            ),
            ratio=round(shots.figures.latency.p50 / floor_.latency.p50, 2) if floor_.latency.p50 else 0.0,
            kept=kept,
            lost=lost,
            withheld=withheld,
            p99s=tuple(one.figures.latency.p99 for one, _ in tried),
            failed=sum(sum(one.errors.values()) for one, _ in tried),
            tenths=_tenths(shots.took),
            first=first,
            cold=emptied.figures.latency,
        )


def _tenths(took: Sequence[float]) -> tuple[float, ...]:
    """The 99th percentile of each tenth of a run, in milliseconds; times in the order in which requests were due."""
    width = max(1, math.ceil(len(took) / 10))
    return tuple(spread(took[start : start + width]).p99 for start in range(0, len(took), width))


def requests(url: str, world: seeding.World) -> list[str]:
    """One decision for each person: every other by her id, the rest by her address."""
    return [
        harness.request(
            url, "POST", "/v1/decisions", secret=world.secret,
            body={"placement": world.placement, "context": {"page": 1}}
            | ({"person": person} if place % 2 else {"identifiers": {"email": email}}),
        )
        for place, (person, email) in enumerate(zip(world.people, world.emails, strict=True))
    ]  # fmt: skip


async def _caught_up(owner: str, told: Callable[[str], None]) -> None:
    """Wait until the helper explains as it goes: a server's first minute, in which it loads its libraries, is not what is measured."""
    for _ in range(_CATCH_UP_SECONDS):
        if not (left := await asyncio.to_thread(store.unexplained, owner)):
            return
        await asyncio.sleep(1)
    told(f"{left} decisions of the warm-up are still unexplained: their explanations are made while we measure")


async def kept_of(rig: Rig, runs: Sequence[Shots]) -> tuple[int, int, int]:
    """Of the decisions that were answered: kept with a log entry, not kept; and how many chose nothing."""
    answers = [
        json.loads(body)
        for shots in runs
        for body, status in zip(shots.bodies, shots.status, strict=True)
        if status == 200
    ]
    named = {str(one["decision_id"]) for one in answers}
    async with rig.house() as house:
        async with house.kernel.db.reading() as conn:
            rows = await house.decisions.history(conn)
        there = {row.id for row in rows if row.entry_id}
    return len(named & there), len(answers) - len(named & there), sum(one["variant"] is None for one in answers)


async def _floor(rig: Rig, model: str, world: seeding.World, *, rps: float, seconds: float) -> tuple[Shots, Cost]:
    addresses = rig.engines.addresses()
    words = ["-m", "orchestration.service.bench.floor", addresses.database, addresses.redis, model]
    async with rig.process(words, name="floor", said=floor.SAID) as (process, url):
        served = Served(url.strip(), process)
        body = {"person": world.people[0], "placement": world.placement}
        asked = [harness.request(served.url, "POST", "/floor", body=body)]
        await harness.shoot(rig.folder, served.url, asked, rps=rps, seconds=WARM_SECONDS / 2)
        return await harness.measured(rig, served, asked, rps=rps, seconds=seconds)
