"""Which features tell a sensitive attribute, so that leaving the attribute out would change nothing (spec explain.E7).

Enters: features of people, an attribute of theirs that nobody decides by. Leaves: `Told`, one a feature, a kind of information and all together: how well the attribute is inferred from it, out of
fold, and how well it would be by chance (the greatest of many shufflings of the attribute). Pure. A ridge regression on ranks, their squares and on whether there is a value at all: whatever one
feature tells by being high, middling, low or absent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from explain.concepts import rule_of
from kernel.canonical import Json
from orchestration.learning.logs import Floats
from orchestration.learning.ranks import auc

FEWEST: Final = 20  # people of a value that is told of
EVERYTHING: Final = "everything"
_FOLDS: Final = 5
_SHUFFLES: Final = 39  # the greatest of so many is passed by chance once in forty
_VALUES: Final = 12  # words that are tried one by one
_RIDGE: Final = 1.0


@dataclass(frozen=True, slots=True)
class Told:
    """How well `attribute` is inferred from a `subject`. `figure`: area under the curve of its value told best (0.5: not at all), or the share of the spread of a number (`measure`
    area | spread); `chance`: the most that shuffling made of it. `flagged`: it says more than chance and more than the bar.
    """

    attribute: str
    kind: str
    subject: str
    measure: str
    figure: float
    chance: float
    people: int
    flagged: bool
    features: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Json]:
        """As printed and kept."""
        return {
            "attribute": self.attribute, "kind": self.kind, "subject": self.subject, "measure": self.measure, "figure": self.figure,
            "chance": self.chance, "people": self.people, "flagged": self.flagged, "features": list(self.features),
        }  # fmt: skip


def inferred(
    attribute: str, values: Sequence[object], features: Floats, names: Sequence[str], *, area: float, seed: int = 0
) -> list[Told]:
    """What every feature and kind of information tells of an attribute, the most telling first; nothing where too few people are known.

    `values`: one a row of `features`, None where nobody knows; `area`: the bar of the area under the curve; of a number half the way to it in spread, (2 area - 1)² .
    """
    known = np.array([one is not None for one in values], dtype=bool)
    held, rows = [one for one in values if one is not None], features[known]
    aims = _aims(held)
    if aims is None:
        return []
    wanted, measure = aims
    rng = np.random.default_rng(seed)
    shuffled = [wanted[:, rng.permutation(wanted.shape[1])] for _ in range(_SHUFFLES)]
    stacked = np.vstack([wanted, *shuffled]).T  # n x (aims x shufflings)
    folds = rng.permutation(len(held)) % _FOLDS
    bar = area if measure == "area" else (2 * area - 1) ** 2
    columns = [_spread(rows[:, place]) for place in range(rows.shape[1])]
    found: list[Told] = []
    for kind, subject, places in _subjects(names):
        said = _out_of_fold(np.hstack([columns[place] for place in places]), stacked, folds)
        worth = _worth(said, stacked, measure).reshape(1 + _SHUFFLES, -1).max(axis=1)
        figure, chance = float(worth[0]), float(worth[1:].max())
        found.append(Told(
            attribute, kind, subject, measure, figure, chance, len(held), figure > chance and figure >= bar, tuple(names[place] for place in places)
        ))  # fmt: skip
    return sorted(found, key=lambda one: (not one.flagged, -one.figure, one.kind, one.subject))


def _subjects(names: Sequence[str]) -> list[tuple[str, str, list[int]]]:
    """Each feature, each kind of information of several, and everything."""
    concepts: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        rule = rule_of(name)
        if rule is not None:
            concepts.setdefault(rule.concept, []).append(place)
    singles = [("feature", name, [place]) for place, name in enumerate(names)]
    groups = [("concept", name, places) for name, places in sorted(concepts.items()) if len(places) > 1]
    return [*singles, *groups, ("all", EVERYTHING, list(range(len(names))))]


def _aims(held: Sequence[object]) -> tuple[Floats, str] | None:
    """What is to be told, a row each: one for each value of enough people, or the number itself."""
    numbers = [float(one) for one in held if isinstance(one, int | float) and not isinstance(one, bool)]
    if len(numbers) == len(held) and len(set(numbers)) > _VALUES:
        return (np.array([numbers]), "spread") if len(held) >= 2 * FEWEST else None
    words = np.array([str(one) for one in held])
    kinds, counts = np.unique(words, return_counts=True)
    told = [kind for kind, count in zip(kinds, counts, strict=True) if FEWEST <= count <= len(held) - FEWEST]
    if not told:
        return None
    often = sorted(told, key=lambda kind: (-int(counts[list(kinds).index(kind)]), kind))[:_VALUES]
    return np.array([(words == kind).astype(np.float64) for kind in often]), "area"


def _spread(column: Floats) -> Floats:
    """A column as what a line can follow: rank, its square, absence."""
    absent = ~np.isfinite(column)
    rank = np.zeros(len(column))
    if (~absent).any():
        _, place, count = np.unique(column[~absent], return_inverse=True, return_counts=True)
        ends = np.cumsum(count)
        rank[~absent] = (ends - (count - 1) / 2.0)[place] / max(len(place), 1) - 0.5
    return np.column_stack([rank, rank**2, absent.astype(np.float64)])


def _out_of_fold(rows: Floats, aims: Floats, folds: NDArray[np.int64]) -> Floats:
    """Every aim foretold for every row by a line that has not seen the row."""
    full = np.column_stack([np.ones(len(rows)), rows])
    penalty = _RIDGE * np.eye(full.shape[1])
    penalty[0, 0] = 0.0
    said = np.empty_like(aims)
    for fold in range(_FOLDS):
        rest, mine = full[folds != fold], folds == fold
        line = np.linalg.solve(rest.T @ rest + penalty, rest.T @ aims[folds != fold])
        said[mine] = full[mine] @ line
    return said


def _worth(said: Floats, aims: Floats, measure: str) -> Floats:
    if measure == "area":
        return np.array([auc(said[:, place], aims[:, place] > 0.5) for place in range(aims.shape[1])])
    off = ((aims - said) ** 2).sum(axis=0)
    spread = ((aims - aims.mean(axis=0)) ** 2).sum(axis=0)
    worth: Floats = np.maximum(0.0, 1.0 - off / np.where(spread > 0, spread, 1.0))
    return worth


def held_back(found: Sequence[Told], accepted: Mapping[tuple[str, str], str]) -> list[Told]:
    """Flagged features that nobody accepted; kinds of information and everything together are told, and refused feature by feature."""
    return [
        one for one in found if one.flagged and one.kind == "feature" and (one.attribute, one.subject) not in accepted
    ]
