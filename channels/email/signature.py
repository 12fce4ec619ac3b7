"""Did SendGrid say this, and just now? The signature of its event webhook.

Enters: the raw bytes of a post and its two headers. Leaves: yes or no, before anything is parsed. ECDSA over P-256 with SHA-256 of the timestamp
and the bytes as they came, trailing line break included; keys are base64 of DER SubjectPublicKeyInfo. Several keys may be live, for a
rotation. The library that ships with the provider has no window; ours is 300 seconds, both ways (spec channels.A7).
"""

from base64 import b64decode
from binascii import Error
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from channels.email.errors import BadWebhookKey

SIGNATURE: Final = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP: Final = "X-Twilio-Email-Event-Webhook-Timestamp"
_LONGEST: Final = 200  # characters of a signature; DER of two 256-bit numbers is 72 bytes at most


class Signatures:
    """Checks posts. Without a key every post is refused."""

    def __init__(self, keys: Sequence[str], window_seconds: int) -> None:
        """Raises BadWebhookKey."""
        self._keys = [read_key(one) for one in keys]
        self._window = window_seconds

    def genuine(self, raw: bytes, *, signature: str, timestamp: str, now: datetime) -> bool:
        """Whether one of the keys signed these bytes within the window."""
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12 and len(signature) <= _LONGEST):
            return False
        try:
            sealed = b64decode(signature, validate=True)
        except (Error, ValueError):
            return False
        said = timestamp.encode() + raw
        signed = any(_verifies(key, sealed, said) for key in self._keys)
        return signed and abs(now.timestamp() - int(timestamp)) <= self._window


def read_key(text: str) -> EllipticCurvePublicKey:
    """The key of a setting. Raises BadWebhookKey."""
    try:
        key = load_der_public_key(b64decode("".join(text.split()), validate=True))
    except (Error, ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise BadWebhookKey("expected the base64 of a P-256 public key (DER), got something else")
    return key


def _verifies(key: EllipticCurvePublicKey, sealed: bytes, said: bytes) -> bool:
    try:
        key.verify(sealed, said, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True
