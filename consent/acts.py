"""A consent act: what one person said once, about one purpose, on one subject. Immutable.

What enters: a ``NewAct`` from a form, a signal, an import or staff. What leaves: a checked ``NewAct``, stored as a
``ConsentAct``; ``ActView`` is the part the gate reads. The fields are those of consent.C2 (ISO/IEC TS 27560, DPV): the
subject is an identifier or a source record, never a person, because people merge and split.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Self

from consent.errors import ActIncomplete
from consent.precedence import Rules
from consent.purposes import PAUSE, is_reserved
from kernel.ids import ActId, IdentifierId, RecordId, is_id

# Clocks of two machines differ by less; a later time of giving is refused for a grant, or it would outrank a
# withdrawal that is made before that time comes.
CLOCK_SKEW: Final = timedelta(minutes=5)
IMPORT: Final = "import"
NOT_HELD: Final = "not-held"  # an imported act names a notice whose text is not here


class Status(StrEnum):
    """What was said. Unreadable: a choice came in that cannot be decoded; it counts as a no."""

    GRANTED = "granted"
    DENIED = "denied"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Notice:
    """The words the person saw: digest of the text, its version and language, and the purposes it listed."""

    text_hash: str
    version: str
    language: str
    listed: frozenset[str] = frozenset()

    @classmethod
    def of(cls, text: str, *, version: str, language: str, listed: Iterable[str] = ()) -> Self:
        """The notice with this text."""
        return cls(hash_text(text), version, language, frozenset(listed))

    @classmethod
    def named(cls, version: str, *, language: str = "und") -> Self:
        """A notice that another system showed: only its name is known here."""
        return cls(NOT_HELD, version, language)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Why a yes counts that needs confirming (double opt-in).

    ``way``: link (she pressed the button behind the mail that asked about ``pending``), own_link (she said it behind a link that was sent to
    the very contact), told (another system or a caller says so). ``evidence``: the words for it, kept sealed.
    """

    way: str
    at: datetime
    pending: ActId | None = None
    evidence: bytes = b""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A confirmation as it is kept, its evidence aside."""

    way: str
    at: datetime
    pending: ActId | None


@dataclass(frozen=True, slots=True)
class NewAct:
    """An act as it comes in. ``given_at`` is when the person said it, aware UTC; ``raw`` the bytes that carried it."""

    subject: IdentifierId | RecordId
    purpose: str
    status: str
    channel: str | None
    basis: str
    jurisdiction: str
    notice: Notice | None
    mechanism: str
    actor: str
    given_at: datetime
    expires_at: datetime | None = None
    raw: bytes = b""
    verified: bool = True
    categories: tuple[str, ...] = ()  # empty: those of the purpose
    controller: str = ""  # empty: the one of the settings
    variant: str = "plain"  # which form of the page or call was shown
    confirmation: Confirmation | None = None


@dataclass(frozen=True, slots=True)
class ConsentAct:
    """An act as it is kept. ``has_raw`` tells that the bytes that carried it are kept, sealed."""

    id: ActId
    subject: IdentifierId | RecordId
    purpose: str
    status: str
    channel: str | None
    basis: str
    jurisdiction: str
    notice: Notice | None
    mechanism: str
    actor: str
    given_at: datetime
    recorded_at: datetime
    expires_at: datetime | None
    verified: bool
    categories: tuple[str, ...]
    controller: str
    variant: str
    has_raw: bool


@dataclass(frozen=True, slots=True)
class ActView:
    """What the gate reads of an act. ``loose``: it is of someone who may be the same person; only its no counts."""

    id: ActId
    subject: str
    purpose: str
    channel: str | None
    status: str
    basis: str
    jurisdiction: str
    mechanism: str
    given_at: datetime
    expires_at: datetime | None = None
    has_notice: bool = True
    verified: bool = True
    listed: frozenset[str] = field(default_factory=frozenset)
    loose: bool = False


def hash_text(text: str) -> str:
    """``sha256:`` and the hex digest of a notice's text."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def check(act: NewAct, *, rules: Rules, controller: str, now: datetime) -> NewAct:
    """The act, complete and fit to be stored.

    A no is taken however poor its evidence; a grant is refused when a field is missing. An imported grant without a
    named notice becomes unverified, and permits nothing.

    Raises:
        ActIncomplete: what is missing or out of place, by field.
        UnknownPurpose: the purpose is not listed.
    """
    if not (is_id(act.subject, "idn") or is_id(act.subject, "rec")):
        raise ActIncomplete("expected an identifier (idn_…) or a record (rec_…) as subject, got neither")
    if act.status not in set(Status):
        raise ActIncomplete(f"expected status {', '.join(Status)}, got another word")
    for name in ("basis", "jurisdiction", "mechanism", "actor", "variant"):
        if not getattr(act, name):
            raise ActIncomplete(f"expected {name}, got nothing")
    purpose = None if is_reserved(act.purpose) else rules.purposes.expect(act.purpose)
    if purpose is not None and act.channel is not None and act.channel not in purpose.channels:
        raise ActIncomplete(f"expected a channel of '{purpose.key}' {list(purpose.channels)}, got another")
    for moment in (act.given_at, act.expires_at):
        if moment is not None and moment.utcoffset() is None:
            raise ActIncomplete("expected aware times, got one without a zone")
    if act.purpose == PAUSE and act.status != Status.GRANTED and act.expires_at is None:
        raise ActIncomplete("expected expires_at with a pause, got one without an end")
    categories = act.categories or (purpose.categories if purpose else (act.purpose,))
    granted = act.status == Status.GRANTED
    return replace(
        act,
        categories=categories,
        controller=act.controller or controller,
        verified=_verified(act, rules, now) and not pending(act, rules) if granted else act.verified,
        given_at=min(act.given_at, now),
        expires_at=act.expires_at if granted or act.purpose == PAUSE else None,  # no other no runs out
        confirmation=act.confirmation if granted else None,
    )


def pending(act: NewAct, rules: Rules) -> bool:
    """Whether a yes waits for its confirmation: it permits nothing until a later act confirms it."""
    if act.status != Status.GRANTED or act.confirmation is not None:
        return False
    return bool(rules.purposes.confirmed_on(act.purpose, act.channel, act.notice.listed if act.notice else ()))


def _verified(act: NewAct, rules: Rules, now: datetime) -> bool:
    """Whether a grant is complete enough to permit; ActIncomplete where it cannot even be kept."""
    if act.mechanism not in rules.precedence.mechanisms:
        raise ActIncomplete(f"expected a known mechanism {sorted(rules.precedence.mechanisms)}, got another")
    if act.given_at > now + CLOCK_SKEW:
        raise ActIncomplete("expected given_at not after the present, got a later time")
    if act.expires_at is not None and act.expires_at <= act.given_at:
        raise ActIncomplete("expected expires_at after given_at, got an earlier time")
    if act.confirmation is not None and act.confirmation.at > now + CLOCK_SKEW:
        raise ActIncomplete("expected a confirmation not after the present, got a later one")
    named = act.notice is not None and bool(act.notice.version and act.notice.language)
    if act.mechanism == IMPORT:
        return act.verified and named
    if act.notice is None or not named or not act.notice.text_hash.startswith("sha256:"):
        raise ActIncomplete("expected a notice with text hash, version and language for a grant, got less")
    return act.verified
