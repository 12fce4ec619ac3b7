"""The same hyperparameters as ever, unless evaluation says otherwise (decision.D46): the size of a tree against a few others, on rewards that the model has not seen.

Enters: rows as trained on, rewards, weights, settings. Leaves: the settings that a training uses, and the comparison as kept with the model. Another size is used only where its squared
error is smaller by an interval that allows for the number of sizes (Bonferroni), so a training of the same rows always comes to the same word.
"""

import math
from statistics import NormalDist
from typing import Final

import numpy as np

from kernel.canonical import Json
from orchestration.learning.evaluation import folds
from orchestration.learning.logs import Floats
from orchestration.learning.ranker import fit
from orchestration.learning.settings import LearningSettings

_FOLDS: Final = 3
_LEAST: Final = 40  # rows: fewer say nothing about a size
_NORMAL: Final = NormalDist()


def tuned(
    rows: Floats, reward: Floats, settings: LearningSettings, weight: Floats | None = None
) -> tuple[LearningSettings, dict[str, Json]]:
    """The settings to train with, and what was compared. `weight`: of each row, in training and in the comparison."""
    others = [one for one in dict.fromkeys(settings.alternative_leaves) if one != settings.leaves]
    if not others or len(rows) < _LEAST:
        return settings, {"leaves": settings.leaves, "tried": []}
    z = _NORMAL.inv_cdf(1 - 0.025 / len(others))
    share = np.ones(len(rows)) if weight is None else weight
    base = _errors(rows, reward, settings, weight)
    tried: list[Json] = []
    best, most = settings, 0.0
    for leaves in others:
        other = settings.model_copy(update={"leaves": leaves})
        gained = share * (base - _errors(rows, reward, other, weight))
        mean = float(gained.mean())
        half = z * float(gained.std(ddof=1)) / math.sqrt(len(gained))
        tried.append({"leaves": leaves, "gain": mean, "low": mean - half, "high": mean + half})
        if mean - half > 0 and mean > most:
            best, most = other, mean
    return best, {"leaves": best.leaves, "tried": tried}


def _errors(rows: Floats, reward: Floats, settings: LearningSettings, weight: Floats | None) -> Floats:
    """Squared error of each row under a model that has not seen it: `float64[n]`."""
    part = folds(len(rows), _FOLDS, settings.seed)
    said = np.empty(len(rows))
    for fold in range(_FOLDS):
        test = part == fold
        booster = fit(rows[~test], reward[~test], settings, None if weight is None else weight[~test])
        said[test] = booster.predict(rows[test], num_threads=1)
    found: Floats = np.square(reward - said)
    return found
