"""One act of staff on the graph: what every act does once it is clear who goes where.

Enters: an assignment of the records of some people, and the judgements it rests on. Leaves: memberships, redirects, sureness, the change feed, the log;
whoever listens is told; all in the caller's transaction.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from identity import evidence_store, graph_store, judged, judgement_store, publishing, store, undoing_store
from identity.graph import Assignment, assign, surety
from identity.hot_index import HotIndex
from identity.judgements import Act, Judgement, Law, Reason, Verdict
from identity.people import Change
from identity.settings import IdentitySettings
from kernel.canonical import Json, digest
from kernel.clock import Clock
from kernel.db import Conn, after_commit
from kernel.ids import GraphVersion, PersonId, RecordId, new_id

Tell = Callable[[Conn, Sequence[PersonId]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class By:
    """Who acts, and why."""

    actor: str
    reason: Reason = Reason.LOOKED


@dataclass(frozen=True, slots=True)
class Acted:
    """What became of an act. ``people``: the live people it concerns, now; ``before``: those who were live. ``version``: None when nobody moved."""

    act: Act
    act_id: str | None
    version: GraphVersion | None
    before: tuple[PersonId, ...]
    people: tuple[PersonId, ...]
    changes: tuple[Change, ...] = ()
    refused: str | None = None

    def as_json(self) -> dict[str, Json]:
        """For the command line, HTTP and the console."""
        return {
            "act": self.act.value,
            "judgement": self.act_id,
            "graph_version": self.version,
            "before": list(self.before),
            "people": list(self.people),
            "changes": [
                {"kind": c.kind, "person": c.person, "other": c.other, "records": list(c.records)} for c in self.changes
            ],
            "refused": self.refused,
        }


@dataclass(frozen=True, slots=True)
class Scene:
    """The records of some people, whose they are, and the record that stands for each today."""

    whose: dict[RecordId, PersonId]
    now: dict[RecordId, RecordId]

    def of(self, *people: PersonId) -> tuple[RecordId, ...]:
        """What stands today for the records of these people."""
        wanted = set(people)
        units = {self.now.get(r, r) for r, p in self.whose.items() if p in wanted}
        return tuple(sorted(r for r in units if self.whose.get(r) in wanted))

    def rows(self, records: Sequence[RecordId]) -> set[RecordId]:
        """These records and the other versions of their rows."""
        wanted = {self.now.get(r, r) for r in records}
        return {r for r in self.whose if self.now.get(r, r) in wanted}


class Regrouping:
    """Carries acts out; one object serves many tasks."""

    def __init__(self, clock: Clock, audit: Audit, settings: IdentitySettings, hot: HotIndex, tell: Tell) -> None:
        self.clock = clock
        self.audit = audit
        self.settings = settings
        self._hot = hot
        self._tell = tell

    async def scene(self, conn: Conn, people: Sequence[PersonId]) -> Scene:
        """The records of these people."""
        held = await graph_store.members(conn, people)
        whose = {record: person for person, rows in held.items() for record, _ in rows}
        return Scene(whose, await judgement_store.current_of(conn, whose))

    def judgement(
        self, act: Act, verdict: Verdict, left: Sequence[RecordId], right: Sequence[RecordId], by: By
    ) -> Judgement:
        """A new judgement, of an act of its own."""
        made = new_id("jdg")
        return Judgement(made, made, act, verdict, tuple(left), tuple(right), by.actor, by.reason, self.clock.now())

    async def regroup(
        self,
        conn: Conn,
        made: Sequence[Judgement],
        whose: Mapping[RecordId, PersonId],
        labels: Mapping[RecordId, Hashable],
        by: By,
        revoked: Sequence[str] = (),
    ) -> Acted:
        """The records of some people in new groups, with ids by the rule."""
        outcome = assign(whose, labels, partial(new_id, "per"))
        return await self.change(conn, made, whose, outcome, by, revoked)

    async def change(
        self,
        conn: Conn,
        made: Sequence[Judgement],
        whose: Mapping[RecordId, PersonId],
        outcome: Assignment,
        by: By,
        revoked: Sequence[str],
        *,
        leads: Mapping[PersonId, PersonId | None] | None = None,
        sure: Mapping[PersonId, float] | None = None,
        unbound: Law | None = None,
    ) -> Acted:
        """Make it so. ``leads``: where ids lead from now on, where that is not the assignment's to say; ``sure``: figures that are known."""
        act, act_id, at = made[0].act, made[0].act_id, self.clock.now()
        before = tuple(sorted(set(whose.values())))
        moved = {r: p for r, p in outcome.person_of.items() if whose[r] != p}
        changes = outcome.changes if leads is None else _restored(whose, moved, leads)
        outcome = replace(outcome, moved=moved, changes=changes, retired={} if leads is not None else outcome.retired)
        number = await graph_store.version(conn)
        was = {p: row.sure for p, row in (await graph_store.people_rows(conn, before)).items()}
        if changes:
            number = GraphVersion(number + 1)
            facts: dict[str, Json] = {
                "act": act_id,
                "records": len(moved),
                "changes": digest([[c.kind, c.person, c.other, list(c.records)] for c in changes]),
            }
            await graph_store.new_version(conn, number, act.value, facts, at)
            await publishing.move(conn, outcome, number, at)
            if leads is not None:
                await undoing_store.redirect(conn, leads, at)
        await judgement_store.add(conn, made, number, was)
        if revoked:
            await judgement_store.revoke(conn, revoked, act_id, by.actor, by.reason, at)
        people = tuple(sorted(set(outcome.person_of.values())))
        if changes:
            held = unbound if unbound is not None else await judged.law(conn)
            now = await self._sure(conn, whose, outcome.person_of, was, held)
            await undoing_store.raise_sure(conn, {**now, **(sure or {})})
            await graph_store.add_changes(conn, changes, number, at)
        await self.audit.append(conn, _entries(made, changes, number, people, before, revoked))
        if changes:
            await self._tell(conn, sorted({*before, *people, *(leads or ())}))
            after_commit(conn, partial(self._hot.forget, await store.indexes_of(conn, list(whose))))
        return Acted(act, act_id, number if changes else None, before, people, changes)

    async def _sure(
        self,
        conn: Conn,
        whose: Mapping[RecordId, PersonId],
        person_of: Mapping[RecordId, PersonId],
        was: Mapping[PersonId, float],
        law: Law,
    ) -> dict[PersonId, float]:
        """By the edges that are known, and no surer than those whom a mere contact made unsure."""
        edges, _ = await evidence_store.evidence(conn, list(whose))
        edges += judged.ties(law)
        then, now = surety(whose, edges), surety(person_of, edges)
        most = {p: sure if sure < then.get(p, 1.0) - 1e-9 else 1.0 for p, sure in was.items()}
        found = {p: now.get(p, 1.0) for p in person_of.values()}
        for record, person in person_of.items():
            found[person] = min(found[person], most.get(whose[record], 1.0))
        return found


