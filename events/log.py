"""The nouns of the room: sources, events, what comes in and what is answered.

What enters and leaves the front door, as immutable values. A person's words (properties, traits, context) are in clear here
and nowhere below this room's ``store``; no ``repr`` shows them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from consent.signals import hearing
from identity.identifiers import Identifier
from kernel.canonical import Json
from kernel.ids import DecisionId, EventId, PersonId, RecordId

FILTERED: Final = "FILTERED_BY_END_USER_CONSENT"
"""Segment's discard reason: the person's choice, or the lack of one, keeps the event out."""

Status = Literal["accepted", "duplicate", "rejected", "filtered"]


@dataclass(frozen=True, slots=True)
class Source:
    """A feed and what it declares: why it collects, on which basis, what else it told people, what its user ids are."""

    name: str
    purpose: str
    basis: str
    also_for: tuple[str, ...] = ()
    user_kind: str = "login_id"


@dataclass(frozen=True, slots=True)
class CollectContext:
    """The circumstances of one request. ``kind`` is the call named by the path; ``browser``: a public key of a visitor."""

    source: str
    received_at: datetime | None = None
    sent_at: datetime | None = None
    kind: str | None = None
    gpc: bool = False
    user_agent: str | None = None
    browser: bool = False
    actor: str = "system"


@dataclass(frozen=True, slots=True)
class ItemResult:
    """What became of one call. ``pointer`` and ``reason`` are set when it was rejected, ``reason`` when filtered."""

    status: Status
    event_id: EventId | None = None
    message_id: str | None = None
    pointer: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, opened in memory."""

    event_id: EventId
    record_id: RecordId
    type: str
    name: str
    event_time: datetime
    known_time: datetime
    received_at: datetime
    source: str
    purpose: str
    basis: str
    properties: Mapping[str, Json] = field(repr=False)
    traits: Mapping[str, Json] = field(repr=False)
    context: Mapping[str, Json] = field(repr=False)
    machine: bool
    confidence: float
    decision_id: DecisionId | None = None
    also_for: tuple[str, ...] = ()

    @property
    def purposes(self) -> tuple[str, ...]:
        """What people were told that this event may serve: the purpose it was collected under, and what else its source declared."""
        return (self.purpose, *self.also_for)


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event of our own: an exposure, a provider's receipt. About a record, or about a person (then her oldest record).

    ``message_id`` makes it idempotent within its source, however often a provider repeats its receipt.
    """

    name: str
    event_time: datetime
    source: str
    purpose: str
    basis: str
    record_id: RecordId | None = None
    person: PersonId | None = None
    properties: Mapping[str, Json] = field(default_factory=dict, repr=False)
    type: str = "track"
    message_id: str | None = None
    machine: bool = False
    confidence: float = 0.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """A checked event at the door, its subject not yet known. ``told`` says that its traits are worth a source record.

    ``refused``: the sender says that this person declined the source's purpose. ``words`` is the JSON that is sealed.
    """

    event_id: EventId
    source: Source
    type: str
    name: str
    event_time: datetime
    known_time: datetime
    received_at: datetime
    identifiers: tuple[Identifier, ...]
    message: bytes
    words: bytes = field(repr=False)
    traits: Mapping[str, str | int | float | bool] = field(default_factory=dict, repr=False)
    kinds: Mapping[str, str] = field(default_factory=dict)
    told: bool = False
    decision_id: DecisionId | None = None
    machine: bool = False
    confidence: float = 0.0
    refused: bool = False
    gpc: bool = False
    strings: hearing.Strings = hearing.NONE
    actor: str = "system"


@dataclass(frozen=True, slots=True)
class Reject:
    """An item that was no call: its fault, what could still be read of its subject, and whether the sender says that she declined."""

    pointer: str
    reason: str
    item: Json = field(repr=False)
    identifiers: tuple[Identifier, ...]
    context: CollectContext
    refused: bool = False


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What became of dead letters that were sent through the door again."""

    accepted: int
    duplicates: int
    rejected: int
    filtered: int
