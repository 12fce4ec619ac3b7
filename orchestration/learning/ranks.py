"""How well scores order things: the area under the ROC curve, NDCG and MRR (decision.D35, D46).

Enters: scores, what was good, which belong together. Leaves: numbers from 0 to 1.
"""

import numpy as np
from numpy.typing import NDArray

from orchestration.learning.logs import Floats, Whole


def auc(score: Floats, did: NDArray[np.bool_]) -> float:
    """The chance that somebody who did it has a higher score than somebody who did not; ties count half, an absent score is the lowest."""
    plain = np.where(np.isfinite(score), score, -np.inf)
    _, place, count = np.unique(plain, return_inverse=True, return_counts=True)
    ends = np.cumsum(count)
    rank = (ends - (count - 1) / 2.0)[place]
    yes = int(did.sum())
    no = len(did) - yes
    if yes == 0 or no == 0:
        return 0.5
    return float((rank[did].sum() - yes * (yes + 1) / 2) / (yes * no))


def ndcg(score: Floats, gain: Floats, query: Whole, at: int = 10) -> float:
    """Mean normalised discounted cumulative gain of the first `at`, over queries in which there is anything to gain."""
    parts = [_ndcg(score[rows], gain[rows], at) for rows in _by_query(query)]
    told = [one for one in parts if one is not None]
    return float(np.mean(told)) if told else 0.0


def reciprocal_rank(score: Floats, gain: Floats, query: Whole) -> float:
    """Mean of 1 / place of the first thing of the greatest gain (MRR), over queries in which there is anything to gain."""
    told = []
    for rows in _by_query(query):
        best = float(gain[rows].max())
        if best > 0:
            ordered = gain[rows][np.argsort(-score[rows], kind="stable")]
            told.append(1.0 / (1 + int(np.argmax(ordered == best))))
    return float(np.mean(told)) if told else 0.0


def recovered(naive: float, found: float, oracle: float) -> float:
    """The share of the way from naive to oracle."""
    return (found - naive) / (oracle - naive) if oracle > naive else 0.0


def _by_query(query: Whole) -> list[NDArray[np.intp]]:
    order = np.argsort(query, kind="stable")
    cuts = np.flatnonzero(np.diff(query[order])) + 1
    return list(np.split(order, cuts))


def _ndcg(score: Floats, gain: Floats, at: int) -> float | None:
    discount = 1.0 / np.log2(np.arange(2, min(at, len(gain)) + 2))
    best = float((np.sort(gain)[::-1][:at] * discount).sum())
    if best <= 0:
        return None
    return float((gain[np.argsort(-score, kind="stable")][:at] * discount).sum()) / best
