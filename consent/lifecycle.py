"""The life of a subject request: states and the steps between them, after the Data Rights Protocol 0.9.4.

What enters: a state and a step. What leaves: the next state, or ``RequestState``. An erasure is approved by somebody else
than its opener before it runs; every other right runs from ``open``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Final

from consent.errors import RequestState
from kernel.ids import IdentifierId, PersonId, RequestId


class Right(StrEnum):
    """What may be asked."""

    ACCESS = "access"
    CATEGORIES = "access_categories"  # what kinds of things, from where, for whom; no single piece
    PORTABILITY = "portability"
    RECTIFICATION = "rectification"
    ERASURE = "erasure"
    RESTRICTION = "restriction"
    OBJECTION = "objection"
    WITHDRAWAL = "withdrawal"
    OPT_OUT = "opt_out"
    OPT_IN = "opt_in"
    LIMIT_SENSITIVE = "limit_sensitive"
    ADMT_OPT_OUT = "admt_opt_out"  # automated decision-making technology, 11 CCR 7200 and following
    ADMT_ACCESS = "admt_access"


class Manner(StrEnum):
    """How it was made (11 CCR 7101)."""

    PREFERENCE_PAGE = "preference_page"
    WEB_FORM = "web_form"
    EMAIL = "email"
    PHONE = "phone"
    POST = "post"
    IN_PERSON = "in_person"
    AGENT = "agent"
    API = "api"
    STAFF = "staff"
    SYSTEM = "system"


class State(StrEnum):
    """Where a request stands."""

    OPEN = "open"
    IN_PROGRESS = "in_progress"
    FULFILLED = "fulfilled"
    REVOKED = "revoked"
    DENIED = "denied"
    EXPIRED = "expired"


class Denial(StrEnum):
    """Why a request was refused."""

    SUSPECTED_FRAUD = "suspected_fraud"
    INSUFFICIENT_VERIFICATION = "insuf_verification"
    NO_MATCH = "no_match"
    NOT_COVERED = "claim_not_covered"
    OUTSIDE_JURISDICTION = "outside_jurisdiction"
    TOO_MANY = "too_many_requests"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of an identity check. ``evidence`` is a salt and a digest: what was shown is not kept."""

    method: str
    passed: bool
    by: str
    at: datetime
    evidence: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A subject request as it stands."""

    id: RequestId
    right: Right
    person: PersonId
    regime: str
    state: State
    reason: str | None
    opened_by: str
    approved_by: str | None
    suppress: bool
    received_at: datetime
    due_on: date
    approved_at: datetime | None
    closed_at: datetime | None
    counts: Mapping[str, int] | None
    manner: str = Manner.STAFF.value
    agent: str | None = None
    seeds: tuple[IdentifierId, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)
    verdict: Verdict | None = None
    confirmed_at: datetime | None = None
    first_due_on: date | None = None
    extended_at: datetime | None = None
    extension_reason: str | None = None
    alarmed: int = 0
    reach: Mapping[str, Sequence[str]] | None = None
    response: str | None = None


# The names of other vocabularies; the protocol's own template and table disagree on the hyphen, so both are read.
NAMES: Final = {
    "deletion": Right.ERASURE,
    "sale:opt_out": Right.OPT_OUT,
    "sale:opt-out": Right.OPT_OUT,
    "sale:opt_in": Right.OPT_IN,
    "sale:opt-in": Right.OPT_IN,
    "access:categories": Right.CATEGORIES,
    "access:specific": Right.ACCESS,
    "correction": Right.RECTIFICATION,
    "withdraw": Right.WITHDRAWAL,
    "limit": Right.LIMIT_SENSITIVE,
    **{right.value: right for right in Right},
}

NEED_VERIFICATION: Final = "need_user_verification"  # the protocol's one reason of a request in progress

FINAL: Final = frozenset({State.FULFILLED, State.REVOKED, State.DENIED, State.EXPIRED})

STEPS: Final[dict[str, tuple[frozenset[State], State]]] = {
    "approve": (frozenset({State.OPEN, State.IN_PROGRESS}), State.IN_PROGRESS),
    "verify": (frozenset({State.OPEN, State.IN_PROGRESS}), State.IN_PROGRESS),
    "replan": (frozenset({State.IN_PROGRESS}), State.OPEN),
    "fulfil": (frozenset({State.OPEN, State.IN_PROGRESS}), State.FULFILLED),
    "deny": (frozenset({State.OPEN, State.IN_PROGRESS}), State.DENIED),
    "revoke": (frozenset({State.OPEN, State.IN_PROGRESS}), State.REVOKED),
    "expire": (frozenset({State.OPEN, State.IN_PROGRESS}), State.EXPIRED),
}


def step(name: str, state: State) -> State:
    """The state after this step.

    Raises:
        RequestState: the step does not start from there.
    """
    starts, end = STEPS[name]
    if state not in starts:
        raise RequestState(
            f"expected a request that is {' or '.join(sorted(starts))} to {name}, got one that is {state}"
        )
    return end
