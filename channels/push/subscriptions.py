"""Browsers that take pushes: registered, moved, dropped; and the address book of the channel.

Enters: what a browser or a shop's server sends, with whom it is about. Leaves: a contact point of a person (its endpoint is an identifier of
hers), the keys it takes to write there sealed in `channels.push_subscriptions`. A subscription serves whoever registered it last: when
somebody else logs in on the same browser it moves, and nothing of the first person's is shown there any more. What it never does: keep anything
that the gate does not permit, or touch a renewed subscription because an old one ended (spec channels.A22).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from channels.push import store
from channels.push.errors import BadSubscription, PushOff
from channels.push.keyring import Keyring
from channels.push.origins import Origins
from channels.push.settings import PushSettings
from channels.push.store import SubscriptionRow
from channels.push.subscription import KIND, Address, Subscription, read_address
from channels.push.words import Registrant, Said, agree, withdraw
from consent.service import Consent
from events.log import FILTERED, Source
from events.service import Events
from identity.identifiers import HeldIdentifier
from identity.people import Contact
from identity.records import NewRecord
from identity.service import Identity
from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import IdentifierId, PersonId, RecordId
from kernel.kernel import Kernel
from kernel.vault import SubjectKey
from profiles.service import Profiles

_TABLE: Final = "channels.push_subscriptions"
_GPC: Final = b"1"


class _NotPermitted(Exception):
    """Rolls a registration back; never leaves this module."""


@dataclass(frozen=True, slots=True)
class Registered:
    """What became of a registration: the contact, or why nothing was kept."""

    contact: IdentifierId | None
    reason: str | None = None


class Subscriptions:
    """One per process and event loop."""

    def __init__(
        self, kernel: Kernel, audit: Audit, identity: Identity, consent: Consent, events: Events, profiles: Profiles,
        keyring: Keyring, settings: PushSettings,
    ) -> None:  # fmt: skip
        self._kernel = kernel
        self._audit = audit
        self._identity = identity
        self._consent = consent
        self._events = events
        self._profiles = profiles
        self._keyring = keyring
        self._on = settings.subject is not None
        self._origins = Origins(settings.origins, settings.private_origins)

    # the browser's side

    async def register(
        self, who: Registrant, found: Subscription, *, public: str | None = None, said: Said | None = None,
        replaces: str | None = None,
    ) -> Registered:  # fmt: skip
        """Take a subscription in, with what its person said; telling it again changes nothing.

        `public` is the key it was made under (None: the current one), `replaces` the endpoint that it took the place of.

        Raises:
            PushOff: there is nothing to subscribe to. BadSubscription: a push service or key of somebody else's.
            UnknownSource: the registrant's source is not declared. ActIncomplete, UnknownPurpose: what was said is no evidence.
        """
        if not self._on:
            raise PushOff("expected push to be set up, got a subscription without it")
        if self._origins.place(found.endpoint) is None:
            raise BadSubscription("expected the endpoint of an allowed push service, got one of another")
        source = await self._events.source(who.source)
        await self._keyring.current()
        if who.gpc:
            async with self._kernel.db.transaction() as conn:
                ids = await self._identity.register_identifiers(conn, who.identifiers)
                await self._consent.apply_gpc(conn, ids, raw=_GPC, actor=who.actor)
        try:
            async with self._kernel.db.transaction() as conn:
                contact = await self._take(conn, who, source, found, public, said)
                if replaces is not None and replaces != found.endpoint:
                    await self._drop(conn, replaces, "replaced", who.actor)
                return Registered(contact)
        except _NotPermitted:
            async with self._kernel.db.transaction() as conn:
                await self._events.count_filtered(conn, source, 1)
            return Registered(None, FILTERED)

    async def unregister(self, who: Registrant, endpoint: str | None, *, purpose: str | None = None) -> bool:
        """The browser takes no more pushes; with `purpose` the person takes that permission back too. Whether it was subscribed."""
        async with self._kernel.db.transaction() as conn:
            if purpose is not None:
                await withdraw(conn, self._consent, self._identity, who, purpose)
            return endpoint is not None and await self._drop(conn, endpoint, "unsubscribed", who.actor)

    async def _take(
        self, conn: Conn, who: Registrant, source: Source, found: Subscription, public: str | None, said: Said | None
    ) -> IdentifierId:
        everyone = (found.contact, *who.identifiers)
        if said is not None:  # consent first: it may be the ground of the rest, and its locks come before ours
            await agree(conn, self._consent, self._identity, self._kernel.clock.now(), who, found.contact, said)
        (allowed,) = await self._events.may_collect(conn, source, [everyone])
        if not allowed:
            raise _NotPermitted
        vapid = await self._keyring.named(conn, public)
        if vapid is None:
            raise BadSubscription("expected a subscription made under one of our keys, got one of another")
        (record,) = await self._identity.add_records(conn, [_record(who, source, found, self._kernel.clock.now())])
        (contact,) = await self._identity.register_identifiers(conn, [found.contact])
        await self._keep(conn, who, contact, record, found, vapid.vapid_id)
        return contact

    async def _keep(
        self, conn: Conn, who: Registrant, contact: IdentifierId, record: RecordId, found: Subscription, vapid_id: str
    ) -> None:
        now = self._kernel.clock.now()
        held = (await store.subscriptions(conn, [contact], lock=True)).get(contact)
        if held is not None and (held.record_id, held.vapid_id) == (record, vapid_id):
            key = (await self._kernel.vault.unwrap([held.key_id])).get(held.key_id)
            if key is not None and _open(key, held) == (found.p256dh, found.auth):
                await store.seen(conn, contact, now)
                return
        key_id = (await self._identity.subjects(conn, [contact]))[contact].key_id
        seal = (await self._kernel.vault.unwrap([key_id]))[key_id]
        row = SubscriptionRow(
            identifier_id=contact, record_id=record, key_id=key_id, vapid_id=vapid_id,
            secrets=seal.seal(_TABLE, "secrets", contact, orjson.dumps([found.p256dh, found.auth])),
            version=1, registered_at=now, seen_at=now,
        )  # fmt: skip
        await store.put_subscription(conn, row)
        refs = {"identifier": contact, "record": record, "vapid": vapid_id}
        facts: dict[str, Json] = {"source": who.source, "renewed": held is not None}
        await self._audit.append(conn, [NewEntry(Tag.PUSH_SUBSCRIBED, refs, facts, key_id=key_id, actor=who.actor)])
        await self._told(conn, [record, *([held.record_id] if held is not None else [])])

    async def _drop(self, conn: Conn, endpoint: str, reason: str, actor: str) -> bool:
        contact = Subscription(endpoint, "", "").contact
        known = (await self._identity.known_identifiers(conn, [contact])).get(contact)
        return known is not None and await self._gone(conn, known, None, reason, actor)

    async def _gone(self, conn: Conn, contact: IdentifierId, version: int | None, reason: str, actor: str) -> bool:
        row = await store.drop(conn, contact, version)
        if row is None:
            return False
        alive = await self._kernel.vault.unwrap([row.key_id])
        entry = NewEntry(
            Tag.PUSH_DROPPED, {"identifier": contact, "vapid": row.vapid_id}, {"reason": reason},
            key_id=row.key_id if row.key_id in alive else None, actor=actor,
        )  # fmt: skip
        await self._audit.append(conn, [entry])
        await self._told(conn, [row.record_id])
        return True

    async def _told(self, conn: Conn, records: Sequence[RecordId]) -> None:
        """Where these people are reached has changed: what is kept hot of them is made anew."""
        held = await self._identity.subjects(conn, records)
        self._profiles.forget(conn, sorted({person for one in held.values() for person in one.people}))

    # the address book

    async def addresses(self, conn: Conn, contacts: Sequence[HeldIdentifier]) -> Mapping[IdentifierId, str]:
        """See `AddressBook`: those that live and serve the person whose records these contacts name."""
        by_id = {one.id: one for one in contacts}
        rows = await store.subscriptions(conn, list(by_id))
        keys = await self._kernel.vault.unwrap({row.key_id for row in rows.values()})
        found: dict[IdentifierId, str] = {}
        for id_, row in rows.items():
            if row.key_id in keys and row.record_id in by_id[id_].record_ids:
                p256dh, auth = _open(keys[row.key_id], row)
                found[id_] = Address(by_id[id_].value, p256dh, auth, row.vapid_id, row.version).text()
        return found

    async def gone(self, conn: Conn, contact: IdentifierId, to: str) -> bool:
        """See `AddressBook`: dropped unless it was renewed since `to` was read."""
        address = read_address(to)
        return address is not None and await self._gone(conn, contact, address.version, "push_service_said", "system")

    async def unreachable(
        self, conn: Conn, contacts: Mapping[PersonId, Sequence[Contact]]
    ) -> dict[PersonId, frozenset[IdentifierId]]:
        """Of each person's contacts those push endpoints that have ended or serve somebody else by now (profiles asks)."""
        mine = {person: [c.id for c in held if c.kind == KIND] for person, held in contacts.items()}
        wanted = sorted({id_ for ids in mine.values() for id_ in ids})
        if not wanted:
            return {}
        rows = await store.subscriptions(conn, wanted)
        owners = await self._identity.subjects(conn, sorted({row.record_id for row in rows.values()}))
        serves = {id_: owners[row.record_id].people for id_, row in rows.items() if row.record_id in owners}
        return {p: frozenset(i for i in ids if p not in serves.get(i, ())) for p, ids in mine.items() if ids}

    # holder of personal data

    async def export(self, conn: Conn, person: PersonId) -> list[Json]:
        """The person's living subscriptions; their endpoints are among her identifiers."""
        return [
            {
                "identifier": row.identifier_id,
                "registered_at": row.registered_at.isoformat(),
                "seen_at": row.seen_at.isoformat(),
            }
            for row in await store.of_records(conn, await self._records(conn, person))
        ]

    async def erase(self, conn: Conn, person: PersonId) -> int:
        """Remove them."""
        rows = await store.of_records(conn, await self._records(conn, person))
        for row in rows:
            await store.drop(conn, row.identifier_id)
        return len(rows)

    async def _records(self, conn: Conn, person: PersonId) -> Sequence[RecordId]:
        held = (await self._identity.members(conn, [person])).get(person)
        return held.records if held is not None else ()


def _record(who: Registrant, source: Source, found: Subscription, now: datetime) -> NewRecord:
    """A record of its own for each subscription and registrant, so that a browser that changes hands never joins two people."""
    named = orjson.dumps([found.endpoint, *((i.kind, i.value) for i in who.identifiers)])
    return NewRecord(
        source=source.name,
        source_key=f"push:{hashlib.blake2b(named, digest_size=16).hexdigest()}",
        identifiers=(found.contact, *who.identifiers),
        traits={},
        kinds={},
        observed_at=now,
        purpose=source.purpose,
        basis=source.basis,
        also_for=source.also_for,
    )


def _open(key: SubjectKey, row: SubscriptionRow) -> tuple[str, str]:
    p256dh, auth = orjson.loads(key.open(_TABLE, "secrets", row.identifier_id, row.secrets))
    return str(p256dh), str(auth)
