"""The demo's walk through the real doors: import, link, filter, learn, decide, send, answer, explain, prove.

Enters: an open house, a number of people, a seed. Leaves: a `Story`, every figure of which was measured on this run. Nothing is told to the house
that a company could not have told it; the truth is used only to answer messages and to score what was found.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np

from audit.receipt import Verdict, verify_file
from events import mapping
from events.importer import ImportReport
from events.log import CollectContext
from explain.service import Explain
from identity.identifiers import Identifier
from identity.score import Scores, score
from kernel.canonical import Json
from kernel.ids import PersonId
from orchestration.decision import campaign
from orchestration.decision.campaign import CampaignReport
from orchestration.demo import behaviour
from orchestration.demo.world import World, make, truth_of_rows, write
from orchestration.learning.lift import Lift, lift
from orchestration.pipeline.run import NAMES, Walked, walk
from orchestration.wiring import House

PLACEMENT = "cart_rescue"
HERE = Path(__file__).parent
BATCH = 100
Told = Callable[[str], None]
Files = list[tuple[str, Path, Path]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What happened, in figures. Rates are shares; `seconds` by chapter."""

    people: int
    records: int
    found: int
    scores: Scores
    imports: tuple[ImportReport, ...]
    walked: tuple[Walked, ...]
    collected: Mapping[str, int]
    campaign: CampaignReport
    lift: Lift
    best_shown: float
    values: Mapping[str, float]
    why: Json
    example: str | None
    receipt: Path | None
    verdict: Verdict | None
    leaves: int
    verified: bool
    outbox: Path
    triggers: int
    seconds: Mapping[str, float]


class _Watch:
    """Times chapters and tells their names."""

    def __init__(self, told: Told) -> None:
        self.seconds: dict[str, float] = {}
        self._told = told
        self._name = ""
        self._begun = time.perf_counter()

    def chapter(self, name: str) -> None:
        now = time.perf_counter()
        if self._name:
            self.seconds[self._name] = now - self._begun
        self._name, self._begun = name, now
        if name:
            self._told(name)


async def tell(house: House, *, people: int, seed: int, told: Told = lambda _: None) -> Story:
    """Make the world and walk it; takes under a minute for the default size on two cores."""
    watch = _Watch(told)
    folder = house.kernel.settings.data_dir
    watch.chapter("making the world")
    world = await asyncio.to_thread(make, people, seed, house.kernel.clock.now())
    files = await asyncio.to_thread(write, world, folder / "input")
    watch.chapter("importing people and consents")
    catalogue = (folder / "input" / "catalogue.yaml").read_text(encoding="utf-8")
    async with house.kernel.db.transaction() as conn:
        await house.decisions.publish_catalogue(conn, catalogue, actor="demo")
    imports = await _import(house, files, {"people", "consents", "suppressions"})
    watch.chapter("who is who, and what they permit")
    walked = (await walk(house, NAMES[: NAMES.index("raw_profiles")])).ensure().assets
    watch.chapter("importing what happened")
    imports += await _import(house, files, {"events", "decisions"})
    watch.chapter("profiles, features, ranker")
    walked += (await walk(house, NAMES[NAMES.index("raw_profiles") :])).ensure().assets
    watch.chapter("scoring identity against the truth")
    found, scores = await _score(house, world)
    watch.chapter("collecting today's carts")
    collected = await _collect(house, [_call(world, h) for h in world.carts])
    watch.chapter("deciding and sending")
    shoppers = await _shoppers(house, world)
    report = await campaign.run(
        house.decisions, house.channels, PLACEMENT, list(shoppers), trigger="cart_abandoned", actor="demo"
    )
    # From here on carts set their reminder off by themselves; today's were the campaign's.
    rules = await house.triggers.publish((HERE / "triggers.yaml").read_text(encoding="utf-8"), actor="demo")
    watch.chapter("people answer")
    measured, best, values = await _answers(house, world, report, shoppers)
    watch.chapter("explaining and proving")
    await house.audit.sequence()
    example, why = await _explain(house.explain, report)
    receipt, verdict = await _prove(house, example, folder)
    verified = (await house.audit.verify_log()).ok
    watch.chapter("")
    return Story(
        people=people,
        records=len(world.rows),
        found=found,
        scores=scores,
        imports=tuple(imports),
        walked=walked,
        collected=collected,
        campaign=report,
        lift=measured,
        best_shown=best,
        values=values,
        why=why,
        example=example,
        receipt=receipt,
        verdict=verdict,
        leaves=(await house.audit.checkpoint()).size,
        verified=verified,
        outbox=folder / "outbox",
        triggers=rules.triggers,
        seconds=watch.seconds,
    )


async def _import(house: House, files: Files, kinds: set[str]) -> list[ImportReport]:
    """Import the files of these kinds, in the order they were written."""
    reports = [await house.importer.run(file, mapping.load(plan)) for what, file, plan in files if what in kinds]
    await house.events.analyse()
    return reports


