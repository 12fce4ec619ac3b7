"""Sends a rendered push to one browser through its push service (RFC 8030, 8188, 8291, 8292).

Enters: a `Message` whose `to` is an `Address` as text and whose `text` is the document for the service worker. Leaves: an `Outcome`. ACCEPTED
means that the push service took it; only the browser's own report says that it was shown. The topic is derived from the delivery, so that a
repeat of one delivery replaces what still waits at the service instead of joining it.
"""

import unicodedata
from collections import OrderedDict
from datetime import datetime
from typing import Final

from channels.connector import Answer, Message, Outcome
from channels.push.answers import judge
from channels.push.encryption import TooLong, encrypt, padded, topic
from channels.push.origins import Origins
from channels.push.outward import Nothing, Outward, Unknown
from channels.push.settings import PushSettings
from channels.push.subscription import read_address
from channels.push.vapid import Signer
from kernel.clock import Clock
from kernel.ids import DeliveryId
from kernel.log import get_logger

_REMEMBERED: Final = (
    10_000  # outcomes by delivery: push services know no idempotency key, so a repeat is answered from here
)
_log = get_logger("channels.push")


class PushConnector:
    """Posts pushes. One per process and event loop."""

    name: Final = "webpush"
    channel: Final = "push"

    def __init__(self, clock: Clock, settings: PushSettings, signer: Signer) -> None:
        self._clock = clock
        self._settings = settings
        self._signer = signer
        self._origins = Origins(settings.origins, settings.private_origins)
        self._outward = Outward()
        self._done: OrderedDict[DeliveryId, Outcome] = OrderedDict()

    async def send(self, message: Message, delivery_id: DeliveryId, deadline: datetime) -> Outcome:
        """Encrypt and post, once a delivery."""
        if (before := self._done.get(delivery_id)) is not None:
            return before
        address = read_address(message.to)
        if address is None:
            return Outcome(answer=Answer.REJECTED, reason="bad_address")
        if any(unicodedata.category(char) in {"Cc", "Zl", "Zp"} for char in message.subject):
            return Outcome(answer=Answer.REJECTED, reason="bad_title")
        place = self._origins.place(address.endpoint)
        if place is None:
            return Outcome(answer=Answer.REJECTED, reason="origin_not_allowed")
        try:
            body = encrypt(padded(message.text.encode()), address.p256dh, address.auth)
        except TooLong:
            return Outcome(answer=Answer.REJECTED, reason="too_large")
        headers = {
            "Authorization": await self._signer.header(place.origin, address.vapid),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(self._ttl(message)),
            "User-Agent": "Candor",
            "Urgency": self._settings.urgency,
            "Topic": topic(delivery_id),
        }
        seconds = min(self._settings.timeout, (deadline - message.at).total_seconds())
        if seconds <= 0:
            return Outcome(answer=Answer.DEFERRED, reason="no_time")
        said = await self._outward.post(place, headers, body, seconds=seconds)
        if isinstance(said, Nothing):
            return Outcome(answer=Answer.REJECTED if said.final else Answer.DEFERRED, reason=said.reason)
        if isinstance(said, Unknown):
            return self._remember(delivery_id, Outcome(answer=Answer.UNCERTAIN, reason=said.reason))
        judged = judge(said.status, said.headers, self._clock.now(), otherwise=f"push:{delivery_id}")
        if judged.alarm:
            self._signer.forget()
            _log.error(
                "vapid_refused", service=place.origin, status=said.status, vapid=address.vapid, delivery=delivery_id
            )
        if judged.outcome.answer is Answer.DEFERRED:
            return judged.outcome
        return self._remember(delivery_id, judged.outcome)

    async def forget(self, delivery_id: DeliveryId, reserved_at: datetime) -> bool:
        """No copy is kept here: what the push service holds is encrypted for the browser alone, and ends with its TTL."""
        del delivery_id, reserved_at
        return False

    async def close(self) -> None:
        """End the connections."""
        await self._outward.close()

    def _ttl(self, message: Message) -> int:
        """Seconds that the message is worth keeping: never past its own expiry."""
        if message.expires_at is None:
            return self._settings.ttl_seconds
        left = int((message.expires_at - message.at).total_seconds())
        return max(0, min(self._settings.ttl_seconds, left))

    def _remember(self, delivery_id: DeliveryId, outcome: Outcome) -> Outcome:
        self._done[delivery_id] = outcome
        while len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)
        return outcome
