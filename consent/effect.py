"""What a file of consents would change, before anything is stored: who gains and who loses what, by purpose and channel.

Enters: rows of a file, batch by batch. Leaves: an ``Effect``. Nothing is written and nobody is locked: the acts that the rows would become are laid over the
acts that stand, and the gate is asked without and with them. A contact that nobody holds yet is counted, and stays unknown.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from consent import gate, store
from consent.acts import ActView, NewAct
from consent.gate import ConsentState
from consent.imports import ImportedConsent
from consent.purposes import PurposeTree
from consent.service import Consent
from identity.service import Identity
from kernel.clock import Clock
from kernel.db import Conn
from kernel.errors import InvalidInput
from kernel.ids import ActId, IdentifierId, PersonId, new_id

_PART: Final = 2_000  # people looked at together
_NAMED: Final = 20  # ids that a line lists of each side
_CLOSED: Final = ActId("act_foreseen")

Question = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class Change:
    """One purpose on one channel. ``before`` and ``after``: how many of the people that the file touches may be served; some ids of who changes."""

    purpose: str
    channel: str | None
    before: int
    after: int
    gain: int
    lose: int
    gaining: tuple[PersonId, ...] = ()
    losing: tuple[PersonId, ...] = ()


@dataclass(frozen=True, slots=True)
class Effect:
    """``people`` hold what the file speaks of, or may be the same as who does; ``unheld`` contacts nobody holds; ``refused`` words of rows cannot be taken."""

    people: int
    unheld: int
    refused: int
    changes: tuple[Change, ...]

    @property
    def gain(self) -> int:
        """Permissions that begin."""
        return sum(one.gain for one in self.changes)

    @property
    def lose(self) -> int:
        """Permissions that end."""
        return sum(one.lose for one in self.changes)


@dataclass
class Tally:
    """Counts answers of before and after, person by person."""

    before: Counter[Question] = field(default_factory=Counter)
    after: Counter[Question] = field(default_factory=Counter)
    gaining: dict[Question, list[PersonId]] = field(default_factory=lambda: defaultdict(list))
    losing: dict[Question, list[PersonId]] = field(default_factory=lambda: defaultdict(list))

    def add(self, person: PersonId, question: Question, *, before: bool, after: bool) -> None:
        """One person's answers to one question."""
        self.before[question] += before
        self.after[question] += after
        if before != after:
            (self.gaining if after else self.losing)[question].append(person)

    def changes(self, questions: Iterable[Question]) -> tuple[Change, ...]:
        """A line for each question."""
        return tuple(
            Change(
                purpose, channel, self.before[key], self.after[key], len(self.gaining[key]), len(self.losing[key]),
                tuple(self.gaining[key][:_NAMED]), tuple(self.losing[key][:_NAMED]),
            )
            for key in questions
            for purpose, channel in [key]
        )  # fmt: skip


def questions(tree: PurposeTree) -> list[Question]:
    """Every purpose on each channel it governs; alone where it governs none."""
    return [(one.key, channel) for one in tree.by_key.values() for channel in (one.channels or (None,))]


class Foresight:
    """Looks ahead over one file of consents."""

    def __init__(self, consent: Consent, identity: Identity, clock: Clock) -> None:
        self._consent = consent
        self._identity = identity
        self._now = clock.now()
        self._acts: dict[str, list[ActView]] = defaultdict(list)
        self._unheld: set[object] = set()
        self._refused = 0

    async def take(self, conn: Conn, rows: Sequence[ImportedConsent], *, refused: int = 0) -> None:
        """The next rows; ``refused`` more were turned away before."""
        self._refused += refused
        wanted = [row.identifiers[0] for row in rows if row.record is None]
        known = await self._identity.known_identifiers(conn, wanted)
        notices = await store.notices_named(conn, sorted({row.notice for row in rows if row.notice}))
        stranger = IdentifierId(new_id("idn"))
        for row in rows:
            subject = row.record or known.get(row.identifiers[0], stranger)
            try:
                act = self._consent.imported(row, subject, notices, self._now)
            except InvalidInput:
                self._refused += 1
                continue
            if subject == stranger:
                self._unheld.add(row.identifiers[0])
            else:
                self._acts[subject].append(_view(act))

    async def effect(self, conn: Conn) -> Effect:
        """What all the rows together would change."""
        held = await self._identity.subjects(conn, [*map(IdentifierId, self._acts)])
        theirs: dict[PersonId, set[str]] = defaultdict(set)
        for subject, found in held.items():
            for person in found.people:
                theirs[person].add(subject)
        lonely = sum(not found.people for found in held.values()) + len(self._acts) - len(held)
        tally, touched = Tally(), set[PersonId]()
        wanted = questions(self._consent.rules.purposes)
        direct = sorted(theirs)
        for start in range(0, len(direct), _PART):
            members = await self._identity.members(conn, direct[start : start + _PART])
            near = {other for one in members.values() for other in one.loose}
            part = sorted((members.keys() | near) - touched)
            touched.update(part)
            loose = {person: one.loose for person, one in (await self._identity.members(conn, part)).items()}
            for person, state in (await self._consent.states(conn, part)).items():
                after = self._with(state, theirs[person], {s for other in loose.get(person, ()) for s in theirs[other]})
                for question in wanted:
                    tally.add(
                        person, question,
                        before=_may(state, question, self._now), after=_may(after, question, self._now),
                    )  # fmt: skip
        return Effect(len(touched), len(self._unheld) + lonely, self._refused, tally.changes(wanted))

    def _with(self, state: ConsentState, own: set[str], loose: set[str]) -> ConsentState:
        more = [act for subject in own for act in self._acts[subject]]
        more += [replace(act, loose=True) for subject in loose - own for act in self._acts[subject]]
        return replace(state, acts=(*state.acts, *more)) if more else state


def _may(state: ConsentState, question: Question, at: datetime) -> bool:
    return gate.permission(state, question[0], question[1], at).granted


def _view(act: NewAct) -> ActView:
    return ActView(
        id=_CLOSED, subject=act.subject, purpose=act.purpose, channel=act.channel, status=act.status, basis=act.basis,
        jurisdiction=act.jurisdiction, mechanism=act.mechanism, given_at=act.given_at, expires_at=act.expires_at,
        has_notice=act.notice is not None, verified=act.verified, listed=act.notice.listed if act.notice else frozenset(),
    )  # fmt: skip
