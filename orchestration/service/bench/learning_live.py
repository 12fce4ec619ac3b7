"""How soon an outcome is known to whoever decides next, and whether a power cut costs or doubles a lesson (spec decision.D46).

Enters: nothing. Leaves: rows. A served installation of its own is asked over HTTP and learns; a second process, this one, looks at what a decision made here would act on. At the
end server and Postgres are killed right after the last outcomes were acknowledged, and both are started again.
"""

import asyncio
import math
import time
from typing import Final

import httpx
import numpy as np

from audit.access.principal import Scope
from orchestration.decision.policies.rules import Rule, ruled
from orchestration.service.bench import harness, seeding
from orchestration.service.bench.learning_rows import Progress, Row, Section
from orchestration.wiring import House

PLACEMENT: Final = "learns"
_ACTOR: Final = "system:bench"
_PATIENCE: Final = 20.0  # seconds for one outcome, a restart included
_BAR: Final = 1.0
_CATALOGUE: Final = """
controller: Bench
contents:
  - id: words
    variants:
      - {id: red, label: Red, channels: [web], body: Red.}
      - {id: blue, label: Blue, channels: [web], body: Blue.}
placements:
  - {name: learns, purpose: marketing.web, channels: [web], variants: [red, blue], policy: thompson, nothing_value: 0}
"""


def live(full: bool, progress: Progress) -> list[Row]:
    """Outcomes one by one, each timed from its acknowledgement; then some more, a power cut, and what is known afterwards."""
    return asyncio.run(_live(60 if full else 4, progress))


async def _live(outcomes: int, progress: Progress) -> list[Row]:
    rule = ruled("thompson")
    async with harness.rig() as rig:
        people = 2 * outcomes
        progress(f"  seeding {people} people")
        async with rig.house() as house:
            ids, _ = await seeding.people(house, people)
            async with house.kernel.db.transaction() as conn:
                await house.decisions.publish_catalogue(conn, _CATALOGUE, actor=_ACTOR)
            key = await house.access.create_key(
                [Scope.COLLECT, Scope.DECIDE], actor=_ACTOR, name="bench", source=seeding.SOURCE
            )
        progress(f"  {outcomes} outcomes, each watched, then {outcomes} and a power cut")
        headers = {"Authorization": f"Bearer {key.secret}"}
        made: list[str] = []
        seconds: list[float] = []
        async with rig.serve() as served, rig.house() as house:
            async with httpx.AsyncClient(base_url=served.url, headers=headers, timeout=10, trust_env=False) as http:
                for number, person in enumerate(ids):
                    made.append(await _ordered(http, person, number))
                    if number < outcomes:
                        seconds.append(await _until(house, rule, number + 1))
            rig.crash(served)
        async with rig.serve(), rig.house() as house:
            await _until(house, rule, people)
            await asyncio.sleep(1.0)  # what would be learned twice has its chance
            state = await house.learning.learners.newest(PLACEMENT, rule)
            voices = math.fsum(one.n for one in state.arms.values())
            earned = math.fsum(one.reward for one in state.arms.values())
            told = [await house.decisions.replay(one) for one in made]
    worst = float(np.percentile(seconds, 99))
    identical = sum(one.identical for one in told)
    return [
        Row("decision.D46", f"from an outcome's acknowledgement to a state that holds it, in another process, {outcomes} outcomes", "p99 at most 1 s", f"p50 {np.median(seconds):.2f} s, p99 {worst:.2f} s", worst <= _BAR),
        Row("decision.D46", f"decisions and outcomes in the state after a power cut, of {people} acknowledged", f"{people} and {people}", f"{voices:.0f} and {earned:.0f}", voices == earned == people),
        Row("decision.D4", "decisions that replay to identical bytes after the learner learned on", f"{people} of {people}", f"{identical} of {people}", identical == people),
    ]  # fmt: skip


async def _ordered(http: httpx.AsyncClient, person: str, number: int) -> str:
    """One decision, and the order that came of it; both acknowledged."""
    decided = await http.post("/v1/decisions", json={"person": person, "placement": PLACEMENT})
    decided.raise_for_status()
    decision = str(decided.json()["decision_id"])
    event = {
        "event": "Order Completed", "userId": f"u{number}", "messageId": f"live-{number}",
        "properties": {"decision_id": decision, "order_id": f"live-{number}"},
    }  # fmt: skip
    (await http.post("/v1/track", json=event)).raise_for_status()
    return decision


async def _until(house: House, rule: Rule, orders: int) -> float:
    """Seconds until a decision made here would know of so many orders."""
    begun = time.monotonic()
    while time.monotonic() - begun < _PATIENCE:
        state = await house.learning.learners.newest(PLACEMENT, rule)
        if math.fsum(one.reward for one in state.arms.values()) >= orders:
            break
        await asyncio.sleep(0.01)
    return time.monotonic() - begun


SECTIONS: Final = (Section("live", "how soon an outcome is known, and after a power cut", run=live, alone=True),)
