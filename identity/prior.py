"""How likely two records are one person before anything is compared: put right by transitivity, where a table is small.

Enters: edges of a first run and the people it found.  Leaves: how many bits the weights were too low (or too high), and the model with its prior moved by so much.  In a few thousand records expectation
maximisation knows the prior badly.  But pairs too faint to be joined for their own sake are joined by third records, or are not: among people of two or more records that share is the share of true pairs,
seen without a label.  (The thought of transitive closure as labels: Kejriwal and Miranker, "An unsupervised algorithm for learning blocking schemes", 2013; triangles as a check of calibration.)
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from identity.linkage import Edges
from identity.training import LinkageModel

SMALL = 20_000  # records: in more, the prior is known well
FEWEST = 40  # pairs to judge by
FARTHEST = 3.0  # bits that a prior is moved at most
DOUBT = 1.5  # bits: how far off priors are as a rule
_FAINT = (-5.0, 1.0)  # weights of pairs that joined nobody by themselves


def error(edges: Edges, person: NDArray[np.int64]) -> float:
    """Bits to add to every weight, so that probabilities are shares; 0 where too few pairs tell."""
    size = np.bincount(person, minlength=len(person))[person]
    told = (edges.weight >= _FAINT[0]) & (edges.weight < _FAINT[1])
    told &= (size[edges.left] > 1) & (size[edges.right] > 1)
    if told.sum() < FEWEST:
        return 0.0
    weight, joined = edges.weight[told], person[edges.left[told]] == person[edges.right[told]]
    bits = np.arange(-FARTHEST, FARTHEST + 0.01, 0.05)
    sign = np.where(joined, 1.0, -1.0)[:, None]
    odds = sign * (weight[:, None] + bits)
    likelihood = -np.logaddexp2(0.0, -odds).sum(axis=0) * np.log(2) - bits**2 / (2 * DOUBT**2)
    return round(float(bits[int(np.argmax(likelihood))]), 2)


def moved(model: LinkageModel, bits: float) -> LinkageModel:
    """The same model with another prior."""
    if not bits:
        return model
    share = model.settings["probability_two_random_records_match"]
    odds = share / (1 - share) * 2.0**bits
    settings: Mapping[str, Any] = {
        **model.settings,
        "probability_two_random_records_match": round(min(0.5, odds / (1 + odds)), 15),
    }
    return replace(model, settings=settings, trained={**model.trained, "prior_moved": bits})
