"""The whole house, served on loopback beside a shop's site and a push service; a push placement is live."""

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from audit.access.principal import Scope
from consent.acts import NewAct, Notice
from events.log import Source
from identity.identifiers import Identifier
from kernel.kernel import Kernel
from orchestration.service.server import serve
from orchestration.settings import Settings
from orchestration.wiring import House, build
from tests.support.push_service import PushService
from tests.support.site import Site
from tests.support.sure import SURE

SUBJECT = "mailto:push@shop.example.org"
CATALOGUE = """
controller: Blue Shop
contents:
  - id: garden
    variants:
      - {id: open, label: Open, channels: [push], personal: false, subject: The garden is open, body: "Come and see the roses.",
         action: {label: Look, url: "https://shop.example/garden"}}
placements:
  - {name: offer, purpose: marketing.push, channels: [push], variants: [open]}
rewards: {Order Completed: 1.0}
"""
PAGE = '<!doctype html><title>Shop</title><script src="{base}/push/subscribe.js"></script><p>Shop'
WORKER = 'importScripts("{base}/push/sw.js");'
NOTICE = {"text": "May we show you offers?", "version": "v1", "language": "en"}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@dataclass
class Served:
    house: House
    service: PushService
    site: Site
    browser_key: str
    client: httpx.AsyncClient
    visitor: str

    @property
    def options(self) -> dict:
        """What the page hands to candorPush."""
        base = self.house.kernel.settings.base_url
        return {"base": base, "key": self.browser_key, "anonymousId": self.visitor, "notice": NOTICE}

    async def send(self) -> dict:
        body = {"person": f"anonymous_id:{self.visitor}", "placement": "offer", "trigger": "test"}
        answer = await self.client.post("/v1/sends", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def state(self, delivery_id: str) -> str:
        answer = await self.client.get(f"/v1/deliveries/{delivery_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()["state"]

    async def reaches(self, delivery_id: str, state: str) -> None:
        for _ in range(200):
            if await self.state(delivery_id) == state:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(await self.state(delivery_id))


async def lets_us_see(house: House, visitor: str) -> None:
    """She agrees that we hear what becomes of notifications."""
    async with house.kernel.db.transaction() as conn:
        (subject,) = await house.identity.register_identifiers(conn, [Identifier("anonymous_id", visitor)])
        yes = NewAct(
            subject=subject, purpose="tracking", status="granted", channel="push", basis="consent", jurisdiction="gdpr", mechanism="form",
            notice=Notice.of("May we see it?", version="t1", language="en"), actor="person", given_at=house.kernel.clock.now(),
        )  # fmt: skip
        await house.consent.record(conn, [yes])


@asynccontextmanager
async def serving(kernel: Kernel) -> AsyncIterator[Served]:
    base = kernel.settings.base_url
    async with PushService() as service, Site() as site:
        push = {"subject": SUBJECT, "private_origins": (service.origin,)}
        house = build(Settings(kernel=kernel.settings, channels={"push": push}, decision=SURE), kernel)
        async with kernel.db.transaction() as conn:
            await house.events.register_source(conn, Source("site", "service", "contract"))
            await house.decisions.publish_catalogue(conn, CATALOGUE, actor="staff:ann")
        site.files |= {"/": PAGE.format(base=base), "/candor-sw.js": WORKER.format(base=base)}
        browser = await house.access.create_key({Scope.BROWSER}, actor="test", source="site", origin=site.origin)
        sender = await house.access.create_key({Scope.SEND}, actor="test")
        up, stop = asyncio.Event(), asyncio.Event()
        server = asyncio.create_task(serve(house, stop=stop, told=lambda _: up.set()))
        await asyncio.wait([asyncio.create_task(up.wait()), server], return_when=asyncio.FIRST_COMPLETED)
        headers = {"Authorization": f"Bearer {sender.secret}"}
        try:
            async with httpx.AsyncClient(base_url=base, headers=headers, trust_env=False) as client:
                yield Served(house, service, site, browser.secret, client, str(uuid.uuid4()))
        finally:
            stop.set()
            await server
            await house.events.close()
            await house.channels.close()
            await house.decisions.close()
