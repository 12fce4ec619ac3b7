"""`candor bench kill`: the server is killed at random moments and started again, and afterwards everything that it promised is looked for.

Enters: kills, people, a seed. Leaves: a `Report`. The demo world's consents, events, decisions and sends go over HTTP to a real `candor up`; a client says each
again until it is answered, as real ones do. Imports and the walk run as commands beside it and die with it. A moment is drawn from the run's progress and a delay, so kills fall into requests, sends, commits, recoveries and
starts; every third looks for a moment in which the provider has a message and has not said so. About a quarter of them take Postgres, the hot store or both along, as when the machine dies. The same seed draws the same script and the
same moments; what a moment hits is the machine's to say.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from orchestration.service.bench import harness, kill_store, kill_world
from orchestration.service.bench.harness import BenchFailed, Rig
from orchestration.service.bench.kill_batch import Batch, commands
from orchestration.service.bench.kill_client import Client, client
from orchestration.service.bench.kill_peer import Peer, Taken, peer
from orchestration.service.bench.kill_proof import Proof, prove
from orchestration.service.bench.kill_server import Victim, free_port
from orchestration.service.bench.kill_world import Script

_AT_ONCE: Final = 6  # chains
_LONGEST: Final = 1.5  # seconds between the moment's progress and its kill
_WITH_ENGINES: Final = 0.25
_OUTBOX: Final = 0.25  # share of lives in which mail leaves as files
_AIMED: Final = 0.35  # share of kills that wait for a message to be with the provider, and fall while it is there
_AIM_SECONDS: Final = 8.0  # as long as they wait for one
_TOLD: Final = 0.5  # share of messages that the provider reports on
_SETTLE_SECONDS: Final = 120.0
# A lease must outlive its batch: 8 messages, 4 at a time, 2 s each.
_CHANNELS: Final = {"claim_batch": 8, "senders": 4, "send_timeout": 2.0, "lease_seconds": 4.5, "poll_seconds": 0.1}
_BATCH_AFTER: Final = 0.25
_ROWS: Final = {"CANDOR_EVENTS__IMPORT_BATCH": "25"}  # small, so that a kill falls between two of them
_LIMITS: Final = {"max_attempts": 50}  # the provider's refusals are drawn, and must not end a delivery


@dataclass(frozen=True, slots=True)
class Moment:
    """When to kill: `after` this share of the run, `delay` seconds later, `aimed` at a message on its way; `engines` go too."""

    after: float
    delay: float
    aimed: bool
    engines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """What a kill fell into. `requests` were under way by kind; `sends` were with the provider, which had them and had not said so."""

    second: float
    engines: tuple[str, ...]
    server: str
    batch: str
    requests: Mapping[str, int]
    sends: int

    @property
    def places(self) -> tuple[str, ...]:
        """Where it hit, in words; a kill may hit several places at once."""
        beside = (f"candor {self.batch}",) if self.batch else ()
        if self.server == "starting":
            return ("start or recovery", *beside)
        found = [f"{kind} request" for kind, number in sorted(self.requests.items()) if number]
        return (*beside, *found, *(["between provider and commit"] if self.sends else [])) or ("nothing under way",)


@dataclass(frozen=True, slots=True)
class Report:
    """The run. `places` counts kills by what they hit; `broken` counts answers of the 5xx kind, by kind of request; `broken_off`
    commands that a kill ended and that were run again, `failed` those that ended by themselves while engines were away.
    """

    seed: int
    people: int
    requests: int
    seconds: float
    kills: int
    with_engines: int
    lives: int
    places: Mapping[str, int]
    hits: tuple[Hit, ...]
    broken: Mapping[str, int]
    broken_off: Mapping[str, int]
    failed: Mapping[str, int]
    refused_by_provider: int
    proof: Proof

    @property
    def ok(self) -> bool:
        """Nothing acknowledged is lost, nobody got a message twice, nothing is stuck."""
        return self.proof.ok and len(self.hits) == self.kills


async def run(
    *,
    kills: int = 20,
    people: int = 150,
    seed: int = 7,
    batch: bool = True,
    told: Callable[[str], None] = lambda _: None,
) -> Report:
    """Kill on engines of its own."""
    async with harness.rig(channels={**_CHANNELS, **_LIMITS}) as rig, peer(str(seed)) as provider:
        told(f"importing the demo world: {people} people")
        async with rig.house() as house:
            script = await kill_world.prepare(house, people=people, seed=seed, linked=batch)
        victim = Victim(rig, free_port(str(seed)), _sendgrid(provider.url))
        async with client(victim.url, str(seed)) as said:
            beside = Batch(rig, commands(rig.settings.kernel.data_dir / "input") if batch else [], _ROWS)
            fire = _Fire(rig, victim, beside, said, provider, script, seed, told)
            try:
                begun = time.perf_counter()
                await fire.all(moments(kills, seed))
                seconds = time.perf_counter() - begun
                told("the proof")
                async with rig.house() as house:
                    outbox = house.kernel.settings.data_dir / "outbox"
                    proof = await prove(house, said, provider.taken, outbox, script)
            finally:
                await fire.end()
        if await victim.verify_log() != 0:
            proof.faults.append("candor audit verify: failed")
        return Report(
            seed=seed,
            people=script.people,
            requests=script.jobs,
            seconds=round(seconds, 1),
            kills=kills,
            with_engines=sum(bool(one.engines) for one in fire.hits),
            lives=victim.lives,
            places=dict(Counter(place for hit in fire.hits for place in hit.places).most_common()),
            hits=tuple(fire.hits),
            broken=dict(said.broken),
            broken_off=dict(beside.broken_off),
            failed=dict(beside.failed),
            refused_by_provider=provider.refused,
            proof=proof,
        )


def moments(kills: int, seed: int) -> list[Moment]:
    """The moments that a seed draws, in order."""
    draw = random.Random(f"moments:{seed}")  # noqa: S311  # a seeded simulation
    afters = sorted(draw.uniform(0.02, 0.98) for _ in range(kills))
    doomed = set(draw.sample(range(kills), round(kills * _WITH_ENGINES)))
    which = (("postgres",), ("valkey",), ("postgres", "valkey"))
    return [
        Moment(
            after,
            draw.uniform(0.0, _LONGEST),
            draw.random() < _AIMED,
            which[draw.randrange(3)] if place in doomed else (),
        )
        for place, after in enumerate(afters)
    ]


class _Fire:
    """One run under fire."""

    def __init__(
        self, rig: Rig, victim: Victim, batch: Batch, said: Client, provider: Peer, script: Script, seed: int,
        told: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.hits: list[Hit] = []
        self._rig = rig
        self._victim = victim
        self._batch = batch
        self._said = said
        self._provider = provider
        self._script = script
        self._told = told
        self._draw = random.Random(f"fire:{seed}")  # noqa: S311  # a seeded simulation
        self._begun = time.perf_counter()
        self._reports: set[asyncio.Task[None]] = set()
        provider.on_taken = self._report

    async def all(self, plan: list[Moment]) -> None:
        """Walk the script while the server is killed at the plan's moments; return when everything is settled."""
        await self._start(plan[0])
        walking = asyncio.create_task(self._said.walk(self._script.chains, at_once=_AT_ONCE))
        beside = asyncio.create_task(self._beside())
        try:
            for number, moment in enumerate(plan, 1):
                await self._until(moment, walking)
                await self._kill(moment)
                self._told(f"kill {number} of {len(plan)} at {self.hits[-1].second:.1f} s: {', '.join(self.hits[-1].places)}"
                           + (f", with {' and '.join(moment.engines)}" if moment.engines else ""))  # fmt: skip
                await self._start(plan[number] if number < len(plan) else None)
            await self._victim.served()
            await walking
            await beside
        finally:
            walking.cancel()
            beside.cancel()
            self._batch.kill()
        await self._settle()

    async def _beside(self) -> None:
        """The batch side begins once enough people have said what their events may be used for."""
        while self._said.done < _BATCH_AFTER * self._script.jobs:  # noqa: ASYNC110  # a number grows; no event stands for a quarter of it
            await asyncio.sleep(0.1)
        await self._batch.run()

    async def end(self) -> None:
        """Stop what still runs; the engines too, whoever started them last."""
        for task in self._reports:
            task.cancel()
        await asyncio.gather(*self._reports, return_exceptions=True)
        if self._victim.lives:
            await self._victim.stop()

    async def _start(self, following: Moment | None) -> None:
        """A new life; mail leaves as files in some, unless its end waits for the provider."""
        files = self._draw.random() < _OUTBOX and not (following is not None and following.aimed)
        await self._victim.start(**({"CANDOR_CHANNELS__EMAIL_CONNECTOR": "outbox"} if files else {}))

    async def _until(self, moment: Moment, walking: "asyncio.Task[None]") -> None:
        """The moment: progress first, then the delay. A walk that broke off is told at once."""
        while self._said.done < moment.after * self._script.jobs and not walking.done():
            if self._victim.place == "down":
                await self._victim.served()  # says why it ended by itself
            await asyncio.sleep(0.01)
        if walking.done():
            await walking
        await asyncio.sleep(moment.delay)
        if moment.aimed:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._provider.busy.wait(), _AIM_SECONDS)

    async def _kill(self, moment: Moment) -> None:
        hit = Hit(
            second=round(time.perf_counter() - self._begun, 2),
            engines=moment.engines,
            server=self._victim.place,
            batch=self._batch.now,
            requests={kind: number for kind, number in self._said.under_way.items() if number},
            sends=len(self._provider.thinking),
        )
        if hit.server == "down":
            await self._victim.served()
        self._batch.kill()
        await self._victim.kill(moment.engines)
        self.hits.append(hit)

    def _report(self, message: Taken) -> None:
        """The provider tells later that it delivered, of most messages."""
        if self._draw.random() < _TOLD:
            task = asyncio.create_task(self._later(message, self._draw.uniform(0.0, 1.5)))
            self._reports.add(task)

    async def _later(self, message: Taken, seconds: float) -> None:
        await asyncio.sleep(seconds)
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        await self._said.say(kill_world.receipt(message.delivery_id, at, self._script.sender))

    async def _settle(self) -> None:
        """Every message has left or has a reason, every report is in; then the server ends as an operator ends it."""
        until = time.monotonic() + _SETTLE_SECONDS
        async with self._rig.house() as house:
            while time.monotonic() < until:
                async with house.kernel.db.reading() as conn:
                    left = await kill_store.unfinished(conn)
                if not left and not self._provider.thinking and all(one.done() for one in self._reports):
                    break
                await asyncio.sleep(0.2)
        await asyncio.gather(*(one for one in self._reports if one.done()))
        if (code := await self._victim.stop()) != 0:
            raise BenchFailed(f"expected the server to end with 0 when it is asked to, got {code}")


def _sendgrid(url: str) -> dict[str, Any]:
    return {
        "CANDOR_CHANNELS__EMAIL_CONNECTOR": "sendgrid",
        "CANDOR_CHANNELS__SENDGRID__BASE_URL": url,
        "CANDOR_CHANNELS__SENDGRID__API_KEY": "SG.of-nobody",
        "CANDOR_CHANNELS__SENDER_ADDRESS": "hello@shop.example",
    }
