"""The front door of the consent room: record, withdraw, state, fence.

Enters: consent acts, signals, changes of the graph. Leaves: ``ConsentState`` for the gate, and the fence that keeps a commit
from resting on a state that has moved. What it never does: store a person's state as truth (it is derived, strictest
over the graph), change or remove an act, or turn an unknown into a yes.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from audit.service import Audit
from consent import confirming_store, figures, gate, importing, imports, store, writing
from consent.acts import ActView, ConsentAct, NewAct, Notice, Status, check
from consent.confirming import Confirmations
from consent.errors import UnknownSubject
from consent.gate import ConsentState
from consent.imports import ImportedConsent
from consent.in_force import Book
from consent.invalidation import Invalidation
from consent.purposes import SALE_SHARE, Basis
from consent.settings import ConsentSettings
from consent.shredding import Shredder
from consent.states import States
from consent.told import Told
from consent.views import Check, HistoryLine
from identity.around import Around
from identity.identifiers import Identifier
from identity.past import PastMembership
from identity.people import Membership
from identity.service import Identity
from kernel.canonical import Json
from kernel.db import Conn, Piece, after_commit
from kernel.errors import InvalidInput
from kernel.ids import ActId, IdentifierId, PersonId, RecordId
from kernel.kernel import Kernel

CONTACTS: Final = frozenset({"email", "phone"})  # kinds that a person may ask to be kept silent after an erasure
_AGAIN: Final = timedelta(days=1)  # a no that is said again later than this is a word of its own
SILENCE: Final = "suppression"  # the pepper's purpose; used for nothing else


class Consent:
    """May I. One per process and event loop."""

    def __init__(
        self, kernel: Kernel, audit: Audit, identity: Identity, settings: ConsentSettings | None = None
    ) -> None:
        self._kernel = kernel
        self._audit = audit
        self._identity = identity
        self._invalidation = Invalidation(kernel.cache)
        self.on_touched: list[Callable[[Conn, Iterable[PersonId]], Awaitable[None]]] = []
        self.settings = settings or ConsentSettings()
        self.shredder = Shredder(kernel)
        self.confirmations = Confirmations(kernel, audit, identity, self)
        self.book = Book(kernel, audit, identity, self.settings, self.touch)
        self.rules = self.book.mine.rules
        self._states = States(identity, self.book)
        self._told = Told(self.book)

    @property
    def name(self) -> str:
        """As a holder of personal data."""
        return "consent"

    # acts

    async def record(self, conn: Conn, acts: Sequence[NewAct]) -> list[ActId]:
        """Store acts, in order, in the caller's transaction, with their audit entries.

        Everyone they could touch gets a new consent version: whoever holds the subject, and whoever may be the same. An
        imported act that is stored already changes nothing and gives its first id.

        Raises:
            ActIncomplete, UnknownPurpose: an act is not evidence; nothing is stored.
            UnknownSubject: a subject is not (or no longer) of this installation.
        """
        if not acts:
            return []
        now = self._kernel.clock.now()
        return await self._keep(conn, [self._checked(act, now) for act in acts], now)

    async def _keep(self, conn: Conn, checked: Sequence[NewAct], now: datetime) -> list[ActId]:
        """Store acts that were checked."""
        if not checked:
            return []
        subjects = await self._identity.subjects(conn, list(dict.fromkeys(act.subject for act in checked)))
        missing = sum(act.subject not in subjects for act in checked)
        if missing:
            raise UnknownSubject(f"expected subjects of this installation, got {missing} that are unknown or erased")
        rows = await writing.sealed(self._kernel.vault, checked, subjects, now)
        kept = await store.insert_acts(conn, rows)
        fresh = [row for row in rows if kept[row.id] == row.id]
        await self._audit.append(conn, [writing.entry(row, subjects[row.act.subject]) for row in fresh])
        await confirming_store.keep(conn, await writing.confirmed(self._kernel.vault, fresh, subjects))
        figures.count(conn, fresh)
        await self.touch(conn, {person for row in fresh for person in subjects[row.act.subject].people})
        return [kept[row.id] for row in rows]

    async def withdraw(
        self,
        conn: Conn,
        subject: IdentifierId | RecordId,
        purpose: str,
        channel: str | None,
        *,
        mechanism: str,
        actor: str,
        raw: bytes = b"",
        told_at: datetime | None = None,
    ) -> ActId | None:
        """One denial, unless one that is as strong stands already: however often it is asked in a day, one act.

        ``told_at``: she said it then, to another system; what she said to us since counts. Now when left out.
        A no that a file may lift is told again when it is said again later: else a yes that some file dates between the two would lift the first.
        """
        await store.lock_subjects(conn, [subject])
        said = (await store.views(conn, [subject])).get(subject, [])
        now = self._kernel.clock.now()
        standing = gate.standing(said, self.rules, purpose, channel, now)
        if any(
            self.rules.precedence.spares(a.mechanism, mechanism, again=now - a.given_at >= _AGAIN) for a in standing
        ):
            return None
        act = self.denial(subject, purpose, channel, mechanism=mechanism, actor=actor, raw=raw)
        if told_at is None:
            return (await self.record(conn, [act]))[0]
        if gate.outlived(said, self.rules, purpose, channel, mechanism=mechanism, since=told_at, at=now):
            return None
        return (await self.record(conn, [replace(act, given_at=told_at)]))[0]

    def denial(
        self,
        subject: IdentifierId | RecordId,
        purpose: str,
        channel: str | None,
        *,
        mechanism: str,
        actor: str,
        raw: bytes = b"",
    ) -> NewAct:
        """A no, of now, in the jurisdiction of the settings; a no needs no notice."""
        declared = self.rules.purposes.get(purpose)
        place = self.settings.jurisdiction
        return NewAct(
            subject=subject,
            purpose=purpose,
            status=Status.DENIED,
            channel=channel,
            basis=declared.basis_in(place) if declared else Basis.CONSENT,
            jurisdiction=place,
            notice=None,
            mechanism=mechanism,
            actor=actor,
            given_at=self._kernel.clock.now(),
            raw=raw,
        )

    async def apply_gpc(self, conn: Conn, ids: Sequence[IdentifierId], *, raw: bytes, actor: str) -> list[ActId]:
        """``Sec-GPC: 1`` came together with these identifiers: a standing opt-out of sale and sharing on each.

        Call it before anything reads a state for the same request. Repeats add nothing, and an override that the person
        was asked for and that the law allows is not undone by the next request of the same browser.
        """
        recorded = []
        for one in sorted(set(ids)):
            await store.lock_subjects(conn, [one])
            said = (await store.views(conn, [one])).get(one, [])
            if any(a.purpose == SALE_SHARE and a.mechanism == "gpc" for a in said):
                continue
            recorded.append(self.denial(one, SALE_SHARE, None, mechanism="gpc", actor=actor, raw=raw))
        return await self.record(conn, recorded)

    async def import_rows(self, conn: Conn, rows: Sequence[ImportedConsent]) -> list[ActId | InvalidInput]:
        """Store the consents of a file, one answer a row; a row that cannot be an act is answered with its fault."""
        now = self._kernel.clock.now()
        wanted = [row.identifiers[0] for row in rows if row.record is None]
        ids = dict(zip(wanted, await self._identity.register_identifiers(conn, wanted), strict=True))
        notices = await store.notices_named(conn, sorted({row.notice for row in rows if row.notice}))
        answers: list[importing.Answer] = []
        for row in rows:
            try:
                answers.append(self.imported(row, row.record or ids[row.identifiers[0]], notices, now))
            except InvalidInput as fault:
                answers.append(fault)
        told = await importing.without_known(conn, answers, self.rules, now)
        fresh = list(dict.fromkeys(one for one in told if isinstance(one, NewAct)))
        stored = dict(zip(fresh, await self._keep(conn, fresh, now), strict=True))
        return [stored[one] if isinstance(one, NewAct) else one for one in told]

    def imported(
        self, row: ImportedConsent, subject: IdentifierId | RecordId, notices: Mapping[str, Notice], now: datetime
    ) -> NewAct:
        """The act that a row would become, checked; ``notices`` are those whose text is held, by version.

        Raises:
            ActIncomplete, UnknownPurpose: it cannot be one.
        """
        act = imports.row_to_act(
            row, subject, rules=self.rules, notices=notices, jurisdiction=self.settings.jurisdiction, now=now,
            vendor=self.settings.tcf_vendor_id,
        )  # fmt: skip
        return self._checked(act, now)

    async def analyse(self) -> None:
        """After a bulk load: fresh statistics for whoever reads next."""
        async with self._kernel.db.transaction() as conn:
            await store.analyse(conn)

    async def publish_notice(
        self, conn: Conn, text: str, *, version: str, language: str, listed: Iterable[str] = ()
    ) -> Notice:
        """Keep the words that people are shown; acts name them by their hash."""
        notice = Notice.of(text, version=version, language=language, listed=listed)
        for key in notice.listed:
            self.rules.purposes.expect(key)
        await store.keep_notice(conn, notice, text, self._kernel.clock.now())
        return notice

    # states

    async def states(
        self, conn: Conn, people: Sequence[PersonId], *, known_at: datetime | None = None
    ) -> Mapping[PersonId, ConsentState]:
        """The state of each, strictest over the graph; a person of whom nothing is held has a state that permits nothing.

        Versions are read first: whatever changes after that is caught by the fence. ``known_at``: only what was
        recorded by then, on the graph and under the rules of then.
        """
        return await self._states.of(conn, people, known_at=known_at)

    async def state(self, conn: Conn, person: PersonId, *, known_at: datetime | None = None) -> ConsentState:
        """One person's state, as known at ``known_at``; ask the gate with the moment you mean."""
        return (await self.states(conn, [person], known_at=known_at))[person]

    async def state_of_identifiers(self, conn: Conn, ids: Sequence[IdentifierId]) -> ConsentState:
        """What may be collected under these identifiers, before or after there is a person."""
        return (await self.states_of_identifiers(conn, [ids]))[0]

    async def states_of_identifiers(self, conn: Conn, groups: Sequence[Sequence[IdentifierId]]) -> list[ConsentState]:
        """The same for many: one state per group of identifiers that came together.

        When one person holds them, her state binds too. When several do, all their denials bind and only what was
        granted on the identifiers themselves permits.
        """
        return await self._states.of_identifiers(conn, groups)

    async def states_around(
        self, conn: Conn, seen: Around, groups: Sequence[Sequence[Identifier]]
    ) -> list[ConsentState]:
        """The same for identifiers in clear, of what identity saw around them; for collection, which commits nothing that a version fences."""
        return await self._states.around(conn, seen, [[seen.ids[i] for i in one if i in seen.ids] for one in groups])

    async def fence(self, conn: Conn, versions: Mapping[PersonId, int]) -> set[PersonId]:
        """Those whose consent moved since ``versions`` was read. The others cannot move until this transaction ends."""
        now = await store.share(conn, list(versions))
        return {person for person, version in versions.items() if now[person] != version}

    @staticmethod
    def holding(people: Iterable[PersonId]) -> Piece:
        """The fence as part of a statement: the versions of these people, which cannot move until it has committed. Who never had one is absent."""
        return store.holding(people)

    async def versions(self, conn: Conn, people: Sequence[PersonId]) -> Mapping[PersonId, int]:
        """The consent version of each as of now; one look-up for all. Whatever rests on another version must be looked at again."""
        found = await store.versions(conn, people)
        return {person: found[person].version if person in found else 0 for person in people}

    async def touch(self, conn: Conn, people: Iterable[PersonId]) -> None:
        """Something that bears on these people changed: a new version for them and for whoever may be the same."""
        direct = set(people)
        if not direct:
            return
        loosely = await self._identity.surroundings.loosely(conn, sorted(direct))
        reached = direct.union(*loosely.values())
        await store.bump(conn, reached)
        self.forget(conn, reached)
        for told in self.on_touched:
            await told(conn, reached)

    async def people_changed(self, conn: Conn, people: Iterable[PersonId]) -> None:
        """The graph of these people changed (a record came, a merge, a split): whatever rested on the old one is fenced."""
        await self.touch(conn, people)

    async def identifiers_stored(self, conn: Conn, fresh: Mapping[IdentifierId, Identifier]) -> None:
        """Identifiers came that were not held before: those who must stay silent are silent from their first moment."""
        contacts = {self.contact_hash(one.kind, one.value): id_ for id_, one in fresh.items() if one.kind in CONTACTS}
        if not contacts or not await store.any_silenced(conn):
            return
        for found in await store.silenced(conn, list(contacts)):
            await self.silence(conn, contacts[found])

    async def silence(self, conn: Conn, identifier: IdentifierId) -> None:
        """No marketing to this contact, as an earlier request asked."""
        await self.withdraw(conn, identifier, "marketing", None, mechanism=SILENCE, actor="system")

    def contact_hash(self, kind: str, value: str) -> bytes:
        """The keyed hash under which a contact stays silent after its erasure."""
        return self._kernel.vault.pepper(SILENCE, f"{kind}:{value}")

    def forget(self, conn: Conn, people: Iterable[PersonId]) -> None:
        """Drop what the hot store holds of these people, once the transaction has committed."""
        gone = sorted(set(people))
        after_commit(conn, lambda: self._invalidation.forget(gone), together=True)

    # reading

    async def check(
        self, conn: Conn, person: PersonId, purpose: str, channel: str | None, *,
        at: datetime | None = None, known_at: datetime | None = None,
    ) -> Check:  # fmt: skip
        """May this person be served this now, and why; at another moment, and as known at one."""
        moment, state = at or self._kernel.clock.now(), await self.state(conn, person, known_at=known_at)
        answer = gate.permission(state, purpose, channel, moment)
        act = await self.act(conn, answer.act) if answer.act is not None else None
        return Check(person, purpose, channel, moment, answer, act, state.version, known_at)

    async def act(self, conn: Conn, act_id: ActId) -> ConsentAct | None:
        """One act, whole: what a receipt shows."""
        return (await store.acts(conn, [act_id])).get(act_id)

    async def acts(self, conn: Conn, ids: Sequence[ActId]) -> Mapping[ActId, ConsentAct]:
        """Acts, whole, in one question; unknown ones are absent."""
        return await store.acts(conn, ids) if ids else {}

    async def history(self, conn: Conn, person: PersonId, *, known_at: datetime | None = None) -> list[HistoryLine]:
        """Everything this person said, oldest first, with the words she was shown where they are held; ``known_at``: as known then."""
        held: Membership | PastMembership | None
        if known_at is None:
            held = (await self._identity.members(conn, [person])).get(person)
        else:
            held = (await self._identity.past.members(conn, [person], known_at)).get(person)
        return [] if held is None else await self._told.of(conn, [*held.identifiers, *held.records], known_at=known_at)

    async def history_of(self, conn: Conn, subjects: Sequence[str]) -> list[HistoryLine]:
        """Everything that was said on these very subjects, oldest first."""
        return await self._told.of(conn, subjects)

    async def said_of(self, conn: Conn, subjects: Sequence[str]) -> dict[str, list[ActView]]:
        """What was said on these very subjects, nobody else's."""
        return await store.views(conn, subjects)

    # holder of personal data

    async def export(self, conn: Conn, person: PersonId) -> Json:
        """Every act, with the bytes that carried it."""
        lines = await self.history(conn, person)
        sealed = await store.raws(conn, sorted({line.act.subject for line in lines}))
        keys = await self._kernel.vault.unwrap([key for _, key, _ in sealed])
        raw = {
            act: keys[key].open("consent.acts", "raw", act, words).decode(errors="backslashreplace")
            for act, key, words in sealed
            if key in keys
        }
        proofs = await writing.opened(
            self._kernel.vault, await confirming_store.evidence(conn, [x.act.id for x in lines])
        )
        return {"acts": [line.as_json(raw.get(line.act.id), proofs.get(line.act.id)) for line in lines]}

    async def erase(self, conn: Conn, person: PersonId) -> int:  # noqa: ARG002 - the protocol's
        """Acts stay: they are evidence, and name ids only. Their raw bytes close with the key of their subject."""
        return 0

    # within

    def _checked(self, act: NewAct, now: datetime) -> NewAct:
        return check(act, rules=self.rules, controller=self.settings.controller, now=now)
