"""The week's learning, killed over and over, and the way back (spec decision.D39).

Enters: nothing. Leaves: rows for `candor bench learning`. A house of its own with imported decisions; `candor learn weekly` as a process that is ended by SIGKILL, a little
later in its life each time, until it is through; then a second model that rules, and a rollback, watched by somebody who reads what rules as every other process does.
"""

import asyncio
import json
import sys
import time
from datetime import timedelta
from typing import Final

from events import mapping
from events.log import CollectContext
from kernel.canonical import Json
from orchestration.decision.models import ActiveModel
from orchestration.learning.registry import Registry
from orchestration.learning.store import promotions
from orchestration.service.bench import seeding
from orchestration.service.bench.harness import BenchFailed, Rig, rig
from orchestration.service.bench.learning_people import chance
from orchestration.service.bench.learning_rows import Progress, Row, Section
from orchestration.wiring import House

SEED: Final = 39
PEOPLE: Final = 700
ROLLBACK: Final = 1.0
_CHUNK: Final = 350  # orders a call
_MOST_KILLS: Final = 40  # a machine so busy that it is not through by then is let be
_MOST: Final = 5.0  # seconds that a rollback is waited for
_PLAN: Final = f"""
source: past
what: decisions
subject: {{kind: login_id, column: login}}
timestamp: at
placement: {seeding.PLACEMENT}
arm: arm
propensity: {{constant: 0.5}}
outcomes: {{Order Completed: {{column: bought, type: number}}}}
collect_under: {{purpose: marketing.personalize, basis: consent}}
"""
_WEEKLY: Final = ("-m", "orchestration.service.cli.main", "learn", "weekly", seeding.PLACEMENT, "--json")


def retraining(full: bool, progress: Progress) -> list[Row]:
    """D39: killed, then done once; the same bytes when made again; and how long a rollback takes to rule."""
    return asyncio.run(_retraining(0.5 if full else 3.0, progress))


async def _retraining(step: float, progress: Progress) -> list[Row]:
    async with rig() as engines:
        async with engines.house() as house:
            await _seed(house, engines)
        # A little later each time, until it is through before it is hit: every moment of its life is tried.
        died, said = 0, ""
        while not said:
            said = await _weekly(engines, (died + 1) * step if died < _MOST_KILLS else None)
            died += not said
            progress(f"{died} jobs killed, the last after {died * step:.1f} s" if not said else "one was through")
        first = json.loads(said)[0]
        again = json.loads(await _weekly(engines, None, "--again"))[0]
        async with engines.house() as house:
            async with house.kernel.db.reading() as conn:
                ruled = [one.digest for one in await promotions(conn, seeding.PLACEMENT)]
            faults = await house.learning.faults()
            took = await _rolled_back(house) if ruled else _MOST
    told = f"{first['outcome']}, made again {again['outcome']}; {len(ruled)} promotion, {len({first['model'], again['model'], *ruled})} file"
    good = first["outcome"] == "promoted" and [again["model"]] == [first["model"]] == ruled and not faults
    return [
        Row("decision.D39", f"the week's job ended {died} times by SIGKILL, {step:g} s later each time, then left alone", "one promotion, the same file when made again", told, good),
        Row("decision.D39", "from the word to roll back until the model before rules", f"<= {ROLLBACK:g} s", f"{took:.2f} s", took <= ROLLBACK),
    ]  # fmt: skip


async def _seed(house: House, engines: Rig) -> None:
    """People, two variants, and decisions of the past about everybody: who spends little likes one, who spends much the other."""
    await seeding.people(house, PEOPLE)
    await seeding.catalogue(house, 4)
    rng = chance(SEED, 1)
    now = house.kernel.clock.now()
    for start in range(0, PEOPLE, _CHUNK):
        calls: list[Json] = [
            {
                "type": "track", "event": "Order Completed", "userId": f"u{number}", "messageId": f"week-{number}",
                "timestamp": (now - timedelta(days=5)).isoformat(), "properties": {"revenue": 10 + number % 90},
            }
            for number in range(start, min(start + _CHUNK, PEOPLE))
        ]  # fmt: skip
        told = await house.events.collect(calls, CollectContext(source=seeding.SOURCE, actor="system:bench"))
        if not all(one.status == "accepted" for one in told):
            raise BenchFailed("expected every order to be accepted, got some that were not")
    lines = ["login,at,arm,bought"]
    for number in range(PEOPLE):
        arm = rng.choice(("v0", "v1"))
        good = (number % 90 < 45) == (arm == "v0")
        lines.append(f"u{number},{now.isoformat()},{arm},{int(rng.random() < (0.8 if good else 0.1))}")
    file, plan = engines.folder / "past.csv", engines.folder / "past.map.yaml"
    await asyncio.to_thread(file.write_text, "\n".join(lines) + "\n", encoding="utf-8")
    await asyncio.to_thread(plan.write_text, _PLAN, encoding="utf-8")
    await house.importer.run(file, mapping.load(plan))


async def _weekly(engines: Rig, seconds: float | None, *words: str) -> str:
    """The job as a process; what it printed, or nothing when it was killed."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, *_WEEKLY, *words, env=engines.environment(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )  # fmt: skip
    try:
        said, _ = await asyncio.wait_for(child.communicate(), seconds)
    except TimeoutError:
        child.kill()
        await child.wait()
        return ""
    return said.decode()


async def _rolled_back(house: House) -> float:
    """Seconds until somebody else sees the model before rule again."""
    before = (await house.learning.active(seeding.PLACEMENT)).model
    assert before is not None
    await seeding.ranker(house, 4, trees=50)
    other = Registry(house.kernel)
    held = await other.active(seeding.PLACEMENT)
    assert held.model is not None
    assert held.model.digest != before.digest
    begun = time.monotonic()
    await house.learning.rollback(seeding.PLACEMENT, actor="system:bench")
    while time.monotonic() - begun < _MOST:
        now: ActiveModel = await other.active(seeding.PLACEMENT)
        if now.model is not None and now.model.digest == before.digest:
            break
        await asyncio.sleep(0.01)
    return time.monotonic() - begun


SECTIONS: Final = (Section("retraining", "the week's learning, killed; and rolled back", run=retraining, alone=True),)
