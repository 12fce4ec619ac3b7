"""Which keys of blocking are worth their pairs: found out on a sample, where there are too many pairs to weigh them all.

Enters: the keys, and a weight for every sampled pair.  Leaves: a fair sample of all pairs (for training) and, once a model can weigh it, the pairs of the keys that find people whom no better key finds.  Keys
are cut by the size of their blocks, so that a rare last name may be worth comparing and a common one not; parts are taken in the order of new matches per new pair, as in greedy set cover (Bilenko,
Kamath and Mooney, "Adaptive blocking", 2006; Michelson and Knoblock, 2006), until one more match would cost more than `DEAREST` pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from identity.blocking import BIGGEST_BLOCK, Key, Pairs, across, distinct
from identity.cleaning import Codes
from identity.training import Chosen

Floats = NDArray[np.float64]
FEW = 1_500_000  # pairs: so many are weighed without asking whether it pays
SAMPLE = 5_000  # pairs of a part, for training
TRIED = 1_000  # pairs of a part, to see what it finds
DEAREST = 150  # pairs compared for one more match
_CUTS = (1, 4, 16, 64, 400)  # sizes of blocks between which a key's parts lie


@dataclass(frozen=True, slots=True)
class Part:
    """A key's blocks of more than `above` and at most `most` rows: how many pairs, and some of them."""

    key: Key
    above: int
    most: int
    count: int
    sample: Pairs

    def finds(self, pairs: Pairs, rows: int) -> NDArray[np.bool_]:
        """Which pairs this part has among its own."""
        left, right = self.key.codes[pairs // rows], self.key.codes[pairs % rows]
        found = (left == right) & (left >= 0)
        size = self.key.sizes[left[found]]
        found[found] = (size > self.above) & (size <= self.most)
        return np.asarray(found)


def parts(keys: Sequence[Key], rng: np.random.Generator) -> list[Part]:
    """Every part that has pairs, with pairs drawn evenly from it."""
    found = []
    for key in keys:
        for above, most in pairwise(_CUTS):
            count = key.count(above, most)
            if count:
                sample = key.pairs(above, most) if count <= SAMPLE else _drawn(key, above, most, rng)
                found.append(Part(key, above, min(most, key.limit), count, sample))
    return found


def _drawn(key: Key, above: int, most: int, rng: np.random.Generator) -> Pairs:
    """Pairs of random blocks, larger ones likelier; distinct."""
    rows = len(key.codes)
    blocks = np.flatnonzero((key.sizes > above) & (key.sizes <= min(most, key.limit)))
    sizes = key.sizes[blocks]
    shares = np.cumsum((sizes * (sizes - 1)).astype(float))
    drawn = np.searchsorted(shares, rng.random(SAMPLE) * shares[-1], side="right")
    chosen, place = np.unique(drawn, return_inverse=True)
    number = np.full(len(key.sizes) + 1, -1, np.int64)
    number[blocks[chosen]] = np.arange(len(chosen))
    members = np.flatnonzero(number[key.codes] >= 0)
    members = members[np.argsort(number[key.codes[members]], kind="stable")]
    size = sizes[chosen]
    start = np.concatenate([[0], np.cumsum(size)[:-1]])
    one = rng.integers(0, size[place])
    other = (one + rng.integers(1, size[place])) % size[place]
    a, b = members[start[place] + one], members[start[place] + other]
    return distinct([np.minimum(a, b) * rows + np.maximum(a, b)])


def fair_sample(made: Sequence[Part], rows: int, sources: Codes | None) -> tuple[Pairs, Floats]:
    """The sampled pairs of all parts, and how many pairs of the whole each stands for: a pair that many parts could have drawn stands for fewer."""
    pairs = across(distinct([part.sample for part in made]), sources, rows)
    missed = np.ones(len(pairs))
    left, right = pairs // rows, pairs % rows
    for key in {id(part.key): part.key for part in made}.values():
        drawn = np.zeros(BIGGEST_BLOCK + 1)  # by size of block: the chance that a pair of it was drawn
        for part in made:
            if part.key is key:
                drawn[part.above + 1 : part.most + 1] = len(part.sample) / part.count
        one = key.codes[left]
        met = np.flatnonzero((one == key.codes[right]) & (one >= 0))
        size = key.sizes[one[met]]
        missed[met] *= 1 - np.where(size <= BIGGEST_BLOCK, drawn[np.minimum(size, BIGGEST_BLOCK)], 0.0)
    return pairs, 1 / (1 - missed)


def tried(made: Sequence[Part], rows: int, sources: Codes | None, rng: np.random.Generator) -> list[Pairs]:
    """A few pairs of every part, to be weighed."""
    return [
        across(
            p.sample if len(p.sample) <= TRIED else np.sort(rng.choice(p.sample, TRIED, replace=False)), sources, rows
        )
        for p in made
    ]


def choose(made: Sequence[Part], pairs: Sequence[Pairs], chances: Sequence[Floats], rows: int) -> list[Part]:
    """The parts worth having.  `chances[i]` are the probabilities that `pairs[i]`, tried from part i, are of one person."""
    open_ = [np.ones(len(p), bool) for p in pairs]  # not yet found by a chosen part
    left, chosen = set(range(len(made))), []
    while left:
        gain = {i: float(chances[i][open_[i]].sum()) / max(1, int(open_[i].sum())) for i in left}
        best = min(left, key=lambda i: (-gain[i], made[i].count, i))
        left.discard(best)
        if gain[best] * DEAREST < 1:
            break
        chosen.append(made[best])
        for i in left:
            open_[i] &= ~made[best].finds(pairs[i], rows)
    return chosen


def named(chosen: Sequence[Part]) -> tuple[Chosen, ...]:
    """The parts by name, to be found again in another table of the same kind."""
    return tuple(sorted((part.key.name, part.above, part.most) for part in chosen))


def among(made: Sequence[Part], wanted: Sequence[Chosen]) -> list[Part]:
    """The parts of these names; a limit that lay below a cut in one table may lie above it in another."""
    asked = {(name, above) for name, above, _ in wanted}
    return [part for part in made if (part.key.name, part.above) in asked]


def pairs_of(chosen: Sequence[Part], rows: int, sources: Codes | None) -> Pairs:
    """All pairs of these parts, once, ascending."""
    return distinct([across(part.key.pairs(part.above, part.most), sources, rows) for part in chosen])
