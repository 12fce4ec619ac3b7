"""`candor bench ingest`: how many events become durable a second, and how soon one of them is part of a feature.

Enters: sizes. Leaves: an `Ingest`. Two loads on one server with real engines: flat out, batches over a few connections without a pause; then at a steady
rate, while a probe sends single events of people whom a decision could be about and reads their profile until the event counts. Then server and Postgres
are killed, Postgres is started again, and each event that was answered for is looked for.
"""

import asyncio
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import httpx

from audit.access.principal import Scope
from kernel.ids import EventId
from orchestration.service.bench.figures import Bar, Cost, Figures, Spread, spread
from orchestration.service.bench.harness import Shots, measured, request, rig, shoot
from orchestration.service.bench.seeding import SOURCE, people

BAR_RATE: Final = 2_000.0  # durable events a second
BAR_FRESH_MS: Final = 500.0
_FEATURE: Final = "frequency_365d"  # counts `Order Completed`
_PATIENCE: Final = 10.0  # seconds until a probe gives an event up
_POLL: Final = 0.01  # between looks at a profile: often enough for a figure of hundreds of milliseconds
_PROBES: Final = 10  # a second
_CONNECTIONS: Final = 8
_WARM: Final = 5  # batches before the clock runs
_NAMES: Final = ("Product Viewed", "Product Viewed", "Product Added", "Products Searched", "Content Viewed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingest:
    """`fresh` runs from the start of sending an event to a profile that counts it; costs are of one event.

    `accepted` counts the events that answers promised, `lost` those of them that are not in Postgres after both were killed.
    """

    batch: int
    flat_out: Figures
    flat_out_events: float
    flat_out_cost: Cost
    steady: Figures
    steady_events: float
    steady_cost: Cost
    fresh: Spread
    unseen: int
    accepted: int
    lost: int

    @property
    def bars(self) -> tuple[Bar, ...]:
        """What is asked of it."""
        return (
            Bar("durable events a second", BAR_RATE, self.flat_out_events, least=True),
            Bar("capture to feature p99, ms", BAR_FRESH_MS, self.fresh.p99),
            Bar("requests that failed", 0, sum(self.flat_out.errors.values()) + sum(self.steady.errors.values())),
            Bar("events that never counted", 0, self.unseen),
            Bar("events lost", 0, self.lost),
        )


async def run(
    *, events: int, batch: int, steady: float, seconds: float, known: int, visitors: int, seed: int = 1,
    told: Callable[[str], None] = lambda _: None,
) -> Ingest:  # fmt: skip
    """`events` flat out, then `steady` events a second for `seconds`; `known` people have consents, `visitors` are anonymous."""
    async with rig() as bench:
        told(f"seeding {known} people")
        async with bench.house() as house:
            ids, _ = await people(house, known)
            key = await house.access.create_key(
                [Scope.COLLECT, Scope.DECIDE], actor="system:bench", name="bench ingest", source=SOURCE
            )
            await house.events.analyse()
        draw = random.Random(seed)  # noqa: S311 - made-up traffic
        crowd = (known, visitors)
        async with bench.serve() as server:
            warm = _batches(draw, server.url, key.secret, _WARM, batch, crowd, "w")
            before = await shoot(bench.folder, server.url, warm, rps=20, seconds=_WARM / 20, keep=True)
            told(f"{events} events flat out")
            first = _batches(draw, server.url, key.secret, max(1, events // batch), batch, crowd, "a")
            flat, flat_cost = await measured(
                bench, server, first, rps=10_000, seconds=len(first) / 10_000, connections=_CONNECTIONS,
                patience=_PATIENCE + events / 200,
            )  # fmt: skip
            told(f"{steady:g} events a second for {seconds:g} s")
            rate = steady / batch
            second = _batches(draw, server.url, key.secret, max(1, round(rate * seconds)), batch, crowd, "b")
            (calm, calm_cost), (fresh, unseen, probed) = await asyncio.gather(
                measured(bench, server, second, rps=rate, seconds=seconds, connections=64),
                _probe(server.url, key.secret, ids, seconds, draw),
            )
            bench.crash(server)
        accepted = [*_accepted(before), *_accepted(flat), *_accepted(calm), *probed]
        async with bench.house() as house, house.kernel.db.reading() as conn:
            kept = await house.events.kept(conn, accepted)
    return Ingest(
        batch=batch,
        flat_out=flat.figures,
        flat_out_events=round(flat.figures.answered * batch / flat.figures.seconds, 1) if flat.figures.seconds else 0.0,
        flat_out_cost=_each(flat_cost, batch),
        steady=calm.figures,
        steady_events=round(calm.figures.answered * batch / calm.figures.seconds, 1) if calm.figures.seconds else 0.0,
        steady_cost=_each(calm_cost, batch),
        fresh=spread(fresh),
        unseen=unseen,
        accepted=len(accepted),
        lost=len(set(accepted) - kept),
    )


def _each(cost: Cost, batch: int) -> Cost:
    """Of one event, from that of a batch."""
    return Cost(round(cost.server_ms / batch, 4), round(cost.engines_ms / batch, 4))


def _batches(
    draw: random.Random, url: str, secret: str, count: int, size: int, crowd: tuple[int, int], mark: str
) -> list[str]:  # fmt: skip
    """Requests of `size` calls each, as a shop's pages and servers send them; no message id occurs twice."""
    now = datetime.now(UTC).isoformat()
    return [
        request(
            url, "POST", "/v1/batch", secret=secret,
            body={"batch": [_call(draw, *crowd, f"{mark}-{place}-{item}", now) for item in range(size)], "sentAt": now},
        )
        for place in range(count)
    ]  # fmt: skip


def _call(draw: random.Random, known: int, visitors: int, message: str, at: str) -> dict[str, Any]:
    product = draw.randrange(500)
    who = (
        {"userId": f"u{draw.randrange(known)}"}
        if draw.random() < 0.3
        else {"anonymousId": f"v{draw.randrange(visitors)}"}
    )
    return {
        "type": "track", "event": draw.choice(_NAMES), **who, "messageId": message, "timestamp": at,
        "properties": {"product_id": f"p{product}", "category": f"c{product % 12}", "price": 5 + product % 90, "currency": "EUR"},
        "context": {
            "library": {"name": "bench", "version": "1"}, "locale": "de-DE", "timezone": "Europe/Berlin",
            "page": {"path": f"/p/{product}", "url": f"https://shop.example/p/{product}", "title": "A product"},
        },
    }  # fmt: skip


async def _probe(
    url: str, secret: str, ids: Sequence[str], seconds: float, draw: random.Random
) -> tuple[list[float], int, list[EventId]]:
    """Ten people a second complete an order; how long until each profile counts it, how many never did, which were promised."""
    fresh: list[float] = []
    taken: list[EventId] = []
    unseen = 0
    limits = httpx.Limits(max_connections=64)
    headers = {"Authorization": f"Bearer {secret}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=_PATIENCE, limits=limits) as client:

        async def one(number: int) -> None:
            nonlocal unseen
            had = await _counted(client, ids[number])
            call = {
                "type": "track", "event": "Order Completed", "userId": f"u{number}", "messageId": f"probe-{number}",
                "timestamp": datetime.now(UTC).isoformat(), "properties": {"revenue": 20.0},
            }  # fmt: skip
            start = time.perf_counter()
            answer = await client.post("/v1/batch", json={"batch": [call]})
            taken.extend(_promised(answer.text))
            while time.perf_counter() - start < _PATIENCE:
                if await _counted(client, ids[number]) > had:
                    fresh.append(time.perf_counter() - start)
                    return
                await asyncio.sleep(_POLL)
            unseen += 1

        running = []
        for number in draw.sample(range(len(ids)), min(len(ids), max(1, int(seconds * _PROBES)))):
            running.append(asyncio.create_task(one(number)))
            await asyncio.sleep(1 / _PROBES)
        await asyncio.gather(*running)
    return fresh, unseen, taken


async def _counted(client: httpx.AsyncClient, person: str) -> float:
    answer = (await client.get(f"/v1/people/{person}/profile")).raise_for_status()
    return float(answer.json()["features"].get(_FEATURE, 0.0))


def _accepted(shots: Shots) -> list[EventId]:
    """Events that the answers call accepted."""
    return [
        one for status, body in zip(shots.status, shots.bodies, strict=True) if status == 200 for one in _promised(body)
    ]


def _promised(body: str) -> list[EventId]:
    return [EventId(one["eventId"]) for one in json.loads(body)["results"] if one["status"] == "accepted"]
