"""How well scores order things: the area under the ROC curve, NDCG and MRR (decision.D35, D46).

Enters: scores, what was good, which belong together. Leaves: numbers from 0 to 1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kernel.canonical import Json
from orchestration.learning.logs import Floats, Log, Whole


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


@dataclass(frozen=True, slots=True)
class Ordering:
    """How far up the answered arms stand in the order of their scores, beside an order that is drawn: MRR and NDCG over all arms."""

    mrr: float
    ndcg: float
    drawn_mrr: float
    drawn_ndcg: float
    answered: int

    def to_json(self) -> dict[str, Json]:
        """As kept with the model."""
        return {
            "mrr": self.mrr,
            "ndcg": self.ndcg,
            "drawn_mrr": self.drawn_mrr,
            "drawn_ndcg": self.drawn_ndcg,
            "answered": self.answered,
        }


def ordering(log: Log, values: Floats) -> Ordering | None:
    """The same for a log of single choices: only the shown arm's answer is known, so that an answered row weighs the inverse of its probability.

    `values`: the score of every arm by a model that has not seen the row, `float64[n, K]`. Arms of equal score share their places. None: nothing was answered.
    """
    rows = np.flatnonzero(log.reward > 0)
    if len(rows) == 0:
        return None
    scores = values[rows]
    shown = scores[np.arange(len(rows)), log.arm[rows]][:, None]
    place = 1.0 + (scores > shown).sum(axis=1) + ((scores == shown).sum(axis=1) - 1) / 2.0
    weight = 1.0 / log.propensity[rows]
    drawn = np.arange(1, values.shape[1] + 1)
    return Ordering(
        float(np.average(1 / place, weights=weight)), float(np.average(1 / np.log2(1 + place), weights=weight)),
        float((1 / drawn).mean()), float((1 / np.log2(1 + drawn)).mean()), len(rows),
    )  # fmt: skip


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
