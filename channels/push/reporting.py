"""What browsers say of pushes, folded into the ledger.

Enters: a delivery and a word, from a service worker that showed the message's own token. Leaves: receipts, if she lets us see them: what her browser tells is
under the purpose `tracking`, as opens and clicks of emails are. Whatever it says then, the message was delivered. What she did with it is kept only
while her permission stands under which it was sent: after a withdrawal a click is hers.
"""

from collections.abc import Mapping
from typing import Final

from channels import store
from channels.ledger import Receipt
from channels.noting import Noting
from channels.receiving import Heard, NewReceipt, Receiving
from consent.gate import permission
from consent.purposes import TRACKING
from consent.service import Consent
from identity.service import Identity
from kernel.ids import DeliveryId
from kernel.kernel import Kernel

REACTIONS: Final[Mapping[str, Receipt]] = {"clicked": Receipt.CLICKED, "dismissed": Receipt.DISMISSED}


class Reporting:
    """Takes reports. One per process and event loop."""

    def __init__(
        self, kernel: Kernel, identity: Identity, consent: Consent, noting: Noting, receiving: Receiving
    ) -> None:
        self._kernel = kernel
        self._identity = identity
        self._consent = consent
        self._noting = noting
        self._receiving = receiving

    async def reported(self, delivery_id: DeliveryId, word: str) -> bool:
        """See `Channels.reported`."""
        await self._noting.prepare()
        now = self._kernel.clock.now()
        async with self._kernel.db.transaction() as conn:
            delivery = await store.get(conn, delivery_id)
            if delivery is None:
                return False
            live = (await self._identity.current(conn, [delivery.person])).get(delivery.person)
            state = None if live is None else await self._consent.state(conn, live)
            if state is None or not permission(state, TRACKING, delivery.channel, now).granted:
                return True
            said = [NewReceipt(event_id=f"{delivery_id}:shown", receipt=Receipt.DELIVERED, at=now)]
            if word in REACTIONS and permission(state, delivery.purpose, delivery.channel, now).granted:
                said.append(NewReceipt(event_id=f"{delivery_id}:{word}", receipt=REACTIONS[word], at=now))
            heard = await self._receiving.receive(conn, [(delivery_id, one) for one in said], actor="browser")
        return Heard.NOT_SENT not in heard
