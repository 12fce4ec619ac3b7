"""A model's trees as arrays, for the rows of one decision: they share the person's columns and differ only in what says which candidate each is.

Enters: a LightGBM booster, the names of its columns. Leaves: the very scores of `Booster.predict`, bit for bit, in a fraction of the time. After Lucchese et al., QuickScorer (SIGIR 2015):
every split that sends a row to the right forbids the leaves on its left; of the leaves that are left, the leftmost is the row's. What the person's columns forbid is found once for
all rows, what a candidate's forbid is remembered. Leaves are added up in the order of the trees, as LightGBM does. A booster that this cannot say exactly
(categories, more than 64 leaves a tree) has none; whether it does is tried on rows drawn around the model's own thresholds before it is used.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

OWN: Final = ("variant=", "channel=", "category=", "tag=")
"""How columns begin that say which candidate a row is."""
LEAST: Final = 4  # rows; fewer are quicker by LightGBM itself
_FRESH: Final = 8  # candidates that one call works out; of more, LightGBM scores the whole this time
_MOST_ROWS: Final = 4_096  # candidates remembered, a word a tree each
_MOST_BLOCKS: Final = 64  # lists of candidates remembered
_MOST_BYTES: Final = 1 << 18  # of such a list; most have some tens of kilobytes, and longer ones are put together anew
_MOST_LEAVES: Final = 64  # a tree: one bit of a word each
_ZERO: Final = float(np.float32(1e-35))  # LightGBM's own, of single precision: nearer to zero is zero
_ZERO_IS, _NAN_IS = 1, 2  # what counts as missing at a split, as LightGBM writes it
_SEQUENCES: Final = {
    32: 0x077CB531,
    64: 0x03F79D71B4CB0A89,
}  # de Bruijn: times a power of two, the top bits are its own
_TRIES: Final = 8


@dataclass(frozen=True, slots=True)
class _Splits:
    """Some splits of every tree, one tree a column; where a tree has fewer, splits that forbid nothing fill up."""

    column: NDArray[np.intp]
    threshold: NDArray[np.float64]
    missing: NDArray[np.int8]
    otherwise: NDArray[np.bool_]
    """Whether a missing value goes to the right."""
    left: NDArray[Any]
    """What is allowed once a row goes to the right: one bit a leaf."""
    odd: bool
    """Whether a split treats a zero as missing."""

    def allowed(self, values: NDArray[np.float64]) -> NDArray[Any]:
        """By tree, the leaves that these splits leave to a row."""
        nan = np.isnan(values)
        lacks = bool(nan.any())
        filled = np.where(nan, 0.0, values) if lacks else values
        right = filled[self.column] > self.threshold
        if lacks or self.odd:
            absent = (self.missing == _NAN_IS) & nan[self.column]
            if self.odd:
                absent |= (self.missing == _ZERO_IS) & (np.abs(filled) <= _ZERO)[self.column]
            right = np.where(absent, self.otherwise, right)
        every = self.left.dtype.type(np.iinfo(self.left.dtype).max)
        found: NDArray[Any] = np.bitwise_and.reduce(np.where(right, self.left, every), axis=0)
        return found


class Quick:
    """Scores the rows of one decision. `of` makes one."""

    def __init__(self, shared: _Splits, own: _Splits, leaves: NDArray[np.float64], columns: NDArray[np.intp]) -> None:
        """`leaves`: by tree the value of each leaf, in the order of its place in the sequence; `columns`: those that are a candidate's own."""
        self._shared, self._own = shared, own
        self._columns = columns
        gap = len(columns) > 0 and int(columns[-1] - columns[0]) + 1 == len(columns)
        self._slice: slice | NDArray[np.intp] = slice(int(columns[0]), int(columns[-1]) + 1) if gap else columns
        bits = shared.left.dtype.itemsize * 8
        self._times = shared.left.dtype.type(_SEQUENCES[bits])
        self._shift = shared.left.dtype.type(bits - (bits.bit_length() - 1))
        self._values = leaves.reshape(-1)
        self._begins = (np.arange(len(leaves), dtype=np.intp) * bits)[:, None]
        self._rows: dict[bytes, NDArray[Any]] = {}
        self._blocks: OrderedDict[bytes, NDArray[Any]] = OrderedDict()

    def score(self, rows: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """`float64[n, k] -> float64[n]`; None for rows that do not share the other columns, or of which too many are new."""
        if len(rows) < LEAST:
            return None
        held = self._block(rows)
        if held is None:
            return None
        allowed = self._shared.allowed(rows[0])[:, None] & held
        first = allowed & (~allowed + allowed.dtype.type(1))
        place = ((first * self._times) >> self._shift).astype(np.intp)
        place += self._begins
        found: NDArray[np.float64] = np.add.reduce(self._values.take(place), axis=0)
        return found

    def _block(self, rows: NDArray[np.float64]) -> NDArray[Any] | None:
        """What the candidates' own columns leave, one row a column."""
        own = np.ascontiguousarray(rows[:, self._slice])
        rest = np.delete(rows, self._columns, axis=1) if not isinstance(self._slice, slice) else None
        if rest is None and isinstance(self._slice, slice):
            before, after = rows[:, : self._slice.start], rows[:, self._slice.stop :]
            alike = _alike(before) and _alike(after)
        else:
            alike = rest is not None and _alike(rest)
        if not alike:
            return None
        words = own.tobytes()
        block = self._blocks.get(words)
        if block is None:
            block = self._joined(rows, own)
            if block is not None and block.nbytes + len(words) <= _MOST_BYTES:
                self._blocks[words] = block
                if len(self._blocks) > _MOST_BLOCKS:
                    self._blocks.popitem(last=False)
        else:
            with suppress(KeyError):  # another thread may have let it go
                self._blocks.move_to_end(words)
        return block

    def _joined(self, rows: NDArray[np.float64], own: NDArray[np.float64]) -> NDArray[Any] | None:
        names = [line.tobytes() for line in own]
        held = self._rows  # threads share it: one may begin anew while another goes on with this
        fresh = list(dict.fromkeys(name for name in names if name not in held))
        if len(held) + len(fresh) > _MOST_ROWS:
            held = self._rows = {}
            fresh = list(dict.fromkeys(names))
        for name in fresh[:_FRESH]:
            held[name] = self._own.allowed(rows[names.index(name)])
        if len(fresh) > _FRESH:
            return None
        return np.ascontiguousarray(np.stack([held[name] for name in names], axis=1))

    @classmethod
    def of(cls, booster: Any, text: str, names: Sequence[str]) -> Self | None:
        """The same model, or None where it cannot be said exactly. `text`: the booster as LightGBM writes it."""
        try:
            trees = _trees(text)
        except (KeyError, ValueError, IndexError):  # not as LightGBM writes it today: its own walk scores
            return None
        columns = np.array([place for place, name in enumerate(names) if name.startswith(OWN)], dtype=np.intp)
        if not trees or not len(columns):
            return None
        most = max(len(tree.leaves) for tree in trees)
        kind: Any = np.uint32 if most <= _MOST_LEAVES // 2 else np.uint64
        held = set(columns.tolist())
        made = cls(
            _splits([[one for one in tree.splits if one.column not in held] for tree in trees], kind),
            _splits([[one for one in tree.splits if one.column in held] for tree in trees], kind),
            _leaves(trees, kind),
            columns,
        )
        return made if _exact(made, booster, trees, len(names), columns) else None


class _Split(NamedTuple):
    """`right`: where a missing value goes; leaves are numbered from the left: from `first` those to the left of the split, from `then` those to the right."""

    column: int
    threshold: float
    missing: int
    right: bool
    first: int
    then: int


@dataclass(frozen=True, slots=True)
class _Tree:
    splits: list[_Split]
    leaves: list[float]


def _trees(text: str) -> list[_Tree]:
    """The trees of a model's text; none where a split is no threshold, a leaf is no number, or there are too many of them."""
    head, *parts = text.split("\nTree=")
    said = dict(line.partition("=")[::2] for line in head.splitlines())
    if said.get("num_class") != "1" or "average_output" in said:
        return []
    found = []
    for part in parts:
        form = dict(line.partition("=")[::2] for line in part.splitlines())
        if int(form["num_leaves"]) > _MOST_LEAVES or form["num_cat"] != "0" or form.get("is_linear", "0") != "0":
            return []
        found.append(_tree(form))
    return found


def _tree(form: Mapping[str, str]) -> _Tree:
    values = [float(one) for one in form["leaf_value"].split()]
    if len(values) == 1:
        return _Tree([], values)
    left, right = ([int(one) for one in form[name].split()] for name in ("left_child", "right_child"))
    columns, kinds = ([int(one) for one in form[name].split()] for name in ("split_feature", "decision_type"))
    thresholds = [float(one) for one in form["threshold"].split()]
    made = _Tree([], [])

    def read(node: int) -> None:
        if node < 0:  # as LightGBM numbers leaves
            made.leaves.append(values[~node])
            return
        first = len(made.leaves)
        read(left[node])
        kind = kinds[node]  # bits: categories, missing values go left, and two of the kind of missing value
        made.splits.append(
            _Split(columns[node], thresholds[node], kind >> 2 & 3, not kind & 2, first, len(made.leaves))
        )
        read(right[node])

    read(0)
    return made


def _alike(rows: NDArray[np.float64]) -> bool:
    """Whether all rows have the same bits."""
    words = rows.view(np.int64)
    return bool((words == words[0]).all())


def _splits(trees: Sequence[Sequence[_Split]], kind: Any) -> _Splits:
    shape = (max(1, *(len(one) for one in trees)), len(trees))
    column, missing = np.zeros(shape, dtype=np.intp), np.zeros(shape, dtype=np.int8)
    threshold, otherwise = np.full(shape, np.inf), np.zeros(shape, dtype=np.bool_)
    every = int(np.iinfo(kind).max)
    left = np.full(shape, every, dtype=kind)
    for place, splits in enumerate(trees):
        for line, one in enumerate(splits):
            column[line, place], threshold[line, place] = one.column, one.threshold
            missing[line, place], otherwise[line, place] = one.missing, one.right
            left[line, place] = every ^ (((1 << (one.then - one.first)) - 1) << one.first)
    return _Splits(column, threshold, missing, otherwise, left, odd=bool((missing == _ZERO_IS).any()))


def _leaves(trees: Sequence[_Tree], kind: Any) -> NDArray[np.float64]:
    bits = np.dtype(kind).itemsize * 8
    shift = bits - (bits.bit_length() - 1)
    places = [((1 << leaf) * _SEQUENCES[bits] % (1 << bits)) >> shift for leaf in range(bits)]
    found = np.zeros((len(trees), bits))
    for line, tree in enumerate(trees):
        found[line, places[: len(tree.leaves)]] = tree.leaves
    return found


def _exact(quick: Quick, booster: Any, trees: Sequence[_Tree], width: int, own: NDArray[np.intp]) -> bool:
    """Whether it gives LightGBM's bits on rows around the thresholds, with zeros and absent numbers among them."""
    draw = np.random.default_rng(1)
    known: dict[int, list[float]] = {}
    for tree in trees:
        for one in tree.splits:
            known.setdefault(one.column, []).append(one.threshold)
    for number in range(_TRIES):
        base = np.zeros(width)
        for column, thresholds in known.items():
            at = thresholds[int(draw.integers(len(thresholds)))]
            base[column] = [at, np.nextafter(at, np.inf), np.nextafter(at, -np.inf), np.nan, 0.0][
                int(draw.integers(5 if number % 2 else 3))
            ]
        rows = np.repeat(base[None, :], LEAST + number, axis=0)
        rows[:, own] = draw.integers(0, 2, (len(rows), len(own)))
        found = quick.score(rows)
        for _ in range(len(rows)):  # those that were too many at once are worked out by and by
            found = quick.score(rows) if found is None else found
        if found is None or found.tobytes() != np.asarray(booster.predict(rows, num_threads=1)).tobytes():
            return False
    return True
