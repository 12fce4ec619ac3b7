"""How much a decision weighs: more when it was unlikely, up to a limit, because it speaks for many that were not made; less when it is old.

Enters: the probabilities of what was shown, the moments. Leaves: weights of mean one, or None where all are equal (a uniform log of one day needs none), and a
report of what clipping did.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from kernel.canonical import Json
from orchestration.learning.logs import Floats


@dataclass(frozen=True, slots=True)
class Debias:
    """`clipped` is the share of rows at the limit, `ess` how many rows of equal weight the weighted log is worth."""

    clip: float
    clipped: float
    largest: float
    ess: float

    def to_json(self) -> dict[str, Json]:
        """As kept with the model."""
        return {"clip": self.clip, "clipped": self.clipped, "largest": self.largest, "ess": self.ess}


def inverse(propensity: Floats, clip: float) -> tuple[Floats | None, Debias]:
    """Inverse-propensity weights, at most `clip` times their mean; `float64[n]` of mean one."""
    if len(propensity) == 0 or float(propensity.max()) == float(propensity.min()):
        return None, Debias(clip, 0.0, 1.0, float(len(propensity)))
    raw = 1.0 / propensity
    raw /= raw.mean()
    cut = np.minimum(raw, clip)
    weight: Floats = cut / cut.mean()
    return weight, Debias(
        clip, float((raw > clip).mean()), float(weight.max()), float(weight.sum() ** 2 / np.square(weight).sum())
    )


def recent(times: Sequence[datetime], half_life_days: float) -> Floats | None:
    """Weights that halve with every `half_life_days` before the newest decision; `float64[n]` of mean one.

    Ages are whole days: what one import or one campaign brought weighs the same, whenever in those hours it was noted.
    """
    newest = max(times, default=None)
    days = np.array([(newest - at).days for at in times], dtype=np.float64) if newest is not None else np.zeros(0)
    if len(days) == 0 or float(days.max()) == 0.0:
        return None
    raw = np.exp2(-days / half_life_days)
    weight: Floats = raw / raw.mean()
    return weight


def both(one: Floats | None, other: Floats | None) -> Floats | None:
    """The product of two weights, of mean one again."""
    if one is None or other is None:
        return other if one is None else one
    product = one * other
    weight: Floats = product / product.mean()
    return weight
