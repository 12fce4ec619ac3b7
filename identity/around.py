"""What lies around identifiers that came together: who holds them, what each of those people is known by, who may be the same.

Enters: rows of one look at the graph (``around_store``). Leaves: an ``Around``, for whoever asks about consent before there is time for one question after the other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from identity import around_store
from identity.around_store import Found
from identity.identifiers import Identifier
from identity.index import Index
from identity.settings import IdentitySettings
from kernel.db import Conn
from kernel.ids import IdentifierId, PersonId


@dataclass(frozen=True, slots=True)
class Around:
    """``ids``: of those identifiers that are stored. ``people``: the live ones who hold each. ``loose``: of each of them, who else may be the same.

    ``subjects``: identifiers and records of all of these people, the loose ones too; a person without any is absent.
    """

    ids: Mapping[Identifier, IdentifierId]
    people: Mapping[IdentifierId, tuple[PersonId, ...]]
    loose: Mapping[PersonId, frozenset[PersonId]]
    subjects: Mapping[PersonId, tuple[str, ...]]


class Surroundings:
    """Stands at ``Identity.surroundings``. ``index``: how the store finds an identifier."""

    def __init__(self, index: Callable[[Identifier], Index], settings: IdentitySettings) -> None:
        self._index = index
        self._settings = settings

    async def of(self, conn: Conn, identifiers: Sequence[Identifier]) -> Around:
        """Around identifiers, as one statement sees them; stores nothing, so that asking leaves no trace."""
        index_of = {i: self._index(i) for i in dict.fromkeys(identifiers)}
        found = await around_store.of_indexes(conn, list(index_of.values()), self._settings.loose_limit)
        return around(found, {i: found.ids[index] for i, index in index_of.items() if index in found.ids})

    async def loosely(self, conn: Conn, people: Sequence[PersonId]) -> Mapping[PersonId, frozenset[PersonId]]:
        """Who else may be the same as each of these people; who is alone is absent."""
        found = await around_store.loosely(conn, people, self._settings.loose_limit)
        return {person: others for person in people if (others := loosely(found, person))}


def around(found: Found, ids: Mapping[Identifier, IdentifierId]) -> Around:
    """Of what the store found."""
    held = {person for people in found.holders.values() for person in people}
    return Around(
        ids=ids,
        people={one: tuple(sorted(set(people))) for one, people in found.holders.items()},
        loose={person: others for person in held if (others := loosely(found, person))},
        subjects={
            person: (*sorted(set(found.known.get(person, ()))), *sorted(set(records)))
            for person, records in found.records.items()
        },
    )


def loosely(found: Found, person: PersonId) -> frozenset[PersonId]:
    """Who may be the same as this person: tied by an identifier of few, or by a refused pair."""
    tied = {other for one in found.known.get(person, ()) for other in found.shared.get(one, ())}
    return frozenset(tied.union(found.refused.get(person, ())) - {person})
