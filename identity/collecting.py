"""Taking records in: known rows are recognised, new ones sealed, and each finds a provisional person at once.

What enters: new records. What leaves: their ids in order, and the people whose state this may have changed. Two batches at
once agree: identifiers and rows are inserted by "on conflict" in one order, identifiers are then held until commit, so that
the second batch sees the person that the first one made.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from identity import blocks_store, evidence_store, graph_store, joining_store, judgement_store, limits_store, store
from identity.evidence_store import Refused
from identity.first import First
from identity.identifiers import Identifier
from identity.index import Index, made
from identity.meeting import Meeting
from identity.people import Carried, Holders
from identity.records import NewRecord, Row, content, pack, row_name
from identity.sealing import seal_body, seal_value
from identity.settings import IdentitySettings
from identity.undoing import CONTACT, OWNED
from kernel.db import Conn
from kernel.ids import GraphVersion, IdentifierId, PersonId, RecordId, new_id
from kernel.kernel import Kernel

Known = Mapping[Identifier, IdentifierId]
IdentifiersStored = Callable[[Conn, Mapping[IdentifierId, Identifier]], Awaitable[None]]
CHUNK: Final = 5_000  # records at a time: their keys and those of their identifiers fit the vault's memory


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a batch: an id for each record handed in, the people it may have touched, records of which a link counts now, or no more."""

    ids: list[RecordId]
    touched: set[PersonId]
    relinked: list[RecordId] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Prepared:
    record: NewRecord
    body: bytes
    row: bytes
    content: bytes


@dataclass(frozen=True, slots=True)
class _Fresh:
    """A version to be written, and the person of its row's newest version."""

    places: list[int]
    prepared: _Prepared
    id: RecordId
    version: int
    current: bool
    previous: PersonId | None


