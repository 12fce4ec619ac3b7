"""The card of a linkage run, and the gate before its graph goes live (identity.I43).

Enters: what a run learned, weighed and clustered; the last published card; the policy.  Leaves: `Card` in plain JSON (levels with m and u, prior, the
shipped policy, pairs by key, weights, sizes, refusals by cause, drift against the last graph) and the reasons that speak against publishing.  Drift is
the population stability index: sum of (p - q) ln(p / q) over bins; below 0.1 nothing moved, above 0.25 much did.  Pure.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import log
from typing import TYPE_CHECKING, Any, Final, cast

from identity.settings import IdentitySettings
from kernel.canonical import Json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from identity.batch import Prepared
    from identity.clusters import Clusters
    from identity.linkage import Edges
    from identity.parameters import Parameters

WEIGHT_BINS: Final = (-6.0, -3.0, 0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 13.0, 16.0, 20.0, 25.0, 30.0, 40.0)
SIZE_BINS: Final = (1, 2, 3, 4, 5, 6, 8, 11, 16, 26, 51, 101)
_FLOOR: Final = 1e-4  # an empty bin is no infinite drift
ENOUGH: Final = 1_000  # records from which drift is more than noise
FEW: Final = 25  # records that may change hands before a share of them says anything

Reasons = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hands:
    """What a graph does to the one before it, counted in the tables it was written to.

    ``before``: records that the last run's graph had given a person; ``elsewhere``: those whose id of then leads to somebody else now.
    """

    before: int = 0
    elsewhere: int = 0
    two_fold: int = 0
    merged: int = 0
    split: int = 0

    @property
    def share(self) -> float:
        """Of the records before, how many an old id leads astray."""
        return self.elsewhere / self.before if self.before else 0.0


@dataclass(frozen=True, slots=True)
class Card:
    """What a run was and did; ``as_json`` and ``from_json`` are inverse."""

    model: str
    read_at: str
    records: int
    people: int
    largest: int
    pairs: int
    keys: Mapping[str, Mapping[str, int]]
    prior: float
    fields: Sequence[Mapping[str, Any]]
    policy: Mapping[str, float]
    trained: Mapping[str, Any]
    weights: Sequence[int]
    sizes: Sequence[int]
    refused: Mapping[str, int]
    hands: Hands = Hands()
    drift: Mapping[str, float] | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        told: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__ if name != "hands"}
        return {**told, "weight_bins": list(WEIGHT_BINS), "size_bins": list(SIZE_BINS), "hands": _hands(self.hands)}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Card":
        """The card that ``as_json`` wrote."""
        hands = {name: told["hands"][name] for name in Hands.__slots__}
        return cls(**{name: told[name] for name in cls.__slots__ if name != "hands"}, hands=Hands(**hands))

    def completed(self, hands: Hands, last: "Card | None") -> "Card":
        """With what it does to the graph before it, and the drift against the last run's."""
        return replace(self, hands=hands, drift=None if last is None else drift(self, last))


def _hands(hands: Hands) -> dict[str, Json]:
    return {**{name: getattr(hands, name) for name in Hands.__slots__}, "share": round(hands.share, 6)}


def card(prepared: "Prepared", told: "Parameters", edges: "Edges", clusters: "Clusters", read_at: datetime) -> Card:
    """Of a run, before it is published."""
    settings = told.model.settings
    return Card(
        model=told.digest,
        read_at=read_at.isoformat(),
        records=len(clusters.person),
        people=len(clusters.sizes),
        largest=int(clusters.sizes.max(initial=0)),
        pairs=int(told.model.trained["pairs"]),
        keys={name: dict(counts) for name, counts in prepared.keys.items()},
        prior=float(settings["probability_two_random_records_match"]),
        fields=[_field(one, told) for one in settings["comparisons"]],
        policy=told.policy,
        trained=told.model.trained,
        weights=binned(edges.weight, WEIGHT_BINS),
        sizes=binned(clusters.sizes, SIZE_BINS),
        refused=dict(sorted(Counter(str(one.cause) for one in clusters.ambiguous).items())),
    )


def _field(comparison: Mapping[str, Any], told: "Parameters") -> dict[str, Any]:
    name = str(comparison["output_column_name"])
    return {
        "name": name,
        "filled": told.filled[name] / told.rows,
        "levels": [
            {
                "label": level["label_for_charts"],
                "m": level["m_probability"],
                "u": level["u_probability"],
                "rarity": "tf_adjustment_column" in level,
            }
            for level in comparison["comparison_levels"]
            if not level.get("is_null_level")
        ],
    }


def binned(figures: "NDArray[np.float64] | NDArray[np.int64]", bins: Sequence[float]) -> list[int]:
    """How many lie from each bound to the next; the last bin has no end."""
    import numpy as np

    return [int(n) for n in np.histogram(figures, bins=[*bins, np.inf])[0]]


def stability(now: Sequence[float], then: Sequence[float]) -> float:
    """Population stability index of two counts over the same bins."""
    one, other = sum(now), sum(then)
    if not one or not other:
        return 0.0
    shares = [(max(a / one, _FLOOR), max(b / other, _FLOOR)) for a, b in zip(now, then, strict=True)]
    return sum((p - q) * log(p / q) for p, q in shares)


def drift(now: Card, then: Card) -> dict[str, float]:
    """How far weights, sizes and, field by field, fill, matches' and strangers' agreement moved. Fields of both alone are compared."""
    found = {"weights": stability(now.weights, then.weights), "sizes": stability(now.sizes, then.sizes)}
    before = {one["name"]: one for one in then.fields}
    for field in now.fields:
        name, other = field["name"], before.get(field["name"])
        if other is None or [x["label"] for x in field["levels"]] != [x["label"] for x in other["levels"]]:
            continue
        found[f"{name} filled"] = stability(
            [field["filled"], 1 - field["filled"]], [other["filled"], 1 - other["filled"]]
        )
        for kind in ("m", "u"):
            found[f"{name} {kind}"] = stability([x[kind] for x in field["levels"]], [x[kind] for x in other["levels"]])
    return {name: round(value, 6) for name, value in found.items()}


def objections(found: Card, last: Card | None, policy: IdentitySettings) -> Reasons:
    """Why this graph should not go live by itself; empty: it may.

    two_unique: somebody would hold two values of an identifier of which nobody has two. giant_person: a person of more records than policy allows.
    drift: weights or sizes moved more than policy allows. changed_hands: more records than policy allows would be led elsewhere by the id they had.
    """
    reasons = []
    if found.hands.two_fold:
        reasons.append("two_unique")
    if found.largest > policy.gate_largest:
        reasons.append("giant_person")
    if last is not None and min(found.records, last.records) >= ENOUGH:
        moved = found.drift or {}
        if max(moved.get("weights", 0.0), moved.get("sizes", 0.0)) > policy.gate_drift:
            reasons.append("drift")
    if last is not None and found.hands.elsewhere > max(FEW, policy.gate_changed * found.hands.before):
        reasons.append("changed_hands")
    return tuple(reasons)


def summary(found: Card) -> dict[str, Json]:
    """The figures of a card that stand in the log."""
    return {
        "model": found.model,
        "records": found.records,
        "people": found.people,
        "largest": found.largest,
        "refused": cast("Json", dict(found.refused)),
        "elsewhere": found.hands.elsewhere,
        "drift": cast("Json", dict(found.drift)) if found.drift else None,
    }
