"""What decision needs of the house's way out: advice on caps and suppression, and the reservation inside its commit. `Channels` has it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from channels.advice import Advice
from channels.caps import CapRule
from channels.content import Content
from channels.deliveries import NewDelivery, Withheld
from channels.web.standing import Elsewhere, Standing
from kernel.db import Conn, Piece
from kernel.ids import DecisionId, DeliveryId, IdentifierId, PersonId


class Outbound(Protocol):
    """Every method runs on the caller's connection. Advice may be stale the moment it is given; `reserve` is the authority."""

    def refusal(self, content: Content, channel: str) -> str | None:
        """Why these words could not be queued on this channel, whoever they are for; None when they could."""
        ...

    async def advice(
        self, person: PersonId, reach: Mapping[str, IdentifierId], rules: Mapping[str, Sequence[CapRule]], at: datetime,
        *, fresh: bool = False, words: bytes | None = None,
    ) -> Advice:  # fmt: skip
        """Suppressed contact points and full caps for a message at this time, by channel; remembered, or (`fresh`) from Postgres.

        `words`: what the hot store has at `channels.advice.key_of` the person, of who read it along with something else.
        """
        ...

    async def reserve(self, conn: Conn, deliveries: Sequence[NewDelivery]) -> Sequence[DeliveryId | Withheld]:
        """Take caps and queue messages, or say why not, one answer each; a refusal harms no neighbour."""
        ...

    async def stand(self, conn: Conn, wishes: Sequence[tuple[Standing, DecisionId | None]]) -> Sequence[bool]:
        """Let web decisions stand on their pages, each where what it replaces still stands; a False has written nothing."""
        ...

    def watching(self, people: Iterable[PersonId]) -> Piece:
        """A query of those of these people who have pages to be told, as part of a statement."""
        ...

    async def elsewhere(self, conn: Conn, decisions: Sequence[Elsewhere]) -> None:
        """Tell people's pages what other channels carry to them."""
        ...
