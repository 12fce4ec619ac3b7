"""What channels tells the event log: a message was sent, delivered, bounced, complained about.

Enters: a delivery and what became of it. Leaves: one event of the person, once however often it is told, with `decision_id` and
`delivery_id` among its properties, so that outcomes find their decision. No address and no words.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from channels.deliveries import Delivery
from channels.ledger import Receipt
from consent.service import Consent
from events.log import NewEvent
from events.service import Events
from kernel.db import Conn
from kernel.ids import PersonId
from kernel.kernel import Kernel

SOURCE: Final = "candor"
_NAMES: Final[Mapping[Receipt, str]] = {  # as the Segment specification of email events names them
    Receipt.DELIVERED: "Delivered",
    Receipt.BOUNCED: "Bounced",
    Receipt.COMPLAINED: "Marked as Spam",
}


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
        await self._note(conn, delivery, person, "Sent", self._kernel.clock.now())

    async def received(self, conn: Conn, delivery: Delivery, person: PersonId, receipt: Receipt, at: datetime) -> None:
        """The provider reported back; what it says about its queue is no event of the person."""
        if receipt in _NAMES:
            await self._note(conn, delivery, person, _NAMES[receipt], at)

    async def _note(self, conn: Conn, delivery: Delivery, person: PersonId, word: str, at: datetime) -> None:
        rules = self._consent.rules
        await self._events.note(
            conn,
            [
                NewEvent(
                    name=f"{delivery.channel.capitalize()} {word}",
                    event_time=at,
                    source=SOURCE,
                    purpose=delivery.purpose,
                    basis=rules.purposes.expect(delivery.purpose).basis_in(rules.jurisdiction),
                    person=person,
                    properties={
                        "decision_id": delivery.decision_id,
                        "delivery_id": delivery.delivery_id,
                        "channel": delivery.channel,
                    },
                    message_id=f"{delivery.delivery_id}:{word}",
                )
            ],
        )
