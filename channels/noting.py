"""What channels tells the event log: a message was sent, delivered, opened, clicked, bounced, complained about, ended.

Enters: a delivery and what became of it. Leaves: events of the person, each once however often it is told, with `decision_id` and
`delivery_id` among the properties, so that outcomes find their decision. No address and no words; an act of a machine says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from channels.deliveries import Delivery
from channels.ledger import ENGAGED, Receipt
from consent.service import Consent
from events.log import NewEvent
from events.service import Events
from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import PersonId
from kernel.kernel import Kernel

SOURCE: Final = "candor"
_NAMES: Final[Mapping[tuple[str, Receipt], str]] = {  # where the Segment specification names it otherwise
    ("email", Receipt.CLICKED): "Email Link Clicked",
    ("email", Receipt.COMPLAINED): "Email Marked as Spam",
}
_WORDS: Final[Mapping[Receipt, str]] = {
    Receipt.DELIVERED: "Delivered",
    Receipt.OPENED: "Opened",
    Receipt.CLICKED: "Clicked",
    Receipt.DISMISSED: "Dismissed",
    Receipt.BLOCKED: "Bounced",
    Receipt.BOUNCED: "Bounced",
    Receipt.COMPLAINED: "Marked as Spam",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """One receipt about a message to a person who is still there."""

    delivery: Delivery
    person: PersonId
    receipt: Receipt
    at: datetime
    event_id: str
    permanent: bool = False
    machine: bool = False
    confidence: float = 0.0
    link: str | None = None
    of_content: bool = True


class Noting:
    """Writes events of our own."""

    def __init__(self, kernel: Kernel, consent: Consent, events: Events) -> None:
        self._kernel = kernel
        self._consent = consent
        self._events = events

    async def prepare(self) -> None:
        """Before any transaction is held: noting inside one must not wait for another connection."""
        await self._events.prepare()

    async def sent(self, conn: Conn, delivery: Delivery, person: PersonId) -> None:
        """The provider took it."""
        name = f"{delivery.channel.capitalize()} Sent"
        event = self._event(delivery, person, name, self._kernel.clock.now(), message_id=f"{delivery.delivery_id}:Sent")
        await self._events.note(conn, [event])

    async def received(self, conn: Conn, receipts: Sequence[Noted]) -> None:
        """The provider reported back; what it says about its queue is no event of the person."""
        events = [event for one in receipts if (event := self._received(one)) is not None]
        if events:
            await self._events.note(conn, events)

    def _received(self, one: Noted) -> NewEvent | None:
        name = _name(one.delivery.channel, one.receipt)
        if name is None or not one.of_content:
            return None
        more: dict[str, Json] = {}
        if one.receipt in {Receipt.BOUNCED, Receipt.BLOCKED}:
            more["permanent"] = one.permanent
        if one.link:
            more["link"] = one.link
        # An open or a click is an event each time, the others happen once to a message.
        message_id = one.event_id if one.receipt in ENGAGED else f"{one.delivery.delivery_id}:{one.receipt}"
        return self._event(
            one.delivery, one.person, name, one.at,
            message_id=message_id, more=more, machine=one.machine, confidence=one.confidence,
        )  # fmt: skip

    def _event(
        self, delivery: Delivery, person: PersonId, name: str, at: datetime, *, message_id: str,
        more: Mapping[str, Json] | None = None, machine: bool = False, confidence: float = 0.0,
    ) -> NewEvent:  # fmt: skip
        rules = self._consent.rules
        return NewEvent(
            name=name,
            event_time=at,
            source=SOURCE,
            purpose=delivery.purpose,
            basis=rules.purposes.expect(delivery.purpose).basis_in(rules.jurisdiction),
            person=person,
            properties={
                "decision_id": delivery.decision_id,
                "delivery_id": delivery.delivery_id,
                "channel": delivery.channel,
                **(more or {}),
            },
            message_id=message_id,
            machine=machine,
            confidence=confidence,
        )


def _name(channel: str, receipt: Receipt) -> str | None:
    if receipt is Receipt.UNSUBSCRIBED:
        return "Unsubscribed"
    if receipt not in _WORDS:
        return None
    return _NAMES.get((channel, receipt)) or f"{channel.capitalize()} {_WORDS[receipt]}"
