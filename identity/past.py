"""The graph as it was: who had what at a moment, as it was known then.

Enters: people or a contact, and a moment. Leaves: what made them up by the graph that was live then, with the records that had come in by then; who might have been
the same, by shared identifiers and by the doubts of that graph. What was erased since is gone from the past too. Doubts of graphs from before they
were kept cannot be asked, and that is an error, never a guess.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from identity import past_store
from identity.errors import AmbiguousContact, PastUnknown, PersonNotFound
from identity.identifiers import Identifier, parse_contact
from identity.past_store import Moment
from identity.settings import IdentitySettings
from kernel.db import Conn
from kernel.ids import IdentifierId, PersonId, RecordId, is_id

# Ids of those contacts that are stored.
Known = Callable[[Conn, Sequence[Identifier]], Awaitable[Mapping[Identifier, IdentifierId]]]
_GROUP: Final = "group_id"  # many share it by design


@dataclass(frozen=True, slots=True)
class PastMembership:
    """What made up a person then; ``loose``: others who might have been the same."""

    records: tuple[RecordId, ...]
    identifiers: tuple[IdentifierId, ...]
    loose: tuple[PersonId, ...]


class Past:
    """Reads earlier graphs; one object serves many requests."""

    def __init__(self, settings: IdentitySettings, known: Known) -> None:
        self._settings = settings
        self._known = known

    async def members(self, conn: Conn, people: Sequence[PersonId], at: datetime) -> Mapping[PersonId, PastMembership]:
        """What made up each person; who was nobody then is absent. A retired id is asked as herself.

        Raises:
            PastUnknown: the doubts of the graph of then were not kept.
        """
        if not people:
            return {}
        then = await self._moment(conn, at)
        records = await past_store.records(conn, people, then)
        of_record = {record: person for person, held in records.items() for record in held}
        carried = await past_store.identifiers(conn, list(of_record))
        identifiers: dict[PersonId, dict[IdentifierId, str]] = defaultdict(dict)
        for record, identifier, kind in carried:
            identifiers[of_record[record]][identifier] = kind
        sharing = await self._sharing(conn, {i for held in identifiers.values() for i in held}, then)
        pairs = await past_store.doubts(conn, list(of_record), then)
        others = await past_store.holders(conn, [other for _, other in pairs], then)
        doubted: dict[PersonId, set[PersonId]] = defaultdict(set)
        for mine, other in pairs:
            if other in others:
                doubted[of_record[mine]].add(others[other])
        found = {}
        for person, held in records.items():
            near = {p for one, kind in identifiers[person].items() if kind != _GROUP for p in sharing.get(one, ())}
            loose = (near | doubted[person]) - {person}
            found[person] = PastMembership(tuple(held), tuple(sorted(identifiers[person])), tuple(sorted(loose)))
        return found

    async def owners(self, conn: Conn, records: Sequence[RecordId], at: datetime) -> Mapping[RecordId, PersonId]:
        """The person of each record then; a record that came later, or is erased, is absent."""
        return await past_store.holders(conn, records, (await past_store.moment(conn, at))[0])

    async def names(self, conn: Conn, people: Sequence[PersonId]) -> Mapping[PersonId, list[PersonId]]:
        """Every id that a record of each live person ever stood under, her own first: merged people's, and that of whom she was parted from."""
        found = {person: [person] for person in people}
        for person, other in await past_store.ever(conn, people) if people else ():
            if other not in found[person]:
                found[person].append(other)
        return found

    async def lookup(self, conn: Conn, person_or_contact: str, at: datetime) -> PersonId:
        """The person behind ``per_…`` (no redirect is followed: she was herself then) or ``kind:value``.

        Raises:
            PersonNotFound: nobody then, or erased since. AmbiguousContact: several people held the contact.
        """
        if is_id(person_or_contact, "per"):
            person = PersonId(person_or_contact)
            if not await past_store.existed(conn, person, at):
                raise PersonNotFound("expected a person of that moment, got an id that is unknown, younger or erased")
            return person
        contact = parse_contact(person_or_contact, region=self._settings.default_region)
        known = (await self._known(conn, [contact])).get(contact)
        then = await self._moment(conn, at)
        carried = await past_store.carriers(conn, [known]) if known is not None else []
        found = set((await past_store.holders(conn, [record for _, record in carried], then)).values())
        if len(found) > 1:
            raise AmbiguousContact(
                f"expected a {contact.kind} that one person held then, got one of {len(found)} people"
            )
        if not found:
            raise PersonNotFound(
                f"expected a contact ({contact.kind}) that somebody held then, got one that nobody did"
            )
        return found.pop()

    async def _moment(self, conn: Conn, at: datetime) -> Moment:
        then, since = await past_store.moment(conn, at)
        if then.version < since:
            raise PastUnknown(f"expected a moment of graph version {since} or later, got one of version {then.version}")
        return then

    async def _sharing(self, conn: Conn, ids: set[IdentifierId], then: Moment) -> dict[IdentifierId, set[PersonId]]:
        """Who held each identifier then; those of a crowd are absent."""
        carried = await past_store.carriers(conn, sorted(ids))
        held = await past_store.holders(conn, [record for _, record in carried], then)
        found: dict[IdentifierId, set[PersonId]] = defaultdict(set)
        for identifier, record in carried:
            if record in held:
                found[identifier].add(held[record])
        return {one: people for one, people in found.items() if len(people) <= self._settings.loose_limit}
