"""Builds the house: every room's front door from the settings, bottom up, and the registrations that run upward.

Enters: `Settings`. Leaves: a `House` whose engines run. Nothing else in Candor constructs a room, so this page is the whole wiring.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from audit.access.service import Access
from audit.entries import NewEntry
from audit.receipt import Receipt
from audit.service import Audit, LineageEntry
from audit.tags import Tag
from channels.service import Channels
from consent import impact as consent_impact
from consent.requests import Rights
from consent.retention import Retention
from consent.service import Consent
from events.handlers import handlers
from events.importer import Importer
from events.service import Events
from explain.concepts import kind_of
from explain.service import Explain
from identity.service import Identity
from kernel.clock import Clock
from kernel.engines import Engines
from kernel.kernel import Kernel, open_kernel
from orchestration.decision.feedback import acting, correcting
from orchestration.decision.placing import Placing
from orchestration.decision.service import Decisions
from orchestration.learning.service import Learning
from orchestration.settings import Settings
from orchestration.triggers.service import Triggers
from profiles.kinds import kinds_of
from profiles.service import Profiles

ROOMS = (
    "audit",
    "identity",
    "consent",
    "events",
    "profiles",
    "channels",
    "explain",
    "orchestration.decision",
    "orchestration.learning",
    "orchestration.triggers",
)


def migrations() -> list[Path]:
    """The migration folders of all rooms, in the order of the chain."""
    folders = []
    for room in ROOMS:
        file = import_module(room).__file__
        assert file is not None
        folders.append(Path(file).parent / "migrations")
    return folders


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class House:
    """Every front door. Belongs to one event loop; a house equals itself only."""

    settings: Settings
    kernel: Kernel
    audit: Audit
    access: Access
    identity: Identity
    consent: Consent
    rights: Rights
    retention: Retention
    events: Events
    importer: Importer
    profiles: Profiles
    channels: Channels
    explain: Explain
    learning: Learning
    decisions: Decisions
    placing: Placing
    triggers: Triggers

    async def receipt(self, decision_id: str) -> Receipt:
        """The receipt of a decision under a checkpoint that covers it; signs one when the decision is newer than the last."""
        await self.audit.sequence()
        return await self.decisions.receipt(decision_id)

    async def lineage(self, kind: str, ref: str, *, actor: str) -> list[LineageEntry]:
        """What rests on a thing and what it rests on. The reading itself is an entry."""
        async with self.kernel.db.transaction() as conn:
            name = await self.identity.lookup(conn, ref) if kind == "person" else ref
            await self.audit.append(conn, [NewEntry(Tag.READ_PERSONAL, {kind: name}, {"what": "lineage"}, actor=actor)])
        return await self.audit.lineage([(kind, name)])

    async def rebuild_cache(self) -> dict[str, int]:
        """Forget the hot store and fill it again from Postgres: it holds nothing else."""
        return {"index": await self.identity.rebuild_index(), "profiles": await self.profiles.rebuild_cache()}


@asynccontextmanager
async def open_house(
    settings: Settings, *, clock: Clock | None = None, engines: Engines | None = None
) -> AsyncIterator[House]:
    """Engines up, schema at its head, rooms built and registered; everything is closed at the end."""
    async with open_kernel(settings.kernel, migrations(), clock=clock, engines=engines) as kernel:
        house = build(settings, kernel)
        await begin(house)
        try:
            yield house
        finally:  # what waits in a group is committed before the pools close
            await house.events.close()
            await house.decisions.close()
            await house.channels.close()


async def begin(house: House) -> None:
    """What every start does first: the rules of now are in force, and nobody whom the erasure ledger names lives."""
    await house.consent.book.put_in_force()
    await house.rights.replay()


def build(settings: Settings, kernel: Kernel) -> House:
    """The rooms over an open kernel."""
    audit = Audit(kernel, settings.audit)
    identity = Identity(kernel, audit, settings.identity)
    consent = Consent(kernel, audit, identity, settings.consent)
    identity.on_people_changed.append(consent.people_changed)
    identity.on_identifiers_stored.append(consent.identifiers_stored)
    events = Events(kernel, audit, identity, consent, settings.events)
    profiles = Profiles(kernel, identity, consent, events, settings.profiles)
    events.on_events_stored.append(profiles.records_changed)
    channels = Channels(kernel, audit, identity, consent, events, profiles, settings.channels)
    consent.on_touched.append(channels.pages.touched)
    consent.confirmations.post = channels.confirming.post
    identity.on_people_merged.append(channels.people_changed)
    profiles.features.kinds = kinds_of(profiles.features.names, kind_of)
    profiles.unreachable = channels.push.subscriptions.unreachable
    explain = Explain(kernel, audit, settings.explain, identity)
    learning = Learning(
        kernel, audit, identity, consent, events, profiles, settings.learning, policy=settings.decision.policy
    )
    events.on_happened.append(learning.learners.happened)
    events.on_noted.append(learning.learners.noted)
    decisions = Decisions(kernel, audit, identity, consent, profiles, channels, learning, settings.decision)
    triggers = Triggers(kernel, audit, identity, consent, events, profiles, decisions, channels, settings.triggers)
    events.on_happened.append(triggers.happened)
    explain.register(decisions, learning, decisions)
    explain.significant.register(decisions.significance)
    explain.on_feedback.append(acting(identity, consent, kernel.clock))
    profiles.declined = explain.not_interested
    rights = Rights(kernel, audit, identity, consent)
    for holder in (identity, consent, events, profiles, channels, explain, learning, decisions, triggers):
        rights.register(holder)
    rights.all_registered()
    explain.hearing.on_correction = correcting(identity, rights, kernel.db)
    rights.correcting.dependants.append(channels)
    for provider in channels.providers():
        rights.processors.register(provider)
    counted = (consent_impact.Impact(identity), events, channels, explain, learning, decisions, triggers)
    identity.judging.impact.counters.extend(counted)
    retention = Retention(kernel, audit, identity, consent, rights)
    for room in (events, profiles, channels, explain, learning, decisions, triggers):
        retention.register(room.keeping)
    retention.records_used_by(events.keeping)
    rights.records_dropped_by(events.keeping.drop)
    rows = {
        **handlers(kernel, events, identity, consent),
        "suppressions": channels.suppression_rows,
        "decisions": learning.decision_rows,
        "catalogue": decisions.item_rows,
    }
    return House(
        settings=settings,
        kernel=kernel,
        audit=audit,
        access=Access(kernel, audit),
        identity=identity,
        consent=consent,
        rights=rights,
        retention=retention,
        events=events,
        importer=Importer(kernel, audit, rows, batch=settings.events.import_batch),
        profiles=profiles,
        channels=channels,
        explain=explain,
        learning=learning,
        decisions=decisions,
        placing=Placing(kernel, identity, consent, events, profiles, channels.pages, decisions),
        triggers=triggers,
    )
