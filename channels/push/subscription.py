"""A browser's push subscription: where to post, and for whom to encrypt. Pure.

Enters: what `PushSubscription.toJSON()` says. Leaves: a checked `Subscription`, or `BadSubscription`; and the `Address` that a connector
is handed as `to`, as text. Follows RFC 8030 (endpoint), RFC 8291 (p256dh: an uncompressed point on P-256; auth: 16 bytes).
"""

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Final

import orjson
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey

from channels.push.errors import BadSubscription
from identity.errors import InvalidIdentifier
from identity.identifiers import Identifier

KIND: Final = "push"
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+={0,2}")
_POINT_BYTES: Final = 65
AUTH_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Subscription:
    """An endpoint and the browser's two keys, in base64url without padding. Not shown by `repr`: they are capabilities."""

    endpoint: str = field(repr=False)
    p256dh: str = field(repr=False)
    auth: str = field(repr=False)

    @property
    def contact(self) -> Identifier:
        """As identity knows it."""
        return Identifier(KIND, self.endpoint)


@dataclass(frozen=True, slots=True)
class Address:
    """Everything that one push needs of its receiver. `vapid` names our key; `version` counts renewals of the subscription."""

    endpoint: str = field(repr=False)
    p256dh: str = field(repr=False)
    auth: str = field(repr=False)
    vapid: str = ""
    version: int = 0

    def text(self) -> str:
        """As `Message.to` carries it."""
        return orjson.dumps(
            {
                "endpoint": self.endpoint,
                "p256dh": self.p256dh,
                "auth": self.auth,
                "vapid": self.vapid,
                "v": self.version,
            }
        ).decode()


def read_address(to: str) -> Address | None:
    """What `text` wrote; None for anything else."""
    try:
        said = orjson.loads(to)
        made = checked(said["endpoint"], said["p256dh"], said["auth"])
        return Address(made.endpoint, made.p256dh, made.auth, str(said["vapid"]), int(said["v"]))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, BadSubscription):
        return None


def checked(endpoint: str, p256dh: str, auth: str) -> Subscription:
    """The subscription, its keys in one spelling.

    Raises:
        BadSubscription: an endpoint that is no address, a point that is not on the curve, a secret of another length.
    """
    try:
        contact = Identifier(KIND, endpoint)
    except InvalidIdentifier as fault:
        raise BadSubscription(fault.message) from None
    point, secret = decode(p256dh), decode(auth)
    if len(point) != _POINT_BYTES or point[:1] != b"\x04":
        raise BadSubscription(f"expected keys.p256dh of {_POINT_BYTES} bytes in base64url, got {len(point)}")
    if len(secret) != AUTH_BYTES:
        raise BadSubscription(f"expected keys.auth of {AUTH_BYTES} bytes in base64url, got {len(secret)}")
    try:
        EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point)
    except ValueError:
        raise BadSubscription("expected keys.p256dh to be a point on P-256, got one that is not") from None
    return Subscription(contact.value, encode(point), encode(secret))


def encode(raw: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """The bytes; empty for what is not base64url."""
    if not _BASE64URL.fullmatch(text):
        return b""
    bare = text.rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return b""
