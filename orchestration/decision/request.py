"""What is asked of decision, and what it answers.

Enters: a subject (person or identifiers), a placement, perhaps wishes. Leaves: `Decision`, the outcome with ids and links.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from audit.access.asking import Asked
from channels.web.standing import Standing
from identity.identifiers import Identifier
from kernel.canonical import Json
from kernel.ids import DecisionId, DeliveryId, EntryId, PersonId
from orchestration.decision.engine import Outcome
from orchestration.decision.slate import Beside


@dataclass(frozen=True, slots=True, kw_only=True)
class OnPage:
    """The choice is for a page, where it stands until it expires or its ground moves.

    `replaces`: the decision that stands there now, as the asker knows it; when another one does by the time of the commit, the answer is
    `StandingMoved` and nothing is written.
    """

    replaces: DecisionId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRequest:
    """One choice to make. Exactly one of `person` ("per_…" or "kind:value") and `identifiers`.

    `send` reserves a delivery in the same commit when the choice goes out by a channel with a queue. `dry_run` writes nothing at all. A `seed`
    makes the draw repeatable; without one it is fresh. `asked`: the same asking again is answered with the decision that the first one made.
    `decision_id` is for callers that may ask again after they were broken off: the decision is kept under this id or, where one is kept under it
    already, the answer is `AlreadyDecided` and nothing is written. `beside`: what other placements of the same page show; it is out before the draw.
    """

    placement: str
    person: str | None = None
    identifiers: tuple[Identifier, ...] = ()
    context: Mapping[str, Json] = field(default_factory=dict)
    channels: frozenset[str] | None = None
    trigger: str | None = None
    send: bool = False
    deliver_after: datetime | None = None
    expires_at: datetime | None = None
    dry_run: bool = False
    seed: str | None = None
    actor: str = "system"
    page: OnPage | None = None
    beside: Beside | None = None
    decision_id: DecisionId | None = None
    asked: Asked | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A decision as answered. `entry_id` is None for a dry run; `delivery_id` where a message was queued; `standing` where it stands on a page;
    `repeated`: it was made when this was asked before.
    """

    decision_id: DecisionId
    person: PersonId
    placement: str
    at: datetime
    expires_at: datetime
    choice: str
    variant: str | None
    channel: str | None
    propensity: float
    withheld: str | None
    outcome: Outcome
    attempts: int
    entry_id: EntryId | None = None
    delivery_id: DeliveryId | None = None
    standing: Standing | None = None
    repeated: bool = False

    @property
    def dry_run(self) -> bool:
        """It was not kept."""
        return self.entry_id is None

    @property
    def nothing(self) -> bool:
        """Nothing is shown or sent."""
        return self.variant is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A decision run again. `status`: identical, different (with both digests) or redacted (the person was erased)."""

    decision_id: DecisionId
    status: str
    recorded: str
    replayed: str | None
    entry_id: EntryId | None = None

    @property
    def identical(self) -> bool:
        """The same bytes again."""
        return self.status == "identical"

    @property
    def digest(self) -> str:
        """Of the run just made; of the record where it cannot be run."""
        return self.replayed or self.recorded

    @property
    def ok(self) -> bool:
        """Nothing speaks against the record."""
        return self.status != "different"
