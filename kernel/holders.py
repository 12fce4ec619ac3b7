"""Needs that run upward, as protocols: rooms implement them, ``orchestration/wiring.py`` registers them."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import PersonId


class PersonalDataHolder(Protocol):
    """A room that holds personal data of a person.

    Both methods run inside the caller's transaction and must be idempotent: a subject request may be run again after a
    crash. A person without data is an empty export and a count of 0, not an error.
    """

    @property
    def name(self) -> str:
        """The room, as named in the export (``events``, ``profiles``…)."""
        ...

    async def export(self, conn: Conn, person: PersonId) -> Json:
        """Everything held about the person, opened, in words a person can read."""
        ...

    async def erase(self, conn: Conn, person: PersonId) -> int:
        """Remove what destroying keys does not (indexes, pseudonymous rows); the number of rows touched."""
        ...


class ImpactCounter(Protocol):
    """A room that can tell what a merge or a rule change would touch, before it is made."""

    async def count(self, conn: Conn, people: Sequence[PersonId]) -> Mapping[str, int]:
        """Things held for these people by name (``{"deliveries": 3}``); reads only."""
        ...
