"""What the command line, the preference page and an export show: frozen, ready to be written as text or JSON."""

from dataclasses import dataclass
from datetime import datetime

from consent.acts import Confirmed, ConsentAct
from consent.gate import Permission
from consent.reasons import text
from kernel.canonical import Json
from kernel.ids import PersonId


@dataclass(frozen=True, slots=True)
class Check:
    """An answer of the gate for one person, with the act it rests on."""

    person: PersonId
    purpose: str
    channel: str | None
    at: datetime
    permission: Permission
    act: ConsentAct | None
    consent_version: int
    known_at: datetime | None = None

    def as_json(self) -> dict[str, Json]:
        """As `candor consent check --json` prints it."""
        return {
            "person": self.person,
            "purpose": self.purpose,
            "channel": self.channel,
            "at": self.at.isoformat(),
            "known_at": self.known_at.isoformat() if self.known_at else None,
            "answer": self.permission.answer.value,
            "reason": str(self.permission.reason),
            "text": text(self.permission.reason),
            "act": HistoryLine(self.act, None).as_json() if self.act else None,
            "consent_version": self.consent_version,
        }


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One act, the words of its notice if they are held, and what confirmed it, or that nothing has."""

    act: ConsentAct
    notice_text: str | None
    confirmed: Confirmed | None = None
    pending: bool = False  # a yes that counts for nothing itself, since it asked for a confirmation
    answered: bool = False  # and another act confirms it

    def as_json(self, raw: str | None = None, proof: str | None = None) -> dict[str, Json]:
        """Every field of the act; ``raw`` is what carried it, ``proof`` the evidence of its confirmation, both opened."""
        act = self.act
        shown: dict[str, Json] = {
            "id": act.id,
            "subject": act.subject,
            "purpose": act.purpose,
            "status": act.status,
            "channel": act.channel,
            "basis": act.basis,
            "jurisdiction": act.jurisdiction,
            "data_categories": list(act.categories),
            "controller": act.controller,
            "variant": act.variant,
            "mechanism": act.mechanism,
            "actor": act.actor,
            "given_at": act.given_at.isoformat(),
            "recorded_at": act.recorded_at.isoformat(),
            "expires_at": act.expires_at.isoformat() if act.expires_at else None,
            "verified": act.verified,
            "notice": None,
        }
        if self.pending:
            shown["confirmation"] = "given_later" if self.answered else "pending"
        elif self.confirmed is not None:
            shown["confirmation"] = {
                "way": self.confirmed.way,
                "at": self.confirmed.at.isoformat(),
                "confirms": self.confirmed.pending,
                **({"evidence": proof} if proof is not None else {}),
            }
        if act.notice is not None:
            shown["notice"] = {
                "text_hash": act.notice.text_hash,
                "version": act.notice.version,
                "language": act.notice.language,
                "listed": sorted(act.notice.listed),
                "text": self.notice_text,
            }
        if raw is not None:
            shown["raw"] = raw
        return shown
