"""Figures about a model for people to look at: calibration, importance, normalisation of its features, drift since, what variants promised and brought.

Enters: predictions of rows that the predicting model had not seen, features, a trained booster. Leaves: plain numbers, kept with the model and drawn by the pipeline.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from kernel.canonical import Json
from orchestration.learning.gbm import GbmModel
from orchestration.learning.logs import Floats, Log

_BINS = 10


def calibration(predicted: Floats, reward: Floats, bins: int = _BINS) -> dict[str, Json]:
    """Expected calibration error over bins of equal size by prediction, and the bins (decision.D40)."""
    order = np.argsort(predicted, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    drawn: list[Json] = []
    error = 0.0
    for part in parts:
        said, was = float(predicted[part].mean()), float(reward[part].mean())
        error += abs(said - was) * len(part) / max(len(order), 1)
        drawn.append({"predicted": said, "observed": was, "rows": len(part)})
    return {"ece": error, "bins": drawn}


def importance(model: GbmModel) -> dict[str, float]:
    """Each column's share of the gain of all splits, the greatest first; columns that were never used are left out."""
    gain = np.asarray(model.booster.feature_importance(importance_type="gain"), dtype=np.float64)
    total = float(gain.sum())
    if total <= 0:
        return {}
    pairs = zip(model.feature_names, gain.tolist(), strict=True)
    return {name: value / total for name, value in sorted(pairs, key=lambda one: (-one[1], one[0])) if value > 0}


def normalisation(log: Log, times: Sequence[datetime], days: float) -> dict[str, Json]:
    """Mean, spread and share of absent values of every feature over the last `days` of the examples.

    Kept in the model's file and never worked out on a request.
    """
    if not times:
        return {}
    newest = max(times)
    recent = np.array([newest - at <= timedelta(days=days) for at in times], dtype=bool)
    return {name: _moments(log.features[recent, place]) for place, name in enumerate(log.feature_names)}


SCORE: Final = "score="
"""The name under which a model's own scores stand among its normalisation; no feature can have it."""
_SURE: Final = (
    3.0  # standard errors: of a hundred variants that keep their promise about one in eight hundred looks is wrong
)


def moments(said: Floats, times: Sequence[datetime], days: float) -> dict[str, Json]:
    """Mean and spread of a model's scores of what was shown over the last `days`, as `normalisation` has them of features."""
    newest = max(times, default=None)
    if newest is None:
        return {}
    recent = np.array([newest - at <= timedelta(days=days) for at in times], dtype=bool)
    return {SCORE: _moments(said[recent])}


def variants(log: Log, predicted: Floats, rows: NDArray[np.bool_], least: int) -> list[Json]:
    """What each variant brought against what the model that rules promised, over decisions that it had not seen.

    `predicted`: its score of what was shown, `float64[n]`. `weak`: below the promise by more than chance, over at least `least` decisions: somebody should look at it.
    """
    told: list[Json] = []
    for place, arm in enumerate(log.arms):
        ours = rows & (log.arm == place)
        count = int(ours.sum())
        if count == 0:
            continue
        apart = log.reward[ours] - predicted[ours]
        error = float(apart.std(ddof=1)) / math.sqrt(count) if count > 1 else math.inf
        told.append({
            "variant": arm, "decisions": count, "predicted": float(predicted[ours].mean()), "observed": float(log.reward[ours].mean()),
            "weak": count >= least and bool(float(apart.mean()) < -_SURE * error),
        })  # fmt: skip
    return told


def _moments(column: Floats) -> dict[str, Json]:
    known = column[np.isfinite(column)]
    missing = 1.0 - len(known) / len(column) if len(column) else 0.0
    if len(known) == 0:
        return {"mean": 0.0, "std": 0.0, "missing": missing}
    return {"mean": float(known.mean()), "std": float(known.std()), "missing": missing}


def drift(then: Mapping[str, Json], now: Mapping[str, Json]) -> dict[str, float]:
    """By how many of its old standard deviations each feature's mean moved, and how much more often it is absent, whichever is greater."""
    found: dict[str, float] = {}
    for name in sorted(then.keys() & now.keys()):
        old, new = cast("Mapping[str, float]", then[name]), cast("Mapping[str, float]", now[name])
        spread = old["std"] or max(abs(old["mean"]), 1.0)  # what never varied moves by its own size
        moved = abs(new["mean"] - old["mean"]) / spread
        found[name] = max(moved, abs(new["missing"] - old["missing"])) if math.isfinite(moved) else 0.0
    return found
