"""Features that know the answer: a model of them is refused before it is trained (features.F46).

Enters: the features and rewards of a training set. Leaves: `Suspect`s, or nothing. Two marks that honest knowledge of people does not have: one feature alone parts nearly all who
answered from nearly all who did not; or a common value of one feature (also its being known at all) comes with an answer nearly always, where answers are not common. What
was paid after the choice, or a trait that is written when somebody answers, has one of them. `forecast` finds leaks of time, by comparing with the features of the moment.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kernel.canonical import Json
from orchestration.learning.errors import LeakFound
from orchestration.learning.lift import wilson
from orchestration.learning.logs import Floats, Log
from orchestration.learning.ranks import auc
from orchestration.learning.settings import LearningSettings

_LEAST: Final = 30  # answers below which nothing is said
_VALUES: Final = 20  # values of a feature that are looked at one by one; more is a measure, looked at by its tenths


@dataclass(frozen=True, slots=True)
class Suspect:
    """A feature, and what it gives away: the area under its curve (1: parts all), and the share that answered at the value that says most."""

    feature: str
    area: float
    share: float


def suspects(
    features: Floats, answered: NDArray[np.bool_], names: Sequence[str], settings: LearningSettings
) -> list[Suspect]:
    """Features that cannot have been known, the surest first; none where there is too little to say so."""
    yes = int(answered.sum())
    if yes < _LEAST or len(answered) - yes < _LEAST:
        return []
    usual = yes / len(answered)
    found: list[Suspect] = []
    for place, name in enumerate(names):
        column = features[:, place]
        area = auc(column, answered)
        area = max(area, 1 - area)
        share = max((_sure_share(answered[rows]) for rows in _parts(column)), default=0.0)
        # Where most answer anyway, a value at which all do says little.
        if area >= settings.leak_area or (usual <= settings.leak_share / 4 and share >= settings.leak_share):
            found.append(Suspect(name, area, share))
    return sorted(found, key=lambda one: (-one.area, -one.share, one.feature))


def held_back(found: Mapping[str, Json], log: Log, settings: LearningSettings) -> dict[str, Json]:
    """A gate's answer, held and refused where a feature knows the answer: what such features promise, nobody would see in service."""
    told = suspects(log.features, log.reward > 0, log.feature_names, settings)
    if not told:
        return dict(found)
    why = f"{told[0].feature} knows the answer: alone it has an area of {told[0].area:.3f}"
    held = {
        name: {**one, "decision": "hold"} if isinstance(one, Mapping) and "decision" in one else one
        for name, one in found.items()
    }
    return {**held, "refused": True, "reason": why}


def refuse(log: Log, settings: LearningSettings) -> None:
    """Look at a training set before a model is made of it.

    Raises:
        LeakFound: names the feature that says most.
    """
    found = suspects(log.features, log.reward > 0, log.feature_names, settings)
    if found:
        worst = found[0]
        raise LeakFound(
            f"expected features that were known at the choice, got {len(found)} that know the answer: {worst.feature} alone has an area of "
            f"{worst.area:.3f}, and a value with which at least {worst.share:.0%} answered"
        )


def _sure_share(answered: NDArray[np.bool_]) -> float:
    """The lower end of the share that answered."""
    return wilson(int(answered.sum()), len(answered))[0] if len(answered) >= _LEAST else 0.0


def _parts(column: Floats) -> Iterator[NDArray[np.bool_]]:
    """Who has which value: absent, known, each of a few values, or each tenth of many."""
    known = np.isfinite(column)
    yield ~known
    yield known
    values = np.unique(column[known])
    if len(values) <= _VALUES:
        yield from (column == value for value in values)
        return
    yield from (column > 0, column < 0, column == 0)
    edges = np.quantile(column[known], np.linspace(0, 1, 11))
    for low, high in pairwise(edges.tolist()):
        yield (column >= low) & (column <= high)
