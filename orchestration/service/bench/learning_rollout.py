"""A rollout on real engines that turns out to harm, and promotions whose lift was foretold (decision.D21, D22, D30).

Enters: engines of its own. Leaves: rows. Harm becomes visible in one commit; from there the time runs until another process' decisions are all under the old policy.
"""

import asyncio
import time
from datetime import timedelta
from typing import Final

import numpy as np

from events.log import CollectContext
from kernel.canonical import Json
from kernel.ids import PersonId
from orchestration.decision.request import DecisionRequest
from orchestration.learning.evaluation import Z95, cross_fit, differences, folds, greedy
from orchestration.learning.experiment import check
from orchestration.learning.settings import LearningSettings
from orchestration.service.bench.harness import rig
from orchestration.service.bench.learning_rows import Progress, Row, generator, share
from orchestration.service.bench.learning_simulators import world
from orchestration.service.bench.seeding import PLACEMENT, SOURCE, catalogue, people, ranker
from orchestration.wiring import House, open_house

PROMOTIONS: Final = 20
_ACTOR: Final = "system:bench"
_LIMIT: Final = 30.0  # seconds after which the watch is said to have missed it


def rollout(full: bool, progress: Progress) -> list[Row]:
    """D21, D22 on a house of its own; D30 on simulated promotions."""
    return [*asyncio.run(_harm(600 if full else 120, progress)), *foretold(full, progress)]


async def _harm(count: int, progress: Progress) -> list[Row]:
    async with rig() as made, made.house() as house:
        progress(f"  {count} people")
        ids, _ = await people(house, count)
        await catalogue(house, 4)
        digest = await ranker(house, 4, trees=20, leaves=7)
        await house.learning.rollback(PLACEMENT, actor=_ACTOR)
        declared = check({
            "name": "new_model", "placement": PLACEMENT, "kind": "rollout", "primary": "conversion", "control": "old",
            "share": 0.5, "least_people": 20, "planned": count, "diversity": 0,  # harm is what people do here, not what a small ranker shows
            "arms": [{"name": "new", "share": 0.5, "ranker": digest}, {"name": "old", "share": 0.5, "ranker": "rules"}],
        })  # fmt: skip
        await house.learning.experiments.start(declared, actor=_ACTOR)
        held = [one.reason for one in await house.learning.rollouts.round()]
        requests = [DecisionRequest(person=person, placement=PLACEMENT) for person in ids]
        decided = await house.decisions.decide_many(requests)
        inconclusive = [one.reason for one in await house.learning.rollouts.round()]
        treated = [place for place, person in enumerate(ids) if await _under(house, person, "new")]
        seconds, after = await _breach(house, ids, treated)
        replays = [
            await house.decisions.replay(one.decision_id) for one in decided[:50] if not isinstance(one, Exception)
        ]
        steps = (await house.learning.experiments.status("new_model", look=False)).steps
        evidence = {"z", "threshold", "treated"} <= set(steps[-1].facts)
    return [
        Row("decision.D21", "no people yet: the watch", "holds", _told(held), held[0].startswith("too_few_people")),
        Row("decision.D21", "people and no outcome yet: the watch", "holds", _told(inconclusive), inconclusive[0] != "evidence"),
        Row("decision.D21", "the rollback's entry carries statistic, people, threshold", "yes", "yes" if evidence else "no", evidence),
        Row("decision.D22", "harm visible to another process entirely on the old policy", "at most 5 s", f"{seconds:.2f} s", seconds <= 5.0),
        Row("decision.D22", "decisions under the new policy afterwards", "0", str(after), after == 0),
        Row("decision.D22", "decisions of before replay under the policy that they name", "all identical", share(sum(one.identical for one in replays), len(replays)), all(one.identical for one in replays)),
    ]  # fmt: skip


async def _breach(house: House, ids: list[PersonId], treated: list[int]) -> tuple[float, int]:  # fmt: skip
    """Seconds from the commit of the harm until another house treats nobody; decisions that it makes under the new policy afterwards."""
    stop = asyncio.Event()
    async with open_house(house.settings) as other:
        assert any([await _under(other, ids[place], "new") for place in treated[:5]])
        watch = asyncio.create_task(house.learning.rollouts.run(stop))
        now = house.kernel.clock.now() + timedelta(milliseconds=1)
        harm: list[Json] = [
            {"type": "track", "event": "Unsubscribed", "userId": f"u{place}", "messageId": f"gone-{place}", "timestamp": now.isoformat(), "properties": {}}
            for place in treated[::2]
        ]  # fmt: skip
        await house.events.collect(harm, CollectContext(source=SOURCE, kind="track", actor=_ACTOR))
        begun = time.monotonic()
        while time.monotonic() - begun < _LIMIT and await _under(other, ids[treated[0]], "new"):  # noqa: ASYNC110 - another process has no event to wait for
            await asyncio.sleep(0.05)
        seconds = time.monotonic() - begun
        again = [DecisionRequest(person=ids[place], placement=PLACEMENT) for place in treated[:20]]
        after = sum(one.outcome.ranked_by == "ranker" for one in await other.decisions.decide_many(again) if not isinstance(one, Exception))  # fmt: skip
        stop.set()
        await watch
    return seconds, after


async def _under(house: House, person: PersonId, arm: str) -> bool:
    found = await house.learning.treatment(PLACEMENT, person)
    return found is not None and found.arm == arm


def _told(reasons: list[str]) -> str:
    return f"held: {reasons[0]}" if reasons else "nothing runs"


def foretold(full: bool, progress: Progress) -> list[Row]:
    """D30: the lift that the log foretells, beside the lift that the promotion then brings."""
    count, settings = (PROMOTIONS, LearningSettings()) if full else (5, LearningSettings(trees=40))
    inside = 0
    for number in range(count):
        made, coins = world(100 + number), generator(30, number)
        old = made.softmax(0.7, 0.2)
        log, kind = made.log(old, 6000, coins)
        values = cross_fit(log, folds(len(log), settings.folds, settings.seed), settings)
        # What is promoted is greedy on what the log taught, kept from certainty as every policy here is.
        new = 0.9 * greedy(values) + 0.1 / values.shape[1]
        told = differences(log, new, old[kind], values)["dr"]
        fresh_kind = coins.integers(0, len(made.x), 12_000)
        taught = np.zeros_like(made.mean)
        np.add.at(taught, kind, new)
        seen = np.bincount(kind, minlength=len(made.x))[:, None]
        served = np.where(seen > 0, taught / np.maximum(seen, 1), 1 / values.shape[1])
        arms = (served[fresh_kind].cumsum(axis=1) > coins.random((12_000, 1))).argmax(axis=1)
        reward = (coins.random(12_000) < made.mean[fresh_kind, arms]).astype(np.float64)
        before, _ = made.log(old, 12_000, coins)
        realised = float(reward.mean() - before.reward.mean())
        own = Z95 * float(np.sqrt(reward.var() / 12_000 + before.reward.var() / 12_000))
        half = float(np.hypot((told.high - told.low) / 2, own))
        inside += abs(realised - told.value) <= half
    progress(f"  {count} promotions")
    return [Row("decision.D30", f"realised lift within what was foretold, {count} promotions", "at least 90%", share(inside, count), inside >= 0.9 * count)]  # fmt: skip
