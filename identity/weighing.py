"""Weighing only what is new: the batch's way of adding rows to what it linked before (spec identity I34).

Enters: a prepared table, a model of an earlier run and which rows that run knew.  Leaves: the edges that end at a row it did not know.  Pairs come from blocking
keys by value, as in linked.py; rarities are those of the whole table, which Splink counts itself.
"""

import secrets

import numpy as np
from numpy.typing import NDArray

from identity.batch import Prepared
from identity.comparisons import comparisons
from identity.keying import KeyIndex, row_keys
from identity.linkage import Edges, predict_cleaned
from identity.training import LinkageModel


def same_fields(model: LinkageModel, prepared: Prepared) -> bool:
    """Whether the model compares exactly what the table has."""
    told = {described["output_column_name"] for described in model.settings["comparisons"]}
    return told == {one.name for one in comparisons(prepared.cleaned)}


def new_edges(prepared: Prepared, model: LinkageModel, known: NDArray[np.bool_]) -> Edges:
    """Edges of the rows that are not `known`, with one another and with those that are; by the table's rows, like `known`."""
    rows, fresh = prepared.cleaned.rows, ~known[prepared.order]
    places = np.flatnonzero(fresh)
    keys = row_keys(prepared.cleaned, secrets.token_bytes(32))
    index = KeyIndex()
    index.add(keys)
    mine, theirs = index.near({name: hashes[places] for name, hashes in keys.items()})
    left, right = places[mine], theirs
    once = (left != right) & (~fresh[right] | (left < right))  # a pair of two new rows is found from both sides
    left, right = left[once], right[once]
    if prepared.sources is not None:
        across = prepared.sources[left] != prepared.sources[right]
        left, right = left[across], right[across]
    pairs = np.unique(np.minimum(left, right) * rows + np.maximum(left, right))
    found = predict_cleaned(model, prepared.cleaned, pairs)
    return Edges(prepared.order[found.left], prepared.order[found.right], found.weight)
