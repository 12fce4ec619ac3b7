"""The front door of the events room: register a source, collect, read, note, replay.

Enters: calls as clients send them, events of our own, decisions whose outcomes are asked for. Leaves: one answer per item
after it is durable, and events opened in memory for those who ask by person. What it never does: keep an event that the
gate does not permit, store a word unsealed, or answer before the commit.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Final

from audit.service import Audit
from consent import gate
from consent.service import Consent
from events import letters, opening, store
from events.arrivals import arrive
from events.calls import Limits
from events.errors import SourceDiffers, TooBusy, UndeclaredSource, UnknownSource
from events.ingest import Ingest, Noted
from events.keeping import Keeping
from events.log import (
    FILTERED,
    Arrival,
    CollectContext,
    Event,
    ItemResult,
    NewEvent,
    Reject,
    ReplayReport,
    Source,
    Status,
)
from events.settings import EventsSettings
from events.store import EventRow
from identity.identifiers import KINDS, Identifier
from identity.service import Identity
from kernel import metrics
from kernel.batcher import GroupCommit
from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import DecisionId, EventId, PersonId, RecordId
from kernel.kernel import Kernel

_MANY: Final = 2_000  # people at a time: bounded memory
_FEW: Final = 50  # items of a group whose statements travel together; of more, COPY is quicker
_BREATH: Final = 200  # items prepared before other tasks get a turn: about 10 ms

_EVENTS = metrics.counter("candor_events_total", "Calls to collect, by what became of each.", ["outcome"])


@dataclass(frozen=True, slots=True)
class _Request:
    source: Source
    received_at: datetime
    items: tuple[Arrival | Reject, ...]


class Events:
    """What happened. One per process and event loop.

    ``on_events_stored``: what is told, in the same transaction, of records that got new events; profiles registers there.
    ``on_happened``: likewise, of what was collected and stored for the first time, event by event; triggers and learners register there.
    ``on_noted``: likewise, of events of our own that are stored, now or before; learners register there.
    """

    name = "events"

    def __init__(
        self, kernel: Kernel, audit: Audit, identity: Identity, consent: Consent, settings: EventsSettings | None = None
    ) -> None:
        self._kernel = kernel
        self._identity = identity
        self._consent = consent
        self.settings = settings or EventsSettings()
        self.limits = Limits(self.settings.event_bytes, self.settings.properties)
        self._ingest = Ingest(kernel, audit, identity, consent)
        self.on_events_stored = self._ingest.on_stored
        self.on_happened = self._ingest.on_happened
        self.on_noted: list[Noted] = []
        self.keeping = Keeping(kernel, identity, consent, self.on_events_stored)
        self._sources: dict[str, Source] = {}
        self._further: dict[str, tuple[str, ...]] = {}
        self._days_until: date | None = None
        self._queued = 0
        self._commits: GroupCommit[_Request, list[ItemResult]] = GroupCommit(
            kernel.db,
            self._flush,
            max_items=self.settings.commit_items,
            max_wait=self.settings.commit_wait_ms / 1_000,
            pipelined=_few,
        )

    async def close(self) -> None:
        """Take nothing more and finish what is waiting."""
        await self._commits.close()

    # sources

    async def register_source(self, conn: Conn, source: Source) -> Source:
        """Declare why a source collects. Declaring the same again changes nothing.

        Raises:
            UnknownPurpose: not in the purpose tree.
            UndeclaredSource: a basis that the purpose tree does not give that purpose here, or unknown user ids.
            SourceDiffers: the name is declared otherwise already.
        """
        rules = self._consent.rules
        for key in source.also_for:
            rules.purposes.expect(key)
        basis = rules.purposes.expect(source.purpose).basis_in(rules.jurisdiction)
        if source.basis != basis:
            raise UndeclaredSource(
                f"expected basis {basis} for purpose '{source.purpose}' in jurisdiction {rules.jurisdiction}, got another"
            )
        if source.user_kind not in KINDS:
            raise UndeclaredSource(f"expected user_kind to be one of {', '.join(KINDS)}, got another word")
        await store.insert_source(conn, source, self._kernel.clock.now())
        held = (await store.sources(conn, [source.name]))[source.name]
        if held != source:
            raise SourceDiffers(f"expected source '{source.name}' as it is declared, got another declaration")
        return held

    async def sources(self, conn: Conn) -> Mapping[str, Source]:
        """Every registered source by name."""
        return await store.sources(conn)

    async def source(self, name: str) -> Source:
        """One source; declarations do not change, so each is read once.

        Raises:
            UnknownSource: never registered.
        """
        held = self._sources.get(name)
        if held is None:
            async with self._kernel.db.reading() as conn:
                held = (await store.sources(conn, [name])).get(name)
            if held is None:
                raise UnknownSource("expected a source that declared purpose and basis, got one that is not registered")
            self._sources[name] = held
        return held

    # collecting

    async def collect(self, calls: Sequence[Json], ctx: CollectContext) -> list[ItemResult]:
        """Each call checked, asked for, stored once and answered, in order; the answers come after the commit.

        Raises:
            UnknownSource: the source of ``ctx`` is not registered.
            TooBusy: too many calls wait for a commit; nothing was taken.
            Unavailable: Postgres is not there; whatever was not answered may be sent again, repeats are recognised.
        """
        with metrics.stage("capture"):
            return await self._collect(calls, ctx)

    async def _collect(self, calls: Sequence[Json], ctx: CollectContext) -> list[ItemResult]:
        source = await self.source(ctx.source)
        if self._queued and self._queued + len(calls) > self.settings.queue_items:
            raise TooBusy(f"expected at most {self.settings.queue_items} calls waiting for a commit, got more")
        received_at = ctx.received_at or self._kernel.clock.now()
        ctx = replace(ctx, received_at=received_at)
        self._queued += len(calls)
        try:
            items: list[Arrival | Reject] = []
            for place, call in enumerate(calls):
                items.append(arrive(call, source, ctx, received_at, vault=self._kernel.vault, limits=self.limits))
                if place % _BREATH == _BREATH - 1:
                    await asyncio.sleep(0)
            if not items:
                return []
            await self._ready()
            answers = await self._commits.submit(_Request(source, received_at, tuple(items)))
        finally:
            self._queued -= len(calls)
        for status, number in Counter(answer.status for answer in answers).items():
            _EVENTS.labels(status).inc(number)
        return [replace(answer, message_id=_message_id(call)) for answer, call in zip(answers, calls, strict=True)]

    async def take(self, conn: Conn, arrivals: Sequence[Arrival]) -> list[Status]:
        """The bulk way in, for files: the same walk, in the caller's transaction."""
        await self._ready()
        return await self._ingest.take(conn, arrivals)

    async def may_collect(self, conn: Conn, source: Source, subjects: Sequence[Sequence[Identifier]]) -> list[bool]:
        """Whether this source may collect about each subject; asking leaves no trace."""
        asked = [(source.purpose, tuple(subject)) for subject in subjects]
        allowed = await self._ingest.permitted(conn, dict.fromkeys(asked))
        return [allowed[one] for one in asked]

    async def analyse(self) -> None:
        """After a bulk load: let Postgres look at the tables of collection again."""
        await self._identity.analyse()
        async with self._kernel.db.transaction() as conn:
            await store.analyse(conn)

    async def count_filtered(self, conn: Conn, source: Source, count: int) -> None:
        """Count what the gate kept out on another way in; nothing else is left of it."""
        await self._ingest.count(conn, Counter({(source.name, FILTERED): count} if count else {}))

    async def replay(self, *, source: str | None = None, limit: int = 1_000) -> ReplayReport:
        """Send dead letters through the door again, after a fix, ``limit`` at a time; those that are taken leave the table."""
        await self._ready()
        async with self._kernel.db.reading() as conn:
            declared = await store.sources(conn)
        return await letters.replay(self._kernel, self._ingest, declared, self.limits, source=source, limit=limit)

    async def index_letters(self) -> int:
        """Write the blind indexes of dead letters anew, under every index secret that counts; how many letters."""
        await self._ready()
        async with self._kernel.db.reading() as conn:
            declared = await store.sources(conn)
        return await letters.index(self._kernel, declared, self.limits)

    async def refusals(self, conn: Conn) -> list[tuple[str, date, str, int]]:
        """(source, day, reason, count): all that is left of events that were refused."""
        return await store.refusals(conn)

    # our own

    async def prepare(self) -> None:
        """What `note` makes once a day, made now: for those who hold a transaction, and a connection, when they note."""
        await self._ready()

    async def note(self, conn: Conn, events: Sequence[NewEvent]) -> list[EventId | None]:
        """Store events of our own in the caller's transaction; ids in order, that of the first for a repeat.

        None where the subject is unknown or erased: a receipt that comes after an erasure has nobody to belong to.
        """
        await self._ready()
        kept = await opening.note(conn, events, kernel=self._kernel, identity=self._identity)
        told = [event for event, event_id in zip(events, kept, strict=True) if event_id is not None]
        for heard in self.on_noted:
            await heard(conn, told)
        return kept

    # reading

    async def of_people(
        self,
        conn: Conn,
        people: Sequence[PersonId],
        *,
        until: datetime | None = None,
        known_by: datetime | None = None,
        since: datetime | None = None,
        names: Sequence[str] | None = None,
    ) -> Mapping[PersonId, list[Event]]:
        """What happened to each person, opened, by event time; a person without events has an empty list.

        ``until`` bounds the time of happening, ``known_by`` (default: ``until``) the time since which we know of it, so
        that nothing leaks into the past. ``since`` and ``names`` narrow it down. Equal times have one order, whatever the
        order of arrival.
        """
        held = await self._identity.owned(conn, people)
        owner = {record: person for person, records in held.items() for record in records}
        rows = await store.events_of_records(
            conn,
            list(owner),
            until=until,
            known_by=known_by if known_by is not None else until,
            since=since,
            names=names,
        )
        found: dict[PersonId, list[Event]] = {person: [] for person in people}
        for event in await opening.opened(self._kernel.vault, rows, await self._also_for(conn, rows)):
            found[owner[event.record_id]].append(event)
        return found

    async def under(
        self, conn: Conn, purpose: str, *, since: datetime | None = None, until: datetime | None = None
    ) -> Mapping[PersonId, list[Event]]:
        """What happened to everybody who permits ``purpose``, as far as it was collected to serve it; machines left out.

        For counting: nothing of it may be shown person by person. Raises UnknownPurpose.
        """
        self._consent.rules.purposes.expect(purpose)
        reach = frozenset(self._consent.rules.purposes.lineage(purpose))
        declared = await store.sources(conn)
        serving = [one.name for one in declared.values() if {one.purpose, *one.also_for} & reach]
        records = await store.records_with_events(conn, serving, list(reach), since=since, until=until)
        subjects = await self._identity.subjects(conn, records)
        people = sorted({person for held in subjects.values() for person in held.people})
        at = self._kernel.clock.now()
        found: dict[PersonId, list[Event]] = {}
        for start in range(0, len(people), _MANY):
            part = people[start : start + _MANY]
            states = await self._consent.states(conn, part)
            may = [one for one in part if gate.permission(states[one], purpose, None, at).granted]
            for person, events in (await self.of_people(conn, may, since=since, until=until, known_by=at)).items():
                kept = [e for e in events if not e.machine and not reach.isdisjoint(e.purposes)]
                if kept:
                    found[person] = kept
            await asyncio.sleep(0)
        return found

    async def outcomes_for(self, conn: Conn, decisions: Sequence[DecisionId]) -> Mapping[DecisionId, list[Event]]:
        """Events whose ``properties.decision_id`` names these decisions; a decision without any has an empty list."""
        rows = await store.events_of_decisions(conn, decisions)
        found: dict[DecisionId, list[Event]] = {decision: [] for decision in decisions}
        for event in await opening.opened(self._kernel.vault, rows, await self._also_for(conn, rows)):
            if event.decision_id is not None:
                found[event.decision_id].append(event)
        return found

    async def tallies(self, conn: Conn) -> list[tuple[str, str, int]]:
        """(source, purpose, count) of everything that happened."""
        return await store.tallies(conn)

    async def arrived(self, conn: Conn, since: datetime) -> tuple[int, datetime]:
        """How many events were received after a moment, and when the last of them was (the moment, when there is none)."""
        return await store.arrived(conn, since)

    async def records_since(self, conn: Conn, since: datetime, until: datetime) -> list[RecordId]:
        """Records that got events in a stretch of time."""
        return await store.records_since(conn, since, until)

    # holder of personal data, counter of impact

    async def export(self, conn: Conn, person: PersonId) -> Json:
        """Every event of the person, opened."""
        return opening.exported((await self.of_people(conn, [person]))[person])

    async def erase(self, conn: Conn, person: PersonId) -> int:
        """Delete the person's events and dead letters; dedupe hashes stay, so that a repeat brings nothing back."""
        members = (await self._identity.members(conn, [person])).get(person)
        if members is None:
            return 0
        held = (await self._identity.identifiers(conn, [person])).get(person, [])
        indexes = [x for one in held for x in self._kernel.vault.blind_indexes(one.kind, one.value)]
        rows, keys = await store.erase(conn, members.records, indexes)
        await self._consent.shredder.doom(conn, keys)
        return rows

    async def count(self, conn: Conn, people: Sequence[PersonId]) -> Mapping[str, int]:
        """How many events a change of these people would move."""
        members = await self._identity.members(conn, people)
        return {"events": await store.count_events(conn, [r for held in members.values() for r in held.records])}

    async def total(self, conn: Conn) -> int:
        """How many events are stored, everybody's."""
        return await store.count_all(conn)

    async def kept(self, conn: Conn, ids: Sequence[EventId]) -> set[EventId]:
        """Those of these events that are stored."""
        return await store.kept(conn, ids)

    # within

    async def _flush(self, conn: Conn, requests: list[_Request]) -> list[list[ItemResult] | Exception]:
        if _few(requests):
            await store.plan_once(conn)
        arrivals = [item for request in requests for item in request.items if isinstance(item, Arrival)]
        rejects = [(item, r.source) for r in requests for item in r.items if isinstance(item, Reject)]
        outcomes = iter(await self._ingest.take(conn, arrivals))
        if rejects:
            await self._ingest.refuse(conn, rejects, requests[0].received_at)
        return [[_answer(item, outcomes) for item in request.items] for request in requests]

    async def _also_for(self, conn: Conn, rows: Sequence[EventRow]) -> Mapping[str, tuple[str, ...]]:
        """What else the sources of these rows declared; our own events have no source that could."""
        unknown = {row.source for row in rows} - self._further.keys()
        if unknown:
            declared = await store.sources(conn, sorted(unknown))
            self._further |= {name: declared[name].also_for for name in unknown if name in declared}
        return self._further

    async def _ready(self) -> None:
        """The partitions of the days to come exist; asked for once a day, in a transaction of its own."""
        today = self._kernel.clock.now().date()
        if self._days_until is None or self._days_until < today + timedelta(days=1):
            last = today + timedelta(days=self.settings.days_ahead)
            async with self._kernel.db.transaction() as conn:
                await store.ensure_days(conn, today, last)
            self._days_until = last


def _few(requests: Sequence[_Request]) -> bool:
    """Whether what is written is so little that most of the time goes into waiting for Postgres, statement by statement."""
    return sum(len(request.items) for request in requests) <= _FEW


def _answer(item: Arrival | Reject, outcomes: Iterator[Status]) -> ItemResult:
    if isinstance(item, Reject):
        return ItemResult("rejected", pointer=item.pointer, reason=item.reason)
    status = next(outcomes)
    if status == "filtered":
        return ItemResult(status, reason=FILTERED)
    return ItemResult(status, event_id=item.event_id if status == "accepted" else None)


def _message_id(call: Json) -> str | None:
    """What the sender calls its item, when it calls it anything."""
    named = call.get("messageId") if isinstance(call, Mapping) else None
    return named if isinstance(named, str) else None
