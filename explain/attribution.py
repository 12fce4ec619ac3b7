"""How much each feature moved the score of the chosen candidate: exact Shapley values of the tree ensemble.

Enters: a `Model`, the one row that was scored, the score that was used. Leaves: base and contributions; raises when they do not add up to that
score. The serving path is `Model.contributions` (milliseconds); `exact` computes the same values again by SHAP's TreeExplainer and is the check
on it, run where explanations are made and by the tests, never in a decision. Follows Lundberg et al. 2020 (TreeSHAP, path-dependent), explain.X51.
"""

import warnings
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from explain import forest
from explain.errors import NotAdditive, Unfaithful
from kernel.model import Model

TOLERANCE: Final = 1e-9  # X51; measured 4e-15 to 1e-14
_MOST_EXPLAINERS: Final = (
    8  # a placement has one active model; making an explainer costs 25 ms and the size of the model
)
_explainers: OrderedDict[str, Any] = OrderedDict()  # by the model's digest


@runtime_checkable
class TreeModel(Model, Protocol):
    """A model that can be looked into by other libraries."""

    @property
    def booster(self) -> object:
        """The ensemble as SHAP takes it (a LightGBM booster)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """`base + sum(parts)` is the score that was used; `parts` in the order of the model's features. `checked`: TreeExplainer agreed. `model`: whose score it is; without it
    nothing can be said of what one reason does alone.
    """

    base: float
    parts: tuple[float, ...]
    checked: bool
    model: Model | None = None


def attribute(model: Model, row: NDArray[np.float64], score: float, *, check: bool) -> Attribution:
    """The attribution of one row. `check` computes it a second time with SHAP (the first call imports it: seconds).

    Raises:
        NotAdditive: base and parts miss the score by more than 1e-9.
        Unfaithful: two computations of the same values differ.
    """
    base, parts = model.contributions(row)
    forest.held(model)  # read here, once a model, beside everything else that takes long
    gap = abs(float(base + parts.sum()) - score)
    if not gap <= TOLERANCE:  # written so that NaN fails
        raise NotAdditive(gap)
    checked = False
    if check and isinstance(model, TreeModel):
        again_base, again = exact(model, row)
        gap = max(abs(again_base - base), float(np.abs(again - parts).max(initial=0.0)))
        if not gap <= TOLERANCE:
            raise Unfaithful("TreeExplainer and the model's own contributions", gap)
        checked = True
    return Attribution(base=float(base), parts=tuple(float(part) for part in parts), checked=checked, model=model)


def prepared(model: Model) -> bool:
    """Whether a second computation would begin at once: SHAP is loaded and knows this model."""
    return model.digest in _explainers


def prepare(model: Model, *, check: bool) -> None:
    """Load what `attribute` will need for this model."""
    model.contributions(np.zeros(len(model.feature_names)))
    forest.held(model)
    if check and isinstance(model, TreeModel):
        exact(model, np.zeros(len(model.feature_names)))


def exact(model: TreeModel, row: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Base and Shapley values of one row by `shap.TreeExplainer`: ``float64[k] -> (base, float64[k])``.

    SHAP's own shortcut for LightGBM calls LightGBM; we make it walk the trees itself, so that the two computations share no code. Its walk
    misreads native categorical splits (off by up to 0.03): for such a model the shortcut is used.
    """
    explainer = _explainer(model)
    with warnings.catch_warnings():
        # SHAP tells that the shape of its answer changed in 0.45; we read the new shape.
        warnings.filterwarnings("ignore", message="LightGBM binary classifier", category=UserWarning)
        values = np.asarray(explainer.shap_values(row.reshape(1, -1), check_additivity=False), dtype=np.float64)
    return float(np.ravel(explainer.expected_value)[-1]), values.reshape(-1)[: row.size]


def _explainer(model: TreeModel) -> Any:
    found = _explainers.get(model.digest)
    if found is None:
        with warnings.catch_warnings():
            # SHAP draws with matplotlib, which announces changes that do not concern us.
            warnings.simplefilter("ignore", PendingDeprecationWarning)
            import shap

        found = shap.TreeExplainer(model.booster)
        if not _has_categorical_splits(model.booster):
            found.model.model_type = "internal"
        _explainers[model.digest] = found
        while len(_explainers) > _MOST_EXPLAINERS:
            _explainers.popitem(last=False)
    return found


def _has_categorical_splits(trees: object) -> bool:
    text = getattr(trees, "model_to_string", None)
    if text is None:
        return True  # unknown library: stay on SHAP's own path
    return any(line.startswith("num_cat=") and line != "num_cat=0" for line in str(text()).splitlines())
