"""Why and why not, asked of the live graph: the pair is opened in memory and weighed as the run weighed it (identity.I39-I41).

Enters: two records or a person. Leaves: `Why`, `WhyNot`, `History`. No Splink and no table: the run left its parameters. Words leave only where the caller
says that whoever asks may read them; that reading is the caller's to note in the log.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, cast

from identity import evidence_store, graph_store, pair_store, parameters_store, reasons_store, run_store, store
from identity.building import Building, build
from identity.errors import PersonNotFound, RecordNotFound
from identity.graph import strongest_path
from identity.people import Edge
from identity.records import Row, unpack
from identity.run_store import Run
from identity.sealing import open_bodies, open_identifiers
from identity.settings import IdentitySettings
from identity.store import SealedIdentifier, SealedRecord
from identity.why import Waterfall, Why, waterfall
from identity.why_not import Pair, WhyNot, judge
from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import GraphVersion, IdentifierId, PersonId, RecordId
from kernel.kernel import Kernel

if TYPE_CHECKING:  # the linkage engine brings Arrow and DuckDB, which have no place on the API's start path
    from identity.cleaning import Cleaned
    from identity.parameters import Parameters
    from identity.weights import Scored, Weights

_KEPT = 2  # runs whose parameters stay in memory: the live one, and the one before while it changes


_TWO: Final = "expected two records with a live person, got one that is unknown or erased, or one twice"


@dataclass(frozen=True, slots=True)
class Live:
    """Of the run whose graph is live: the digest of its parameters, and when it read its table."""

    model: str
    read_at: datetime


@dataclass(frozen=True, slots=True)
class Weighed:
    """A pair, weighed now as a run weighed it, and the keys by which that run would have found it."""

    model: str
    scored: "Scored"
    keys: tuple[str, ...]
    words: dict[str, tuple[str | None, str | None]]


@dataclass(frozen=True, slots=True)
class Step:
    """What happened to a person: records arrived, or came from or went to somebody in a graph version."""

    version: GraphVersion
    at: datetime
    cause: str
    kind: str
    other: PersonId | None
    records: tuple[RecordId, ...]

    def as_json(self) -> Json:
        """Plain data."""
        return {
            "version": self.version, "at": self.at.isoformat(), "cause": self.cause, "kind": self.kind,
            "other": self.other, "records": list(self.records),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class History:
    """How a person came together: versions in order, joins of today's graph in order, what she hangs on."""

    person: PersonId
    records: tuple[RecordId, ...]
    steps: tuple[Step, ...]
    building: Building
    model: str | None

    def as_json(self) -> Json:
        """For HTTP, the console and the command line."""
        return {
            "person": self.person,
            "records": list(self.records),
            "model": self.model,
            "steps": [step.as_json() for step in self.steps],
            **self.building.as_json(),
        }


