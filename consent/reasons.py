"""Every outcome of the gate, on one page: a code that machines keep and a sentence for people.

Codes are stable: they stand in decisions, deliveries and receipts. Add, do not rename.
"""

from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """Why the gate answered what it answered."""

    # granted
    CONSENT_GRANTED = "consent.granted"
    CONSENT_GRANTED_BY_PARENT = "consent.granted_by_parent"
    CONTRACT = "basis.contract"
    LEGAL_OBLIGATION = "basis.legal_obligation"
    VITAL_INTERESTS = "basis.vital_interests"
    PUBLIC_TASK = "basis.public_task"
    LEGITIMATE_INTERESTS = "basis.legitimate_interests"
    # denied
    ERASED = "person.erased"
    RESTRICTED = "person.restricted"
    GPC = "directive.gpc"
    CHANNEL_WITHDRAWN = "withdrawn.channel"
    WITHDRAWN = "consent.withdrawn"
    DENIED = "consent.denied"
    OBJECTION = "basis.objection"
    SIGNAL = "signal.denied"
    UNDECODABLE = "signal.undecodable"
    PAUSED = "pause.channel"
    CHANNEL_NOT_GOVERNED = "channel.not_governed"
    # undetermined
    MISSING = "consent.missing"
    EXPIRED = "consent.expired"
    UNCONFIRMED = "consent.unconfirmed"
    UNVERIFIED = "consent.unverified"
    PARENT_ONLY = "consent.parent_only"
    UNKNOWN_PURPOSE = "purpose.unknown"
    UNKNOWN_PERSON = "person.unknown"
    MALFORMED = "question.malformed"


TEXTS: Final[dict[Reason, str]] = {
    Reason.CONSENT_GRANTED: "You agreed to this.",
    Reason.CONSENT_GRANTED_BY_PARENT: "You agreed to this as part of a wider choice whose notice named it.",
    Reason.CONTRACT: "Needed to give you what you asked for.",
    Reason.LEGAL_OBLIGATION: "The law asks us to do this.",
    Reason.VITAL_INTERESTS: "It protects someone's life.",
    Reason.PUBLIC_TASK: "It serves a task in the public interest.",
    Reason.LEGITIMATE_INTERESTS: "We have a weighed interest in this, and you have not objected.",
    Reason.ERASED: "Your data was erased at your request.",
    Reason.RESTRICTED: "You asked us not to use your data for now.",
    Reason.GPC: "Your browser's privacy signal (Global Privacy Control), or a request of yours, told us not to.",
    Reason.CHANNEL_WITHDRAWN: "You unsubscribed from this.",
    Reason.WITHDRAWN: "You agreed once and took it back.",
    Reason.DENIED: "You said no.",
    Reason.OBJECTION: "You objected.",
    Reason.SIGNAL: "The choices you made in a consent window did not include this.",
    Reason.UNDECODABLE: "We were sent a choice that cannot be read, and take it as a no.",
    Reason.PAUSED: "You asked for a break on this channel, and it is not over.",
    Reason.CHANNEL_NOT_GOVERNED: "This purpose does not cover that channel.",
    Reason.MISSING: "You have not agreed to this.",
    Reason.EXPIRED: "Your agreement has run out.",
    Reason.UNCONFIRMED: "You agreed, and have not confirmed it yet.",
    Reason.UNVERIFIED: "We were told of an agreement without its notice, time or way, and do not rely on it.",
    Reason.PARENT_ONLY: "You agreed to something wider whose notice did not name this.",
    Reason.UNKNOWN_PURPOSE: "Nobody has declared this purpose.",
    Reason.UNKNOWN_PERSON: "We hold nothing about this person.",
    Reason.MALFORMED: "The question could not be understood.",
}


def text(code: str) -> str:
    """The sentence for people; an unknown code is said to be one."""
    try:
        return TEXTS[Reason(code)]
    except ValueError:
        return "For a reason this version does not know."
