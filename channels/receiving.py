"""What providers say later about a message, folded into its state.

Enters: receipts, in any order and any number of times. Leaves: the delivery's state, an entry, an event; a contact that is gone for
good, or a complaint, is suppressed in the same commit (spec channels.A6, A33).
"""

from dataclasses import dataclass, replace
from datetime import datetime

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from channels import store
from channels.deliveries import Delivery
from channels.errors import UnknownDelivery
from channels.ledger import Receipt, fold
from channels.noting import Noting
from channels.suppression import Suppressions
from identity.service import Identity
from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import DeliveryId
from kernel.kernel import Kernel


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReceipt:
    """One report. `event_id` is the provider's own name for it; `permanent` says that a bounce will not change."""

    event_id: str
    receipt: Receipt
    at: datetime
    permanent: bool = False


class Receiving:
    """Folds receipts."""

    def __init__(
        self, kernel: Kernel, audit: Audit, identity: Identity, suppressions: Suppressions, noting: Noting
    ) -> None:
        self._kernel = kernel
        self._audit = audit
        self._identity = identity
        self._suppressions = suppressions
        self._noting = noting

    async def receive(self, conn: Conn, delivery_id: DeliveryId, said: NewReceipt, *, actor: str) -> Delivery:
        """The delivery after the receipt; one that was heard before changes nothing.

        Raises:
            UnknownDelivery: there is none. IllegalStep: no attempt was made that a receipt could be about.
        """
        delivery = await store.get(conn, delivery_id, lock=True)
        if delivery is None:
            raise UnknownDelivery(delivery_id)
        state = fold(delivery.state, said.receipt)
        name = f"{delivery.connector or 'none'}:{said.event_id}"
        if not await store.add_receipt(conn, name, delivery_id, said.receipt, said.at):
            return delivery
        now = self._kernel.clock.now()
        if state is not delivery.state:
            await store.move(conn, delivery_id, state, now)
            await store.write_steps(conn, [(delivery_id, now, state, delivery.generation, None)])
        alive = await self._kernel.vault.unwrap([delivery.key_id])
        refs = {"delivery": delivery_id, "decision": delivery.decision_id, "person": delivery.person}
        facts: dict[str, Json] = {
            "receipt": said.receipt,
            "permanent": said.permanent,
            "at": said.at.isoformat(),
            "state": state,
        }
        key_id = delivery.key_id if delivery.key_id in alive else None
        await self._audit.append(conn, [NewEntry(Tag.DELIVERY_RECEIPT, refs, facts, key_id=key_id, actor=actor)])
        await self._follow(conn, delivery, said, actor)
        return replace(delivery, state=state, changed_at=now) if state is not delivery.state else delivery

    async def _follow(self, conn: Conn, delivery: Delivery, said: NewReceipt, actor: str) -> None:
        live = (await self._identity.current(conn, [delivery.person])).get(delivery.person)
        if live is None:
            return  # erased meanwhile: there is nobody to note it for, and no contact to silence
        await self._noting.received(conn, delivery, live, said.receipt, said.at)
        ends = said.receipt is Receipt.COMPLAINED or (said.receipt is Receipt.BOUNCED and said.permanent)
        if ends and await self._suppressions.hashes(conn, [delivery.identifier_id]):
            contacts = [delivery.identifier_id]
            await self._suppressions.suppress(conn, contacts, delivery.channel, said.receipt, actor=actor)
