"""Imported decisions: what another system chose, with which probability, and what came of it.

Enters: mapped rows of a MAP.yaml with `what: decisions`. Leaves: one result a row. Features are kept as traits of a source record, sealed there, so that
training sees them through the consent filter like everything else. Without a propensity there is no row (decision.D28): the map demands it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from events.errors import UndeclaredSource
from events.importer import RowResult
from events.log import FILTERED, Source
from events.mapping import Map
from events.rows import MappedRow, row_print
from events.service import Events
from identity.records import NewRecord
from identity.service import Identity
from kernel.db import Conn
from kernel.errors import InvalidInput
from kernel.ids import IdentifierId, RecordId
from kernel.kernel import Kernel
from orchestration.learning import store
from orchestration.learning.store import Logged

_KEY: Final = "logged"  # the pepper's purpose


class DecisionRows:
    """The handler of `candor import decisions`."""

    def __init__(self, kernel: Kernel, identity: Identity, events: Events) -> None:
        self._kernel = kernel
        self._identity = identity
        self._events = events

    async def prepare(self, conn: Conn, given: Map) -> None:
        """Register the source as the map declares it, or use the declaration that is there."""
        declared = given.collect_under
        if declared is not None:
            held = (await self._events.sources(conn)).get(given.source)
            kind = held.user_kind if held is not None else "login_id"
            await self._events.register_source(
                conn, Source(given.source, declared.purpose, declared.basis, declared.also_for, kind)
            )
        elif given.source not in await self._events.sources(conn):
            raise UndeclaredSource(f"expected source '{given.source}' to declare why it collects, got no declaration")

    async def apply(self, conn: Conn, rows: Sequence[MappedRow]) -> list[RowResult]:
        """Take a batch. The same row again is a duplicate and changes nothing."""
        source = (await self._events.sources(conn))[rows[0].source]
        allowed = await self._events.may_collect(conn, source, [row.identifiers for row in rows])
        now = self._kernel.clock.now()
        results: dict[int, RowResult] = {}
        told: list[tuple[int, MappedRow, datetime]] = []
        records: list[NewRecord] = []
        for place, (row, may) in enumerate(zip(rows, allowed, strict=True)):
            if not may:
                results[place] = RowResult(row.line, "filtered", reason=FILTERED)
                continue
            try:
                at = min(row.at or now, now)
                records.append(_record(row, source, at))
            except InvalidInput as fault:
                results[place] = RowResult(row.line, "rejected", reason=fault.message)
                continue
            told.append((place, row, at))
        subjects = await self._subjects(conn, records)
        fresh = await store.add_logged(
            conn,
            [
                Logged(
                    source=source.name,
                    key=self._kernel.vault.pepper(_KEY, row_print(row)).hex(),
                    subject=subject,
                    placement=row.placement or "",
                    arm=row.arm or "",
                    propensity=row.propensity or 0.0,
                    outcomes=row.outcomes,
                    at=at,
                    imported_at=now,
                )
                for (_, row, at), subject in zip(told, subjects, strict=True)
            ],
        )
        for (place, row, _), new in zip(told, fresh, strict=True):
            results[place] = RowResult(row.line, "accepted" if new else "duplicate")
        await self._events.count_filtered(conn, source, sum(one.outcome == "filtered" for one in results.values()))
        return [results[place] for place in range(len(rows))]

    async def settle(self) -> None:
        """Fresh statistics for the next batches and the first readers."""
        await self._events.analyse()
        async with self._kernel.db.transaction() as conn:
            await store.analyse(conn)

    async def _subjects(self, conn: Conn, records: Sequence[NewRecord]) -> list[RecordId | IdentifierId]:
        """A record where the row tells something of the person, else the identifier that it names."""
        telling = [place for place, record in enumerate(records) if record.traits or not record.identifiers]
        bare = [place for place, record in enumerate(records) if not record.traits and record.identifiers]
        found: dict[int, RecordId | IdentifierId] = {}
        made = await self._identity.add_records(conn, [records[place] for place in telling])
        found.update(zip(telling, made, strict=True))
        named = await self._identity.register_identifiers(conn, [records[place].identifiers[0] for place in bare])
        found.update(zip(bare, named, strict=True))
        return [found[place] for place in range(len(records))]


def _record(row: MappedRow, source: Source, at: datetime) -> NewRecord:
    features: Mapping[str, str | int | float | bool] = {
        name: value for name, value in row.features.items() if isinstance(value, str | int | float | bool)
    }
    return NewRecord(
        source=source.name,
        source_key=row.source_key,
        identifiers=row.identifiers,
        traits={**row.traits, **features},
        # What a model learns from says nothing of who somebody is: kept out of linkage.
        kinds={**row.kinds, **dict.fromkeys(features, "ignore")},
        observed_at=at,
        purpose=source.purpose,
        basis=source.basis,
        also_for=source.also_for,
    )
