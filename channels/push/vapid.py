"""Voluntary identification towards push services (RFC 8292): one signed token per service, reused for hours.

Enters: an origin and the name of one of our keys. Leaves: the Authorization header. Claims are made anew for every token, since signers
write into what they are handed; a token lasts at most a day and is replaced well before that, so that no send races its end.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, derive_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from py_vapid import Vapid02

from channels.push.subscription import encode
from kernel.clock import Clock

_KEPT: Final = 1000  # tokens by origin and key; there are a dozen push services
PRIVATE_BYTES: Final = 32
_NOBODY: Final = ("localhost", "invalid", "example", "test", "local")  # RFC 2606, 6761, 6762: names that nobody answers


@dataclass(frozen=True, slots=True)
class VapidKey:
    """One of our keys, without its private half. `live`: the subscriptions that only this key may write to."""

    vapid_id: str
    public: str
    made_at: datetime
    live: int = 0
    current: bool = False


class Signer:
    """Makes tokens. `private` opens a key by its name."""

    def __init__(
        self, clock: Clock, subject: str, private: Callable[[str], Awaitable[EllipticCurvePrivateKey]], *,
        lasts: timedelta, reused: timedelta,
    ) -> None:  # fmt: skip
        self._clock = clock
        self._subject = subject
        self._private = private
        self._lasts = min(lasts, timedelta(hours=24))
        self._reused = min(reused, self._lasts - timedelta(minutes=10))
        self._making = asyncio.Lock()
        self._tokens: OrderedDict[tuple[str, str], tuple[str, datetime]] = OrderedDict()

    async def header(self, origin: str, vapid_id: str) -> str:
        """`vapid t=…,k=…` for this push service, signed by this key."""
        async with self._making:  # of many sends at once, one signs
            now = self._clock.now()
            held = self._tokens.get((origin, vapid_id))
            if held is not None and held[1] <= now < held[1] + self._reused:
                return held[0]
            return self._signed(origin, vapid_id, await self._private(vapid_id), now)

    def _signed(self, origin: str, vapid_id: str, key: EllipticCurvePrivateKey, now: datetime) -> str:
        claims = {"aud": origin, "exp": int((now + self._lasts).timestamp()), "sub": self._subject}
        signed: str = Vapid02(key).sign(claims)["Authorization"]
        self._tokens[origin, vapid_id] = signed, now
        while len(self._tokens) > _KEPT:
            self._tokens.popitem(last=False)
        return signed

    def forget(self) -> None:
        """Sign anew from here on."""
        self._tokens.clear()


def private_key(raw: bytes) -> EllipticCurvePrivateKey:
    """The key whose secret number these 32 bytes are."""
    return derive_private_key(int.from_bytes(raw), SECP256R1())


def secret_of(key: EllipticCurvePrivateKey) -> bytes:
    """The secret number of a key, 32 bytes."""
    return key.private_numbers().private_value.to_bytes(PRIVATE_BYTES)


def public_of(key: EllipticCurvePrivateKey) -> str:
    """The public half as browsers take it: the uncompressed point in base64url."""
    return encode(key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))


def answers_nobody(subject: str) -> bool:
    """Whether the subject names a host that cannot be real; Apple's service refuses tokens with such a one."""
    host = subject.rpartition("@")[2] if subject.startswith("mailto:") else urlsplit(subject).hostname or ""
    return host.lower().rstrip(".").rpartition(".")[2] in _NOBODY or "." not in host
