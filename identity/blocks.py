"""Which blocking keys are kept with the graph, so that a record that comes later finds its candidates without the table.

Enters: a run's cleaned table and the pairs that it found strong enough to join.  Leaves: a `Choice`, the few keys that meet those pairs in blocks small enough to look
through, and every row's hashes in them.  Hashes are keyed and of 64 bits; a block that is too large answers nobody and is not kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from identity.block_choice import MOST_ROWS, Choice
from identity.blocking import IDENTIFIER_KINDS
from identity.cleaning import Cleaned
from identity.keying import Words, row_keys
from identity.linkage import Edges

MOST_KEYS: Final = 14
ENOUGH: Final = 0.999  # of the pairs that any key meets
SAMPLE: Final = 20_000


@dataclass(frozen=True, slots=True)
class Blocks:
    """A run's choice and the hashes of its rows; 0 where a row takes no part, or its block is full."""

    choice: Choice
    rows: NDArray[np.int64]


def blocks(cleaned: Cleaned, edges: Edges, threshold: float, secret: bytes) -> Blocks:
    """Choose and hash."""
    keys = row_keys(cleaned, secret)
    joined = np.flatnonzero(edges.weight >= threshold)
    if len(joined) > SAMPLE:
        joined = np.random.default_rng(0).permutation(joined)[:SAMPLE]
    allowed = {name: _allowed(hashes) for name, hashes in keys.items()}
    left, right = edges.left[joined], edges.right[joined]
    met = {name: (hashes[left] == hashes[right]) & allowed[name][left] for name, hashes in keys.items()}
    names = chosen(met, [f.name for f in cleaned.of(*IDENTIFIER_KINDS) if not f.shared])
    full: set[int] = set()
    columns = []
    for name in names:
        hashes = keys[name].view(np.int64)
        full.update(np.unique(hashes[~allowed[name] & (hashes != 0)]).tolist())
        columns.append(np.where(allowed[name], hashes, 0))
    rows = np.stack(columns, axis=1) if columns else np.zeros((cleaned.rows, 0), np.int64)
    return Blocks(Choice(names, frozenset(full)), rows)


def chosen(met: Mapping[str, NDArray[np.bool_]], always: Sequence[str]) -> tuple[str, ...]:
    """Identifiers, then greedily whichever key meets most pairs that none before it met; equal ones by name."""
    names = [name for name in always if name in met]
    rest = sorted(set(met) - set(names))
    every = np.logical_or.reduce([*met.values()]) if met else np.zeros(0, bool)
    seen = np.logical_or.reduce([met[name] for name in names]) if names else np.zeros_like(every)
    while rest and len(names) < MOST_KEYS and int(seen.sum()) < ENOUGH * int(every.sum()):
        best = max(rest, key=lambda name: int((met[name] & ~seen).sum()))
        names.append(best)
        rest.remove(best)
        seen = seen | met[best]
    return tuple(names)


def _allowed(hashes: Words) -> NDArray[np.bool_]:
    """Rows whose block is small enough."""
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    begins = np.flatnonzero(np.diff(ordered, prepend=~ordered[:1]))
    sizes = np.diff(np.append(begins, len(ordered)))
    found = np.empty(len(hashes), bool)
    found[order] = np.repeat(sizes <= MOST_ROWS, sizes)
    allowed: NDArray[np.bool_] = found & (hashes != 0)
    return allowed
