"""Settling: records that came since the last run are compared, judged with everybody they could touch, and published, without linking anything else anew (identity.I31, I34).

Enters: records whose keys are kept and that nothing compared yet.  Leaves: the graph that a run over everything would have made of them, as far as the run's own model, keys and guard go: the
components of strong edges that a new record reaches are clustered as a batch clusters them, staff's rulings included; what happens elsewhere cannot depend on them.  Words are opened in memory only.
It reads and judges without holding anything, then writes only if what it rests on still stands; where it does not, the next round looks again.  Killed at any moment it leaves the graph
before or the graph after, and records that wait still wait.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from audit.service import Audit
from identity import blocks_store, graph_store, settler_store, store
from identity.evidence_store import Refused
from identity.hot_index import HotIndex
from identity.judging import Judging
from identity.linkage_files import LinkageFiles
from identity.meeting import MOST_NEAR, Meeting, Terms, clustered
from identity.partly import Part, publish_part
from identity.people import Edge
from identity.records import Row
from identity.regrouping import Tell
from identity.settings import IdentitySettings
from identity.settler_store import Progress
from kernel.db import Conn, after_commit
from kernel.errors import CandorError
from kernel.ids import PersonId, RecordId
from kernel.kernel import Kernel
from kernel.log import get_logger

if TYPE_CHECKING:
    from identity.cleaning import Cleaned
    from identity.parameters import Bearers

MOST: Final = 200  # records a round
MOST_ROWS: Final = 3_000  # of the components that a round reaches; a larger one waits for the run
MOST_SHARING: Final = 40  # rows of one component that are compared each with each
CERTAIN: Final = 60.0  # an identifier that one person owns alone: more than agreement of fields reaches
_SAMPLE: Final = 5_000
_LOOKS_EACH: Final = 1_000  # settled records between looks at the drift

_log = get_logger("identity.settler")


@dataclass(frozen=True, slots=True)
class Round:
    """``settled`` records were compared, ``moved`` changed hands; ``paused``: why a run over everything is due before more is settled; ``again``: the graph
    changed meanwhile.
    """

    settled: int = 0
    moved: int = 0
    paused: str | None = None
    again: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found out of records that came, and what it rests on: the live run and the newest judgement."""

    part: Part
    settled: list[RecordId]
    run: str | None
    judgement: str


@dataclass(slots=True)
class _Look:
    """The last look at the drift."""

    run: str = ""
    at: int = 0
    drift: float = field(default=0.0)


