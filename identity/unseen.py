"""Who somebody unseen is, asked of the live graph: a profile against the people who hold any of its identifiers, however many share one.

Enters: identifiers and traits by kind, of nobody's record.  Leaves: a `Guess`, with what every candidate weighs.  An identifier that several hold names nobody by itself; which of
them it is, the run's own weights and the batch's own guard say (first_answer.py asks the same of a table in memory).  Candidates' words are opened in memory only, nothing of the
question is kept, and the answer is provisional: nobody joins anybody by it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from identity import evidence_store, parameters_store, run_store
from identity.errors import LinkageNotReady
from identity.identifiers import Identifier
from identity.records import Row, SourceRecord, TraitValue
from identity.service import Identity
from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import PersonId, RecordId

if TYPE_CHECKING:  # the linkage engine brings Arrow and DuckDB, which have no place on the API's start path
    import numpy as np
    from numpy.typing import NDArray

    from identity.parameters import Parameters

MOST_PEOPLE: Final = 50  # behind one question: a kiosk's device says nothing of who asks
_ME: Final = RecordId("rec_")  # sorts before every record


@dataclass(frozen=True, slots=True)
class Candidate:
    """A person who holds one of the identifiers, and the weight of her best record."""

    person: PersonId
    weight: float


@dataclass(frozen=True, slots=True)
class Guess:
    """``person``: whom the profile may join under the guard; None for somebody new, or when several fit. ``refused``: the guard kept it from the heaviest."""

    person: PersonId | None
    weight: float | None
    refused: bool
    candidates: tuple[Candidate, ...]
    model: str

    def as_json(self) -> Json:
        """Plain data."""
        return {
            "person": self.person,
            "weight": self.weight,
            "refused": self.refused,
            "model": self.model,
            "candidates": [{"person": one.person, "weight": one.weight} for one in self.candidates],
        }


async def guess(
    conn: Conn, identity: Identity, identifiers: Sequence[Identifier], traits: Mapping[str, TraitValue]
) -> Guess:
    """Who it is; ``traits`` by kind (`first_name`, `birth_date`, ...).

    Raises:
        LinkageNotReady: no run has left its parameters.
    """
    from identity.parameters import Parameters, rarity, rows, wanted, without_junk

    run = await run_store.live(conn)
    told_json = await parameters_store.read(conn, run.card.model) if run else None
    if run is None or told_json is None:
        raise LinkageNotReady("expected a published run of the linkage, got none")
    told = Parameters.from_json(told_json)
    people = {p for one in dict.fromkeys(identifiers) for p in (await identity.resolve(conn, [[one]]))[0].candidates}
    if not people or len(people) > MOST_PEOPLE:
        return Guess(None, None, refused=False, candidates=(), model=run.card.model)
    held = await identity.records(conn, sorted(people))
    there = sorted((r for records in held.values() for r in records if r.current), key=lambda r: r.id)
    asked: list[Row] = [(_ME, traits, {name: name for name in traits}, tuple(identifiers)), *map(_row, there)]
    hashed = identity.runs.hashed
    read = told.read(asked)
    known = await parameters_store.bearers(conn, run.card.model, wanted(read, hashed))
    cleaned = without_junk(read, known, hashed)
    me, *others = rows(cleaned)
    share, scale = rarity(told, known, hashed), told.weights()
    weights = [scale.weight(me, other, share) for other in others]
    owner = [person for record in there for person, records in held.items() if record in records]
    best: dict[PersonId, float] = defaultdict(lambda: float("-inf"))
    for person, weight in zip(owner, weights, strict=True):
        best[person] = max(best[person], weight)
    candidates = tuple(Candidate(p, w) for p, w in sorted(best.items(), key=lambda item: (-item[1], item[0])))
    edges, _ = await evidence_store.evidence(conn, [r.id for r in there])
    label = _guarded(told, cleaned, there, weights, [(e.a, e.b, e.weight) for e in edges])
    strong = [w for w in weights if w >= told.threshold]
    joined = {owner[place] for place in range(len(there)) if label[place + 1] == label[0]}
    # Several may be left where the graph keeps apart what the edges would join: then the profile does not decide between them.
    whom = next(iter(joined)) if len(joined) == 1 else None
    return Guess(whom, max(strong, default=None), bool(strong) and not joined, candidates, run.card.model)


def _row(record: SourceRecord) -> Row:
    return record.id, record.traits, record.kinds, record.identifiers


def _guarded(
    told: "Parameters",
    cleaned: object,
    there: Sequence[SourceRecord],
    weights: Sequence[float],
    edges: Sequence[tuple[RecordId, RecordId, float]],
) -> "NDArray[np.int64]":
    """The group of each row, the one that asks first."""
    import numpy as np

    from identity.cleaning import Cleaned
    from identity.clusters import Policy, guarded
    from identity.facts import gather
    from identity.linkage import Edges

    assert isinstance(cleaned, Cleaned)
    place = {record.id: number for number, record in enumerate(there, start=1)}
    pairs = {(0, number): weight for number, weight in enumerate(weights, start=1)}
    pairs |= {(min(place[a], place[b]), max(place[a], place[b])): w for a, b, w in edges if a in place and b in place}
    ordered = sorted(pairs)
    listed = Edges(
        np.array([a for a, _ in ordered], np.int64),
        np.array([b for _, b in ordered], np.int64),
        np.array([pairs[pair] for pair in ordered], np.float64),
    )
    return guarded(listed, gather(cleaned, told.model), Policy(threshold=told.threshold)).person
