"""The front door of the identity room: take records in, say who is who, publish the graph.

Enters: source records, identifiers, clusters of a linkage run. Leaves: person ids that never change hands, opened records for
those who ask by person, the linkage table (in memory only), the change feed. What it never does: overwrite a record, use an
id twice, let a word lie unsealed, or run Splink in a request.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from identity import graph_store, holding, publishing, review_store, store, views
from identity.aging import Aging
from identity.around import Surroundings
from identity.asking import Asking
from identity.collecting import Collector, Known
from identity.counts import Counts
from identity.errors import AmbiguousContact, PersonNotFound
from identity.hot_index import HotIndex
from identity.identifiers import HeldIdentifier, Identifier, parse_contact
from identity.index import Index
from identity.indexing import Indexing
from identity.judging import Judging
from identity.ledger import Ledger
from identity.limiting import Limiting
from identity.linkage_files import LinkageFiles
from identity.meeting import Meeting
from identity.past import Past
from identity.people import Change, Contact, Membership, Resolution, Standing, Subject, decide
from identity.reasons import Reasons
from identity.records import NewRecord, Row, SourceRecord, linkage_table, unpack
from identity.residing import Residing
from identity.review_store import Review
from identity.runs import Runs
from identity.sealing import held, open_identifiers, open_records, source_record
from identity.settings import IdentitySettings
from identity.settler import Settler
from identity.views import PersonView
from identity.why import Why
from kernel.canonical import Json
from kernel.db import Conn, after_commit
from kernel.ids import GraphVersion, IdentifierId, KeyId, PersonId, RecordId, is_id, new_id
from kernel.kernel import Kernel

if TYPE_CHECKING:  # the linkage engine brings DuckDB and Arrow, which have no place on the API's start path
    import pyarrow as pa

    from identity.clusters import Clusters
    from identity.linkage import Edges

PeopleChanged = Callable[[Conn, Sequence[PersonId]], Awaitable[None]]
_BULK: Final = 2_000  # so many rows at once change what Postgres should think of its tables
_PAGE: Final = 10_000  # records opened at a time; their keys fit the vault's memory


class Identity:
    """Whose is this. One per process and event loop.

    ``on_people_changed``: what is told, in the same transaction, of everybody whose records, identifiers or possible doubles
    changed; consent registers here, so that commits which rested on the old graph are fenced off. ``on_people_merged``: likewise, unless records only joined.
    ``counts``: figures of the graph. ``past``: the graph as it was. ``aging``: records whose time is over. ``linkage``: the files of the last linkage run.
    ``residing``: the identifiers in memory. ``judging``: what staff decide about who is who. ``runs``: linkage runs and the gate. ``reasons``: why, why not, how. ``meeting``: who an unseen profile is. ``settler``: what came since the last run. ``ledger``: versions of the graph in the log. ``surroundings``: who is around identifiers.
    ``on_identifiers_stored``: what is told, likewise, of identifiers that were not held before, in clear; consent registers
    here, so that a contact which must stay silent is silent from its first moment.
    """

    name = "identity"

    def __init__(self, kernel: Kernel, audit: Audit, settings: IdentitySettings | None = None) -> None:
        self._kernel = kernel
        self._audit = audit
        self.settings = settings or IdentitySettings()
        self._collector = Collector(kernel, self.settings)
        self.residing = Residing(kernel, self.settings)
        self._hot = HotIndex(kernel.cache, self.settings, self.residing)
        self._asking = Asking(kernel.db, self._hot, self.residing, self._ask)
        self.indexing = Indexing(kernel, self._collector, self._hot)
        self.linkage = LinkageFiles(kernel.settings.data_dir)
        self.counts = Counts(self.settings)
        self.past = Past(self.settings, self.known_identifiers)
        self.surroundings = Surroundings(self._collector.index, self.settings)
        self.ledger = Ledger(kernel.db, audit)
        self.limiting = Limiting(lambda: self.settings, self._hot)
        self._changed = self.ledger.then(self.limiting.then(self._tell))
        self.judging = Judging(kernel.clock, audit, self.settings, self._hot, self._changed)
        self.runs = Runs(kernel, audit, self.settings, self.publish)
        self.reasons = Reasons(kernel, self.settings, self.runs.hashed)
        self.meeting = Meeting(kernel, self.runs, self.resolve, lambda: self.settings)
        self._collector.meeting = self.meeting
        self.settler = Settler(
            kernel, audit, lambda: self.settings, self.meeting, self.judging, self._hot, self.linkage, self._changed
        )
        self.aging = Aging(kernel.clock, audit, self.settings, self._hot, self.linkage, self.reasons, self._changed)
        self.on_people_changed: list[PeopleChanged] = []
        self.on_people_merged: list[PeopleChanged] = []
        self.on_identifiers_stored = self._collector.on_stored

    # taking in

    async def add_records(self, conn: Conn, records: Sequence[NewRecord], known: Known | None = None) -> list[RecordId]:
        """Store records, sealed, in order, and give each a provisional person; the ids in the order of ``records``.

        The same row with the same words again is the record that is there. Other words of the same row are a new version;
        the version observed last is the current one. Nothing is overwritten. ``known``: ids of identifiers, as far as the caller has them.
        """
        taken = await self._collector.add(conn, records, known)
        if taken.touched:
            await self._tell(conn, sorted(taken.touched), merged=False)
        indexes = [self._collector.index(i) for i in dict.fromkeys(i for r in records for i in r.identifiers)]
        if indexes:
            after_commit(conn, partial(self._hot.forget, indexes), together=True)
        await self.limiting.forget(conn, taken.relinked)
        if len(records) >= _BULK:
            after_commit(conn, self.analyse)
        return taken.ids

    async def register_identifiers(self, conn: Conn, ids: Sequence[Identifier]) -> list[IdentifierId]:
        """Ids of identifiers, in order; those that no record carries yet are stored too, sealed, without a person."""
        known = await self._collector.identifiers(conn, ids) if ids else {}
        return [known[i] for i in ids]

    async def known_identifiers(self, conn: Conn, ids: Sequence[Identifier]) -> Mapping[Identifier, IdentifierId]:
        """Ids of those that are stored already; stores nothing, so that asking leaves no trace."""
        index_of = {i: self._collector.index(i) for i in dict.fromkeys(ids)}
        found = await store.find_identifiers(conn, list(index_of.values())) if index_of else {}
        return {i: found[index] for i, index in index_of.items() if index in found}

    async def known_rows(self, conn: Conn, rows: Sequence[tuple[str, str]]) -> list[RecordId | None]:
        """The current record of each (source, key in the source), in order; None where the row was never taken in."""
        hashes = [self._collector.row(source, key) for source, key in rows]
        found = await store.known_rows(conn, list(dict.fromkeys(hashes))) if hashes else {}
        return [next((v.id for v in found.get(one, ()) if v.current), None) for one in hashes]

    # who is who

    async def resolve(self, conn: Conn, subjects: Sequence[Sequence[Identifier]]) -> list[Resolution]:
        """Who each subject is, by the strongest identifier that names one person; one query for all."""
        index_of = {i: self._collector.index(i) for subject in subjects for i in subject}
        found = await self._ask(conn, list(dict.fromkeys(index_of.values())))
        return [self._decide(subject, found, index_of) for subject in subjects]

    async def resolve_hot(self, subjects: Sequence[Sequence[Identifier]]) -> list[Resolution]:
        """The same from memory or the hot index, from Postgres where they are cold. Advises: what is committed on it is fenced."""
        index_of = {i: self._collector.index(i) for subject in subjects for i in subject}
        found = await self._asking.held(list(dict.fromkeys(index_of.values())))
        return [self._decide(subject, found, index_of) for subject in subjects]

    async def rebuild_index(self) -> int:
        """Forget the hot index; it fills from Postgres as it is asked. The number of entries dropped."""
        return await self._hot.clear()

    async def fill_index(self) -> int:
        """Write the whole hot index from Postgres, before anybody asks; the number of identifiers that people hold."""
        return await self.indexing.fill_hot()

    async def lookup(self, conn: Conn, person_or_contact: str) -> PersonId:
        """The live person behind ``per_…`` (redirects followed) or ``kind:value``.

        Raises:
            PersonNotFound: nobody, or erased.
            AmbiguousContact: several people hold the contact.
            InvalidIdentifier, UnknownKind: neither a person id nor a contact.
        """
        if is_id(person_or_contact, "per"):
            person = PersonId(person_or_contact)
            row = (await graph_store.people_rows(conn, [person])).get(person)
            if row is None or row.erased_at is not None:
                raise PersonNotFound("expected a person of this installation, got an id that is unknown or erased")
            return row.redirect_to or person
        contact = parse_contact(person_or_contact, region=self.settings.default_region)
        found = (await self.resolve(conn, [[contact]]))[0]
        if found.person is not None:
            return found.person
        if found.candidates:
            raise AmbiguousContact(
                f"expected a {contact.kind} that one person holds, got one of {len(found.candidates)} people"
            )
        raise PersonNotFound(f"expected a contact ({contact.kind}) that somebody holds, got one that nobody does")

    async def current(self, conn: Conn, people: Sequence[PersonId]) -> Mapping[PersonId, PersonId]:
        """The live person of each id, retired ones by their redirect; unknown and erased ids are absent."""
        rows = await graph_store.people_rows(conn, people)
        return {p: r.redirect_to or p for p, r in rows.items() if r.erased_at is None}

    async def former(self, conn: Conn, people: Sequence[PersonId]) -> Mapping[PersonId, list[PersonId]]:
        """Every id under which each live person was known: her own first, then those that were retired into it."""
        names = {person: [person] for person in people}
        for old, now in sorted((await graph_store.retired_into(conn, people)).items()) if people else ():
            names[now].append(old)
        return names

    async def people(self, conn: Conn, *, source: str | None = None) -> list[PersonId]:
        """Every live person, oldest first; with ``source``, those who have a record of it."""
        return await graph_store.live_people(conn, source)

    async def graph_version(self, conn: Conn) -> GraphVersion:
        """The newest graph version."""
        return await graph_store.version(conn)

    # what makes up a person

    async def records(
        self, conn: Conn, people: Sequence[PersonId], *, identifiers: bool = True
    ) -> Mapping[PersonId, list[SourceRecord]]:
        """Every version of every record, opened in memory, oldest first; a person without any is absent.

        With ``identifiers=False`` those stay closed, for readers who need traits only: half the keys, half the time.
        """
        sealed = await store.sealed_records(conn, people) if people else []
        opened: dict[PersonId, list[SourceRecord]] = defaultdict(list)
        for start in range(0, len(sealed), _PAGE):
            page = sealed[start : start + _PAGE]
            for row, body, ids in await open_records(conn, self._kernel.vault, page, identifiers=identifiers):
                opened[row.person].append(source_record(row, body, ids))
        return opened

    async def identifiers(self, conn: Conn, people: Sequence[PersonId]) -> Mapping[PersonId, list[HeldIdentifier]]:
        """The identifiers of each person, opened in memory; a person without any is absent."""
        members = await graph_store.members(conn, people) if people else {}
        links, sealed = await store.identifiers_of(conn, [record for held_ in members.values() for record, _ in held_])
        opened = await open_identifiers(self._kernel.vault, sealed)
        return {
            person: found
            for person, rows in members.items()
            if (found := held({record: links.get(record, ()) for record, _ in rows}, opened))
        }

    async def standing(self, conn: Conn, people: Sequence[PersonId]) -> Mapping[PersonId, Standing]:
        """How sure each live person is, and when she last changed; an unknown, retired or erased one is absent."""
        rows = await graph_store.people_rows(conn, people) if people else {}
        return {
            p: Standing(r.sure, r.changed_in) for p, r in rows.items() if r.erased_at is None and r.redirect_to is None
        }

    async def contacts(self, conn: Conn, people: Sequence[PersonId]) -> Mapping[PersonId, list[Contact]]:
        """Identifiers of each person without their values, the one last observed first; a person without any is absent."""
        return await graph_store.contacts(conn, people) if people else {}

    async def owned(self, conn: Conn, people: Sequence[PersonId]) -> Mapping[PersonId, tuple[RecordId, ...]]:
        """The records of each person and nothing else: for readers that ask for no one who may be the same."""
        found = await graph_store.members(conn, people) if people else {}
        return {person: tuple(record for record, _ in rows) for person, rows in found.items()}

    async def record_keys(self, conn: Conn, people: Sequence[PersonId]) -> Mapping[PersonId, tuple[KeyId, ...]]:
        """Keys of each person's records, as `members` orders them; who has no record is absent."""
        found = await graph_store.members(conn, people) if people else {}
        return {person: tuple(key for _, key in rows) for person, rows in found.items()}

    async def members(self, conn: Conn, people: Sequence[PersonId]) -> Mapping[PersonId, Membership]:
        """What makes up each person; an unknown, retired or erased one is absent."""
        if not people:
            return {}
        records = await graph_store.members(conn, people)
        identifiers = await graph_store.held_identifiers(conn, people, self.settings.loose_limit)
        loose = await graph_store.may_be_same(conn, people, self.settings.loose_limit, identifiers)
        rows = await graph_store.people_rows(conn, people)
        return {
            person: Membership(
                records=tuple(record for record, _ in held_),
                identifiers=tuple(i.id for i in identifiers.get(person, ())),
                key_ids=(
                    *(key for _, key in held_),
                    *(i.key_id for i in identifiers.get(person, ()) if i.holders == 1),
                ),
                loose=tuple(sorted(loose.get(person, ()))),
                sure=rows[person].sure,
                graph_version=rows[person].changed_in,
            )
            for person, held_ in records.items()
        }

    async def subjects(self, conn: Conn, ids: Sequence[IdentifierId | RecordId]) -> Mapping[str, Subject]:
        """Key and live people of each identifier or record; an unknown or erased one is absent."""
        found = await graph_store.subjects_of(conn, ids) if ids else {}
        return {one: Subject(key_id, tuple(sorted(people))) for one, (key_id, people) in found.items()}

    # the graph

    async def linkage_table(self, conn: Conn) -> "pa.Table":
        """Current records in clear, by id, for a linkage run: in memory only, never written anywhere.

        Columns are named by kind; ``records.linkage_kinds`` reads the kinds off the table.
        """
        rows: list[Row] = []
        after = ""
        while page := await store.current_records(conn, after, _PAGE):
            for row, body, identifiers in await open_records(conn, self._kernel.vault, page):
                _, traits, kinds = unpack(body)
                rows.append((row.id, traits, kinds, identifiers))
            after = page[-1].id
        return linkage_table(rows)

    async def publish(
        self, conn: Conn, clusters: "Clusters", records: Sequence[RecordId], edges: "Edges | None" = None
    ) -> GraphVersion:
        """Make a linkage run's clusters the live graph. ``records``: the table's ``record_id`` column, row by row.

        Ids are stable (the rule is written in ``graph.py``); records that the table did not hold stay with their person.
        Others who join or publish wait until the transaction ends.

        Raises:
            RecordNotFound: clusters and records are not of one table.
        """
        published = await publishing.publish(
            conn, self._audit, self._kernel.clock, clusters, records, edges, self.settings.exclusive_kinds
        )
        await self._changed(conn, sorted(published.touched))
        after_commit(conn, self._drop_index)
        if len(records) >= _BULK:
            after_commit(conn, self.analyse)
        return published.version

    async def changes(self, conn: Conn, after: int = 0, limit: int = 1000) -> list[tuple[int, GraphVersion, Change]]:
        """The change feed after an offset, in order: merges, splits, moves, erasures; replaying it is idempotent."""
        return await graph_store.changes(conn, after, limit)

    async def show(self, conn: Conn, person: PersonId) -> PersonView:
        """A person's records, identifier kinds, edges and doubts: ids, kinds and weights, no words."""
        return await views.show(conn, person, self.settings.loose_limit)

    async def why(self, conn: Conn, a: RecordId, b: RecordId) -> Why:
        """Why two records are (or are not) one person (see ``Reasons``)."""
        return await self.reasons.why(conn, a, b)

    # doubts that staff must look at

    async def review(self, conn: Conn, person: PersonId, reason: str, *, about: str = "") -> bool:
        """Queue a person for review: ``reason`` is a code, ``about`` the id of what raised it. False when it is queued already."""
        found = Review(new_id("rvw"), person, reason, about, self._kernel.clock.now())
        return await review_store.add(conn, found)

    async def reviews(self, conn: Conn, *, closed: bool = False, limit: int = 100) -> list[Review]:
        """Open reviews, oldest first; with ``closed`` those that were done too."""
        return await review_store.listed(conn, closed=closed, limit=limit)

    async def close_review(self, conn: Conn, review_id: str, *, actor: str) -> bool:
        """Somebody looked; the act is logged. False when no such review is open."""
        person = await review_store.close(conn, review_id, self._kernel.clock.now())
        if person is None:
            return False
        entry = NewEntry(Tag.IDENTITY_REVIEWED, {"person": person}, {"review": review_id}, actor=actor)
        await self._audit.append(conn, [entry])
        return True

    # holder of personal data

    async def export(self, conn: Conn, person: PersonId) -> Json:
        """Every record and identifier, opened, and what staff decided about them."""
        held = (await self.records(conn, [person])).get(person, [])
        return holding.exported(held, await self.judging.about(conn, person))

    async def erase(self, conn: Conn, person: PersonId) -> int:
        """Tombstone the person's records and the identifiers that only they carry; drop the edges and index entries.

        The keys are the caller's to destroy after the commit: take ``members(...).key_ids`` before. Others who shared an
        identifier are told, because who may be the same has changed.
        """
        await self.reasons.forget(conn, (await self.owned(conn, [person])).get(person, ()))
        erased = await holding.erase(conn, person, self._kernel.clock.now(), self.settings.loose_limit)
        await asyncio.to_thread(self.linkage.without, erased.records)
        await self._changed(conn, sorted(erased.neighbours))
        if erased.indexes:
            after_commit(conn, partial(self._hot.forget, erased.indexes))
        return erased.rows

    async def _tell(self, conn: Conn, people: Sequence[PersonId], *, merged: bool = True) -> None:
        for told in (*self.on_people_changed, *(self.on_people_merged if merged else ())) if people else ():
            await told(conn, people)

    async def analyse(self) -> None:
        """After many small loads that together are a big one: let Postgres look at the tables again."""
        async with self._kernel.db.transaction() as conn:
            await graph_store.analyse(conn)

    async def _drop_index(self) -> None:
        await self._hot.clear()

    async def _ask(self, conn: Conn, wanted: Sequence[Index]) -> dict[Index, dict[PersonId, RecordId]]:
        found: dict[Index, dict[PersonId, RecordId]] = {index: {} for index in wanted}
        for hit in await store.resolve(conn, wanted) if wanted else ():
            if hit.person is not None and hit.record is not None:
                found[hit.index][hit.person] = hit.record
        return found

    def _decide(
        self,
        subject: Sequence[Identifier],
        found: Mapping[Index, Mapping[PersonId, RecordId]],
        index_of: Mapping[Identifier, Index],
    ) -> Resolution:
        hits: dict[str, dict[PersonId, RecordId]] = defaultdict(dict)
        for identifier in subject:
            hits[identifier.kind].update(found[index_of[identifier]])
        return decide(hits, self.settings)