class Collector:
    """Writes records; one object serves many tasks."""

    def __init__(self, kernel: Kernel, settings: IdentitySettings) -> None:
        self._vault = kernel.vault
        self._clock = kernel.clock
        self._settings = settings
        self.on_stored: list[IdentifiersStored] = []
        self.meeting: Meeting | None = None  # set by the front door: who an unseen profile is

    def index(self, identifier: Identifier) -> Index:
        """How the store finds an identifier: kind and blind index."""
        return made(identifier.kind, self._vault.named_indexes(identifier.kind, identifier.value))

    def row(self, source: str, source_key: str) -> bytes:
        """How the store finds a row of a source: a keyed hash."""
        return self._vault.pepper("identity/row", row_name(source, source_key))

    async def add(self, conn: Conn, records: Sequence[NewRecord], known: Known | None = None) -> Taken:
        """See ``Identity.add_records``."""
        await store.share_graph(conn)
        taken = Taken([], set())
        for start in range(0, len(records), CHUNK):
            part = await self._chunk(conn, records[start : start + CHUNK], known or {})
            taken.ids.extend(part.ids)
            taken.touched.update(part.touched)
            taken.relinked.extend(part.relinked)
        return taken

    async def identifiers(self, conn: Conn, wanted: Sequence[Identifier]) -> dict[Identifier, IdentifierId]:
        """Ids of identifiers; those not stored yet are sealed and stored."""
        index_of = {i: self.index(i) for i in dict.fromkeys(wanted)}
        known = await store.find_identifiers(conn, list(index_of.values()))
        missing = [i for i, index in index_of.items() if index not in known]
        if missing:
            keys = await self._vault.fresh_keys(len(missing))
            rows = []
            for identifier, key in zip(missing, keys, strict=True):
                new = new_id("idn")
                rows.append((new, index_of[identifier], key.id, seal_value(key, new, identifier.value)))
            inserted = await store.insert_identifiers(conn, rows, self._clock.now())
            known |= {index: new for new, index, _, _ in rows if new in inserted}
            stored = {row[0]: i for row, i in zip(rows, missing, strict=True) if row[0] in inserted}
            for told in self.on_stored:
                await told(conn, stored)
            if lost := [row for row in rows if row[0] not in inserted]:
                # Somebody else stored them meanwhile: theirs hold, our keys have sealed nothing that lasts.
                await self._vault.destroy(row[2] for row in lost)
                known |= await store.find_identifiers(conn, [index for _, index, _, _ in lost])
        return {i: known[index] for i, index in index_of.items()}

    async def _chunk(self, conn: Conn, records: Sequence[NewRecord], known: Known) -> Taken:
        prepared = [self._prepare(r) for r in records]
        wanted = dict.fromkeys(i for r in records for i in r.identifiers)
        held = {i: known[i] for i in wanted if i in known}
        # Only where none has to be stored first: whoever stores and holds, in this order, waits for nobody in a circle.
        living = await store.lock_identifiers(conn, list(held.values())) if held and len(held) == len(wanted) else None
        answers: dict[int, RecordId] = {}
        touched: set[PersonId] = set()
        relinked: list[RecordId] = []
        while left := [place for place in range(len(records)) if place not in answers]:
            fresh = self._recognise(
                prepared, left, await store.known_rows(conn, [prepared[p].row for p in left]), answers
            )
            if fresh:
                if living is None or len(await living()) < len(held):  # or it was erased since it was known
                    held = await self.identifiers(conn, [i for f in fresh for i in f.prepared.record.identifiers])
                    if held:
                        await store.lock_identifiers(conn, list(held.values()))
                holders = await joining_store.ask_holders(conn, list(held.values()))
                written = await self._write(conn, fresh, held)
                for item in written:
                    answers.update(dict.fromkeys(item.places, item.id))
                owners, version = await holders()
                before, again = await self._join(conn, written, held, Holders(owners=owners), version)
                touched |= before
                relinked += again
        return Taken([answers[place] for place in range(len(records))], touched, relinked)

    def _prepare(self, record: NewRecord) -> _Prepared:
        body = pack(record)
        return _Prepared(
            record=record,
            body=body,
            row=self.row(record.source, record.source_key),
            content=self._vault.pepper("identity/content", content(record, body)),
        )

    def _recognise(
        self,
        prepared: Sequence[_Prepared],
        left: Sequence[int],
        known: dict[bytes, list[store.KnownRow]],
        answers: dict[int, RecordId],
    ) -> list[_Fresh]:
        """Answer what is known already; at most one new version of a row, the others wait for the next round."""
        fresh: dict[bytes, _Fresh] = {}
        for place in left:
            item = prepared[place]
            versions = known.get(item.row, [])
            now = next((v for v in versions if v.current), None)
            same = next((v for v in reversed(versions) if v.content == item.content), None)
            # Old words observed anew, later than what replaced them, are news: the source took its change back.
            back = (
                same is not None and now is not None and not same.current and item.record.observed_at > now.observed_at
            )
            if same is not None and not back:
                answers[place] = same.id
            elif item.row in fresh:
                if fresh[item.row].prepared.content == item.content:
                    fresh[item.row].places.append(place)
            else:
                fresh[item.row] = _Fresh(
                    places=[place],
                    prepared=item,
                    id=new_id("rec"),
                    version=max((v.version for v in versions), default=0) + 1,
                    current=now is None or item.record.observed_at >= now.observed_at,
                    previous=versions[-1].person if versions else None,
                )
        return list(fresh.values())

    async def _write(self, conn: Conn, fresh: Sequence[_Fresh], ids: Known) -> list[_Fresh]:
        at = self._clock.now()
        keys = await self._vault.fresh_keys(len(fresh))
        inserted = await store.insert_records(
            conn,
            [
                store.RecordRow(
                    id=f.id,
                    source=f.prepared.record.source,
                    row=f.prepared.row,
                    content=f.prepared.content,
                    version=f.version,
                    current=f.current,
                    key_id=key.id,
                    body=seal_body(key, f.id, f.prepared.body),
                    observed_at=f.prepared.record.observed_at,
                    purpose=f.prepared.record.purpose,
                    basis=f.prepared.record.basis,
                    also_for=f.prepared.record.also_for,
                )
                for f, key in zip(fresh, keys, strict=True)
            ],
            at,
        )
        if lost := [key.id for f, key in zip(fresh, keys, strict=True) if f.id not in inserted]:
            await self._vault.destroy(lost)
        written = [f for f in fresh if f.id in inserted]
        await store.link_identifiers(
            conn, ((f.id, ids[i]) for f in written for i in dict.fromkeys(f.prepared.record.identifiers))
        )
        if arrived := [f.id for f in written if f.current]:
            await blocks_store.arrived(conn, arrived)
        return written

    async def _join(
        self, conn: Conn, written: Sequence[_Fresh], ids: Known, holders: Holders, number: GraphVersion
    ) -> tuple[set[PersonId], list[RecordId]]:
        """Give each new record its provisional person; the people that this touches, who were there before, and the records that a limit touches."""
        settings = self._settings
        carried = {
            f.id: [
                Carried(
                    ids[i], i.kind, f.prepared.record.source, f.prepared.row, f.prepared.record.observed_at.timestamp()
                )
                for i in dict.fromkeys(f.prepared.record.identifiers)
            ]
            for f in written
        }
        before = {p for people in holders.owners.values() if len(people) <= settings.loose_limit for p in people}
        before.update(f.previous for f in written if f.previous is not None)
        few = list({*settings.exclusive_kinds, "customer_id", *settings.limits})
        for person, held in (await joining_store.carried_by(conn, sorted(before), few) if before else {}).items():
            holders.learn(person, held, settings)
        # A row that staff kept apart from somebody does not come to her by its next version.
        again = [f.prepared.row for f in written if f.previous is not None]
        barred = await judgement_store.barred(conn, again) if again else {}
        chosen: list[tuple[RecordId, PersonId]] = []
        new: list[PersonId] = []
        doubted: dict[PersonId, float] = {}
        doubts: list[tuple[RecordId, PersonId, Carried]] = []
        first = First(conn, self.meeting if settings.first_answers else None, settings, few)
        rows = {f.id: _row(f) for f in written}
        await first.prepare([rows[f.id] for f in written if f.current])
        for f in written:
            out = barred.get(f.prepared.row, set())
            found, by_contact = holders.choose(carried[f.id], f.previous, settings, out)
            if found is None and f.previous is None and f.current:
                found = await first.find(rows[f.id], carried[f.id], holders, out)
                if found is not None:
                    doubted[found] = min(doubted.get(found, 1.0), first.sure)
            person = found if found is not None else new_id("per")
            if found is None:
                new.append(person)
            elif by_contact:
                doubted[person] = min(doubted.get(person, 1.0), settings.contact_surety)
            holders.learn(person, carried[f.id], settings)
            chosen.append((f.id, person))
            doubts += [(f.id, *refused) for refused in holders.refused if refused[0] != person]
        await graph_store.add_people(conn, new, number, self._clock.now())
        await graph_store.add_members(conn, chosen, number)
        before |= doubted.keys()
        if grown := {person for _, person in chosen} & before:
            await graph_store.touch_people(conn, sorted(grown), number)
        for person, most in sorted(doubted.items()):
            await graph_store.lower_sure(conn, [person], most)
        await first.keep(number)
        await self._refused(conn, doubts, number)
        crowded = sorted({person for _, person in chosen if holders.crowded(person, settings)})
        return before, await limits_store.renew(conn, settings.limited, crowded)

    async def _refused(
        self, conn: Conn, doubts: Sequence[tuple[RecordId, PersonId, Carried]], number: GraphVersion
    ) -> None:
        """What a limit kept apart is for staff to look at, and an opt-out reaches across it."""
        found = []
        for record, person, item in doubts:
            other = await joining_store.carrier(conn, person, item.id)
            if other is not None:
                weight = OWNED if item.kind in self._settings.joining_kinds else CONTACT
                found.append(Refused(min(record, other), max(record, other), weight, "limit"))
        if found:
            await evidence_store.add_doubts(conn, found, number)


def _row(fresh: _Fresh) -> Row:
    record = fresh.prepared.record
    return fresh.id, record.traits, record.kinds, record.identifiers
