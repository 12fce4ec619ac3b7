"""Letters: signed words between this installation and another system (a processor, an agent of people), Ed25519 (RFC 8032).

What enters: words, and for reading a public key. What leaves: a signature of 64 bytes, or yes and no. The signing key is derived from the hashing secret, one for each use,
so it is stable, lies in no file of its own, and its public half can be published. A key's id is the start of the SHA-256 of its public half.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PUBLIC_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class Pen:
    """A signing key of ours."""

    public: bytes
    _key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def of(cls, seed: bytes) -> Self:
        """The key of 32 secret bytes, as ``secrets.derive`` gives them."""
        key = Ed25519PrivateKey.from_private_bytes(seed)
        return cls(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw), key)

    @property
    def id(self) -> str:
        """How others name the key."""
        return key_id(self.public)

    def sign(self, words: bytes) -> bytes:
        """64 bytes."""
        return self._key.sign(words)


def key_id(public: bytes) -> str:
    """16 hexadecimal digits."""
    return hashlib.sha256(public).hexdigest()[:16]


def genuine(words: bytes, signature: bytes, public: bytes) -> bool:
    """Whether whoever holds the private half of ``public`` signed exactly these words. Never raises."""
    if len(public) != PUBLIC_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, words)
    except (InvalidSignature, ValueError):
        return False
    return True
