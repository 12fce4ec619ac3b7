"""Who takes the rows of a file: people go to identity, events into the log, consents to consent.

What enters: mapped rows. What leaves: one result a row. People and events pass the same gate as a call over HTTP, under the
purpose and basis that the map declares; consents need no declaration, they are what others rest on.
"""

from collections.abc import Sequence
from datetime import datetime

from consent import effect
from consent.imports import ImportedConsent
from consent.service import Consent
from events.arrivals import decision_of, message_hash, words
from events.errors import UndeclaredSource
from events.importer import RowHandler, RowResult
from events.log import FILTERED, Arrival, Source
from events.mapping import Map
from events.rows import ConsentRow, MappedRow, row_print
from events.service import Events
from identity.records import NewRecord
from identity.service import Identity
from kernel.clock import Clock
from kernel.db import Conn
from kernel.errors import InvalidInput
from kernel.ids import RecordId, new_id
from kernel.kernel import Kernel


def handlers(kernel: Kernel, events: Events, identity: Identity, consent: Consent) -> dict[str, RowHandler]:
    """The handlers of the kinds that this floor and those below own."""
    return {
        "people": PeopleRows(kernel, events, identity),
        "events": EventRows(kernel, events),
        "consents": ConsentRows(identity, consent, kernel.clock),
    }


class _Declared:
    """A handler whose rows are collected under their source's declaration."""

    def __init__(self, kernel: Kernel, events: Events) -> None:
        self._kernel = kernel
        self._events = events

    async def prepare(self, conn: Conn, given: Map) -> None:
        """Register the source as the map declares it, or use the declaration that is there."""
        declared = given.collect_under
        if declared is not None:
            held = (await self._events.sources(conn)).get(given.source)
            user_kind = held.user_kind if held is not None else "login_id"
            source = Source(given.source, declared.purpose, declared.basis, declared.also_for, user_kind)
            await self._events.register_source(conn, source)
        elif given.source not in await self._events.sources(conn):
            raise UndeclaredSource(f"expected source '{given.source}' to declare why it collects, got no declaration")

    async def settle(self) -> None:
        """Fresh statistics, so that the next batches and the first readers get plans for tables that are not empty."""
        await self._events.analyse()

    async def _source(self, conn: Conn, rows: Sequence[MappedRow]) -> Source:
        return (await self._events.sources(conn))[rows[0].source]


class PeopleRows(_Declared):
    """Rows about people: a source record each."""

    def __init__(self, kernel: Kernel, events: Events, identity: Identity) -> None:
        super().__init__(kernel, events)
        self._identity = identity

    async def apply(self, conn: Conn, rows: Sequence[MappedRow]) -> list[RowResult]:
        """Take a batch; the same row with the same words again is the record that is there."""
        source = await self._source(conn, rows)
        allowed = await self._events.may_collect(conn, source, [row.identifiers for row in rows])
        now = self._kernel.clock.now()
        results: list[RowResult] = []
        records: list[NewRecord] = []
        for row, may in zip(rows, allowed, strict=True):
            if not may:
                results.append(RowResult(row.line, "filtered", reason=FILTERED))
                continue
            try:
                records.append(
                    NewRecord(
                        source=source.name,
                        source_key=row.source_key,
                        identifiers=row.identifiers,
                        traits=row.traits,
                        kinds=row.kinds,
                        observed_at=min(row.at or now, now),
                        purpose=source.purpose,
                        basis=source.basis,
                        also_for=source.also_for,
                    )
                )
            except InvalidInput as fault:
                results.append(RowResult(row.line, "rejected", reason=fault.message))
                continue
            results.append(RowResult(row.line, "accepted"))
        await self._identity.add_records(conn, records)
        await self._events.count_filtered(conn, source, sum(r.outcome == "filtered" for r in results))
        return results


