"""A trained model as a file named by its digest, and as a `kernel.model.Model`.

Enters: exported LightGBM text and the names of its columns. Leaves: canonical bytes (no time, no path, so equal training gives an
equal file, decision.D39), scores and exact contributions: base + parts = score, since the objective has no link function.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from kernel.canonical import Json, canonical
from orchestration.learning.errors import ModelBroken
from orchestration.learning.quick import LEAST, Quick

FORMAT = 1
_MOST = 1_024  # rows that may be those of one decision


class GbmModel:
    """Implements `kernel.model.Model`. `booster` is the native model, for checks against other libraries."""

    def __init__(self, content: bytes) -> None:
        """Read what `pack` wrote.

        Raises:
            ModelBroken: not such a file.
        """
        import lightgbm as lgb  # here: it brings scikit-learn and pandas, seconds that nobody waits for without a model

        try:
            form = json.loads(content)
            if form["format"] != FORMAT:
                raise ModelBroken(f"expected model format {FORMAT}, got {form['format']!r}")
            self.feature_names = tuple(str(one) for one in form["feature_names"])
            self.feature_set = str(form["feature_set"])
            self.normalisation: Mapping[str, Json] = dict(form.get("normalisation", {}))
            self.booster = lgb.Booster(model_str=form["booster"])
        except (ValueError, KeyError, TypeError, lgb.basic.LightGBMError) as fault:
            raise ModelBroken(f"expected a model file, got something else ({type(fault).__name__})") from None
        if self.booster.num_feature() != len(self.feature_names):
            raise ModelBroken(
                f"expected a model of {len(self.feature_names)} columns, got {self.booster.num_feature()}"
            )
        self.digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self._text = str(form["booster"])
        self._quick: Quick | None = None
        self._tried = False

    def score(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """`float64[n, k] -> float64[n]`, on one thread: small batches pay more for threads than they win."""
        if LEAST <= len(rows) <= _MOST:
            if not self._tried:
                self._quick, self._tried = Quick.of(self.booster, self._text, self.feature_names), True
                self._text = ""
            found = self._quick.score(rows) if self._quick is not None else None
            if found is not None:
                return found
        return np.asarray(self.booster.predict(rows, num_threads=1), dtype=np.float64)

    def contributions(self, row: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Exact Shapley values of one row by LightGBM's `pred_contrib`; additive to 1e-14."""
        parts = np.asarray(self.booster.predict(row.reshape(1, -1), num_threads=1, pred_contrib=True))[0]
        return float(parts[-1]), np.asarray(parts[:-1], dtype=np.float64)


def pack(
    booster_text: str,
    *,
    feature_names: Sequence[str],
    feature_set: str,
    normalisation: Mapping[str, Json] | None = None,
) -> bytes:
    """The model's file. `feature_set` is the digest of the declared features the columns came from; `normalisation` their means and spreads then."""
    return canonical({
        "format": FORMAT, "feature_names": list(feature_names), "feature_set": feature_set, "booster": booster_text,
        "normalisation": dict(normalisation or {}),
    })  # fmt: skip
