"""What bears on people, read from the acts and the graph: the states that the gate is asked with.

Enters: people, or identifiers that came together. Leaves: a ``ConsentState`` for each, strictest over the graph (consent.C1, C14). Nothing is stored:
a state is derived each time, from the acts on everything a person has.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from consent import store
from consent.acts import ActView
from consent.gate import ConsentState
from consent.in_force import Book
from identity.around import Around
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
            loose = members[person].loose if person in members else ()
            acts = _bearing(person, subjects, loose, said)
            erased = version.erased_at if version else None
            states[person] = ConsentState(
                person=person,
                version=version.version if version else 0,
                acts=acts,
                rules=rules,
                known=bool(subjects.get(person)),
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
        return [
            self._grouped(
                group,
                sorted({p for one in group if one in subjects for p in subjects[one].people}),
                said,
                {person: state.acts for person, state in states.items()},
                {person: state.version for person, state in states.items()},
            )
            for group in groups
        ]

    async def around(self, conn: Conn, seen: Around, groups: Sequence[Sequence[IdentifierId]]) -> list[ConsentState]:
        """The same of what was seen around these identifiers, in one question; no versions, so nothing may be fenced by it."""
        everything = dict.fromkeys(one for group in groups for one in group)
        said = await store.views(
            conn, list(everything | dict.fromkeys(s for held in seen.subjects.values() for s in held))
        )
        acts = {
            person: _bearing(person, seen.subjects, seen.loose.get(person, ()), said)
            for person in {p for one in everything for p in seen.people.get(one, ())}
        }
        return [
            self._grouped(group, sorted({p for one in group for p in seen.people.get(one, ())}), said, acts, {})
            for group in groups
        ]

    def _grouped(
        self,
        group: Sequence[IdentifierId],
        people: Sequence[PersonId],
        said: Mapping[str, Sequence[ActView]],
        acts: Mapping[PersonId, Sequence[ActView]],
        versions: Mapping[PersonId, int],
    ) -> ConsentState:
        """Of identifiers that came together: what was said on them, and what binds whoever holds them."""
        own = {act.id: act for one in group for act in said.get(one, ())}
        for person in people:
            for act in acts[person]:
                own.setdefault(act.id, act if len(people) == 1 else replace(act, loose=True))
        only = people[0] if len(people) == 1 else None
        return ConsentState(
            person=only,
            version=versions.get(only, 0) if only is not None else 0,
            acts=tuple(own.values()),
            rules=self._book.mine.rules,
        )


def _bearing(
    person: PersonId,
    subjects: Mapping[PersonId, Sequence[str]],
    loose: Iterable[PersonId],
    said: Mapping[str, Sequence[ActView]],
) -> tuple[ActView, ...]:
    """Every act on what a person is known by, and on what those are known by who may be the same."""
    own = frozenset(subjects.get(person, ()))
    theirs = {s for other in loose for s in subjects.get(other, ())} - own
    return (
        *(act for s in own for act in said.get(s, ())),
        *(replace(act, loose=True) for s in theirs for act in said.get(s, ())),
    )
