"""Identifiers and their one written form.

What enters: a kind and a value as some source wrote it. What leaves: an ``Identifier`` whose value compares equal exactly
when the two mean the same address. E-mail: lower case, domain in ASCII (IDNA 2008, UTS 46); a ``+tag`` is kept, since mail is
sent to it. Phone: E.164 (libphonenumber); without country code and region, digits only. Ids: exact, outer space removed.
Push: the endpoint of a browser's push subscription, to the letter.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import idna
import phonenumbers

from identity.errors import InvalidIdentifier, UnknownKind
from kernel.ids import IdentifierId, RecordId

KINDS: Final = (
    "email",
    "phone",
    "login_id",
    "customer_id",
    "device_id",
    "anonymous_id",
    "national_id",
    "group_id",
    "push",
)
MAX_LENGTH: Final = 500  # Segment's limit for a group id, the longest of those that people and systems write
MAX_ENDPOINT: Final = 2000  # push services make addresses of up to about a thousand characters; browsers stop at 2,000
_LONGEST: Final = {"push": MAX_ENDPOINT}

# RFC 5321 local part without quotes, plus RFC 6531 letters; 64 and 255 are its length limits.
_LOCAL: Final = re.compile(r"[^\s@<>()\[\],;:\\\"\x00-\x1f\x7f]{1,64}")
_ASCII_DOMAIN: Final = re.compile(
    r"(?=.{1,255}$)([a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
)
# A push service's address of one browser (RFC 8030): opaque, so kept to the letter; who may be written to is judged in channels.
_ENDPOINT: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+/[!#-;=?-\[\]_a-z~%|]*")
_DIGITS: Final = re.compile(r"\d{4,15}")
_PHONE_NOISE: Final = re.compile(r"[\s().\-/]+")
_NATIONAL_NOISE: Final = re.compile(r"[\s.\-/]+")


def normalise(kind: str, value: str, *, region: str | None = None) -> str:
    """The written form of ``value``; ``region`` is the ISO region of a phone number without country code.

    Raises:
        UnknownKind: no such kind.
        InvalidIdentifier: the value cannot be of that kind.
    """
    text = value.strip()
    longest = _LONGEST.get(kind, MAX_LENGTH)
    if not text or len(text) > longest or "\x00" in text:
        raise InvalidIdentifier(f"expected a {kind} of 1 to {longest} characters, got {len(text)}")
    match kind:
        case "email":
            return _email(text)
        case "phone":
            return _phone(text, region)
        case "national_id":
            return _NATIONAL_NOISE.sub("", text).upper() or text
        case "login_id" | "customer_id" | "device_id" | "anonymous_id" | "group_id":
            return text
        case "push":
            if not _ENDPOINT.fullmatch(text):
                raise InvalidIdentifier(
                    f"expected the address of a push service, got {len(text)} characters that are none"
                )
            return text
        case _:
            raise UnknownKind(f"expected an identifier kind, got '{kind[:40]}'")


def _email(text: str) -> str:
    local, at, domain = text.removeprefix("mailto:").rpartition("@")
    if not at or not _LOCAL.fullmatch(local):
        raise InvalidIdentifier(f"expected an e-mail address local@domain, got {len(text)} characters that are none")
    domain = domain.lower().removesuffix(".")
    if not domain.isascii():
        domain = _ascii_domain(domain)
    if not _ASCII_DOMAIN.fullmatch(domain):
        raise InvalidIdentifier("expected an e-mail address with a valid domain, got another domain part")
    return f"{local.lower()}@{domain}"


@lru_cache(maxsize=4096)
def _ascii_domain(domain: str) -> str:
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError:
        raise InvalidIdentifier("expected an internationalised domain by IDNA 2008, got one that is not") from None


@lru_cache(maxsize=65_536)  # every identifier is normalised when made, and the library takes 14 µs
def _phone(text: str, region: str | None) -> str:
    text = text.removeprefix("tel:")
    if text.startswith("00"):
        text = f"+{text[2:]}"
    if not text.startswith("+") and region is None:
        plain = _PHONE_NOISE.sub("", text)
        if not _DIGITS.fullmatch(plain):
            raise InvalidIdentifier(f"expected a phone number of 4 to 15 digits, got {len(plain)} characters")
        return plain
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException as fault:
        raise InvalidIdentifier(
            f"expected a phone number, got one that cannot be read (error type {fault.error_type})"
        ) from None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


@dataclass(frozen=True, slots=True, order=True)
class Identifier:
    """A kind and its normalised value. Making one normalises, so two that mean the same compare equal."""

    kind: str
    value: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", normalise(self.kind, self.value))

    def __repr__(self) -> str:
        return f"Identifier(kind={self.kind!r}, value=<{len(self.value)} characters>)"  # tracebacks and logs quote repr


@dataclass(frozen=True, slots=True)
class HeldIdentifier:
    """An identifier as the store holds it: its id, its opened value, and the records that carry it."""

    id: IdentifierId
    kind: str
    value: str
    record_ids: tuple[RecordId, ...]

    def __repr__(self) -> str:
        return f"HeldIdentifier(id={self.id!r}, kind={self.kind!r}, value=<{len(self.value)} characters>)"


def parse_contact(text: str, *, region: str | None = None) -> Identifier:
    """``kind:value`` of a command line as an Identifier."""
    kind, colon, value = text.partition(":")
    if not colon or kind not in KINDS:
        raise UnknownKind("expected a person id or kind:value, got neither")
    return Identifier(kind, normalise(kind, value, region=region))
