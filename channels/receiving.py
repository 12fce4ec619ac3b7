"""What providers say later about a message, folded into its state.

Enters: receipts, in any order and any number of times, one or a thousand at once. Leaves: the deliveries' states, entries, events; a
contact that is gone for good, or a complaint, is suppressed, and a no that she gave to the provider is a no here, in the same commit
(spec channels.A6, A33, A34). Locks are taken in the house's order: person, delivery, contact.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from channels import receipts_store
from channels.deliveries import Delivery
from channels.errors import IllegalStep
from channels.ledger import ENGAGED, Receipt, State, fold
from channels.noting import Noted, Noting
from channels.receipts_store import ReceiptRow
from channels.suppression import Suppressions
from consent.errors import UnknownPurpose, UnknownSubject
from consent.gate import permission
from consent.purposes import TRACKING
from consent.service import Consent
from identity.service import Identity
from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import DeliveryId, KeyId, PersonId
from kernel.kernel import Kernel
from kernel.vault import SubjectKey

HASTE_SECONDS: Final = 5.0
"""From the attempt to the mailbox and through a person's eyes takes longer; what follows sooner is a scanner."""
HASTE_CONFIDENCE: Final = 0.85
_SEEN: Final = frozenset(
    {"email", "push"}
)  # channels whose messages tell what was done with them: under the purpose `tracking`
PUSH: Final = "push"


