"""Sends a rendered push to one browser through its push service (RFC 8030, 8188, 8291, 8292).

Enters: a `Message` whose `to` is an `Address` as text and whose `text` is the document for the service worker. Leaves: an `Outcome`. ACCEPTED
means that the push service took it; only the browser's own report says that it was shown. The topic is derived from the delivery, so that a
repeat of one delivery replaces what still waits at the service instead of joining it.
"""

import secrets
import unicodedata
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key

from channels.connector import Answer, Connector, Fault, Message, Outcome
from channels.push.answers import judge
from channels.push.encryption import TooLong, encrypt, padded, topic
from channels.push.origins import Origins
from channels.push.outward import Nothing, Nowhere, Outward, Unknown, Way
from channels.push.settings import PushSettings
from channels.push.subscription import AUTH_BYTES, Address, encode, read_address
from channels.push.vapid import Signer, answers_nobody, public_of
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

    def __init__(self, clock: Clock, settings: PushSettings, signer: Signer, way: Way | None = None) -> None:
        self._clock = clock
        self._settings = settings
        self._signer = signer
        self._origins = Origins(settings.origins, settings.private_origins)
        self._way = way or Outward()
        self._done: OrderedDict[DeliveryId, Outcome] = OrderedDict()
        self._refused: str | None = None

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
        said = await self._way.post(place, headers, body, seconds=seconds)
        if isinstance(said, Nothing):
            return Outcome(answer=Answer.REJECTED if said.final else Answer.DEFERRED, reason=said.reason)
        if isinstance(said, Unknown):
            return self._remember(delivery_id, Outcome(answer=Answer.UNCERTAIN, reason=said.reason))
        judged = judge(said.status, said.headers, self._clock.now(), otherwise=f"push:{delivery_id}")
        if judged.alarm:
            self._signer.forget()
            self._refused = place.origin
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

    def faults(self) -> Sequence[Fault]:
        """What keeps push services from taking our messages."""
        found: list[Fault] = []
        if self._settings.subject is None or answers_nobody(self._settings.subject):
            found.append(
                Fault(
                    "nobody can answer at channels.push.subject; Apple's push service refuses such a one",
                    "Set CANDOR_CHANNELS__PUSH__SUBJECT to a mailto: or https: address that somebody reads.",
                )
            )
        if self._refused is not None:
            found.append(
                Fault(
                    f"{self._refused} refused our VAPID signature",
                    "Look at the clock of this machine, at channels.push.subject, and whether keys were restored with `candor keys vapid`.",
                )
            )
        return found

    def rehearsal(self, folder: Path) -> Connector:
        """Everything but the network: the document is encrypted for a browser that does not exist, signed with a key thrown away."""
        del folder
        key = generate_private_key(SECP256R1())

        async def thrown_away(name: str) -> EllipticCurvePrivateKey:
            del name
            return key

        lasts = timedelta(hours=1)
        signer = Signer(self._clock, self._settings.subject or "", thrown_away, lasts=lasts, reused=lasts)
        return PushConnector(self._clock, self._settings, signer, Nowhere())

    @property
    def nobody(self) -> str:
        """A `to` that is an address in form and reaches nobody; for a rehearsal."""
        origin = next((one for one in self._settings.origins if "*" not in one), "https://push.invalid")
        public = public_of(generate_private_key(SECP256R1()))
        return Address(f"{origin}/nobody", public, encode(secrets.token_bytes(AUTH_BYTES)), "none", 1).text()

    async def close(self) -> None:
        """End the connections."""
        await self._way.close()

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
