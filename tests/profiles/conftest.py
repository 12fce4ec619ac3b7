"""Profiles over the real rooms below, on a frozen clock."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings

from audit.service import Audit
from consent.acts import NewAct, Notice
from consent.service import Consent
from events.log import Source
from events.service import Events
from identity.identifiers import Identifier
from identity.records import NewRecord
from identity.service import Identity
from kernel.clock import FrozenClock
from kernel.ids import PersonId
from kernel.kernel import Kernel
from profiles.service import Profiles

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
NOTICE = Notice.of("May we?", version="v1", language="en")


# The machine may be busy: examples are judged, their time is not.
settings.register_profile("candor", deadline=None)
settings.load_profile("candor")


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(NOW)


@dataclass
class World:
    kernel: Kernel
    clock: FrozenClock
    identity: Identity
    consent: Consent
    events: Events
    profiles: Profiles

    async def person(self, key: str, *ids: tuple[str, str], also_for=(), source="shop", **traits) -> PersonId:
        new = NewRecord(
            source=source,
            source_key=key,
            identifiers=tuple(Identifier(k, v) for k, v in ids),
            traits=traits,
            kinds={},
            observed_at=NOW - timedelta(days=30),
            purpose="service",
            basis="contract",
            also_for=also_for,
        )
        async with self.kernel.db.transaction() as conn:
            await self.identity.add_records(conn, [new])
            return (await self.identity.resolve(conn, [new.identifiers]))[0].person

    async def say(
        self, person: PersonId, purpose: str, status: str, *, days_ago=100.0, kind="email", expires=None
    ) -> None:
        async with self.kernel.db.transaction() as conn:
            held = (await self.identity.identifiers(conn, [person]))[person]
            subject = next(i.id for i in held if i.kind == kind)
            act = NewAct(
                subject=subject,
                purpose=purpose,
                status=status,
                channel=None,
                basis="consent",
                jurisdiction="gdpr",
                notice=NOTICE,
                mechanism="form",
                actor="test",
                given_at=self.clock.now() - timedelta(days=days_ago),
                expires_at=expires,
            )
            await self.consent.record(conn, [act])

    async def unified(self, person: PersonId, purpose: str, at=None):
        async with self.kernel.db.reading() as conn:
            return (await self.profiles.unified(conn, [person], purpose, at or self.clock.now()))[person]


@pytest.fixture
async def world(kernel: Kernel, clock: FrozenClock) -> AsyncIterator[World]:
    audit = Audit(kernel)
    identity = Identity(kernel, audit)
    consent = Consent(kernel, audit, identity)
    identity.on_people_changed.append(consent.people_changed)
    identity.on_identifiers_stored.append(consent.identifiers_stored)
    events = Events(kernel, audit, identity, consent)
    async with kernel.db.transaction() as conn:
        await events.register_source(conn, Source("web", "marketing.personalize", "consent"))
    yield World(kernel, clock, identity, consent, events, Profiles(kernel, identity, consent, events))
    await events.close()
