"""The rooms below decision and learning on real engines, a small shop to decide for, and channels once they stand."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings

from audit.service import Audit
from channels.service import Channels
from consent.acts import NewAct, Notice
from consent.service import Consent
from events.service import Events
from identity.identifiers import Identifier
from identity.records import NewRecord
from identity.service import Identity
from kernel.clock import FrozenClock
from kernel.ids import PersonId
from kernel.kernel import Kernel
from orchestration.decision.request import DecisionRequest
from orchestration.decision.service import Decisions
from orchestration.decision.settings import DecisionSettings
from orchestration.learning.service import Learning
from orchestration.learning.settings import LearningSettings
from profiles.service import Profiles
from profiles.settings import ProfilesSettings
from tests.support.sure import SURE

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
NOTICE = Notice.of("May we?", version="v1", language="en")

settings.register_profile("candor", deadline=None)
settings.load_profile("candor")

FEATURES = """
version: "t1"
features:
  - {name: age, trait: age, take: numeric}
  - {name: orders, event: Order Completed, take: count}
  - {name: days_since_order, event: Order Completed, take: days_since}
segments:
  - {name: grown_up, all: [{feature: age, at_least: 18}]}
"""

CATALOGUE = """
controller: Blue Shop
contents:
  - id: cart
    category: reminder
    variants:
      - {id: plain, label: Plain, channels: [email], subject: Your basket, body: "Hello {{ first_name }}", slots: {first_name: {trait: first_name, fallback: there}}}
      - {id: offer, label: Offer, channels: [email], subject: Ten percent, body: "Ten percent off.", cost: 0.05, logged_as: [old_offer]}
      - {id: banner, label: Banner, channels: [web], body: "Welcome back."}
placements:
  - {name: cart, purpose: marketing.email, channels: [email], variants: [plain, offer], caps: [{limit: 1, window: 7d}], nothing_logged_as: [none], reward: bought}
  - {name: open, purpose: marketing.email, channels: [email], variants: [plain, offer], reward: bought}
  - {name: home, purpose: marketing.web, channels: [web], variants: [banner]}
  - {name: tested, purpose: marketing.email, channels: [email], variants: [plain], holdout: {name: h, share: 0.5}}
  - {name: adults, purpose: marketing.email, channels: [email], variants: [plain], segment: {all: grown_up}}
  - {name: careful, purpose: marketing.email, channels: [email], variants: [plain], min_sure: 1.0}
rewards: {bought: 1.0, Order Completed: 1.0}
"""


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(NOW)


@dataclass
class Shop:
    kernel: Kernel
    clock: FrozenClock
    audit: Audit
    identity: Identity
    consent: Consent
    events: Events
    profiles: Profiles
    channels: Channels
    learning: Learning
    decisions: Decisions
    made: dict[str, PersonId] = field(default_factory=dict)

    async def publish(self, text: str = CATALOGUE):
        async with self.kernel.db.transaction() as conn:
            return await self.decisions.publish_catalogue(conn, text, actor="staff:ann")

    async def person(self, name: str, *, agree=("marketing.email", "marketing.personalize"), **traits) -> PersonId:
        """Somebody with an e-mail address who agreed to these purposes a month ago."""
        contact = Identifier("email", f"{name}@example.org")
        new = NewRecord(
            source="shop", source_key=name, identifiers=(contact, Identifier("login_id", name)),
            traits={"first_name": name.title(), **traits}, kinds={}, observed_at=NOW - timedelta(days=30),
            purpose="service", basis="contract", also_for=("marketing.personalize",),
        )  # fmt: skip
        async with self.kernel.db.transaction() as conn:
            await self.identity.add_records(conn, [new])
            (subject,) = await self.identity.register_identifiers(conn, [contact])
            for purpose in agree:
                await self.say(conn, subject, purpose, "granted")
            self.made[name] = (await self.identity.resolve(conn, [[contact]]))[0].person
        return self.made[name]

    async def people(self, named: dict[str, float]) -> None:
        """Many at once, with their ages."""
        contacts = {name: Identifier("email", f"{name}@example.org") for name in named}
        async with self.kernel.db.transaction() as conn:
            await self.identity.add_records(conn, [
                NewRecord(
                    source="shop", source_key=name, identifiers=(contacts[name], Identifier("login_id", name)),
                    traits={"first_name": name.title(), "age": age}, kinds={}, observed_at=NOW - timedelta(days=30),
                    purpose="service", basis="contract", also_for=("marketing.personalize",),
                )
                for name, age in named.items()
            ])  # fmt: skip
            ids = await self.identity.register_identifiers(conn, list(contacts.values()))
            await self.consent.record(conn, [
                self.act(subject, purpose, "granted") for subject in ids
                for purpose in ("marketing.email", "marketing.personalize")
            ])  # fmt: skip
            found = await self.identity.resolve(conn, [[one] for one in contacts.values()])
            self.made |= {name: one.person for name, one in zip(contacts, found, strict=True)}

    def act(self, subject, purpose, status) -> NewAct:
        return NewAct(
            subject=subject, purpose=purpose, status=status, channel=None, basis="consent", jurisdiction="gdpr",
            notice=NOTICE, mechanism="form", actor="web", given_at=self.clock.now() - timedelta(days=20),
        )  # fmt: skip

    async def say(self, conn, subject, purpose, status):
        await self.consent.record(conn, [self.act(subject, purpose, status)])

    async def withdraw(self, name: str, purpose: str = "marketing.email"):
        async with self.kernel.db.transaction() as conn:
            (subject,) = await self.identity.register_identifiers(conn, [Identifier("email", f"{name}@example.org")])
            await self.consent.withdraw(conn, subject, purpose, None, mechanism="form", actor="person")

    async def decide(self, person, placement="open", **more):
        return await self.decisions.decide(DecisionRequest(person=person, placement=placement, **more))

    async def rows(self, query: str, *values):
        async with self.kernel.db.reading() as conn:
            return await (await conn.execute(query, values)).fetchall()


@pytest.fixture
async def shop(kernel: Kernel, clock: FrozenClock, tmp_path) -> AsyncIterator[Shop]:
    features = tmp_path / "features.yaml"
    features.write_text(FEATURES)
    audit = Audit(kernel)
    identity = Identity(kernel, audit)
    consent = Consent(kernel, audit, identity)
    identity.on_people_changed.append(consent.people_changed)
    identity.on_identifiers_stored.append(consent.identifiers_stored)
    events = Events(kernel, audit, identity, consent)
    profiles = Profiles(kernel, identity, consent, events, ProfilesSettings(features_file=features))
    channels = Channels(kernel, audit, identity, consent, events, profiles)
    consent.on_touched.append(channels.pages.touched)
    learning = Learning(
        kernel, audit, identity, consent, events, profiles, LearningSettings(trees=40, least_rows=100, repeats=2)
    )
    decisions = Decisions(
        kernel, audit, identity, consent, profiles, channels, learning, DecisionSettings(catalogue_seconds=0, **SURE)
    )
    found = Shop(kernel, clock, audit, identity, consent, events, profiles, channels, learning, decisions)
    await found.publish()
    yield found
    await decisions.close()
    await events.close()
