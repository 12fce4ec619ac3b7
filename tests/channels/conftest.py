"""The room on real engines, over the real rooms below."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audit.service import Audit
from channels.connector import Answer, Message, Outcome
from channels.content import Action, Content
from channels.deliveries import NewDelivery, Withheld
from channels.service import Channels
from channels.settings import ChannelsSettings
from consent.acts import NewAct, Notice
from consent.requests import Rights
from consent.service import Consent
from events.service import Events
from identity.identifiers import Identifier
from identity.records import NewRecord
from identity.service import Identity
from kernel.clock import FrozenClock
from kernel.ids import DecisionId, DeliveryId, IdentifierId, PersonId, new_id
from kernel.kernel import Kernel
from profiles.service import Profiles

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
NOTICE = Notice.of("May we write to you?", version="v1", language="en")
CONTENT = Content(
    content_id="spring",
    subject="Hello {{ first_name }}",
    heading="Spring is here",
    paragraphs=("The garden is open, {{ first_name }}.",),
    action=Action(label="Have a look", url="https://shop.example/garden"),
    slots={"first_name": "Ada"},
)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(NOW)


@dataclass
class Recorder:
    """A connector that remembers what it was given, and answers what the test says."""

    answer: Outcome = field(default_factory=lambda: Outcome(answer=Answer.ACCEPTED, provider_id="p1"))
    sent: list[Message] = field(default_factory=list)
    during: object = None
    name: str = "recorder"
    channel: str = "email"

    async def send(self, message: Message, delivery_id: DeliveryId, deadline: datetime) -> Outcome:
        if self.during is not None:
            await self.during(message)
        self.sent.append(message)
        return self.answer

    async def forget(self, delivery_id: DeliveryId, reserved_at: datetime) -> bool:
        return False


@dataclass
class World:
    kernel: Kernel
    clock: FrozenClock
    audit: Audit
    identity: Identity
    consent: Consent
    events: Events
    profiles: Profiles
    rights: Rights

    def channels(self, *connectors: object, **settings: object) -> Channels:
        found = Channels(
            self.kernel,
            self.audit,
            self.identity,
            self.consent,
            self.events,
            self.profiles,
            ChannelsSettings(**settings),
            list(connectors) or None,
        )
        self.rights.register(found)
        return found

    async def person(
        self, key: str = "1", *, consents: bool = True, tracked: bool = False
    ) -> tuple[PersonId, IdentifierId]:
        """A customer with an email address, who agreed to marketing by email, and perhaps to being seen opening it."""
        contact = Identifier("email", f"ada{key}@example.org")
        new = NewRecord(
            source="shop",
            source_key=key,
            identifiers=(contact,),
            traits={"first_name": "Ada"},
            kinds={"first_name": "first_name"},
            observed_at=NOW - timedelta(days=30),
            purpose="service",
            basis="contract",
        )
        async with self.kernel.db.transaction() as conn:
            await self.identity.add_records(conn, [new])
            (found,) = await self.identity.resolve(conn, [[contact]])
            (id_,) = await self.identity.register_identifiers(conn, [contact])
            if consents:
                await self.consent.record(conn, [self.grant(id_)])
            if tracked:
                await self.consent.record(conn, [self.grant(id_, "tracking")])
        assert found.person is not None
        return found.person, id_

    def grant(self, subject: IdentifierId, purpose: str = "marketing.email") -> NewAct:
        return NewAct(
            subject=subject, purpose=purpose, status="granted", channel=None, basis="consent",
            jurisdiction="gdpr", notice=NOTICE, mechanism="form", actor="person",
            given_at=self.clock.now() - timedelta(days=1),
        )  # fmt: skip

    async def withdraw(self, subject: IdentifierId) -> None:
        """Returns once the withdrawal is committed, as the page's answer does."""
        async with self.kernel.db.transaction() as conn:
            await self.consent.withdraw(
                conn, subject, "marketing.email", "email", mechanism="one_click", actor="person"
            )

    async def reserve(self, channels: Channels, *wanted: NewDelivery) -> list[DeliveryId | Withheld]:
        async with self.kernel.db.transaction() as conn:
            return await channels.reserve(conn, wanted)

    async def tags(self) -> list[str]:
        """Tags of the log, oldest first."""
        return [entry.tag for entry in reversed(await self.audit.entries(limit=500))]


def delivery(person: PersonId, contact: IdentifierId, **more: object) -> NewDelivery:
    fields: dict[str, object] = {
        "decision_id": DecisionId(new_id("dec")),
        "person": person,
        "identifier_id": contact,
        "channel": "email",
        "purpose": "marketing.email",
        "content": CONTENT,
        "expires_at": NOW + timedelta(days=2),
    }
    return NewDelivery(**(fields | more))  # type: ignore[arg-type]


def files(kernel: Kernel) -> Mapping[str, Path]:
    return {path.stem: path for path in (kernel.settings.data_dir / "outbox").rglob("*.eml")}


@pytest.fixture
async def world(kernel: Kernel, clock: FrozenClock) -> AsyncIterator[World]:
    audit = Audit(kernel)
    identity = Identity(kernel, audit)
    consent = Consent(kernel, audit, identity)
    identity.on_people_changed.append(consent.people_changed)
    identity.on_identifiers_stored.append(consent.identifiers_stored)
    events = Events(kernel, audit, identity, consent)
    profiles = Profiles(kernel, identity, consent, events)
    rights = Rights(kernel, audit, identity, consent)
    for holder in (events, profiles):
        rights.register(holder)
    yield World(kernel, clock, audit, identity, consent, events, profiles, rights)
    await events.close()
