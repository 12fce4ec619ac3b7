"""A run: one trigger that was set off for one person, from the moment it happened to the decision, and which step may follow which. Pure.

    waiting ── claim ──> deciding ── send ──────> sent          a message is queued
       ^                  │  │  └──── withhold ──> withheld      the decision was that nothing may or should leave; the reason is the decision's
       └──── put off ─────┘  ├──────── call off ─> called_off    no decision was asked for, and why
       waiting ──────────────┘
       deciding ── fail ──> failed                               nothing could be decided, whatever was tried

A run is *settled* once its turn is certain: from then on it uses up its person's turn in the trigger's window, and its decision has its id already. What dies afterwards
finds the decision by that id, or makes it under that id; so no message is ever decided twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal

from kernel.ids import DecisionId, DeliveryId, EventId, PersonId
from orchestration.triggers.errors import IllegalStep
from orchestration.triggers.rules import Kind

RunKind = Kind | Literal["campaign"]


class State(StrEnum):
    """Where a run stands."""

    WAITING = "waiting"
    DECIDING = "deciding"
    SENT = "sent"
    WITHHELD = "withheld"
    CALLED_OFF = "called_off"
    FAILED = "failed"


class Step(StrEnum):
    """What may happen to a run."""

    CLAIM = "claim"
    PUT_OFF = "put_off"
    SEND = "send"
    WITHHOLD = "withhold"
    CALL_OFF = "call_off"
    FAIL = "fail"


class Why(StrEnum):
    """Why a run took a step, beside the reasons of decisions and of events."""

    DUE = "due"
    NOT_DUE = "not_due"
    QUIET_HOURS = "quiet_hours"
    LEASE_OVER = "lease_over"
    TRY_AGAIN = "try_again"
    TOO_LATE = "too_late"
    ONCE_PER = "once_per"
    ERASED = "erased"
    KILLED = "campaign_killed"
    GONE = "trigger_gone"
    LEFT_SEGMENT = "left_segment"
    MACHINE = "machine"
    NO_MATCH = "no_match"
    NOTHING_LEFT = "nothing_left"
    NOTHING_BETTER = "nothing_was_better"
    TOO_MANY_ATTEMPTS = "too_many_attempts"


FROM: Final[Mapping[Step, tuple[frozenset[State], State]]] = {
    Step.CLAIM: (frozenset({State.WAITING, State.DECIDING}), State.DECIDING),  # deciding: its lease is over
    Step.PUT_OFF: (frozenset({State.DECIDING}), State.WAITING),
    Step.SEND: (frozenset({State.DECIDING}), State.SENT),
    Step.WITHHOLD: (frozenset({State.DECIDING}), State.WITHHELD),
    Step.CALL_OFF: (frozenset({State.WAITING, State.DECIDING}), State.CALLED_OFF),
    Step.FAIL: (frozenset({State.DECIDING}), State.FAILED),
}
OPEN: Final = (State.WAITING, State.DECIDING)
ENDS: Final = tuple(one for one in State if one not in OPEN)


def after(state: State, step: Step) -> State:
    """The state that follows.

    Raises:
        IllegalStep: the step may not be taken from there.
    """
    allowed, then = FROM[step]
    if state not in allowed:
        raise IllegalStep(f"expected a run that may {step}, got one that is {state}")
    return then


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A trigger was set off. `key` is unique within the trigger: the same thing sets it off once, however often it is told."""

    trigger: str
    kind: Kind
    key: str
    person: PersonId
    at: datetime
    due_at: datetime
    event_id: EventId | None = None
    single: bool = False
    """While another run of this trigger and person is open, this is part of that one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One row. `at`: when what set it off happened. `decision_id` is there before the decision is."""

    run_id: str
    trigger: str
    kind: RunKind
    person: PersonId | None
    at: datetime
    due_at: datetime
    state: State
    reason: str
    generation: int
    attempts: int
    settled_at: datetime | None
    decision_id: DecisionId | None
    delivery_id: DeliveryId | None
    event_id: EventId | None
    actor: str
    made_at: datetime
    changed_at: datetime

    @property
    def open(self) -> bool:
        """It has not ended."""
        return self.state in OPEN


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTaken:
    """One line of a run's history."""

    at: datetime
    state: State
    reason: str
