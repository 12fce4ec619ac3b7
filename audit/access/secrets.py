"""Secrets of API keys and sessions. Pure.

A secret is `cnd_sk_` (server), `cnd_bk_` (browser) or `cnd_ss_` (staff session), 32 random base-62 characters (190 bits) and
six of CRC-32 over what stands before: a typing error, or a scanner's false hit, is known without asking a store.
`PATTERN` is published for secret scanners. Only SHA-256 is stored: the secret's own 190 bits need no slow hash.
"""

import hashlib
import re
import secrets
import string
import zlib
from typing import Final, Literal

PATTERN: Final = r"cnd_(?:sk|bk|ss)_[0-9A-Za-z]{38}"
_SHAPE = re.compile(PATTERN)
_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM: Final = 32
_CHECK: Final = 6  # 62**6 exceeds 2**32

Kind = Literal["sk", "bk", "ss"]


def new_secret(kind: Kind) -> str:
    """A fresh secret."""
    body = f"cnd_{kind}_" + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
    return body + _check(body)


def kind_of(secret: str) -> Kind | None:
    """The kind of a secret whose shape and checksum are right, else None."""
    if _SHAPE.fullmatch(secret) is None or _check(secret[:-_CHECK]) != secret[-_CHECK:]:
        return None
    return "sk" if secret[4] == "s" and secret[5] == "k" else "bk" if secret[4] == "b" else "ss"


def hash_of(secret: str) -> bytes:
    """What is stored instead of the secret."""
    return hashlib.sha256(secret.encode()).digest()


def hint_of(secret: str) -> str:
    """What is listed, so that people can tell keys apart."""
    return f"{secret[:11]}…{secret[-4:]}"


def _check(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECK):
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
