"""Explanations of a ranker of a real e-mail campaign: trained as the product trains, on one half; the other half is explained.

Enters: the folder with hillstrom_even.csv. Leaves: rows for `candor bench explain`.
"""

from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from explain.attribution import TOLERANCE
from explain.facts import FeatureValue, Provenance
from orchestration.learning.gbm import GbmModel, pack
from orchestration.learning.logs import read_log
from orchestration.learning.ranker import fit, train
from orchestration.learning.settings import LearningSettings
from orchestration.service.bench import explain_direction as directed
from orchestration.service.bench import explain_subject as measured
from orchestration.service.bench.explain_brute import brute, trees_of
from orchestration.service.bench.explain_subject import Floats, Subject
from orchestration.service.bench.learning_gate import HILLSTROM
from orchestration.service.bench.learning_rows import Progress, Row, Section, find, generator

_FEATURE_SET: Final = f"sha256:{'0' * 64}"
_SMALL: Final = LearningSettings(trees=12, leaves=6, rate=0.3)
_KINDS: Final = 9  # values of the made-up category
_KNOWN: Final = Provenance(
    trait="past", source="shop", observed_at=datetime(2026, 3, 5, 12, tzinfo=UTC), purpose="marketing.personalize"
)


def additivity(full: bool, told: Progress, folder: Path) -> list[Row]:
    """X51, native categories included."""
    one = subject(folder, 4000 if full else 200)
    told("  sums, SHAP, every subset")
    return [
        *measured.additivity(one, some=100 if full else 5),
        *_categories(100 if full else 5),
    ]


def direction(full: bool, told: Progress, folder: Path) -> list[Row]:
    """X53."""
    told("  reasons, neutralised")
    one = subject(folder, 2000 if full else 200)
    return directed.direction(
        "hillstrom", one.model, [directed.told_of(one.model, features_of(one, row)) for row in one.rows], one.others
    )


def features_of(one: Subject, row: Floats) -> tuple[FeatureValue, ...]:
    """A row as a decision's record holds it."""
    return tuple(
        FeatureValue(name=name, value=float(value), provenance=() if "=" in name else (_KNOWN,))
        for name, value in zip(one.model.feature_names, row, strict=True)
    )


def faithfulness(full: bool, told: Progress, folder: Path) -> list[Row]:
    """X52."""
    told("  columns taken away, and put in")
    return measured.faithfulness(subject(folder, 1000 if full else 50))


def stability(full: bool, told: Progress, folder: Path) -> list[Row]:
    """X54."""
    told("  noise of a billionth")
    names, rows, reward, _ = _halves(folder, _coin())
    text = fit(rows, reward, LearningSettings()).model_to_string()
    stock = GbmModel(pack(text, feature_names=names, feature_set=_FEATURE_SET))
    return measured.stability(subject(folder, 2000 if full else 100), stock)


@lru_cache(maxsize=2)
def _halves(folder: Path, coin: int) -> tuple[tuple[str, ...], Floats, Floats, Floats]:
    """Names of columns, the rows that are trained on with their outcome, the rows of everybody else."""
    log = read_log(find(folder, "hillstrom_even.csv"), arm="segment", reward="visit", propensity=repr(1 / 3), features=HILLSTROM)  # fmt: skip
    names = (*log.feature_names, *(f"variant={arm}" for arm in log.arms))
    rows = np.hstack([log.features, log.shown()])
    order = np.random.default_rng(coin).permutation(len(log))
    mine, rest = order[: len(log) // 2], order[len(log) // 2 :]
    return names, rows[mine], log.reward[mine], rows[rest]


def subject(folder: Path, count: int) -> Subject:
    """The ranker, and so many people whom it has not seen."""
    names, rows, _, rest = _halves(folder, _coin())
    reasons: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        reasons.setdefault(name.partition("=")[0], []).append(place)
    return Subject(
        "hillstrom", _trained(folder, _coin(), LearningSettings()), rest[:count], rows,
        {name: tuple(places) for name, places in reasons.items()},
    )  # fmt: skip


def _coin() -> int:
    """Which half is trained on, by the seed of the run."""
    return int(generator(51).integers(2**31))


@lru_cache(maxsize=4)
def _trained(folder: Path, coin: int, settings: LearningSettings) -> GbmModel:
    names, rows, reward, _ = _halves(folder, coin)
    return train(rows, reward, feature_names=names, feature_set=_FEATURE_SET, settings=settings)[0]


def _categories(some: int) -> list[Row]:
    """A model that splits on categories as LightGBM does by itself: SHAP's walk misreads those, so every subset is the check."""
    draw = generator(51, 1)
    rows = np.column_stack([draw.integers(0, _KINDS, 4000), draw.integers(0, _KINDS, 4000), draw.normal(size=4000).round(2)]).astype(np.float64)  # fmt: skip
    reward = (rows[:, 0] % 3) + rows[:, 2] * (rows[:, 1] % 2) + draw.normal(0, 0.1, 4000)
    model, _ = train(
        rows, reward, feature_names=("kind", "sort", "x"), feature_set=_FEATURE_SET, settings=_SMALL, categories=(0, 1)
    )
    off = apart = 0.0
    trees = trees_of(model.booster)
    for row in rows[:some]:
        base, parts = model.contributions(row)
        off = max(off, abs(float(base + parts.sum()) - float(model.score(row.reshape(1, -1))[0])))
        again, forced = brute(trees, row)
        apart = max(apart, abs(base - again), float(np.abs(parts - forced).max()))
    splits = sum(
        line.startswith("num_cat=") and line != "num_cat=0" for line in model.booster.model_to_string().splitlines()
    )
    return [
        Row("explain.X51", f"native categories in {splits} trees: sums, and every subset, {some} rows", "at most 1e-9", f"{off:.1e}, {apart:.1e}", splits > 0 and max(off, apart) <= TOLERANCE),
    ]  # fmt: skip


SECTIONS: Final = (
    Section("additivity", "parts add up to the score and are those of brute force", over_files=additivity),
    Section("faithfulness", "the strongest parts are what the score rests on", over_files=faithfulness),
    Section("stability", "noise that nobody can measure leaves the reasons as they are", over_files=stability),
    Section("direction", "the strongest reason works the way it is said to", over_files=direction),
)
