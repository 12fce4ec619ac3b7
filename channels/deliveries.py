"""Deliveries as nouns: what is asked for, what is answered, what is kept.

Enters: nothing; these are the shapes. A delivery is one attempt to reach one contact point because of one decision.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from channels.caps import CapRule
from channels.content import Content
from channels.ledger import State
from kernel.ids import DecisionId, DeliveryId, IdentifierId, KeyId, PersonId


class No(StrEnum):
    """Why nothing is sent. A consent "no" carries the gate's own reason code instead."""

    CAP = "cap"
    SUPPRESSED = "suppressed"
    NO_KEY = "no_key"
    NO_CONNECTOR = "no_connector"
    EXPIRED = "expired"
    ERASED = "erased"
    CONTACT_GONE = "contact_gone"
    TOO_MANY_ATTEMPTS = "too_many_attempts"
    CALLED_OFF = "called_off"
    CORRECTED = "corrected"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """A message to be sent. `deliver_after` None is now. `key_id` seals the content; None takes a key of the person."""

    decision_id: DecisionId
    person: PersonId
    identifier_id: IdentifierId
    channel: str
    purpose: str
    content: Content
    expires_at: datetime
    deliver_after: datetime | None = None
    cap_rules: Sequence[CapRule] = ()
    key_id: KeyId | None = None


@dataclass(frozen=True, slots=True)
class Withheld:
    """Nothing was reserved, and why: a code of `No`, or of the rendering's refusal."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One row of the ledger, without content."""

    delivery_id: DeliveryId
    decision_id: DecisionId
    person: PersonId
    identifier_id: IdentifierId
    channel: str
    purpose: str
    state: State
    key_id: KeyId
    deliver_after: datetime
    expires_at: datetime
    reserved_at: datetime
    changed_at: datetime
    generation: int
    attempts: int
    cap_keys: tuple[str, ...]
    connector: str | None
    provider_id: str | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTaken:
    """One line of a delivery's history."""

    at: datetime
    state: State
    reason: str | None


@dataclass(frozen=True, slots=True)
class DispatchReport:
    """What one call of `dispatch` did, by resulting state; `reasons` counts the noes."""

    states: Mapping[str, int]
    reasons: Mapping[str, int]

    @property
    def total(self) -> int:
        """Deliveries that moved."""
        return sum(self.states.values())
