"""Consents from a file of another system: what each row is worth.

What enters: ``ImportedConsent``, a mapped row. What leaves: a ``NewAct``. An opt-out always holds, however little came with
it. A grant counts only with notice, time and the way it was given; without them it is kept, unverified, and permits
nothing (DESIGN 5.2). A TC or GPP string says what it says (``signals/meaning.py``), however the row puts it; a status or a string that cannot be read is kept
raw and is a no.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from consent import gate
from consent.acts import IMPORT, ActView, Confirmation, NewAct, Notice, Status
from consent.precedence import Rules
from consent.purposes import Basis, Purpose
from consent.signals import meaning, table
from consent.signals.meaning import Heard
from identity.identifiers import Identifier
from kernel.ids import ActId, IdentifierId, RecordId

_CODE: Final = re.compile(
    r"[\w./:-]{1,64}"
)  # variants stand in clear and outlive an erasure: codes only; prose is kept sealed
# A time before there were people on the web (0001, 1900, the zero of a clock in 1970) is how systems write that they know none.
BELIEVABLE_FROM: Final = datetime(1990, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ImportedConsent:
    """One consent as a file tells it; None where the file says nothing.

    The act is about ``record`` when the row names a source record, else about the first identifier.
    """

    source: str
    identifiers: tuple[Identifier, ...]
    purpose: str
    status: str
    mechanism: str
    notice: str | None = None
    given_at: datetime | None = None
    channel: str | None = None
    basis: str | None = None
    jurisdiction: str | None = None
    expires_at: datetime | None = None
    signal: str | None = None
    signal_kind: str | None = None
    record: RecordId | None = None
    confirmed_at: datetime | None = None  # double opt-in in the other system: when, and what it has to show for it
    confirmation: str | None = None


def row_to_act(
    row: ImportedConsent,
    subject: IdentifierId | RecordId,
    *,
    rules: Rules,
    notices: Mapping[str, Notice],
    jurisdiction: str,
    now: datetime,
    vendor: int | None = None,
) -> NewAct:
    """The act that a row tells of. ``notices`` are those whose text is held, by version; ``vendor``: our id of the TCF."""
    declared = rules.purposes.get(row.purpose)
    if row.given_at is not None and row.given_at < BELIEVABLE_FROM:
        row = replace(row, given_at=None)
    place = row.jurisdiction or jurisdiction
    basis = row.basis or (declared.basis_in(place) if declared else Basis.CONSENT)
    word = row.status.strip().lower()
    heard = None if row.signal is None else _heard(row, now, vendor)
    spoken = heard.of(row.purpose) if heard else None
    if spoken is Status.DENIED or (spoken is Status.GRANTED and not word):
        word = spoken
    readable = word in {Status.GRANTED, Status.DENIED} and (
        row.signal is None or spoken in {Status.GRANTED, Status.DENIED}
    )
    notice = None if not row.notice else notices.get(row.notice, Notice.named(row.notice))
    if heard is not None and spoken is Status.DENIED and row.given_at is None:
        row = replace(row, given_at=heard.given_at)
    if heard is not None and spoken is Status.GRANTED:
        row = replace(row, given_at=heard.given_at, expires_at=_sooner(row.expires_at, heard.expires_at))
        notice = heard.notice and Notice.named(heard.notice.version, language=heard.notice.language)
    prose = "" if not row.mechanism or _CODE.fullmatch(row.mechanism) else row.mechanism
    # How the person said no keeps its rank; a yes from a file never outranks what she told us herself.
    own_rank = readable and word == Status.DENIED and rules.precedence.ranks_as_withdrawal(row.mechanism)
    return NewAct(
        subject=subject,
        purpose=row.purpose,
        status=Status(word) if readable else Status.UNREADABLE,
        channel=_channel(row, declared, granted=readable and word == Status.GRANTED),
        basis=basis,
        jurisdiction=place,
        notice=notice,
        mechanism=row.mechanism if own_rank else IMPORT,
        actor=f"source:{row.source}",
        given_at=row.given_at or now,
        expires_at=row.expires_at,
        raw=(row.signal if row.signal is not None else prose if readable else row.status).encode(),
        verified=readable and notice is not None and row.given_at is not None and bool(row.mechanism),
        variant="prose" if prose else row.mechanism or "unknown",
        confirmation=None
        if row.confirmed_at is None
        else Confirmation("told", row.confirmed_at, evidence=(row.confirmation or "").encode()),
    )


def _channel(row: ImportedConsent, declared: Purpose | None, *, granted: bool) -> str | None:
    """The channel in our words ("E-Mail" means email). A no must not be lost: one to a channel that is not ours ends the whole purpose."""
    named = row.channel.strip().lower().replace("-", "") if row.channel else ""
    if not granted and declared is not None and named not in declared.channels:
        return None
    return named or None


def same_as(act: NewAct, said: Iterable[ActView], *, timed: bool, rules: Rules, now: datetime) -> ActId | None:
    """The act that already says what this one of a file says, so that a file that is read again adds nothing.

    With a time (``timed``): the very same word of that time. Without: a no that stands, or a yes that counts for nothing.
    """
    like = [
        one
        for one in said
        if (one.mechanism, one.status, one.purpose) == (act.mechanism, act.status, act.purpose)
        and rules.purposes.channel_of(one.purpose, one.channel) == rules.purposes.channel_of(act.purpose, act.channel)
    ]
    if timed:
        found = [one for one in like if (one.given_at, one.verified) == (act.given_at, act.verified)]
    elif act.status == Status.GRANTED:
        found = [one for one in like if not one.verified and one.has_notice == (act.notice is not None)]
    else:
        standing = {one.id for one in gate.standing(said, rules, act.purpose, act.channel, now)}
        found = [one for one in like if one.id in standing]
    return min((one.id for one in found), default=None)


def _heard(row: ImportedConsent, now: datetime, vendor: int | None) -> Heard | None:
    """What the string of a row says; None when its kind is not one that is read here."""
    match (row.signal_kind or "").strip().lower():
        case "tcf":
            return meaning.of_tcf(row.signal or "", table.load(), now, vendor=vendor, place=row.jurisdiction or "")
        case "gpp":
            answers = meaning.of_gpp(row.signal or "", table.load(), now, vendor=vendor, place=row.jurisdiction or "")
            return next((heard for heard in answers if heard.of(row.purpose) is not None), None)
        case _:
            return None


def _sooner(one: datetime | None, other: datetime | None) -> datetime | None:
    known = [moment for moment in (one, other) if moment is not None]
    return min(known, default=None)
