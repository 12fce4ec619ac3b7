"""Push on real engines, towards a push service on loopback."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from channels.content import Content
from channels.ledger import State
from channels.push.words import Registrant, Said
from channels.service import Channels
from events.log import Source
from identity.identifiers import Identifier
from kernel.ids import DeliveryId, IdentifierId, PersonId
from tests.channels.conftest import CONTENT, World, clock, delivery, world
from tests.support.push_receiver import Receiver
from tests.support.push_service import PushService

__all__ = ["clock", "world"]

SUBJECT = "mailto:push@shop.example.org"
SAID = Said(text="May we show you offers?", version="v1", language="en")


@pytest.fixture
async def service(anyio_backend: str) -> AsyncIterator[PushService]:
    async with PushService() as found:
        yield found


@dataclass
class Shop:
    """A world that can push."""

    world: World
    channels: Channels
    service: PushService

    async def visitor(self, name: str = "a" * 20, *, says: Said | None = SAID, receiver: Receiver | None = None):
        """Somebody who subscribed: her receiver, contact and person."""
        found = receiver or Receiver(self.service.endpoint())
        made = await self.channels.push.subscriptions.register(self.who(name), found.subscription, said=says)
        assert made.contact is not None, made
        return found, made.contact, await self.person(name)

    def who(self, name: str) -> Registrant:
        return Registrant(identifiers=(Identifier("anonymous_id", name),), source="site", actor="browser")

    async def person(self, name: str) -> PersonId:
        async with self.world.kernel.db.reading() as conn:
            (found,) = await self.world.identity.resolve(conn, [[Identifier("anonymous_id", name)]])
        assert found.person is not None
        return found.person

    async def reserve(self, person: PersonId, contact: IdentifierId, content: Content = CONTENT, **more) -> DeliveryId:
        new = delivery(person, contact, channel="push", purpose="marketing.push", content=content, **more)
        (id_,) = await self.world.reserve(self.channels, new)
        assert isinstance(id_, str), id_
        return id_

    async def state(self, id_: DeliveryId) -> tuple[State, str | None]:
        found = await self.channels.show(id_)
        return found.state, found.reason

    async def live(self, contact: IdentifierId) -> bool:
        async with self.world.kernel.db.reading() as conn:
            cursor = await conn.execute(
                "SELECT count(*) AS n FROM channels.push_subscriptions WHERE identifier_id = %s", (contact,)
            )
            row = await cursor.fetchone()
        return row["n"] == 1


@pytest.fixture
async def shop(world: World, service: PushService) -> AsyncIterator[Shop]:
    channels = world.channels(push={"subject": SUBJECT, "private_origins": (service.origin,), "timeout": 1.5})
    world.profiles.unreachable = channels.push.subscriptions.unreachable
    async with world.kernel.db.transaction() as conn:
        await world.events.register_source(conn, Source("site", "service", "contract"))
    yield Shop(world, channels, service)
    await channels.close()
