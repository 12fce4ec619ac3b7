"""May this still be sent: everything that could have changed since the decision, asked again for each delivery.

Enters: deliveries with their sealed content. Leaves, for each: `Go` with the address in clear (memory only), or `Stop` with the step
and the reason. Asked twice: when a batch is claimed, to sort out the noes, and `firm` right before the first byte, behind the fence.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from channels import store
from channels.connector import AddressBook
from channels.content import Content, unpack
from channels.deliveries import Delivery, No
from channels.ledger import Step
from channels.suppression import Suppressions, bars
from consent.gate import permission
from consent.purposes import TRACKING
from consent.service import Consent
from identity.identifiers import HeldIdentifier
from identity.service import Identity
from kernel.db import Conn
from kernel.ids import DeliveryId, PersonId
from kernel.kernel import Kernel


@dataclass(frozen=True, slots=True)
class Go:
    """It may be sent. `person` is the live one, after redirects; `tracked`: she lets us see whether she opens it and what she clicks."""

    person: PersonId
    to: str = field(repr=False)
    content: Content = field(repr=False)
    tracked: bool = False


@dataclass(frozen=True, slots=True)
class Stop:
    """It may not."""

    step: Step
    reason: str


class Clearance:
    """Asks. `channels` are those that have a connector, `books` those of channels that keep one."""

    def __init__(
        self,
        kernel: Kernel,
        identity: Identity,
        consent: Consent,
        suppressions: Suppressions,
        channels: Collection[str],
        books: Mapping[str, AddressBook],
    ) -> None:
        self._kernel = kernel
        self._identity = identity
        self._consent = consent
        self._suppressions = suppressions
        self._channels = channels
        self._books = books

    async def ask(
        self, conn: Conn, claimed: Sequence[tuple[Delivery, bytes | None]], *, firm: bool
    ) -> Mapping[DeliveryId, Go | Stop]:
        """One answer each. `firm`: suppressions stand still until this transaction ends."""
        now = self._kernel.clock.now()
        live = await self._identity.current(conn, sorted({d.person for d, _ in claimed}))
        people = sorted(set(live.values()))
        states = await self._consent.states(conn, people)
        held = await self._identity.identifiers(conn, people)
        contacts: dict[DeliveryId, HeldIdentifier] = {}
        for delivery, _ in claimed:
            for one in held.get(live.get(delivery.person, delivery.person), ()):
                if one.id == delivery.identifier_id:
                    contacts[delivery.delivery_id] = one
        addresses = await self._addresses(conn, claimed, contacts)
        hashes = {id_: self._suppressions.hash_of(one.kind, one.value) for id_, one in contacts.items()}
        if firm:
            await store.lock_contacts(conn, list(hashes.values()), shared=True)
        barred = await store.suppressions(conn, list(hashes.values()))
        keys = await self._kernel.vault.unwrap({d.key_id for d, _ in claimed})
        answers: dict[DeliveryId, Go | Stop] = {}
        for delivery, sealed in claimed:
            id_ = delivery.delivery_id
            person, contact, key = live.get(delivery.person), contacts.get(id_), keys.get(delivery.key_id)
            if delivery.expires_at <= now:
                answers[id_] = Stop(Step.CANCEL, No.EXPIRED)
            elif person is None:
                answers[id_] = Stop(Step.CANCEL, No.ERASED)
            elif not (asked := permission(states[person], delivery.purpose, delivery.channel, now)).granted:
                answers[id_] = Stop(Step.WITHHOLD, asked.reason)
            elif delivery.channel not in self._channels:
                answers[id_] = Stop(Step.WITHHOLD, No.NO_CONNECTOR)
            elif contact is None or id_ not in addresses:
                answers[id_] = Stop(Step.WITHHOLD, No.CONTACT_GONE)
            elif bars(barred.get(hashes[id_], {}), delivery.channel):
                answers[id_] = Stop(Step.WITHHOLD, No.SUPPRESSED)
            elif key is None or sealed is None:
                answers[id_] = Stop(Step.CANCEL, No.NO_KEY)
            else:
                words = key.open("channels.deliveries", "content", id_, sealed)
                tracked = permission(states[person], TRACKING, delivery.channel, now).granted
                answers[id_] = Go(person, addresses[id_], unpack(orjson.loads(words)), tracked)
        return answers

    async def _addresses(
        self,
        conn: Conn,
        claimed: Sequence[tuple[Delivery, bytes | None]],
        contacts: Mapping[DeliveryId, HeldIdentifier],
    ) -> dict[DeliveryId, str]:
        """Where each message goes: the contact's own value, or what the channel's book says of it."""
        found = {d.delivery_id: contacts[d.delivery_id].value for d, _ in claimed if d.delivery_id in contacts}
        for channel, book in self._books.items():
            mine = [d.delivery_id for d, _ in claimed if d.channel == channel and d.delivery_id in contacts]
            listed = await book.addresses(conn, [contacts[id_] for id_ in mine]) if mine else {}
            for id_ in mine:
                del found[id_]
                if contacts[id_].id in listed:
                    found[id_] = listed[contacts[id_].id]
        return found
