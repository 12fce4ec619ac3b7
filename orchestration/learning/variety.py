"""Whether a treatment shows fewer different things than its control: as many variants as if all were shown equally often, counted over equally many people.

Enters: what people of each side were shown. Leaves: a number for each side, and whether the treatment's is surely too small. Pure.

The number is the exponential of the entropy (Jost 2006, "Entropy and diversity"). It grows with how many people are counted: two hundred people see no more than two hundred different items, whatever is
offered. So of the larger side only as many are counted, evenly over its time, and by chance alone nothing is called: the difference must pass the boundary of `sequential`.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from orchestration.learning.sequential import ALPHA, boundary

_STAGES = 5  # of a rollout: each is a comparison of its own


@dataclass(frozen=True, slots=True)
class Variety:
    """`treated` and `control`: as many variants as if all were shown equally often; `less`: the treatment's is surely below the share of the control's that must stay."""

    treated: float
    control: float
    less: bool


def variety(treated: Sequence[str], control: Sequence[str], *, keep: float, planned: float) -> Variety:
    """Of what people were shown, in the order in which they came. `keep`: the share that must stay; `planned`: people on each side when it is as large as meant."""
    count = min(len(treated), len(control))
    if not count:
        return Variety(_entropy(treated)[0] if treated else 0.0, _entropy(control)[0] if control else 0.0, less=False)
    (ours, spread), (theirs, other) = (_entropy([side[place * len(side) // count] for place in range(count)]) for side in (treated, control))  # fmt: skip
    edge = boundary(count / planned, alpha=ALPHA / _STAGES, sides=1)
    gap = math.log(ours) - math.log(theirs) - math.log(keep)
    error = math.sqrt((spread + other) / count)
    return Variety(ours, theirs, less=gap < 0 and (gap < -edge * error if error else math.isfinite(edge)))


def _entropy(shown: Sequence[str]) -> tuple[float, float]:
    """Its exponential, and the variance of one person's part in it."""
    counts = np.array(list(Counter(shown).values()), dtype=np.float64)
    shares = counts / counts.sum()
    told = np.log(shares)
    mean = float((shares * told).sum())
    return math.exp(-mean), max(0.0, float((shares * told * told).sum()) - mean * mean)
