"""Who somebody unseen is, asked of the live graph: a profile against the people who hold one of its identifiers or share a blocking key with it (identity.I30).

Enters: identifiers and traits by kind, of nobody's record.  Leaves: a `Guess`: how surely whom the profile may join under the guard, and what every candidate weighs.
The run's own weights and the batch's own guard say; candidates' words are opened in memory only, nothing of the question is kept, and the answer is provisional: the next
settling or run judges on everything.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final, cast

from identity import blocks_store, evidence_store, graph_store, limits_store, parameters_store, run_store, store
from identity.block_choice import Choice
from identity.errors import LinkageNotReady
from identity.evidence_store import Refused
from identity.graph import probability
from identity.identifiers import Identifier
from identity.people import Edge, Resolution
from identity.records import Row, TraitValue, unpack
from identity.runs import Runs
from identity.sealing import open_records
from identity.settings import IdentitySettings
from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import PersonId, RecordId
from kernel.kernel import Kernel

if TYPE_CHECKING:  # the linkage engine brings Arrow and DuckDB, which have no place on the API's start path
    from identity.bounds import Bounds
    from identity.cleaning import Cleaned
    from identity.judgements import Rulings
    from identity.parameters import Bearers, Hashed, Parameters
    from identity.weights import Weights

Resolve = Callable[[Conn, Sequence[Sequence[Identifier]]], Awaitable[list[Resolution]]]
MOST_PEOPLE: Final = 50  # behind one identifier: a kiosk's device says nothing of who asks
MOST_NEAR: Final = 60  # records that a profile is weighed against, those that share most keys first: linked.MOST_NEAR
ME: Final = RecordId("rec_")  # sorts before every record


@dataclass(frozen=True, slots=True)
class Candidate:
    """A person who holds an identifier or shares a key, and the weight of her best record."""

    person: PersonId
    weight: float


@dataclass(frozen=True, slots=True)
class Guess:
    """``person``: whom the profile may join under the guard; None for somebody new, or when several fit. ``refused``: the guard kept it from the heaviest.

    ``sure``: the probability that the heaviest pair is one person, by the model. ``edges``: the heaviest person's records that speak for it.
    """

    person: PersonId | None
    weight: float | None
    refused: bool
    candidates: tuple[Candidate, ...]
    model: str
    edges: tuple[tuple[RecordId, float], ...] = ()

    @property
    def reason(self) -> str | None:
        """Why there is no person: nobody_near, too_faint, refused (by the guard), several."""
        if self.person is not None:
            return None
        if self.refused:
            return "refused"
        return "several" if self.weight is not None else "too_faint" if self.candidates else "nobody_near"

    @property
    def sure(self) -> float | None:
        """How sure the answer is; None without one."""
        return None if self.person is None or self.weight is None else round(probability(self.weight), 6)

    def as_json(self) -> dict[str, Json]:
        """Plain data."""
        return {
            "person": self.person,
            "weight": self.weight,
            "sure": self.sure,
            "provisional": True,
            "reason": self.reason,
            "refused": self.refused,
            "model": self.model,
            "candidates": [{"person": one.person, "weight": one.weight} for one in self.candidates],
        }


@dataclass(frozen=True, slots=True)
class Terms:
    """How the live run weighs and finds candidates."""

    run: str
    model: str
    read_at: datetime
    told: "Parameters"
    weights: "Weights"
    choice: Choice


class Meeting:
    """Stands at ``Identity.meeting``. ``resolve``: who holds identifiers."""

    def __init__(self, kernel: Kernel, runs: Runs, resolve: Resolve, settings: Callable[[], IdentitySettings]) -> None:
        self._kernel = kernel
        self._settings = settings
        self._runs = runs
        self.hashed = runs.hashed
        self._resolve = resolve
        self._terms: Terms | None = None

    async def warm(self, conn: Conn) -> Terms | None:
        """Terms that lie in memory and are those of the live run: for whoever cannot wait for others to be read."""
        known = self._terms
        return known if known is not None and known.run == await run_store.live_id(conn) else None

    async def terms(self, conn: Conn) -> Terms | None:
        """Of the run whose graph is live; None before the first, or where it left no parameters. Read once a run."""
        run_id = await run_store.live_id(conn)
        if run_id is None:
            return None
        if self._terms is None or self._terms.run != run_id:
            run = await run_store.get(conn, run_id)
            told_json = await parameters_store.read(conn, run.card.model) if run else None
            if run is None or told_json is None:
                return None
            choice = await blocks_store.choice(conn, run_id) or Choice(())
            told, weights = await asyncio.to_thread(_read, told_json)
            read_at = datetime.fromisoformat(run.card.read_at)
            self._terms = Terms(run_id, run.card.model, read_at, told, weights, choice)
        return self._terms

    def keys(self, terms: Terms, rows: Sequence[Row]) -> list[list[int]]:
        """Blocking keys of a few records."""
        return terms.choice.hashes(terms.told.read(rows), self._runs.secret)

    async def guess(
        self,
        conn: Conn,
        identifiers: Sequence[Identifier],
        traits: Mapping[str, TraitValue],
    ) -> Guess:
        """Who it is; ``traits`` by kind (`first_name`, `birth_date`, ...).

        Raises:
            LinkageNotReady: no run has left its parameters.
        """
        terms = await self.terms(conn)
        if terms is None:
            raise LinkageNotReady("expected a published run of the linkage, got none")
        me: Row = (ME, traits, {name: name for name in traits}, tuple(identifiers))
        held = await self._resolve(conn, [[one] for one in dict.fromkeys(identifiers)])
        holders = sorted({person for one in held for person in one.candidates})
        return await self.ask(conn, terms, me, self.keys(terms, [me])[0], holders)

    async def ask(
        self,
        conn: Conn,
        terms: Terms,
        me: Row,
        keys: Sequence[int],
        holders: Sequence[PersonId] = (),
        *,
        quick: bool = False,
    ) -> Guess:
        """The same with what is known already; ``quick``: who stays below 0 is no candidate."""
        nobody = Guess(None, None, refused=False, candidates=(), model=terms.model)
        near = (await blocks_store.near(conn, {ME: keys}, MOST_NEAR))[ME] if keys else []
        owner = dict(near)
        if 0 < len(holders) <= MOST_PEOPLE:
            owner |= {r: p for p, rows in (await graph_store.members(conn, holders)).items() for r, _ in rows}
        if not owner:
            return nobody
        there = await self.opened(conn, sorted(owner))
        cleaned, known = await self.read(conn, terms, [me, *there])
        weights = _weigh(terms, cleaned, known, self.hashed, quick=quick)
        best: dict[PersonId, float] = defaultdict(lambda: float("-inf"))
        for (record, *_), weight in zip(there, weights, strict=True):
            if weight is not None:
                best[owner[record]] = max(best[owner[record]], weight)
        candidates = tuple(Candidate(p, w) for p, w in sorted(best.items(), key=lambda item: (-item[1], item[0])))
        strong = {one.person for one in candidates if one.weight >= terms.told.threshold}
        if not strong:
            return Guess(None, None, refused=False, candidates=candidates, model=terms.model)
        of_me = {row[0]: weight for row, weight in zip(there, weights, strict=True) if weight is not None}
        joined = await self._judged(conn, terms, me, strong, of_me, there)
        top = candidates[0].weight
        # Several may be left where the graph keeps apart what the edges would join: then the profile does not decide between them.
        whom = next(iter(joined)) if len(joined) == 1 else None
        speaking = tuple(sorted((r, w) for r, w in of_me.items() if owner[r] == whom and w >= 0)) if whom else ()
        top = best[whom] if whom is not None and best[whom] > float("-inf") else top
        return Guess(whom, top, not joined, candidates, terms.model, speaking)

    async def opened(self, conn: Conn, records: Sequence[RecordId]) -> list[Row]:
        """Current records in clear, in the order of their ids."""
        sealed = [row for row in await store.sealed_named(conn, records) if row.current]
        found: list[Row] = []
        for row, body, held in await open_records(conn, self._kernel.vault, sealed):
            _, traits, kinds = unpack(body)
            found.append((row.id, traits, kinds, held))
        return sorted(found)

    async def read(self, conn: Conn, terms: Terms, rows: Sequence[Row]) -> "tuple[Cleaned, Bearers]":
        """Records as the run read its table, without junk, and how many rows bore their values."""
        from identity.parameters import wanted, without_junk

        raw = terms.told.read(rows)
        known = await parameters_store.bearers(conn, terms.model, wanted(raw, self.hashed))
        return without_junk(raw, known, self.hashed), known

    async def bounds(self, conn: Conn, rows: Sequence[Row]) -> "Bounds":
        """What these records hold of limited kinds; whoever is no record says it now."""
        from identity.bounds import Bounds

        settings = self._settings()
        asked = [row[0] for row in rows if row[0] != ME] if settings.limits else []
        seen = {ME: self._kernel.clock.now(), **await limits_store.observed(conn, asked)}
        return Bounds.of_records(settings.limited, settings.joining_kinds, rows, seen)

    async def _judged(
        self,
        conn: Conn,
        terms: Terms,
        me: Row,
        people: set[PersonId],
        of_me: Mapping[RecordId, float],
        there: Sequence[Row],
    ) -> set[PersonId]:
        """Whom the guard lets the profile join, over these people's records as they stand."""
        held = {r: p for p, rows in (await graph_store.members(conn, sorted(people))).items() for r, _ in rows}
        rest = await self.opened(conn, sorted(set(held) - {row[0] for row in there}))
        rows = sorted([*(row for row in there if row[0] in held), *rest])
        cleaned, known = await self.read(conn, terms, [me, *rows])
        edges, _ = await evidence_store.evidence(conn, [row[0] for row in rows])
        mine = [Edge(ME, row[0], of_me[row[0]]) for row in rows if row[0] in of_me]
        bounds = await self.bounds(conn, [me, *rows])
        names = [ME, *(row[0] for row in rows)]
        label, _ = clustered(terms, cleaned, names, [*mine, *edges], known, self.hashed, bounds)
        return {held[record] for record, group in label.items() if record != ME and group == label[ME]}


