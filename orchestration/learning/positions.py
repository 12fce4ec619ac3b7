"""What stands further down is seen less: how much less, and how to learn from clicks as if everything had been seen alike (decision.D37).

Enters: where each thing stood, whether it was answered, how likely it was to stand there. Leaves: an `Examination`, the chance of being looked at by position, and rewards with
weights that undo it. The model has no column for the position, so that nothing has to be made up for it when it serves.

The position-based model (Richardson et al. 2007): an answer is being looked at times being liked. Then reward / examination is right in the mean (inverse propensity; Joachims et al. 2017),
and its variance grows with 1 / examination, so that a row weighs its examination: weighted least squares, which stays right in the mean and wastes nothing.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from events.log import Event
from kernel.canonical import Json
from orchestration.learning.logs import Floats, Whole

LEAST: Final = 0.01
"""A place that is looked at less than this is taken to be looked at so much: one answer there must not outweigh a hundred."""
_MOST: Final = 1_000
_ENOUGH: Final = 30  # answers at the first place below which nothing is said about the others


@dataclass(frozen=True, slots=True)
class Examination:
    """`chance[k]` of looking at place k + 1, the first being one. Places beyond the last known are looked at like the last. `rows` is what it rests on."""

    chance: tuple[float, ...]
    rows: int

    def of(self, position: Whole) -> Floats:
        """The chance at each position; a position of nought (unknown) is taken as seen: `float64[n]`."""
        known = np.array(self.chance, dtype=np.float64)
        found: Floats = np.where(position > 0, known[np.clip(position, 1, len(known)) - 1], 1.0)
        return found

    def to_json(self) -> dict[str, Json]:
        """As kept with the model."""
        return {"examination": list(self.chance), "rows": self.rows}


def shown_at(events: Iterable[Event], known_by: datetime) -> int:
    """Where a decision's choice stood, counted from one, by the first exposure that says so (`position`) and was known by then; nought: nobody says. Machines do not look."""
    told = [
        (one.event_time, one.event_id, place)
        for one in events
        if not one.machine
        and one.event_time <= known_by
        and one.known_time <= known_by
        and (place := whole(one.properties.get("position")))
    ]
    return min(told)[2] if told else 0


def whole(said: Json) -> int:
    """A place on a page from 1 to 1,000; nought for anything else."""
    if isinstance(said, bool) or not isinstance(said, int | float) or not math.isfinite(said) or said != int(said):
        return 0
    return int(said) if 1 <= said <= _MOST else 0


def estimated(position: Whole, answered: NDArray[np.bool_], propensity: Floats | None = None) -> Examination | None:
    """From rows whose order was drawn: the share that was answered at each place, over that at the first; it never rises on the way down.

    `propensity`: of what was shown, where it was not uniform; unlikely things then count for the many that were not shown. None when too little was answered.
    """
    known = position > 0
    weight = np.ones(len(position)) if propensity is None else 1.0 / propensity
    last = int(position.max(initial=0))
    if last < 2:
        return None
    rows, hits = (
        np.asarray(np.bincount(position[known], weights=much[known], minlength=last + 1)[1:], dtype=np.float64)
        for much in (weight, weight * answered)
    )
    if int((answered & (position == 1)).sum()) < _ENOUGH:
        return None
    overall = float(hits.sum() / rows.sum())
    rate: Floats = (hits + overall) / (rows + 1.0)  # as if one row more had been of the common kind
    falling = _never_rising(rate, rows + 1.0)
    return Examination(tuple(np.clip(falling / falling[0], LEAST, 1.0).tolist()), int(known.sum()))


def undone(
    reward: Floats, position: Whole, examination: Examination, weight: Floats | None = None
) -> tuple[Floats, Floats]:
    """Rewards as if everything had been looked at, and weights of mean one: `float64[n]` each."""
    seen = examination.of(position)
    worth = seen if weight is None else seen * weight
    made: Floats = worth / worth.mean()
    return reward / seen, made


def _never_rising(rate: Floats, weight: Floats) -> Floats:
    """The closest sequence that never rises (pooling adjacent violators)."""
    blocks: list[tuple[float, float, int]] = []
    for one, much in zip(rate.tolist(), weight.tolist(), strict=True):
        value, mass, count = one, much, 1
        while blocks and blocks[-1][0] < value:
            before, heavy, many = blocks.pop()
            value = (before * heavy + value * mass) / (heavy + mass)
            mass, count = mass + heavy, count + many
        blocks.append((value, mass, count))
    return np.repeat([value for value, _, _ in blocks], [count for _, _, count in blocks])
