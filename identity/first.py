"""First answers at collection: a new record that no identifier leads to somebody is looked for by its blocking keys (identity.I30).

Enters: records just written, in the transaction that stores them.  Leaves: the person each may join under the guard, by the rule of ``people.Holders`` besides: never two values
of an exclusive identifier, never whom staff said the row is not; the edges that spoke for it, and its own keys, so that the next one finds it.  Provisional: it settles later.
Nothing is looked for while the live run's terms are not in memory: collection waits for nobody.
"""

from collections.abc import Container, Sequence

from identity import blocks_store, evidence_store, joining_store
from identity.graph import probability
from identity.meeting import ME, Meeting, Terms
from identity.people import Carried, Edge, Holders
from identity.records import NAMING_KINDS, Row
from identity.settings import IdentitySettings
from kernel.db import Conn
from kernel.ids import GraphVersion, PersonId, RecordId


class First:
    """Of one batch of records."""

    def __init__(self, conn: Conn, meeting: Meeting | None, settings: IdentitySettings, kinds: Sequence[str]) -> None:
        self._conn = conn
        self._meeting = meeting
        self._settings = settings
        self._kinds = kinds  # of which nobody has many
        self._terms: Terms | None = None
        self._keys: dict[RecordId, list[int]] = {}
        self._edges: list[Edge] = []
        self.sure = 1.0  # of the last answer

    async def prepare(self, rows: Sequence[Row]) -> None:
        """Keys of these records, where they are few enough to be looked for now."""
        told = [row for row in rows if _says(row)]
        if self._meeting is None or not 0 < len(told) <= self._settings.first_answers_at_once:
            return
        self._terms = await self._meeting.warm(self._conn)
        if self._terms is not None:
            self._keys = dict(zip([row[0] for row in told], self._meeting.keys(self._terms, told), strict=True))

    async def find(
        self, row: Row, carried: Sequence[Carried], holders: Holders, barred: Container[PersonId]
    ) -> PersonId | None:
        """Whom the record may join; None for somebody new."""
        keys = self._keys.get(row[0])
        if not keys or self._terms is None or self._meeting is None:
            return None
        found = await self._meeting.ask(self._conn, self._terms, (ME, *row[1:]), keys, quick=True)
        if found.person is None or found.person in barred:
            return None
        for person, held in (await joining_store.carried_by(self._conn, [found.person], self._kinds)).items():
            holders.learn(person, held, self._settings)
        if holders.conflict(found.person, carried, self._settings) or not holders.within(
            found.person, carried, self._settings, None
        ):
            return None
        self.sure = min(self._settings.contact_surety, probability(found.weight or 0.0))
        self._edges += [Edge(min(row[0], other), max(row[0], other), weight) for other, weight in found.edges]
        return found.person

    async def keep(self, version: GraphVersion) -> None:
        """Once the records have their people: what was found out."""
        if self._keys:
            await blocks_store.keep(self._conn, sorted(self._keys.items()), settled=False)
        if self._edges:
            await evidence_store.add_edges(self._conn, self._edges, version)


def _says(row: Row) -> bool:
    """Whether a record says more of somebody than its identifiers do."""
    return any(row[2].get(trait, "text") in NAMING_KINDS for trait in row[1])
