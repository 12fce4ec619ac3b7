"""The life of a subject request: states and the steps between them, after the Data Rights Protocol 0.9.4.

What enters: a state and a step. What leaves: the next state, or ``RequestState``. An erasure is approved by somebody else
than its opener before it runs; every other right runs from ``open``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final

from consent.errors import RequestState
from kernel.ids import PersonId, RequestId


class Right(StrEnum):
    """What may be asked."""

    ACCESS = "access"
    PORTABILITY = "portability"
    ERASURE = "erasure"
    RESTRICTION = "restriction"
    OBJECTION = "objection"
    OPT_OUT = "opt_out"


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


# The names of other vocabularies; the protocol's own template and table disagree on the hyphen, so both are read.
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


NAMES: Final = {
    "deletion": Right.ERASURE,
    "sale:opt_out": Right.OPT_OUT,
    "sale:opt-out": Right.OPT_OUT,
    **{right.value: right for right in Right},
}

FINAL: Final = frozenset({State.FULFILLED, State.REVOKED, State.DENIED, State.EXPIRED})

STEPS: Final[dict[str, tuple[frozenset[State], State]]] = {
    "approve": (frozenset({State.OPEN}), State.IN_PROGRESS),
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