def clustered(
    terms: Terms,
    cleaned: "Cleaned",
    records: Sequence[RecordId],
    edges: Sequence[Edge],
    known: "Bearers",
    hashed: "Hashed",
    bounds: "Bounds",
    rulings: "Rulings[int] | None" = None,
) -> tuple[dict[RecordId, int], list[Refused]]:
    """The group of each record by the batch's own guard, and the bridges it refused; `records` are the rows of `cleaned`, ascending."""
    import numpy as np

    from identity.clusters import Policy, guarded
    from identity.linkage import Edges
    from identity.parameters import evidence

    place = {record: number for number, record in enumerate(records)}
    pairs = {
        (min(place[e.a], place[e.b]), max(place[e.a], place[e.b])): e.weight
        for e in edges
        if e.a in place and e.b in place
    }
    ordered = sorted(pairs)
    listed = Edges(
        np.array([a for a, _ in ordered], np.int64),
        np.array([b for _, b in ordered], np.int64),
        np.array([pairs[pair] for pair in ordered], np.float64),
    )
    against = replace(evidence(cleaned, terms.told.model, known, hashed), bounds=bounds)
    found = guarded(listed, against, Policy(threshold=terms.told.threshold), rulings)
    refused = {
        (records[min(r.left, r.right)], records[max(r.left, r.right)]): (r.weight, str(r.cause))
        for r in found.ambiguous
    }
    return (
        dict(zip(records, found.person.tolist(), strict=True)),
        [Refused(a, b, *why) for (a, b), why in sorted(refused.items())],
    )


def _read(told_json: Mapping[str, Json]) -> "tuple[Parameters, Weights]":
    from identity.parameters import Parameters

    told = Parameters.from_json(cast("dict[str, Json]", told_json))
    return told, told.weights()


def _weigh(
    terms: Terms, cleaned: "Cleaned", known: "Bearers", hashed: "Hashed", *, quick: bool
) -> list[float] | list[float | None]:
    """The first row against all others."""
    from identity.parameters import rarity, rows
    from identity.weights import Against

    me, *others = rows(cleaned)
    share = rarity(terms.told, known, hashed)
    if not quick:
        return [terms.weights.weight(me, other, share) for other in others]
    against = Against(terms.weights, me, share, 1 / max(1, *terms.told.filled.values()))
    return [against.weight(other, 0.0) for other in others]
