"""Figures of the graph, counted in the database: for those who check what the batch walk did, and for those who wait for news.

Enters: nothing but a connection. Leaves: counts and ids. Reads only.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from identity import census_store, evidence_store, graph_store, sureness
from identity.census_store import Census
from identity.identifiers import Identifier
from identity.records import SourceRecord
from identity.settings import IdentitySettings
from kernel.db import Conn
from kernel.ids import PersonId, RecordId


class Counts:
    """Stands at ``Identity.counts``."""

    def __init__(self, settings: IdentitySettings) -> None:
        self._settings = settings

    async def census(self, conn: Conn) -> Census:
        """How many records, memberships and people there are, and those that must not be: records without a live person."""
        return await census_store.census(conn)

    async def sizes(self, conn: Conn) -> Mapping[int, int]:
        """How many people have so many current records."""
        return await census_store.sizes(conn)

    async def twofold(self, conn: Conn) -> list[PersonId]:
        """People who hold two values of a kind of which nobody has two; there should be none."""
        return await census_store.twofold(conn, self._settings.exclusive_kinds)

    async def scores(
        self, conn: Conn, records: Sequence[SourceRecord], asked_by: Iterable[Identifier]
    ) -> Mapping[RecordId, float]:
        """How surely each of one person's records is of whoever asked by these identifiers; 0 where nothing links it."""
        edges, _ = await evidence_store.evidence(conn, [record.id for record in records])
        return sureness.scores(records, edges, asked_by, self._settings)

    async def arrived(self, conn: Conn, since: datetime) -> int:
        """How many records came after a moment and are still there."""
        return await census_store.arrived(conn, since)

    async def strayed(self, conn: Conn) -> tuple[int, int]:
        """Of the records that were in the graph before its newest version: their number, and of how many the id they had then
        no longer leads to their person.
        """
        return await census_store.strayed(conn, await graph_store.version(conn))

    async def strangers(self, conn: Conn, records: Sequence[RecordId]) -> list[RecordId]:
        """Those of these records that no living person has."""
        return await census_store.strangers(conn, records)

    async def newcomers(self, conn: Conn, since: datetime) -> set[PersonId]:
        """Live people who were made after a moment."""
        return await census_store.newcomers(conn, since)
