"""Needs that run upward, as protocols: rooms implement them, ``orchestration/wiring.py`` registers them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import DecisionId, PersonId, RecordId


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


class Dependant(Protocol):
    """A room that keeps something made of a person's words, which must not be used once they were corrected."""

    async def corrected(self, conn: Conn, person: PersonId, decisions: Sequence[DecisionId]) -> Mapping[str, int]:
        """Undo what is still undone of these decisions, which rested on wrong words; counts by name."""
        ...


class ImpactCounter(Protocol):
    """A room that can tell what a merge or a rule change would touch, before it is made."""

    async def count(self, conn: Conn, people: Sequence[PersonId]) -> Mapping[str, int]:
        """Things held for these people by name (``{"deliveries": 3}``); reads only."""
        ...


@dataclass(frozen=True, slots=True)
class Term:
    """Things of one kind whose time is over: those from before a moment, collected under one of these purposes (where the kind has any),
    but not those of people who are held back, who are named with every id and every record of theirs.
    """

    kind: str
    before: datetime
    purposes: tuple[str, ...] = ()
    people: frozenset[PersonId] = frozenset()
    records: frozenset[RecordId] = frozenset()


class Keeper(Protocol):
    """A room that keeps things for a time. ``keeps`` names the kinds and says from when their age is counted."""

    @property
    def keeps(self) -> Mapping[str, str]:
        """Kind to what it is and when its age begins, in words."""
        ...

    async def overdue(self, conn: Conn, term: Term) -> int:
        """How many things the term names; reads only."""
        ...

    async def let_go(self, conn: Conn, term: Term, limit: int) -> int:
        """Remove at most ``limit`` of them in the caller's transaction, keys and files after its commit; the number removed.

        Fewer than ``limit`` means that none is left.
        """
        ...
