"""A house up to events, on real engines, at a fixed moment that tests move."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from audit.service import Audit
from consent.acts import NewAct, Notice
from consent.service import Consent
from events.log import CollectContext, Source
from events.service import Events
from identity.identifiers import Identifier
from identity.service import Identity
from kernel.clock import FrozenClock
from kernel.kernel import Kernel

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(NOW)


@dataclass
class Rooms:
    kernel: Kernel
    audit: Audit
    identity: Identity
    consent: Consent
    events: Events

    async def source(self, name="shop", purpose="service", basis="contract", **more) -> Source:
        async with self.kernel.db.transaction() as conn:
            return await self.events.register_source(conn, Source(name, purpose, basis, **more))

    async def say(self, kind: str, value: str, purpose: str, status: str, channel: str | None = None) -> None:
        async with self.kernel.db.transaction() as conn:
            (subject,) = await self.identity.register_identifiers(conn, [Identifier(kind, value)])
            notice = Notice.of("May we?", version="v1", language="en")
            basis = self.consent.rules.purposes.expect(purpose).basis_in("default")
            act = NewAct(
                subject, purpose, status, channel, basis, "default", notice, "form", "test", self.kernel.clock.now()
            )
            await self.consent.record(conn, [act])

    async def person(self, contact: str):
        async with self.kernel.db.reading() as conn:
            return await self.identity.lookup(conn, contact)

    async def history(self, contact: str, **bounds):
        person = await self.person(contact)
        async with self.kernel.db.reading() as conn:
            return (await self.events.of_people(conn, [person], **bounds))[person]

    async def count(self, table: str) -> int:
        async with self.kernel.db.reading() as conn:
            row = await (await conn.execute(f"SELECT count(*) AS n FROM {table}")).fetchone()
        return row["n"]


@pytest.fixture
async def rooms(kernel: Kernel) -> AsyncIterator[Rooms]:
    made = build(kernel)
    yield made
    await made.events.close()


def build(kernel: Kernel, settings=None) -> Rooms:
    audit = Audit(kernel)
    identity = Identity(kernel, audit)
    consent = Consent(kernel, audit, identity)
    identity.on_people_changed.append(consent.people_changed)
    identity.on_identifiers_stored.append(consent.identifiers_stored)
    return Rooms(kernel, audit, identity, consent, Events(kernel, audit, identity, consent, settings))


def track(event="Product Viewed", user="u1", message=None, **more):
    call = {"type": "track", "event": event, "userId": user, **more}
    return call | ({"messageId": message} if message else {})


CTX = CollectContext("shop")
LATER = timedelta(hours=1)
