"""Debiasing: a decision that was unlikely speaks for many that were not made, so it weighs more in training, up to a limit.

Enters: the probabilities of what was shown. Leaves: weights of mean one, or None where all are equal (a uniform log needs none), and a report of what clipping did.
"""

from dataclasses import dataclass

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
