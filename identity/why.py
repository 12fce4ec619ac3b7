"""Why two records are one person, or are not: the waterfall of a weight (identity.I39).

Enters: a pair as `weights` scores it, and the weight that its edge carries.  Leaves: `Waterfall`, bars whose heights sum to that weight within 1e-9:
where one starts before anything is compared, what each field adds or takes, what the rarity of a value adds, what relatives would explain as well,
and the rounding to 1e-6.  Pure; nothing here opens a record.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import fsum
from typing import TYPE_CHECKING, Literal, cast

from identity.evidence_store import Refused
from identity.graph import probability
from identity.people import Edge
from identity.undoing import OWNED
from kernel.canonical import Json
from kernel.ids import PersonId, RecordId

if TYPE_CHECKING:
    from identity.weights import Scored

# start: the odds before anything is compared. owned: both carry an identifier that one person owns alone. unexplained: the
# weight rests on words or figures that are not there any more.
Sort = Literal["start", "field", "rarity", "relatives", "owned", "rounding", "unexplained"]


@dataclass(frozen=True, slots=True)
class Bar:
    """One height of a waterfall. ``field`` and ``level``: what was compared and how far it agrees."""

    sort: Sort
    field: str
    level: str
    weight: float


@dataclass(frozen=True, slots=True)
class Waterfall:
    """How a weight comes about. ``stored``: an edge carries it; otherwise the pair was weighed now, by the same model.

    ``words``: what the two records say in each field, as compared; only for those who may read them.
    """

    a: RecordId
    b: RecordId
    model: str
    stored: bool
    weight: float
    bars: tuple[Bar, ...]
    words: Mapping[str, tuple[str | None, str | None]] | None = None

    @property
    def total(self) -> float:
        """What the bars sum to."""
        return fsum(bar.weight for bar in self.bars)

    @property
    def explained(self) -> bool:
        """Whether every bar has its reason."""
        return all(bar.sort != "unexplained" for bar in self.bars)

    def as_json(self) -> Json:
        """For HTTP, the console and the command line."""
        told: dict[str, Json] = {
            "records": [self.a, self.b],
            "model": self.model,
            "stored": self.stored,
            "weight": self.weight,
            "probability": probability(self.weight),
            "sum": self.total,
            "explained": self.explained,
            "terms": [
                {"sort": bar.sort, "field": bar.field or None, "level": bar.level or None, "weight": bar.weight}
                for bar in self.bars
            ],
        }
        if self.words is not None:
            told["words"] = {name: list(pair) for name, pair in self.words.items()}
        return told


def waterfall(
    edge: Edge,
    scored: "Scored",
    model: str,
    *,
    stored: bool,
    words: Mapping[str, tuple[str | None, str | None]] | None = None,
) -> Waterfall:
    """The bars of an edge, or of a pair without one (``stored`` false: its weight is what was scored)."""
    bars = [Bar("start", "", "", scored.person.prior)]
    for term in scored.person.terms:
        bars.append(Bar("field", term.field, term.level, term.weight))
        if term.rarity:
            bars.append(Bar("rarity", term.field, term.level, term.rarity))
    bars.append(Bar("relatives", "", "", scored.relatives))
    rest = edge.weight - fsum(bar.weight for bar in bars)
    if abs(rest) <= 1e-6:
        bars.append(Bar("rounding", "", "", rest))
    elif edge.weight == OWNED:
        bars.append(Bar("owned", "", "", rest))
    else:
        bars.append(Bar("unexplained", "", "", rest))
    return Waterfall(edge.a, edge.b, model, stored, edge.weight, tuple(bars), words)


@dataclass(frozen=True, slots=True)
class Why:
    """Two records: one person or two, the direct edge, the strongest path and its weakest link, what they share.

    ``waterfall``: of the edge between them, or of the weakest link of the path, or of the pair as it would weigh. None before the first run that left
    its parameters.
    """

    a: RecordId
    b: RecordId
    people: tuple[PersonId, PersonId]
    edge: Edge | None
    path: tuple[Edge, ...]
    refused: Refused | None
    shared: Mapping[str, int]
    waterfall: Waterfall | None = None

    @property
    def same(self) -> bool:
        """Whether they are one person now."""
        return self.people[0] == self.people[1]

    @property
    def weakest(self) -> Edge | None:
        """The lightest edge of the strongest path."""
        return min(self.path, key=lambda e: e.weight) if self.path else None

    def as_json(self) -> Json:
        """For HTTP, the console and the command line."""
        return {
            "records": [self.a, self.b],
            "people": list(self.people),
            "same": self.same,
            "edge": edge_json(self.edge) if self.edge else None,
            "path": [edge_json(edge) for edge in self.path],
            "weakest": edge_json(self.weakest) if self.weakest else None,
            "refused": {"weight": self.refused.weight, "cause": self.refused.cause} if self.refused else None,
            "shared_identifiers": dict(self.shared),
            "waterfall": self.waterfall.as_json() if self.waterfall else None,
        }


def edge_json(edge: Edge) -> Json:
    """An edge in plain JSON."""
    return cast("Json", {"a": edge.a, "b": edge.b, "weight": edge.weight})