class Heard(StrEnum):
    """What became of one receipt."""

    TAKEN = "taken"
    REPEATED = "repeated"
    UNKNOWN_DELIVERY = "unknown_delivery"
    OTHER_CONNECTOR = "other_connector"
    NOT_SENT = "not_sent"
    """It speaks of a delivery that never left here."""
    NOT_PERMITTED = "not_permitted"
    """An open or a click of an email to somebody who does not let us see them: neither kept nor counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReceipt:
    """One report. `event_id` is the provider's own name for it; `permanent` says that a bounce will not change.

    `code` is a status or a word of the connector's own table, never prose. `machine` and `confidence` are of opens and clicks; `link` is where
    a click led, without anything that opens a door, and `of_content` is False when it led to a page of ours. `suppress`: the provider's
    lists say that the contact is to be left alone, and why. `withdraw`: the person said no to the provider. `everywhere`: to all that this
    channel carries.
    """

    event_id: str
    receipt: Receipt
    at: datetime
    permanent: bool = False
    code: str | None = None
    machine: bool = False
    confidence: float = 0.0
    link: str | None = None
    of_content: bool = True
    suppress: Receipt | None = None
    withdraw: bool = False
    everywhere: bool = False

    @property
    def is_a_no(self) -> bool:
        """Whether the person ended the purpose on this channel."""
        return self.withdraw or self.receipt is Receipt.UNSUBSCRIBED

    @property
    def silences(self) -> Receipt | None:
        """Why the contact is suppressed on the channel from now on, if it is."""
        if self.receipt is Receipt.COMPLAINED or (self.receipt is Receipt.BOUNCED and self.permanent):
            return self.receipt
        return Receipt.UNSUBSCRIBED if self.is_a_no and self.everywhere else self.suppress


@dataclass(slots=True)
class _Work:
    """One receipt on its way."""

    place: int
    said: NewReceipt
    delivery: Delivery
    state: State = State.ACCEPTED
    live: PersonId | None = None


@dataclass(slots=True)
class _Folded:
    """What a post comes to."""

    answers: list[Heard]
    deliveries: dict[DeliveryId, Delivery]
    fresh: list[_Work] = field(default_factory=list)
    states: dict[DeliveryId, State] = field(default_factory=dict)


class Receiving:
    """Folds receipts."""

    def __init__(
        self,
        kernel: Kernel,
        audit: Audit,
        identity: Identity,
        consent: Consent,
        suppressions: Suppressions,
        noting: Noting,
    ) -> None:
        self._kernel = kernel
        self._audit = audit
        self._identity = identity
        self._consent = consent
        self._suppressions = suppressions
        self._noting = noting

    async def receive(
        self,
        conn: Conn,
        reports: Sequence[tuple[DeliveryId, NewReceipt]],
        *,
        actor: str,
        connector: str | None = None,
    ) -> list[Heard]:
        """Fold them; one answer each, in order. `connector`: only what it carried itself is taken."""
        ids = [one for one, _ in reports]
        found = await receipts_store.deliveries(conn, ids)
        answers = await self._permitted(conn, reports, found, [_judged(found.get(one), connector) for one in ids])
        heard = await receipts_store.known(
            conn, [_name(found[one], said) for (one, said), a in zip(reports, answers, strict=True) if a is Heard.TAKEN]
        )
        # A no first: it locks the person, and whoever sends locks her before the delivery.
        wishes = {
            one: said
            for (one, said), answer in zip(reports, answers, strict=True)
            if answer is Heard.TAKEN and said.is_a_no and _name(found[one], said) not in heard
        }
        for one in sorted(wishes):
            await self._withdraw(conn, found[one], wishes[one], actor)
        folded = await self._fold(conn, reports, answers)
        await self._tell(conn, folded, actor)
        return folded.answers

    async def _permitted(
        self,
        conn: Conn,
        reports: Sequence[tuple[DeliveryId, NewReceipt]],
        found: Mapping[DeliveryId, Delivery],
        answers: Sequence[Heard],
    ) -> list[Heard]:
        """The answers, where opens and clicks of messages are heard of those only who let us see them."""
        seen = {
            found[one].person
            for (one, said), answer in zip(reports, answers, strict=True)
            if answer is Heard.TAKEN and said.receipt in ENGAGED and found[one].channel in _SEEN
        }
        if not seen:
            return list(answers)
        live = await self._identity.current(conn, sorted(seen))
        states = await self._consent.states(conn, sorted(set(live.values())))
        now = self._kernel.clock.now()

        def open_to_it(delivery: Delivery) -> bool:
            person = live.get(delivery.person)
            return person is not None and permission(states[person], TRACKING, delivery.channel, now).granted

        return [
            Heard.NOT_PERMITTED
            if answer is Heard.TAKEN
            and said.receipt in ENGAGED
            and found[one].channel in _SEEN
            and not open_to_it(found[one])
            else answer
            for (one, said), answer in zip(reports, answers, strict=True)
        ]

    async def _fold(
        self, conn: Conn, reports: Sequence[tuple[DeliveryId, NewReceipt]], answers: Sequence[Heard]
    ) -> _Folded:
        """Take the receipts that are new, and the states they lead to, on deliveries that are held."""
        taken = [(place, one, said) for place, ((one, said), a) in enumerate(zip(reports, answers, strict=True)) if a is Heard.TAKEN]  # fmt: skip
        held = await receipts_store.deliveries(conn, [one for _, one, _ in taken], lock=True)
        folded = _Folded(list(answers), held)
        works: dict[str, _Work] = {}
        # In the order of happening, so that the history reads as it went; the end is the same in any order.
        for place, one, said in sorted(taken, key=lambda item: (item[2].at, item[0])):
            delivery = held[one]
            try:
                fold(delivery.state, said.receipt)
            except IllegalStep:
                folded.answers[place] = Heard.NOT_SENT
                continue
            name = _name(delivery, said)
            if name in works:
                folded.answers[place] = Heard.REPEATED
                continue
            works[name] = _Work(place, said, delivery)
        fresh = await receipts_store.add(conn, [_row(name, work) for name, work in works.items()])
        steps: list[tuple[Delivery, datetime, State, str | None]] = []
        now = self._kernel.clock.now()
        for name, work in works.items():
            if name not in fresh:
                folded.answers[work.place] = Heard.REPEATED
                continue
            folded.fresh.append(work)
            one = work.delivery.delivery_id
            before = folded.states.get(one, work.delivery.state)
            work.state = fold(before, work.said.receipt)
            if work.state is not before:
                folded.states[one] = work.state
                steps.append((work.delivery, now, work.state, work.said.code))
        await receipts_store.move(conn, folded.states, now)
        await receipts_store.write_steps(conn, steps)
        return folded

    async def _tell(self, conn: Conn, folded: _Folded, actor: str) -> None:
        """The log, the events, the suppressions."""
        if not folded.fresh:
            return
        alive = await self._kernel.vault.unwrap({work.delivery.key_id for work in folded.fresh})
        await self._audit.append(conn, [_entry(work, alive, actor) for work in folded.fresh])
        live = await self._identity.current(conn, sorted({work.delivery.person for work in folded.fresh}))
        for work in folded.fresh:
            work.live = live.get(work.delivery.person)
        # An erased person has nobody to note it for, and no contact to silence.
        present = [work for work in folded.fresh if work.live is not None]
        await self._noting.received(conn, await self._noted(conn, present))
        await self._silence(conn, present, actor)

    async def _noted(self, conn: Conn, works: Sequence[_Work]) -> list[Noted]:
        """What the event log is told. What a person does with a message is collected while her permission stands, and not after."""
        engaged = [one for one in works if one.said.receipt in ENGAGED]
        if not engaged:
            return [_note(one, {}) for one in works]
        begun = await receipts_store.begun(conn, sorted({one.delivery.delivery_id for one in engaged}))
        states = await self._consent.states(conn, sorted({one.live for one in engaged if one.live is not None}))
        now = self._kernel.clock.now()
        return [
            _note(one, begun)
            for one in works
            if one.said.receipt not in ENGAGED
            or (
                one.live is not None
                and permission(states[one.live], one.delivery.purpose, one.delivery.channel, now).granted
            )
        ]

    async def _silence(self, conn: Conn, works: Sequence[_Work], actor: str) -> None:
        wishes = {
            (one.delivery.identifier_id, one.delivery.channel, why) for one in works if (why := one.said.silences)
        }
        contacts = await self._suppressions.hashes(conn, sorted({contact for contact, _, _ in wishes}))
        for channel, why in sorted({(channel, why) for contact, channel, why in wishes if contact in contacts}):
            ids = sorted({c for c, ch, w in wishes if (ch, w) == (channel, why) and c in contacts})
            await self._suppressions.suppress(conn, ids, channel, why, actor=actor)

    async def _withdraw(self, conn: Conn, delivery: Delivery, said: NewReceipt, actor: str) -> None:
        try:
            await self._consent.withdraw(
                conn, delivery.identifier_id, delivery.purpose, delivery.channel, mechanism="one_click", actor=actor,
                raw=f"{delivery.connector}:{said.receipt}".encode(),
            )  # fmt: skip
        except (UnknownSubject, UnknownPurpose):
            return  # erased, or no longer declared: nothing can be sent under it, which is what was asked


def unmatched(reports: Sequence[tuple[DeliveryId, NewReceipt]], answers: Sequence[Heard]) -> Counter[tuple[str, str]]:
    """Counts by (receipt, reason) of what was about nothing here."""
    return Counter(
        (str(said.receipt), str(answer))
        for (_, said), answer in zip(reports, answers, strict=True)
        if answer not in {Heard.TAKEN, Heard.REPEATED, Heard.NOT_PERMITTED}
    )


def _judged(delivery: Delivery | None, connector: str | None) -> Heard:
    if delivery is None:
        return Heard.UNKNOWN_DELIVERY
    if connector is not None and delivery.connector != connector:
        return Heard.NOT_SENT if delivery.connector is None else Heard.OTHER_CONNECTOR
    return Heard.TAKEN


def _name(delivery: Delivery, said: NewReceipt) -> str:
    return f"{delivery.connector or 'none'}:{said.event_id}"


def _row(name: str, work: _Work) -> ReceiptRow:
    said = work.said
    return ReceiptRow(
        name=name,
        delivery_id=work.delivery.delivery_id,
        receipt=said.receipt,
        at=said.at,
        permanent=said.permanent,
        machine=said.machine,
        code=said.code,
    )


def _entry(work: _Work, alive: Mapping[KeyId, SubjectKey], actor: str) -> NewEntry:
    delivery, said = work.delivery, work.said
    refs = {"delivery": delivery.delivery_id, "decision": delivery.decision_id, "person": delivery.person}
    facts: dict[str, Json] = {
        "receipt": said.receipt,
        "permanent": said.permanent,
        "at": said.at.isoformat(),
        "state": work.state,
    }
    key_id = delivery.key_id if delivery.key_id in alive else None
    return NewEntry(Tag.DELIVERY_RECEIPT, refs, facts, key_id=key_id, actor=actor)


def _note(work: _Work, begun: Mapping[DeliveryId, datetime]) -> Noted:
    delivery, said = work.delivery, work.said
    assert work.live is not None
    machine, confidence = said.machine, said.confidence
    # A notification is on the screen at once, and its device tells us itself: nothing between us scans it.
    scanned = said.receipt in ENGAGED and delivery.channel != PUSH
    since = begun.get(delivery.delivery_id) if scanned else None
    if since is not None and (said.at - since).total_seconds() < HASTE_SECONDS:
        machine, confidence = True, max(confidence, HASTE_CONFIDENCE)
    return Noted(
        delivery=delivery, person=work.live, receipt=said.receipt, at=said.at, event_id=_name(delivery, said),
        permanent=said.permanent, machine=machine, confidence=confidence, link=said.link, of_content=said.of_content,
    )  # fmt: skip