async def _score(house: House, world: World) -> tuple[int, Scores]:
    """People found among the imported rows, and how they compare with the truth."""
    truth = truth_of_rows(world)
    labels: list[str] = []
    true: list[int] = []
    async with house.kernel.db.reading() as conn:
        everyone = await house.identity.people(conn)
        for start in range(0, len(everyone), 2_000):
            held = await house.identity.records(conn, everyone[start : start + 2_000])
            for person, records in held.items():
                for record in records:
                    if (number := truth.get((record.source, record.source_key))) is not None and record.current:
                        labels.append(person)
                        true.append(number)
    return len(set(labels)), score(np.array(labels), np.array(true))


def _call(world: World, happening: behaviour.Happening, **more: Json) -> Json:
    """One Segment track call."""
    return {
        "type": "track",
        "userId": world.people[happening.person].login,
        "event": happening.name,
        "messageId": f"{world.seed}-{happening.name}-{happening.person}-{happening.at.timestamp():.0f}",
        "timestamp": happening.at.isoformat(),
        "properties": {**happening.properties, **more},
    }


async def _collect(house: House, calls: list[Json]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for start in range(0, len(calls), BATCH):
        part = calls[start : start + BATCH]
        for result in await house.events.collect(part, CollectContext(source="shop", actor="demo")):
            counts[result.status] = counts.get(result.status, 0) + 1
    return counts


async def _shoppers(house: House, world: World) -> dict[PersonId, int]:
    """Whom the trigger names today: everyone with a cart, by the person the house found; with the true number beside."""
    carts = sorted({h.person for h in world.carts})
    asked = [[Identifier("login_id", world.people[n].login or "")] for n in carts]
    async with house.kernel.db.reading() as conn:
        found = await house.identity.resolve(conn, asked)
    shoppers: dict[PersonId, int] = {}
    for number, answer in zip(carts, found, strict=True):
        if answer.person is not None:
            shoppers.setdefault(answer.person, number)
    return shoppers


async def _answers(
    house: House, world: World, report: CampaignReport, shoppers: Mapping[PersonId, int]
) -> tuple[Lift, float, dict[str, float]]:
    """Let everyone in the comparison answer as their nature says, tell the house, and measure lift."""
    compared = [d for d in report.decisions if d.outcome.in_scope]
    chosen = {shoppers[d.person]: d.variant or "nothing" for d in compared}
    bought = behaviour.answers(dict(world.natures), chosen, world.seed)
    later = house.kernel.clock.now()
    orders = [
        _call(
            world,
            behaviour.Happening(number, "Order Completed", later - timedelta(seconds=1), {"revenue": 40.0}),
            decision_id=d.decision_id,
        )
        for d in compared
        if bought[number := shoppers[d.person]]
    ]
    await _collect(house, orders)
    treated = [shoppers[d.person] for d in compared if not d.outcome.holdout]
    held = [shoppers[d.person] for d in compared if d.outcome.holdout]
    measured = lift(
        treated=len(treated),
        treated_hits=sum(bought[n] for n in treated),
        held=len(held),
        held_hits=sum(bought[n] for n in held),
    )
    natures = world.natures
    best = np.mean([chosen[n] == natures[n].best for n in treated]) if treated else 0.0
    values = {
        "this policy": np.mean([natures[n].answer(chosen[n]) for n in treated]),
        "a uniform draw": np.mean([np.mean([natures[n].answer(a) for a in behaviour.ARMS[1:]]) for n in treated]),
        "the best single message": max(np.mean([natures[n].answer(a) for n in treated]) for a in behaviour.ARMS[1:]),
        "knowing everyone's nature": np.mean([natures[n].answer(natures[n].best) for n in treated]),
    } if treated else {}  # fmt: skip
    return measured, float(best), {name: float(value) for name, value in values.items()}


async def _explain(explain: Explain, report: CampaignReport) -> tuple[str | None, Json]:
    """The explanation of one message, as its reader sees it."""
    sent = next(
        (
            d
            for d in report.decisions
            if d.delivery_id is not None and d.outcome.ranked_by == "ranker" and not d.outcome.explored
        ),
        None,
    )
    sent = sent or next((d for d in report.decisions if d.delivery_id is not None), None)
    if sent is None:
        return None, None
    explanation = await explain.explain(sent.decision_id)
    return sent.decision_id, explain.person_view(explanation, "en").as_json()


async def _prove(house: House, decision: str | None, folder: Path) -> tuple[Path | None, Verdict | None]:
    """A receipt as a file, verified from that file alone under the log's published key."""
    if decision is None:
        return None, None
    receipt = await house.receipt(decision)
    path = folder / "receipt.json"
    await asyncio.to_thread(path.write_text, receipt.text, encoding="utf-8")
    key = (await house.audit.verifier_keys())[-1].text
    return path, await asyncio.to_thread(verify_file, path, key)