def no(act: Act, why: str, *people: PersonId) -> Acted:
    """An act that cannot be done, and why."""
    return Acted(act, None, None, tuple(people), tuple(people), refused=why)


def _restored(
    whose: Mapping[RecordId, PersonId], moved: Mapping[RecordId, PersonId], leads: Mapping[PersonId, PersonId | None]
) -> tuple[Change, ...]:
    """One line for each who got records back; a person whom the parting leaves without any is retired into another."""
    flows: dict[tuple[PersonId, PersonId], list[RecordId]] = defaultdict(list)
    for record in sorted(moved):
        flows[whose[record], moved[record]].append(record)
    return tuple(
        Change("merged" if leads.get(person) == other else "restored", person, other, tuple(records))
        for (person, other), records in sorted(flows.items())
    )


def _entries(
    made: Sequence[Judgement],
    changes: Sequence[Change],
    number: GraphVersion,
    people: Sequence[PersonId],
    before: Sequence[PersonId],
    revoked: Sequence[str],
) -> list[NewEntry]:
    """What staff decided, then what became of whom; ids and codes only."""
    first = made[0]
    tag = Tag.REVIEW_DECIDED if first.act is Act.ANSWER else Tag.PERSON_PINNED
    records: dict[str, Json] = {str(one.verdict): digest([list(one.left), list(one.right)]) for one in made}
    refs: dict[str, str | Sequence[str]] = {
        "person": sorted({*before, *people}),
        "judgement": [*(one.id for one in made), *revoked],
        "graph": f"graph:{number}",
    }
    facts: dict[str, Json] = {
        "act": first.act.value,
        "reason": first.reason.value,
        "verdicts": records,
        "revoked": len(revoked),
    }
    entry = NewEntry(tag, refs, facts, actor=first.actor)
    return [entry, *publishing.entries(changes, number, actor=first.actor)]
