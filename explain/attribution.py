"""How much each feature moved the score of the chosen candidate: exact Shapley values of the tree ensemble.

Enters: a `Model` and the one row that was scored. Leaves: base, contributions, raw score; raises when they do not add up. The serving path is
`Model.contributions` (milliseconds); `exact` computes the same values again by SHAP's TreeExplainer and is the check on it, run by the
worker that makes explanations and by the tests, never in a request. Follows Lundberg et al. 2020 (TreeSHAP, path-dependent), spec explain.X51.
"""

import warnings
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

import numpy as np
from kernel.model import Model
from numpy.typing import NDArray

from explain.errors import NotAdditive, Unfaithful

TOLERANCE: Final = 1e-9  # X51; measured 4e-15 to 1e-14


@runtime_checkable
class TreeModel(Model, Protocol):
    """A model that can be looked into: its raw score, and the tree ensemble itself for a second computation."""

    @property
    def trees(self) -> object:
        """The ensemble as SHAP takes it (a LightGBM booster)."""
        ...

    def raw(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Raw scores, before the link: ``float64[n, k] -> float64[n]``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """`base + sum(parts) == raw`; `parts` in the order of the model's features. `checked`: TreeExplainer agreed."""

    base: float
    parts: tuple[float, ...]
    raw: float
    checked: bool


def attribute(model: Model, row: NDArray[np.float64], *, check: bool) -> Attribution:
    """The attribution of one row. `check` computes it a second time with SHAP (the first call imports it: seconds).

    Raises NotAdditive and Unfaithful. A model that shows neither its raw score nor its trees is taken at its word for the raw score.
    """
    base, parts = model.contributions(row)
    total = float(base + parts.sum())
    raw = total
    checked = False
    if isinstance(model, TreeModel):
        raw = float(model.raw(row.reshape(1, -1))[0])
        if not abs(total - raw) <= TOLERANCE:  # written so that NaN fails
            raise NotAdditive(abs(total - raw))
        if check:
            again_base, again = exact(model, row)
            gap = max(abs(again_base - base), float(np.abs(again - parts).max(initial=0.0)))
            if not gap <= TOLERANCE:
                raise Unfaithful("TreeExplainer and the model's own contributions", gap)
            checked = True
    return Attribution(base=float(base), parts=tuple(float(part) for part in parts), raw=raw, checked=checked)


def exact(model: TreeModel, row: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Base and Shapley values of one row by `shap.TreeExplainer`: ``float64[k] -> (base, float64[k])``.

    SHAP's own shortcut for LightGBM calls LightGBM; we make it walk the trees itself, so that the two computations share no code. Its walk
    misreads native categorical splits (off by up to 0.03): for such a model the shortcut is used.
    """
    import shap

    with warnings.catch_warnings():
        # SHAP tells that the shape of its answer changed in 0.45; we read the new shape.
        warnings.filterwarnings("ignore", message="LightGBM binary classifier", category=UserWarning)
        explainer = shap.TreeExplainer(model.trees)
        if not _has_categorical_splits(model.trees):
            explainer.model.model_type = "internal"
        values = np.asarray(explainer.shap_values(row.reshape(1, -1), check_additivity=False), dtype=np.float64)
    return float(np.ravel(explainer.expected_value)[-1]), values.reshape(-1)[: row.size]


def _has_categorical_splits(trees: object) -> bool:
    text = getattr(trees, "model_to_string", None)
    if text is None:
        return True  # unknown library: stay on SHAP's own path
    return any(line.startswith("num_cat=") and line != "num_cat=0" for line in str(text()).splitlines())
