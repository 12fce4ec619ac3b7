"""Providers: whoever carries messages for us got contacts with them, signs no letters, and has a call of its own to erase (consent.D13).

What enters: a person; later the contacts that were handed on. What leaves: whether any were, and the provider's receipt for the job. A provider promises no more than that it took the job: there is no
signed acknowledgement and no probe, so such a letter ends as ``taken``, never as ``proven``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import PersonId


@dataclass(frozen=True, slots=True)
class Taken:
    """What came back: ``fault`` is a code when the job was not taken, ``receipt`` what the provider calls it."""

    fault: str | None = None
    receipt: str = ""


class Provider(Protocol):
    """One that must erase too. Both methods may be called again: to erase twice is to erase."""

    @property
    def name(self) -> str:
        """As deliveries name it."""
        ...

    @property
    def url(self) -> str:
        """Where it is asked."""
        ...

    async def holds(self, conn: Conn, people: Sequence[PersonId]) -> bool:
        """Whether anything of the person under these ids was handed to it; reads only. Nobody is told of somebody whom they do not know."""
        ...

    async def erase(self, subjects: Sequence[Json]) -> Taken:
        """Ask it to erase what it holds about these (``{"kind", "value"}``); never raises for what the network does."""
        ...