class EventRows(_Declared):
    """Rows about what happened: the same walk as a call over HTTP, in bulk."""

    async def apply(self, conn: Conn, rows: Sequence[MappedRow]) -> list[RowResult]:
        """Take a batch. A row without a message id is known by what it says, and by how often the file says it."""
        source = await self._source(conn, rows)
        now = self._kernel.clock.now()
        outcomes = await self._events.take(conn, [self._arrival(row, source, now) for row in rows])
        return [
            RowResult(row.line, outcome, reason=FILTERED if outcome == "filtered" else None)
            for row, outcome in zip(rows, outcomes, strict=True)
        ]

    def _arrival(self, row: MappedRow, source: Source, now: datetime) -> Arrival:
        event_id = new_id("evt")
        known = min(row.known_at or now, now)
        vault = self._kernel.vault
        return Arrival(
            event_id=event_id,
            source=source,
            type="track",
            name=row.event or "",
            event_time=min(row.at or known, now),
            known_time=known,
            received_at=now,
            identifiers=row.identifiers,
            message=message_hash(vault, row.message_id or f"row:{row_print(row)}"),
            words=words(row.properties, message_id=row.message_id),
            traits=row.traits,
            kinds=row.kinds,
            told=bool(row.traits),
            decision_id=decision_of(row.properties),
            actor=f"import:{source.name}",
        )


class ConsentRows:
    """Rows about permissions. What they are worth is consent's to say: an opt-out always holds, a bare opt-in never."""

    def __init__(self, identity: Identity, consent: Consent, clock: Clock) -> None:
        self._identity = identity
        self._consent = consent
        self._clock = clock

    def foresee(self) -> "ConsentsAhead":
        """What a file would change, before it does."""
        return ConsentsAhead(self, effect.Foresight(self._consent, self._identity, self._clock))

    async def settle(self) -> None:
        """Fresh statistics: whoever is asked about next is looked up among many acts."""
        await self._identity.analyse()
        await self._consent.analyse()

    async def apply(self, conn: Conn, rows: Sequence[MappedRow]) -> list[RowResult]:
        """Take a batch; a row with several consents is answered with its first refusal, if any."""
        told, results = await self.told(conn, rows)
        answers = await self._consent.import_rows(conn, [one for _, one in told])
        for (line, _), answer in zip(told, answers, strict=True):
            if isinstance(answer, InvalidInput):
                results[line] = RowResult(line, "rejected", reason=answer.message)
            else:
                results.setdefault(line, RowResult(line, "accepted"))
        return [results[row.line] for row in rows]

    async def told(
        self, conn: Conn, rows: Sequence[MappedRow]
    ) -> tuple[list[tuple[int, ImportedConsent]], dict[int, RowResult]]:
        """The consents that rows tell of, by line, and the rows that tell of nobody."""
        named = [row.record for row in rows if row.record is not None]
        found = dict(zip(named, await self._identity.known_rows(conn, named), strict=True)) if named else {}
        refused: dict[int, RowResult] = {}
        told: list[tuple[int, ImportedConsent]] = []
        for row in rows:
            record = found[row.record] if row.record is not None else None
            if record is None and not row.identifiers:
                refused[row.line] = RowResult(
                    row.line, "rejected", reason="expected a record that was imported before, got an unknown one"
                )
                continue
            told += [(row.line, _imported(row, one, record)) for one in row.consents]
        return told, refused


class ConsentsAhead:
    """Looks ahead over a file of consents, by the way its rows would be taken."""

    def __init__(self, rows: ConsentRows, looking: effect.Foresight) -> None:
        self._rows = rows
        self._looking = looking

    async def take(self, conn: Conn, rows: Sequence[MappedRow]) -> None:
        """The next rows."""
        told, refused = await self._rows.told(conn, rows)
        await self._looking.take(conn, [one for _, one in told], refused=len(refused))

    async def effect(self, conn: Conn) -> effect.Effect:
        """What all of them together would change."""
        return await self._looking.effect(conn)


def _imported(row: MappedRow, one: ConsentRow, record: RecordId | None) -> ImportedConsent:
    return ImportedConsent(
        source=row.source,
        identifiers=row.identifiers,
        purpose=one.purpose,
        status=one.status,
        mechanism=one.mechanism,
        notice=one.notice,
        given_at=one.given_at,
        channel=one.channel,
        basis=one.basis,
        jurisdiction=one.jurisdiction,
        expires_at=one.expires_at,
        signal=one.signal,
        signal_kind=one.signal_kind,
        record=record,
        confirmed_at=one.confirmed_at,
        confirmation=one.confirmation,
    )
