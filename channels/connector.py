"""The way out of the house: what a connector is given and what it may answer.

Enters: a rendered `Message`. Leaves: an `Outcome`. Every connector, in this process or another, obeys the contract written on
`Connector`; `channels/conformance.py` runs it against any of them. Follows spec channels.A6, A13, operations.B5 and DESIGN 5.4.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol, runtime_checkable

from identity.identifiers import HeldIdentifier
from kernel.db import Conn
from kernel.ids import DecisionId, DeliveryId, IdentifierId


class Answer(StrEnum):
    """What became of one attempt."""

    ACCEPTED = "accepted"
    """The provider took the message. It is not delivered: only a receipt says that."""
    REJECTED = "rejected"
    """The provider will never take this message."""
    DEFERRED = "deferred"
    """The provider says: not now, and nothing was taken. The only answer after which the same delivery may be tried again."""
    UNCERTAIN = "uncertain"
    """Bytes may have left and no answer came. Never resent; a receipt may settle it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One rendered message to one recipient. `to` is clear text: it lives in memory and in the provider's hands, nowhere else.

    `html` may be empty on channels without it, `text` never. `headers` carry the list and decision headers of email.
    On push, `subject` is the title and `text` the whole document that the browser is given.
    `reserved_at` is the time of the decision (it names the outbox folder), `at` the time of this attempt.
    `tracked`: the recipient lets us see opens and clicks; without it a connector adds no pixel and changes no link.
    """

    delivery_id: DeliveryId
    decision_id: DecisionId
    channel: str
    to: str
    sender_name: str
    sender_address: str
    subject: str
    text: str
    html: str
    reserved_at: datetime
    at: datetime
    headers: Mapping[str, str] = field(default_factory=dict)
    expires_at: datetime | None = None
    tracked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The connector's word. `reason` is a short code (no address, no provider prose); `retry_after` seconds only with DEFERRED.

    `gone`, with REJECTED: this contact point has ended and is to be dropped.
    """

    answer: Answer
    provider_id: str | None = None
    reason: str | None = None
    retry_after: float | None = None
    gone: bool = False


class Connector(Protocol):
    """Sends one message over one channel.

    - Durable on return: when ACCEPTED is answered, the message survives a crash of this process.
    - Idempotent per delivery id where the provider allows it (the outbox does): a second call answers as the first did and
      leaves one message.
    - Concurrent calls for different deliveries are allowed.
    - A provider's "no" is an `Outcome`. An exception means the connector does not know: the dispatcher records UNCERTAIN.
    - Gives up at `deadline`: UNCERTAIN when bytes may have left, DEFERRED when none have.
    - Never retries by itself, never logs `to` or content.
    """

    @property
    def name(self) -> str:
        """The connector's name, for the record: outbox, sendgrid, fcm..."""
        ...

    @property
    def channel(self) -> str:
        """The channel it serves: email, push..."""
        ...

    async def send(self, message: Message, delivery_id: DeliveryId, deadline: datetime) -> Outcome:
        """Send, once."""
        ...

    async def forget(self, delivery_id: DeliveryId, reserved_at: datetime) -> bool:
        """Delete the copy that this connector keeps, for an erasure. True when there was one."""
        ...


@dataclass(frozen=True, slots=True)
class Fault:
    """Something about a connector's configuration that keeps messages or receipts from passing, and what to do."""

    what: str
    remedy: str


@runtime_checkable
class Inspected(Protocol):
    """A connector that can say what is wrong with its configuration; `candor doctor` asks it."""

    def faults(self) -> Sequence[Fault]:
        """What is wrong; empty when messages can leave."""
        ...


@runtime_checkable
class Rehearsed(Protocol):
    """A connector that can be tried without reaching anybody; `candor channel test` does so."""

    def rehearsal(self, folder: Path) -> Connector:
        """A connector like this one that reaches nobody; `folder` is empty and may be filled."""
        ...


@runtime_checkable
class Unreached(Protocol):
    """A connector whose `to` is no e-mail address and that knows one which reaches nobody; a rehearsal is sent there."""

    @property
    def nobody(self) -> str:
        """An address in form."""
        ...


@runtime_checkable
class Closed(Protocol):
    """A connector that holds connections."""

    async def close(self) -> None:
        """Let them go; what is being sent is finished by then."""
        ...


class AddressBook(Protocol):
    """For a channel whose contact points are more than their identifier: what a connector needs to reach them, and whether they live.

    Both run in the transaction of the delivery. What `addresses` leaves out is gone, or serves somebody else by now.
    """

    async def addresses(self, conn: Conn, contacts: Sequence[HeldIdentifier]) -> Mapping[IdentifierId, str]:
        """The `to` of a message to each contact point of one person, clear, in memory only."""
        ...

    async def gone(self, conn: Conn, contact: IdentifierId, to: str) -> bool:
        """The provider says that `to` has ended: drop it, unless it was renewed meanwhile. Whether it was dropped."""
        ...
