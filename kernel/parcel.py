"""A parcel: words that only whoever holds its code can open, wherever the bytes lie.

What enters: words and a fresh code, which is told to the recipient by another way than the parcel and is kept nowhere here. What leaves: one
self-contained run of bytes: a line that names the form, a salt, a nonce, AES-256-GCM ciphertext. The key is scrypt (RFC 7914) of the code; the line, the
salt and the label are associated data, so that a parcel cannot pass for another. Codes have 100 random bits: nobody guesses one.
"""

import os
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from kernel.errors import NotPermitted

FORM: Final = b"candor-parcel/1\n"
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford: no letter looks like a digit
_LOOKS_LIKE: Final = str.maketrans({"O": "0", "I": "1", "L": "1"})
_LETTERS: Final = 20
_GROUP: Final = 5
_SALT: Final = 16
_NONCE: Final = 12
# 16 MiB and about 50 ms: the code is not guessable anyway; this is for a code that somebody shortened by hand.
_N, _R, _P = 1 << 14, 8, 1


class ParcelClosed(NotPermitted):
    """The code does not open the parcel, or the parcel was altered."""

    code = "parcel_closed"
    remedy = "Type the code as it was given, letters and digits; ask for a new parcel when it is lost."


def new_code() -> str:
    """Four groups of five letters and digits, to be read aloud or typed."""
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(_LETTERS))
    return "-".join(letters[at : at + _GROUP] for at in range(0, _LETTERS, _GROUP))


def seal(words: bytes, code: str, label: str) -> bytes:
    """A parcel of these words. ``label`` (an id) must be named again to open it. Takes about 50 ms of processor time."""
    salt, nonce = os.urandom(_SALT), os.urandom(_NONCE)
    return FORM + salt + nonce + AESGCM(_key(code, salt)).encrypt(nonce, words, FORM + salt + label.encode())


def unseal(parcel: bytes, code: str, label: str) -> bytes:
    """The words of a parcel.

    Raises:
        ParcelClosed: another code, another label, or altered bytes; which of them is not told.
    """
    salt = parcel[len(FORM) : len(FORM) + _SALT]
    nonce = parcel[len(FORM) + _SALT : len(FORM) + _SALT + _NONCE]
    if not parcel.startswith(FORM) or len(nonce) != _NONCE:
        raise ParcelClosed("expected a parcel, got bytes of another form")
    try:
        return AESGCM(_key(code, salt)).decrypt(
            nonce, parcel[len(FORM) + _SALT + _NONCE :], FORM + salt + label.encode()
        )
    except InvalidTag:
        raise ParcelClosed("expected the code of this parcel, got one that does not open it") from None


def _key(code: str, salt: bytes) -> bytes:
    said = "".join(letter for letter in code.upper().translate(_LOOKS_LIKE) if letter.isalnum())
    return Scrypt(salt=salt, length=32, n=_N, r=_R, p=_P).derive(said.encode())
