"""The browser's half of a push subscription, for tests: keys, and the decryption by `http_ece`'s reader."""

import secrets
from dataclasses import dataclass, field

import http_ece
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key

from channels.push.subscription import Address, Subscription, encode
from channels.push.vapid import public_of


@dataclass(frozen=True)
class Receiver:
    endpoint: str
    key: EllipticCurvePrivateKey = field(default_factory=lambda: generate_private_key(SECP256R1()))
    auth: bytes = field(default_factory=lambda: secrets.token_bytes(16))

    @property
    def subscription(self) -> Subscription:
        return Subscription(self.endpoint, public_of(self.key), encode(self.auth))

    @property
    def json(self) -> dict:
        """As `PushSubscription.toJSON()` has it."""
        found = self.subscription
        return {
            "endpoint": found.endpoint,
            "expirationTime": None,
            "keys": {"p256dh": found.p256dh, "auth": found.auth},
        }

    def to(self, vapid: str, version: int = 1) -> str:
        found = self.subscription
        return Address(found.endpoint, found.p256dh, found.auth, vapid, version).text()

    def read(self, body: bytes) -> bytes:
        return http_ece.decrypt(body, private_key=self.key, auth_secret=self.auth, version="aes128gcm")
