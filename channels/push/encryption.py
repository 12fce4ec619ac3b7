"""The encrypted body of a push, and the name of its topic. Pure but for the random salt and key.

Enters: the words for the browser and its keys. Leaves: an aes128gcm body of at most 4,096 bytes, which no push service may refuse as too
large (RFC 8030 7.2). Follows RFC 8291 and 8188; the encoder is `http_ece`. The document is filled up with spaces to a few sizes, which JSON
readers skip, so that its length tells a push service little of what it says.
"""

import hashlib
from typing import Final

import http_ece
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key

from channels.push.subscription import decode, encode

BODY_BYTES: Final = 4096
_OVERHEAD: Final = (
    16 + 4 + 1 + 65 + 1 + 16
)  # salt, record size, length of the key id, our public key; delimiter and tag
TEXT_BYTES: Final = BODY_BYTES - _OVERHEAD
_STEP: Final = 512
_TOPIC_BYTES: Final = 24  # 32 characters of base64url, the most a topic may have (RFC 8030 5.4)


class TooLong(ValueError):
    """More words than one push may carry."""


def padded(words: bytes) -> bytes:
    """The words with spaces behind them, up to the next of a few sizes. Raises TooLong."""
    if len(words) > TEXT_BYTES:
        msg = f"expected at most {TEXT_BYTES} bytes, got {len(words)}"
        raise TooLong(msg)
    return words.ljust(min(TEXT_BYTES, max(1, -(-len(words) // _STEP)) * _STEP))


def encrypt(
    words: bytes,
    p256dh: str,
    auth: str,
    *,
    salt: bytes | None = None,
    ephemeral: EllipticCurvePrivateKey | None = None,
) -> bytes:
    """The body: header and one record. `salt` and `ephemeral` are given by test vectors only; a message has fresh ones. Raises TooLong."""
    if len(words) > TEXT_BYTES:
        msg = f"expected at most {TEXT_BYTES} bytes, got {len(words)}"
        raise TooLong(msg)
    body: bytes = http_ece.encrypt(
        words,
        salt=salt,
        private_key=ephemeral or generate_private_key(SECP256R1()),
        dh=decode(p256dh),
        auth_secret=decode(auth),
        rs=BODY_BYTES,
        version="aes128gcm",
    )
    return body


def topic(name: str) -> str:
    """A topic for a name: the same for the same, and nothing of it can be read back."""
    return encode(hashlib.blake2b(name.encode(), digest_size=_TOPIC_BYTES, person=b"candor topic").digest())
