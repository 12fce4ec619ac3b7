"""Identity checks, scaled to the harm that a wrong answer would do (consent.D4; 11 CCR 7060-7063, GDPR Art. 12(6)).

What enters: a right, and how somebody showed who they are. What leaves: whether that is enough, and a ``Verdict`` to keep. An opt-out, a withdrawal, an objection or a
restriction needs no proof: refusing one does more harm than granting it to the wrong person. Categories need two points that match what is held; single pieces,
corrections and copies a strong check. What was shown (the scan, the letter) is never kept: a salt and SHA-256 of it are, so that it can be recognised.
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Final

from consent.errors import CheckFailed, CheckNeeded
from consent.lifecycle import Request, Right, Verdict
from identity.identifiers import parse_contact
from identity.service import Identity
from kernel.db import Conn
from kernel.errors import InvalidInput
from kernel.ids import PersonId


class Check(IntEnum):
    """How sure one must be."""

    NONE = 0
    TWO_POINT = 1
    STRONG = 2


class Method(StrEnum):
    """How somebody showed who they are."""

    CONTACT_LINK = "contact_link"  # a signed link that was sent to a contact of hers
    POINTS = "points"  # things she named that match what is held; we compare
    LOGIN = "login"  # an account with a password (7061)
    DOCUMENT = "document"
    DECLARATION = "declaration"  # signed under penalty of perjury, with three points
    AGENT = "agent"  # a registered agent's signature over the request (7063)
    SECOND_OFFICER = "second_officer"  # whoever approved an erasure says that it is genuine


NEEDED: Final[Mapping[Right, Check]] = {
    Right.CATEGORIES: Check.TWO_POINT,
    Right.ACCESS: Check.STRONG,
    Right.PORTABILITY: Check.STRONG,
    Right.ADMT_ACCESS: Check.STRONG,
    Right.RECTIFICATION: Check.STRONG,
    Right.ERASURE: Check.STRONG,
}
"""What is not listed needs none."""
GIVES: Final[Mapping[Method, Check]] = {
    Method.CONTACT_LINK: Check.TWO_POINT,
    Method.POINTS: Check.TWO_POINT,
    Method.LOGIN: Check.STRONG,
    Method.DOCUMENT: Check.STRONG,
    Method.DECLARATION: Check.STRONG,
    Method.AGENT: Check.STRONG,
    Method.SECOND_OFFICER: Check.STRONG,
}
BY_ITSELF: Final = frozenset({Method.AGENT, Method.SECOND_OFFICER})
"""Noted by what happened (a signature that was verified, an approval), never by hand."""
ENOUGH_POINTS: Final = 2
TELLING: Final = frozenset({
    "first_name", "last_name", "full_name", "birth_date", "street", "postcode", "email", "phone", "national_id", "login_id", "device_id", "customer_id",
})  # fmt: skip
"""Kinds of details that tell people apart (11 CCR 7060(c)(1): reliable); half the world shares a gender or a country."""


def needed(right: Right) -> Check:
    """How sure one must be before this is answered."""
    return NEEDED.get(right, Check.NONE)


def passed(request: Request) -> bool:
    """Whether the check that this right needs was made and went well."""
    want, verdict = needed(request.right), request.verdict
    if want is Check.NONE:
        return True
    return verdict is not None and verdict.passed and GIVES[Method(verdict.method)] >= want


def insist(request: Request) -> None:
    """Nothing, when the request may be answered.

    Raises:
        CheckNeeded: nobody looked, or not closely enough.
        CheckFailed: somebody looked, and it was not her.
    """
    if passed(request):
        return
    want = needed(request.right).name.lower().replace("_", "-")
    if request.verdict is not None and not request.verdict.passed:
        raise CheckFailed(f"expected a {want} identity check that went well, got one that did not")
    raise CheckNeeded(f"expected a {want} identity check before {request.right} is answered, got less")


def verdict(method: Method, *, passed: bool, by: str, at: datetime, evidence: bytes | None = None) -> Verdict:
    """What is kept of a check: a salted digest of the evidence, never the evidence."""
    kept = None
    if evidence:
        salt = secrets.token_bytes(16)
        kept = f"{salt.hex()}:{hashlib.sha256(salt + evidence).hexdigest()}"
    return Verdict(method, passed, by, at, kept)


def recognises(kept: Verdict, evidence: bytes) -> bool:
    """Whether this is what was shown then."""
    if kept.evidence is None:
        return False
    salt, _, digest = kept.evidence.partition(":")
    return secrets.compare_digest(hashlib.sha256(bytes.fromhex(salt) + evidence).hexdigest(), digest)


async def matching(conn: Conn, identity: Identity, person: PersonId, points: Sequence[str]) -> int:
    """How many different points (``kind:value``: an identifier or a trait) are held of the person and tell her from others.

    Raises:
        InvalidInput: a point that is not ``kind:value``.
    """
    if any(":" not in point for point in points):
        raise InvalidInput("expected points as kind:value, got another form", code="consent.bad_point", remedy="Write for example email:ada@example.org or postcode:10115.")  # fmt: skip
    held = {(one.kind, one.value) for one in (await identity.identifiers(conn, [person])).get(person, [])}
    told = {
        (name, str(value).strip().casefold())
        for record in (await identity.records(conn, [person])).get(person, [])
        if record.current
        for name, value in record.traits.items()
        if record.kinds.get(name) in TELLING
    }
    found: set[tuple[str, str]] = set()
    for point in points:
        kind, _, value = point.partition(":")
        if (kind, value.strip().casefold()) in told:
            found.add((kind, value.strip().casefold()))
            continue
        try:
            contact = parse_contact(point, region=identity.settings.default_region)
        except InvalidInput:  # no identifier of any kind: a point that does not match
            continue
        if (contact.kind, contact.value) in held:
            found.add((contact.kind, contact.value))
    return len(found)
