"""The need for a model, as seen from below: score rows, and split one score into its parts.

Implemented by ``orchestration.learning``, used by ``decision`` and ``explain``. Scores are calibrated probabilities or
values per row; contributions are in the model's raw space and add up to the raw score: ``base + sum(parts)``.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Model(Protocol):
    """A scoring function with a name for its exact content.

    Pure: the same row gives the same bits in every process that holds the same digest. Safe to call from several
    threads. Rows are ``float64``, in the order of ``feature_names``; NaN means "absent".
    """

    @property
    def digest(self) -> str:
        """``sha256:<hex>`` of the exported model file; equal digests score equally."""
        ...

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The k columns, in order."""
        ...

    def score(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores of ``n`` rows: ``float64[n, k] -> float64[n]``."""
        ...

    def contributions(self, row: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Base and per-feature parts of one row's raw score: ``float64[k] -> (base, float64[k])``; additive."""
        ...
