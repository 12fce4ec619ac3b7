"""`candor bench ingest`: how many events become durable a second, and how soon one of them is part of a feature.

Enters: sizes. Leaves: `Ingest`. Two loads on one server with real engines: flat out, batches over a few connections without a pause; then at a steady rate,
while a probe sends single events of people whom a decision could be about and reads their profile until the event counts. Every event of every answered
batch is looked for in Postgres afterwards.
"""

import asyncio
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import httpx

from audit.access.principal import Scope
from orchestration.service.bench.figures import Figures, Spread, spread
from orchestration.service.bench.harness import Shots, request, rig, shoot
from orchestration.service.bench.seeding import SOURCE, people
from orchestration.wiring import House

_FEATURE: Final = "frequency_365d"  # counts `Order Completed`
_PATIENCE: Final = 5.0  # seconds until a probe gives an event up
_POLL: Final = 0.004
_CONNECTIONS: Final = 8
_NAMES: Final = ("Product Viewed", "Product Viewed", "Product Added", "Products Searched", "Content Viewed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingest:
    """`durable` is what Postgres held for all loads, `accepted` what answers promised; `events_per_second` is of the load flat out.

    `flat_out` and `steady` are loads of batches; `fresh` runs from the start of sending an event to a profile that counts it.
    """

    batch: int
    events_per_second: float
    flat_out: Figures
    steady_events_per_second: float
    steady: Figures
    fresh: Spread
    probes_lost: int
    accepted: int
    durable: int
    server_cpu_ms_per_1000_events: float = field(default=0.0)

    @property
    def ok(self) -> bool:
        """Nothing failed and nothing that was promised is missing."""
        return not (self.flat_out.errors or self.steady.errors or self.probes_lost) and self.accepted == self.durable


async def measure(
    *, events: int, batch: int, steady: float, seconds: float, known: int, visitors: int, seed: int = 1
) -> Ingest:
    """`events` flat out, then `steady` events a second for `seconds`; `known` people have consents, `visitors` are anonymous."""
    async with rig() as bench:
        async with bench.house() as house:
            ids, _ = await people(house, known)
            key = await house.access.create_key(
                [Scope.COLLECT, Scope.DECIDE], actor="system:bench", name="bench ingest", source=SOURCE
            )
            await house.events.analyse()
            before = await _stored(house)
        draw = random.Random(seed)  # noqa: S311 - made-up traffic
        async with bench.serve() as server:
            cpu = server.cpu()
            first = _batches(draw, server.url, key.secret, events // batch, batch, known, visitors, "a")
            flat = await shoot(
                bench.folder, server.url, first, rps=10_000, seconds=len(first) / 10_000, connections=_CONNECTIONS, keep=True,
                patience=_PATIENCE + events / 500,
            )  # fmt: skip
            cpu = server.cpu() - cpu
            rate = steady / batch
            second = _batches(draw, server.url, key.secret, round(rate * seconds), batch, known, visitors, "b")
            calm, (fresh, lost, probed) = await asyncio.gather(
                shoot(bench.folder, server.url, second, rps=rate, seconds=seconds, connections=64, keep=True),
                _probe(server.url, key.secret, ids, seconds, draw),
            )
        async with bench.house() as house:
            durable = await _stored(house) - before
    accepted = _accepted(flat) + _accepted(calm) + probed
    return Ingest(
        batch=batch,
        events_per_second=round(flat.figures.answered * batch / flat.figures.seconds, 1) if flat.figures.seconds else 0.0,
        flat_out=flat.figures,
        steady_events_per_second=steady,
        steady=calm.figures,
        fresh=spread(fresh),
        probes_lost=lost,
        accepted=accepted,
        durable=durable,
        server_cpu_ms_per_1000_events=round(cpu * 1e6 / max(1, flat.figures.answered * batch), 1),
    )  # fmt: skip


def _batches(
    draw: random.Random, url: str, secret: str, count: int, size: int, known: int, visitors: int, mark: str
) -> list[str]:  # fmt: skip
    """Requests of `size` calls each, as a shop's pages and servers send them; no message id occurs twice."""
    now = datetime.now(UTC).isoformat()
    return [
        request(
            url, "POST", "/v1/batch", secret=secret,
            body={"batch": [_call(draw, known, visitors, f"{mark}-{place}-{item}", now) for item in range(size)], "sentAt": now},
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
) -> tuple[list[float], int, int]:
    """Ten people a second complete an order; how long until each profile counts it, how many never did, how many were taken."""
    fresh: list[float] = []
    lost = taken = 0
    limits = httpx.Limits(max_connections=64)
    headers = {"Authorization": f"Bearer {secret}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=_PATIENCE, limits=limits) as client:

        async def one(number: int) -> None:
            nonlocal lost, taken
            had = await _counted(client, ids[number])
            call = {
                "type": "track", "event": "Order Completed", "userId": f"u{number}", "messageId": f"probe-{number}",
                "timestamp": datetime.now(UTC).isoformat(), "properties": {"revenue": 20.0},
            }  # fmt: skip
            start = time.perf_counter()
            answer = await client.post("/v1/batch", json={"batch": [call]})
            taken += int(answer.json()["results"][0]["status"] == "accepted")
            while time.perf_counter() - start < _PATIENCE:
                if await _counted(client, ids[number]) > had:
                    fresh.append(time.perf_counter() - start)
                    return
                await asyncio.sleep(_POLL)
            lost += 1

        running = []
        for number in draw.sample(range(len(ids)), min(len(ids), int(seconds * 10))):
            running.append(asyncio.create_task(one(number)))
            await asyncio.sleep(0.1)
        await asyncio.gather(*running)
    return fresh, lost, taken


async def _counted(client: httpx.AsyncClient, person: str) -> float:
    answer = (await client.get(f"/v1/people/{person}/profile")).raise_for_status()
    return float(answer.json()["features"].get(_FEATURE, 0.0))


def _accepted(shots: Shots) -> int:
    """Events that the answers call accepted."""
    return sum(
        sum(one["status"] == "accepted" for one in json.loads(body)["results"])
        for status, body in zip(shots.status, shots.bodies, strict=True)
        if status == 200
    )


async def _stored(house: House) -> int:
    async with house.kernel.db.reading() as conn:
        return await house.events.total(conn)