class Settler:
    """Stands at ``Identity.settler``; one round at a time in a process, and processes do not hinder one another."""

    def __init__(
        self, kernel: Kernel, audit: Audit, settings: Callable[[], IdentitySettings], meeting: Meeting, judging: Judging,
        hot: HotIndex, linkage: LinkageFiles, tell: Tell,
    ) -> None:  # fmt: skip
        self._kernel = kernel
        self._audit = audit
        self._settings = settings
        self._meeting = meeting
        self._judging = judging
        self._hot = hot
        self._linkage = linkage
        self._tell = tell
        self._look = _Look()
        self.paused: str | None = None  # why a run over everything is due first, as this process found it last

    async def run(self, stop: asyncio.Event) -> None:
        """Settle, round after round, until `stop`; and write the files of the last run without those who left."""
        while not stop.is_set() and (pause := self._settings().settle_seconds):
            busy = False
            try:
                found = await self.round()
                busy = found.settled > 0
                await asyncio.to_thread(self._linkage.compact)
            except CandorError as fault:
                _log.error("settling_paused", code=fault.code, remedy=fault.remedy)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 0.05 if busy else pause)

    async def progress(self) -> Progress:
        """How many records wait, since when, and whether a run over everything is due."""
        async with self._kernel.db.reading() as conn:
            return await settler_store.progress(conn)

    async def round(self, most: int = MOST) -> Round:
        """Compare the oldest records that wait, and publish what follows."""
        async with self._kernel.db.reading() as conn:
            terms = await self._meeting.terms(conn)
            if terms is None or not terms.choice.names:
                return Round()
            waiting = await blocks_store.waiting(conn, most)
            if not waiting:
                return Round()
            self.paused = await self._paused(terms, len(waiting))
            if self.paused is not None:
                return Round(paused=self.paused)
            rows = await self._meeting.opened(conn, waiting)
        keys = await asyncio.to_thread(self._meeting.keys, terms, rows)
        async with self._kernel.db.transaction() as conn:
            await store.share_graph(conn)
            await blocks_store.keep(conn, [(r[0], k) for r, k in zip(rows, keys, strict=True)], settled=False)
        found = await self._judge(terms, waiting, rows, {row[0]: held for row, held in zip(rows, keys, strict=True)})
        return await self.publish(found)

    async def _paused(self, terms: Terms, new: int) -> str | None:
        """The rule of increments, drift of weights included: why everything is to be linked anew first."""
        from identity.increments import Rule, anew

        async with self._kernel.db.reading() as conn:
            linked, added = await settler_store.grown(conn, terms.read_at)
            if self._look.run != terms.run or added >= self._look.at + _LOOKS_EACH:
                before, now = await settler_store.weights(conn, terms.run, _SAMPLE)
                moved = await asyncio.to_thread(_drift, before, now)
                self._look = _Look(terms.run, added, moved)
        age = self._kernel.clock.now() - terms.read_at
        return anew(Rule(share=1.0), linked=max(linked, 1), added=added, new=new, age=age, drift=self._look.drift)

    async def _judge(
        self, terms: Terms, waiting: list[RecordId], rows: Sequence[Row], keys: Mapping[RecordId, Sequence[int]]
    ) -> Judged:
        new = {row[0] for row in rows}
        async with self._kernel.db.reading() as conn:
            mark = await settler_store.last_judgement(conn)
            near = await blocks_store.near(conn, {r: k for r, k in keys.items() if k}, MOST_NEAR)
            both = ((RecordId(a), b) for a, held in near.items() for b, _ in held)
            pairs = sorted({(min(a, b), max(a, b)) for a, b in both})
            opened = {row[0]: row for row in rows}
            others = sorted({one for pair in pairs for one in pair} - opened.keys())
            opened |= {row[0]: row for row in await self._meeting.opened(conn, others)}
            cleaned, known = await self._meeting.read(conn, terms, [opened[r] for r in sorted(opened)])
            weighed = await asyncio.to_thread(self._near, terms, cleaned, known, sorted(opened), pairs)
            strong = [e for e in weighed if e.weight >= terms.told.threshold]
            certain = _certain([opened[r] for r in sorted(opened)], self._settings().joining_kinds)
            seeds = new | {end for e in [*strong, *certain] for end in (e.a, e.b)}
            whose, stored = await settler_store.reached(conn, seeds, terms.told.threshold, MOST_ROWS)
            local = sorted(await self._current(conn, whose, opened))
            rulings = await self._judging.rulings(conn, local)
            rows_ = [opened[r] for r in local]
            cleaned, known = await self._meeting.read(conn, terms, rows_)
            bounds = await self._meeting.bounds(conn, rows_)
        inside = set(local)
        fresh = {(e.a, e.b): e.weight for e in weighed if e.a in inside and e.b in inside}
        kept = {(e.a, e.b): e.weight for e in stored if e.a in inside and e.b in inside}
        certain = _certain(rows_, self._settings().joining_kinds)
        sharing = await asyncio.to_thread(_sharing, cleaned, local, {**kept, **fresh}, terms.told.threshold)
        rest = await asyncio.to_thread(self._weigh, terms, cleaned, known, local, sharing)
        every = {(e.a, e.b): e.weight for e in rest} | fresh | kept | {(e.a, e.b): e.weight for e in certain}
        edges = [Edge(a, b, w) for (a, b), w in sorted(every.items())]
        labels, refused = await asyncio.to_thread(
            clustered, terms, cleaned, local, edges, known, self._meeting.hashed, bounds, rulings
        )
        held = [e for e in edges if e.weight >= 0.0]  # as a run keeps them
        part = Part(
            whose, labels, held, [e for e in held if (e.a, e.b) not in kept],
            [Refused(r.a, r.b, r.weight, r.cause) for r in refused],
        )  # fmt: skip
        return Judged(part, waiting, terms.run, mark)  # one that cannot be opened any more waits no longer either

    async def _current(
        self, conn: Conn, whose: Mapping[RecordId, PersonId], opened: dict[RecordId, Row]
    ) -> list[RecordId]:
        """Current records among these; those not opened yet are."""
        rows = await self._meeting.opened(conn, [r for r in whose if r not in opened])
        opened |= {row[0]: row for row in rows}
        return [record for record in whose if record in opened]

    def _near(
        self, terms: Terms, cleaned: "Cleaned", known: "Bearers", names: Sequence[RecordId],
        pairs: Sequence[tuple[RecordId, RecordId]],
    ) -> list[Edge]:  # fmt: skip
        """Of pairs, most of which are strangers, those that weigh at least 0: what a run keeps. What weaker ones within a component weigh is asked later."""
        from identity.parameters import rarity, rows
        from identity.weights import Against

        place = {record: number for number, record in enumerate(names)}
        said, share = rows(cleaned), rarity(terms.told, known, self._meeting.hashed)
        rarest = 1 / max(1, *terms.told.filled.values())
        asking: dict[RecordId, Against] = {}
        found = []
        for a, b in pairs:
            if a not in place or b not in place:
                continue
            if b not in asking:  # the younger of the two, which most pairs have in common
                asking[b] = Against(terms.weights, said[place[b]], share, rarest)
            if (weight := asking[b].weight(said[place[a]], 0.0)) is not None:
                found.append(Edge(a, b, weight))
        return found

    def _weigh(
        self, terms: Terms, cleaned: "Cleaned", known: "Bearers", names: Sequence[RecordId],
        pairs: Sequence[tuple[RecordId, RecordId]],
    ) -> list[Edge]:  # fmt: skip
        from identity.parameters import rarity, rows

        place = {record: number for number, record in enumerate(names)}
        said, share = rows(cleaned), rarity(terms.told, known, self._meeting.hashed)
        return [
            Edge(a, b, terms.weights.weight(said[place[a]], said[place[b]], share))
            for a, b in pairs
            if a in place and b in place
        ]

    async def publish(self, found: Judged) -> Round:
        """Make it the live graph, if all it rests on still stands."""
        part = found.part
        async with self._kernel.db.transaction() as conn:
            await store.own_graph(conn)
            people = sorted(set(part.whose.values()))
            held = {r: p for p, rows in (await graph_store.members(conn, people)).items() for r, _ in rows}
            stands = held == part.whose and found.judgement == await settler_store.last_judgement(conn)
            if not stands or found.run != await settler_store.live_run(conn):
                return Round(again=True)
            moved = await publish_part(conn, self._audit, self._kernel.clock, part, self._settings().exclusive_kinds)
            await blocks_store.settle(conn, found.settled)
            if moved.version is not None or moved.touched:
                await self._tell(conn, sorted(moved.touched))
                changed = sorted({r for change in moved.changes for r in change.records})
                after_commit(conn, partial(self._hot.forget, await store.indexes_of(conn, changed)))
        return Round(settled=len(found.settled), moved=sum(len(c.records) for c in moved.changes))


