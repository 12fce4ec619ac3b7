"""What bears on people, read from the acts and the graph: the states that the gate is asked with.

Enters: people, or identifiers that came together. Leaves: a ``ConsentState`` for each, strictest over the graph (consent.C1, C14). Nothing is stored:
a state is derived each time, from the acts on everything a person has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from consent import store
from consent.gate import ConsentState
from consent.in_force import Book
from identity.past import PastMembership
from identity.people import Membership
from identity.service import Identity
from kernel.db import Conn
from kernel.ids import IdentifierId, PersonId


class States:
    """Reads states; one object serves many requests."""

    def __init__(self, identity: Identity, book: Book) -> None:
        self._identity = identity
        self._book = book

    async def of(
        self, conn: Conn, people: Sequence[PersonId], *, known_at: datetime | None = None
    ) -> Mapping[PersonId, ConsentState]:
        """The state of each person, as ``Consent.states`` says."""
        rules = self._book.mine.rules if known_at is None else await self._book.of(conn, known_at)
        versions = await store.versions(conn, people)
        members = await self._members(conn, people, known_at)
        maybe = {other for held in members.values() for other in held.loose}
        others = await self._members(conn, sorted(maybe - members.keys()), known_at) if maybe else {}
        everyone = {**others, **members}
        subjects: dict[PersonId, tuple[str, ...]] = {
            person: (*held.identifiers, *held.records) for person, held in everyone.items()
        }
        said = await store.views(
            conn, list(dict.fromkeys(s for held in subjects.values() for s in held)), known_at=known_at
        )
        states = {}
        for person in people:
            version = versions.get(person)
            own = frozenset(subjects.get(person, ()))
            loose = members[person].loose if person in members else ()
            acts = [act for s in own for act in said.get(s, ())]
            acts += [
                replace(act, loose=True)
                for s in {s for other in loose for s in subjects.get(other, ())} - own
                for act in said.get(s, ())
            ]
            erased = version.erased_at if version else None
            states[person] = ConsentState(
                person=person,
                version=version.version if version else 0,
                acts=tuple(acts),
                rules=rules,
                known=bool(own),
                erased_at=erased if known_at is None or (erased is not None and erased <= known_at) else None,
            )
        return states

    async def _members(
        self, conn: Conn, people: Sequence[PersonId], known_at: datetime | None
    ) -> Mapping[PersonId, Membership | PastMembership]:
        """What makes up each person: on the graph of now, or the one of then."""
        if known_at is None:
            return await self._identity.members(conn, people)
        return await self._identity.past.members(conn, people, known_at)

    async def of_identifiers(self, conn: Conn, groups: Sequence[Sequence[IdentifierId]]) -> list[ConsentState]:
        """One state per group of identifiers, as ``Consent.states_of_identifiers`` says."""
        everything = list(dict.fromkeys(one for group in groups for one in group))
        subjects = await self._identity.subjects(conn, everything)
        states = await self.of(conn, sorted({p for s in subjects.values() for p in s.people}))
        said = await store.views(conn, everything)
        answers = []
        for group in groups:
            people = sorted({p for one in group if one in subjects for p in subjects[one].people})
            own = {act.id: act for one in group for act in said.get(one, ())}
            for person in people:
                for act in states[person].acts:
                    own.setdefault(act.id, act if len(people) == 1 else replace(act, loose=True))
            answers.append(
                ConsentState(
                    person=people[0] if len(people) == 1 else None,
                    version=states[people[0]].version if len(people) == 1 else 0,
                    acts=tuple(own.values()),
                    rules=self._book.mine.rules,
                )
            )
        return answers
