"""Nothing is kept past its time: the schedule is carried out through the rooms' own doors (consent.K2).

What enters: the schedule, the clock, who is held back. What leaves: ``Line``s, one a rule, with what was due, what went and what was held; an entry in the log with
the counts, in the transaction that removed. A dry run counts the same and changes nothing. A run that is killed goes on where it stood.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from consent import confirming_store, schedule
from consent import retention_store as rows
from consent.aging import ACTOR, Aging, RecordUser
from consent.errors import RetentionInvalid
from consent.holds import Held
from consent.requests import Rights
from consent.schedule import Rule
from consent.service import Consent
from identity.service import Identity
from kernel.canonical import Json
from kernel.db import Conn
from kernel.holders import Keeper, Term
from kernel.ids import IdentifierId
from kernel.kernel import Kernel

SOURCE_RECORDS: Final = "source_records"
_AT_ONCE: Final = 2_000  # things a transaction: short locks, and a crash loses little


@dataclass(frozen=True, slots=True)
class Line:
    """One rule and what it meant this time. ``due``: past their time and free to go; ``held``: past it and held back."""

    kind: str
    purpose: str | None
    keep_days: int
    before: datetime
    due: int
    held: int
    gone: int


@dataclass(frozen=True, slots=True)
class Report:
    """All lines; who was held back, by reason; kinds that no rule names, which are kept for ever; what went on a day of its own."""

    lines: tuple[Line, ...]
    held: Mapping[str, int]
    unruled: tuple[str, ...]
    on_their_day: Mapping[str, int] = field(default_factory=dict)


class _ClosedRequests:
    """Requests themselves are kept for a time, and no longer."""

    keeps: Final = {"closed_requests": "subject requests, since they were closed"}

    async def overdue(self, conn: Conn, term: Term) -> int:
        """How many."""
        return await rows.count_closed(conn, term.before, sorted(term.people))

    async def let_go(self, conn: Conn, term: Term, limit: int) -> int:
        """Remove some."""
        return await rows.drop_closed(conn, term.before, sorted(term.people), limit)


class _Questions:
    """Mails that asked to confirm a yes; what was said behind them is an act, and stays."""

    keeps: Final = {
        "confirmation_questions": "questions whether a yes is confirmed, since they were answered or ran out"
    }

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    async def overdue(self, conn: Conn, term: Term) -> int:
        """How many."""
        return await confirming_store.count_over(conn, term.before, await self._held(conn, term))

    async def let_go(self, conn: Conn, term: Term, limit: int) -> int:
        """Remove some."""
        return await confirming_store.drop_over(conn, term.before, await self._held(conn, term), limit)

    async def _held(self, conn: Conn, term: Term) -> list[IdentifierId]:
        """Contacts of who is held back."""
        if not term.people:
            return []
        members = await self._identity.members(conn, sorted(term.people))
        return sorted({one for held in members.values() for one in held.identifiers})


class Retention:
    """``register`` every room that keeps things for a time; ``records_used_by`` those that keep things of a record."""

    def __init__(self, kernel: Kernel, audit: Audit, identity: Identity, consent: Consent, rights: Rights) -> None:
        self._kernel = kernel
        self._audit = audit
        self._consent = consent
        self._rights = rights
        self._aging = Aging(kernel, identity, consent, rights)
        self._keepers: list[Keeper] = [_ClosedRequests(), _Questions(identity)]
        self.schedule = schedule.load(consent.settings.retention_file)

    def register(self, keeper: Keeper) -> None:
        """From now on the schedule may name what this room keeps."""
        self._keepers.append(keeper)

    def records_used_by(self, user: RecordUser) -> None:
        """From now on a record is in use while this room heard of it."""
        self._aging.users.append(user)

    @property
    def kinds(self) -> Mapping[str, str]:
        """Every kind of thing there is, with the moment from which its age is counted."""
        found = {
            SOURCE_RECORDS: "rows of sources, since their newest version was recorded and anything was heard of them"
        }
        for keeper in self._keepers:
            found |= keeper.keeps
        return found

    async def preview(self) -> Report:
        """What a run would remove; changes nothing."""
        return await self._each(dry=True, actor="")

    async def run(self, *, actor: str = ACTOR) -> Report:
        """Remove what is past its time."""
        return await self._each(dry=False, actor=actor)

    async def _each(self, *, dry: bool, actor: str) -> Report:
        self.schedule.check(self.kinds, self._consent.rules.purposes)
        now = self._kernel.clock.now()
        lines: list[Line] = []
        for rule in self.schedule.rules:
            async with self._kernel.db.reading() as conn:
                held = await self._rights.holds.held(conn)
                term = self._term(rule, now, held)
                due = await self._overdue(conn, term)
                everything = await self._overdue(conn, self._term(rule, now, Held())) if held.people else due
            gone = 0 if dry or not due else await self._let_go(rule, term, actor)
            lines.append(Line(rule.kind, rule.purpose, rule.keep_days, term.before, due, everything - due, gone))
        async with self._kernel.db.reading() as conn:
            held = await self._rights.holds.held(conn)
        ruled = {rule.kind for rule in self.schedule.rules}
        own = {} if dry else await self._rights.tidy()
        return Report(tuple(lines), held.reasons, tuple(sorted(set(self.kinds) - ruled)), own)

    def _term(self, rule: Rule, now: datetime, held: Held) -> Term:
        purposes = self.schedule.purposes(rule, self._consent.rules.purposes)
        return Term(rule.kind, now - timedelta(days=rule.keep_days), purposes, held.people, held.records)

    async def _overdue(self, conn: Conn, term: Term) -> int:
        if term.kind == SOURCE_RECORDS:
            return await self._aging.overdue(conn, term)
        return await self._keeper(term.kind).overdue(conn, term)

    async def _let_go(self, rule: Rule, term: Term, actor: str) -> int:
        async def log(conn: Conn, count: int) -> None:
            facts: dict[str, Json] = {
                "kind": rule.kind, "purpose": rule.purpose, "before": term.before.isoformat(), "count": count,
                "schedule": self.schedule.digest,
            }  # fmt: skip
            await self._audit.append(conn, [NewEntry(Tag.RETENTION_RUN, {}, facts, actor=actor)])

        if term.kind == SOURCE_RECORDS:
            return await self._aging.let_go(term, log)
        keeper = self._keeper(term.kind)
        total = 0
        while True:
            async with self._kernel.db.transaction() as conn:
                # Asked again inside: a hold that was placed meanwhile holds.
                now_held = await self._rights.holds.held(conn)
                gone = await keeper.let_go(
                    conn, replace(term, people=now_held.people, records=now_held.records), _AT_ONCE
                )
                if gone:
                    await log(conn, gone)
            total += gone
            if gone < _AT_ONCE:
                return total

    def _keeper(self, kind: str) -> Keeper:
        for keeper in self._keepers:
            if kind in keeper.keeps:
                return keeper
        raise RetentionInvalid(f"expected a kind that a room keeps, got {kind}")


def overdue(lines: Sequence[Line]) -> int:
    """How many things are past their time and free to go."""
    return sum(line.due - line.gone for line in lines)