def _certain(rows: Sequence[Row], kinds: Sequence[str]) -> list[Edge]:
    """Records that carry the same value of an identifier that one person owns alone, as the run ties them."""
    first: dict[tuple[str, str], RecordId] = {}
    found = {}
    for record, traits, kind_of, identifiers in sorted(rows):
        named = {(one.kind, one.value) for one in identifiers}
        named |= {(kind_of.get(trait, "text"), str(value)) for trait, value in traits.items()}
        for kind, value in named:
            if kind in kinds and (other := first.setdefault((kind, value), record)) != record:
                found[min(record, other), max(record, other)] = CERTAIN
    return [Edge(a, b, w) for (a, b), w in sorted(found.items())]


def _sharing(
    cleaned: "Cleaned", names: Sequence[RecordId], known: Mapping[tuple[RecordId, RecordId], float], threshold: float
) -> list[tuple[RecordId, RecordId]]:
    """Pairs within a component of strong edges that share a key and were not weighed: a run would have compared them, and what they weigh counts when the guard looks at wholes."""
    from identity.few import key_texts
    from identity.parting import components

    said = dict(zip(names, key_texts(cleaned), strict=True))
    root = components(names, [Edge(a, b, w) for (a, b), w in known.items() if w >= threshold])
    groups: dict[RecordId, list[RecordId]] = {}
    for record in names:
        groups.setdefault(root[record], []).append(record)
    return [
        (a, b)
        for held in groups.values()
        if len(held) <= MOST_SHARING
        for place, a in enumerate(held)
        for b in held[place + 1 :]
        if (a, b) not in known and any(said[b].get(name) == texts for name, texts in said[a].items())
    ]


def _drift(before: Sequence[float], now: Sequence[float]) -> float:
    import numpy as np

    from identity.increments import drift

    return drift(np.array(before), np.array(now))
