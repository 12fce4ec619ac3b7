"""The ranker: expected reward of an arm for a person, one LightGBM over profile and candidate columns.

Enters: `float64[n, k]` rows, rewards. Leaves: exported model bytes, equal for equal data and seed (decision.D39). The objective is squared error,
so a score is an expected reward in its own unit, calibrated in the mean, and contributions add up to it without a link.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kernel.canonical import Json
from orchestration.learning.export import zero_safe
from orchestration.learning.gbm import GbmModel, pack
from orchestration.learning.settings import LearningSettings

if TYPE_CHECKING:
    import lightgbm as lgb

Floats = NDArray[np.float64]


def parameters(settings: LearningSettings, rows: int) -> dict[str, object]:
    """LightGBM's parameters; deterministic in bytes, on one thread."""
    return {
        "objective": "regression",
        "num_leaves": settings.leaves,
        "learning_rate": settings.rate,
        # A leaf must hold enough rows for a rare reward to show its mean; small logs get smaller leaves.
        "min_data_in_leaf": int(np.clip(rows // 125, 10, 200)),
        "lambda_l2": 10.0,
        "seed": settings.seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
        "feature_pre_filter": False,
    }


def fit(
    rows: Floats, reward: Floats, settings: LearningSettings, weight: Floats | None = None, categories: Sequence[int] = ()
) -> "lgb.Booster":  # fmt: skip
    """Train; the columns are nameless here, names live in the model file. `weight`: of each row; None is one. `categories`: columns whose whole numbers
    are names, which splits may gather in any order.
    """
    import lightgbm as lgb  # here, as in gbm.py: it is slow to load

    named = list(categories) if categories else "auto"
    data = lgb.Dataset(
        rows, reward, weight=weight, params={"verbosity": -1}, free_raw_data=True, categorical_feature=named
    )
    return lgb.train(parameters(settings, len(rows)), data, num_boost_round=settings.trees)


def train(
    rows: Floats, reward: Floats, *, feature_names: tuple[str, ...], feature_set: str, settings: LearningSettings,
    weight: Floats | None = None, normalisation: Mapping[str, Json] | None = None,
    scored: Callable[[Floats], Mapping[str, Json]] | None = None, categories: Sequence[int] = (),
) -> tuple[GbmModel, bytes]:  # fmt: skip
    """A model ready to serve, and the bytes of its file. `scored`: what is kept, beside the normalisation, of its scores of these rows."""
    booster = fit(rows, reward, settings, weight, categories)
    text = zero_safe(booster.model_to_string(), rows)
    kept = dict(normalisation or {})
    if scored is not None:
        kept |= scored(np.asarray(booster.predict(rows, num_threads=1), dtype=np.float64))
    content = pack(text, feature_names=feature_names, feature_set=feature_set, normalisation=kept)
    return GbmModel(content), content


def arm_values(train_rows: Floats, train_arm: NDArray[np.int64], reward: Floats, rows: Floats, arms: int,
               settings: LearningSettings, weight: Floats | None = None) -> Floats:  # fmt: skip
    """Expected reward of every arm for every row of `rows`: `float64[m, K]`, from one model with arms as columns.

    Without features this is each arm's mean, shrunk to the overall mean by one row.
    """
    overall = float(reward.mean()) if len(reward) else 0.0
    if train_rows.shape[1] == 0 or len(train_rows) < 40:
        counts = np.bincount(train_arm, minlength=arms)
        sums = np.bincount(train_arm, weights=reward, minlength=arms)
        return np.tile((sums + overall) / (counts + 1), (len(rows), 1))
    marks = np.eye(arms)
    booster = fit(np.hstack([train_rows, marks[train_arm]]), reward, settings, weight)
    made = np.empty((len(rows), arms))
    for arm in range(arms):
        shown = np.tile(marks[arm], (len(rows), 1))
        made[:, arm] = booster.predict(np.hstack([rows, shown]), num_threads=1)
    return made