class Reasons:
    """Stands at ``Identity.reasons``."""

    def __init__(self, kernel: Kernel, settings: IdentitySettings, hashed: Callable[[str, str], bytes]) -> None:
        self._kernel = kernel
        self._settings = settings
        self._hashed = hashed
        self._known: dict[str, tuple[Parameters, Weights]] = {}
        self._run: tuple[str, Live] | None = None

    async def why(self, conn: Conn, a: RecordId, b: RecordId, *, words: bool = False) -> Why:
        """Why two records are (or are not) one person, with the waterfall of the edge, of the weakest link, or of the pair.

        Raises:
            RecordNotFound: one of them has no live person.
        """
        people = await _people(conn, a, b)
        held = await graph_store.members(conn, sorted(set(people)))
        edges, refused = await evidence_store.evidence(conn, [r for rows in held.values() for r, _ in rows])
        inside = {r for r, _ in held[people[0]]} if people[0] == people[1] else set()
        edge = next((e for e in edges if {e.a, e.b} == {a, b}), None)
        path = strongest_path([e for e in edges if e.a in inside and e.b in inside], a, b)
        links, sealed = await store.identifiers_of(conn, [a, b])
        both = set(links.get(a, ())) & set(links.get(b, ()))
        shown = edge or (min(path, key=lambda e: e.weight) if path else None)
        drawn = await self._waterfall(conn, shown, a, b, words=words)
        return Why(
            a=a,
            b=b,
            people=people,
            edge=edge,
            path=path,
            refused=next((r for r in refused if {r.a, r.b} == {a, b}), None),
            shared=_kinds([sealed[i].kind for i in both if i in sealed]),
            waterfall=drawn,
        )

    async def why_not(self, conn: Conn, a: RecordId, b: RecordId, *, words: bool = False) -> WhyNot:
        """The one cause why two records are not one person; none when they are.

        Raises:
            RecordNotFound: one of them has no live person.
        """
        looked = await pair_store.look(conn, a, b)
        people = looked.people
        if a == b or len(people) < 2:
            raise RecordNotFound(_TWO)
        if people[0] == people[1]:
            return WhyNot(a, b, (people[0], people[1]), None)
        live = await self._live(conn, looked.run)
        edge, refused, rows = looked.edge, looked.refused, looked.records
        weighed = await self._weighed(conn, live.model, rows, looked.links, looked.identifiers) if live else None
        told = await self._parameters(conn, live.model) if live else None
        weight = weighed.scored.weight if weighed else None
        threshold = told[0].threshold if told else 0.0
        pair = Pair(
            run=live is not None,
            current=all(row.current for row in rows),
            in_run=live is not None
            and all(row.recorded_at <= live.read_at or row.id in looked.settled for row in rows),
            judged_apart=looked.judged and await reasons_store.judged_apart(conn, a, b),
            keys=weighed.keys if weighed else (),
            edge=edge.weight if edge else None,
            weight=weight,
            threshold=threshold,
            faintest=0.0,  # edges that are kept with the graph weigh at least this
            refused=refused,
        )
        drawn = None
        if weighed is not None:
            one = edge or Edge(a, b, weighed.scored.weight)
            drawn = waterfall(
                one, weighed.scored, weighed.model, stored=edge is not None, words=weighed.words if words else None
            )
        return WhyNot(
            a, b, (people[0], people[1]), judge(pair), tuple(pair.keys), edge.weight if edge else weight, threshold, refused, drawn
        )  # fmt: skip

    async def how(self, conn: Conn, person: PersonId) -> History:
        """How a live person came together, in order, and the single edges whose loss would split her.

        Raises:
            PersonNotFound: unknown, retired or erased.
        """
        held = (await graph_store.members(conn, [person])).get(person)
        if not held:
            raise PersonNotFound("expected a live person, got an id that is unknown, retired or erased")
        records = tuple(record for record, _ in held)
        edges, _ = await evidence_store.evidence(conn, records)
        run = await run_store.live(conn)
        told = await self._parameters(conn, run.card.model) if run else None
        steps = [Step(*one) for one in await reasons_store.steps(conn, person)]
        building = build(records, edges, told[0].threshold if told else 0.0)
        return History(person, records, tuple(steps), building, run.card.model if run else None)

    async def forget(self, conn: Conn, records: Sequence[RecordId]) -> int:
        """These are about to be erased: what the run kept of their values, by keyed hash, goes where no other record bears it."""
        live = await self._live(conn, await run_store.live_id(conn))
        told = await self._parameters(conn, live.model) if live else None
        if live is None or told is None:
            return 0
        from identity.parameters import borne

        read = [row for row in await store.sealed_named(conn, records) if row.recorded_at <= live.read_at]
        links, sealed = await store.identifiers_of(conn, [row.id for row in read])
        opened = await open_identifiers(self._kernel.vault, sealed)
        rows: dict[tuple[str, str], Row] = {}
        for row, body in await open_bodies(self._kernel.vault, sorted(read, key=lambda r: r.version)):
            source_key, traits, kinds = unpack(body)  # of each row the version that the run read
            identifiers = [opened[i] for i in links.get(row.id, ()) if i in opened]
            rows[row.source, source_key] = row.id, traits, kinds, identifiers
        if not rows:
            return 0
        return await parameters_store.leave_out(conn, live.model, borne(told[0].read(rows.values()), self._hashed))

    async def threshold(self, conn: Conn) -> float:
        """The weight from which an edge joins, by the live run."""
        live = await self._live(conn, await run_store.live_id(conn))
        told = await self._parameters(conn, live.model) if live else None
        return told[0].threshold if told else 0.0

    async def parameters(self, conn: Conn) -> "Parameters | None":
        """Of the run whose graph is live; None before the first."""
        run = await run_store.live(conn)
        told = await self._parameters(conn, run.card.model) if run else None
        return told[0] if told else None

    async def _waterfall(
        self, conn: Conn, edge: Edge | None, a: RecordId, b: RecordId, *, words: bool
    ) -> Waterfall | None:
        """Of an edge, or of the pair where there is none."""
        ends = (edge.a, edge.b) if edge else (a, b)
        run = await run_store.live(conn)
        if run is None:
            return None
        weighed = await self._weigh(conn, run, await store.sealed_named(conn, ends))
        if weighed is None:
            return None
        one = edge or Edge(a, b, weighed.scored.weight)
        return waterfall(
            one, weighed.scored, weighed.model, stored=edge is not None, words=weighed.words if words else None
        )

    async def _weigh(self, conn: Conn, run: Run, rows: Sequence[SealedRecord]) -> Weighed | None:
        """The pair as the run weighed it, from its words; None where they cannot be opened any more."""
        links, sealed = await store.identifiers_of(conn, [row.id for row in rows])
        return await self._weighed(conn, run.card.model, rows, links, sealed)

    async def _weighed(
        self,
        conn: Conn,
        model: str,
        rows: Sequence[SealedRecord],
        links: Mapping[RecordId, Sequence[IdentifierId]],
        sealed: Mapping[IdentifierId, SealedIdentifier],
    ) -> Weighed | None:
        told = await self._parameters(conn, model)
        if told is None:
            return None
        from identity import parameters as read
        from identity.few import shared_keys

        # One look for the keys of all: what is opened below is in the vault's memory then.
        await self._kernel.vault.unwrap([*(row.key_id for row in rows), *(one.key_id for one in sealed.values())])
        opened = await open_identifiers(self._kernel.vault, sealed)
        records: list[Row] = []
        for row, body in await open_bodies(self._kernel.vault, rows):
            _, traits, kinds = unpack(body)
            records.append((row.id, traits, kinds, [opened[i] for i in links.get(row.id, ()) if i in opened]))
        if len(records) < 2:
            return None
        raw = told[0].read(records)
        known = await parameters_store.bearers(conn, model, read.wanted(raw, self._hashed))
        cleaned = read.without_junk(raw, known, self._hashed)
        left, right = read.rows(cleaned)
        scored = told[1].score(left, right, read.rarity(told[0], known, self._hashed))
        return Weighed(model, scored, shared_keys(cleaned, 0, 1), _words(cleaned, told[1].fields))

    async def _live(self, conn: Conn, run_id: str | None) -> Live | None:
        """What questions need of the live run; a card is read once, for it never changes."""
        if run_id is None:
            return None
        if (self._run is None or self._run[0] != run_id) and (run := await run_store.get(conn, run_id)) is not None:
            self._run = run_id, Live(run.card.model, datetime.fromisoformat(run.card.read_at))
        return self._run[1] if self._run else None

    async def _parameters(self, conn: Conn, digest: str) -> "tuple[Parameters, Weights] | None":
        known = self._known.get(digest)
        if known is None:
            from identity.parameters import Parameters

            told = await parameters_store.read(conn, digest)
            if told is None:
                return None
            made = Parameters.from_json(cast("dict[str, Json]", told))
            known = self._known[digest] = made, made.weights()
            for old in list(self._known)[:-_KEPT]:
                del self._known[old]
        return known


def _words(cleaned: "Cleaned", fields: Sequence[str]) -> dict[str, tuple[str | None, str | None]]:
    from identity.parameters import values

    left, right = values(cleaned, 0), values(cleaned, 1)
    return {name: (left.get(name), right.get(name)) for name in fields if name in left or name in right}


def _kinds(kinds: Sequence[str]) -> dict[str, int]:
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


async def _people(conn: Conn, a: RecordId, b: RecordId) -> tuple[PersonId, PersonId]:
    found = await graph_store.subjects_of(conn, [a, b])
    if a == b or any(one not in found or not found[one][1] for one in (a, b)):
        raise RecordNotFound(_TWO)
    return found[a][1][0], found[b][1][0]
