"""Which pairs of records are worth comparing.

Enters: cleaned fields.  Leaves: pairs of row numbers (left < right), found by many keys: identifiers, names with parts of
birth dates, sound keys, addresses, swapped names.  Each key takes its smallest blocks first and stops at its budget of
pairs, so one value on a fifth of all rows costs nothing (spec identity I37); what a key leaves out is reported.  Which keys
are worth their pairs in a large table, choosing.py finds out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from identity.cleaning import Cleaned, Coded, Codes
from identity.phonetics import sound

Pairs = NDArray[np.int64]  # left * rows + right
PAIRS_A_ROW = 12  # budget of one key; 20 keys that share most of their pairs stay near 60 pairs a row
ALONE_PAIRS_A_ROW = 6  # one weak field alone: only its rare values
BIGGEST_BLOCK = 400
_ALONE = frozenset({"birth", "first", "last", "postcode", "street", "full"})

# Atoms of a key; a key is skipped unless the table has them all.  A row without one of them takes no part.
RECIPES: tuple[tuple[str, ...], ...] = (
    ("first", "birth"), ("last", "birth"), ("birth",), ("first", "last"), ("names",), ("last",), ("first",),
    ("first~", "last~", "year"), ("first~", "last~", "monthday"), ("first1", "last~", "year"), ("last~", "yearmonth"),
    ("first~", "yearmonth"), ("last~", "monthday"), ("first~", "monthday"), ("first~", "last~"), ("names1", "parts"),
    ("last3", "first3"), ("postcode",), ("first~", "postcode"), ("last~", "postcode"), ("year", "postcode"),
    ("first", "area"), ("last", "area"), ("year", "area", "first1"), ("monthday", "area"),
    ("first~", "place"), ("last~", "place"), ("year", "place"), ("monthday", "place"),
    ("first~", "city"), ("last~", "city"), ("year", "city"), ("monthday", "city"),
    ("street",), ("street", "first1"), ("full",), ("lead", "year"), ("tail", "year"),
    ("last~", "category", "first1"), ("year", "category", "first1"),
)  # fmt: skip
IDENTIFIER_KINDS = ("email", "phone", "national_id", "login_id", "device_id", "customer_id")


@dataclass(frozen=True, slots=True)
class Key:
    """One key: a code a row (-1: takes no part), rows per code, and the largest block that its budget of pairs allows."""

    name: str
    codes: Codes
    sizes: NDArray[np.int64]
    limit: int

    def pairs(self, above: int = 1, most: int | None = None) -> Pairs:
        """Pairs of rows in blocks of more than `above` and at most `most` rows; `left * rows + right`, in no order."""
        rows, most = len(self.codes), self.limit if most is None else min(most, self.limit)
        wanted = (self.sizes > above) & (self.sizes <= most)
        members = np.flatnonzero(np.append(wanted, False)[self.codes])
        if not len(members):
            return np.empty(0, np.int64)
        codes = self.codes[members]
        order = members[np.argsort(codes, kind="stable")]
        sizes = self.sizes[wanted]
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        found = []
        for size in np.unique(sizes).tolist():
            block_ = order[starts[sizes == size][:, None] + np.arange(size)]
            left, right = np.triu_indices(size, 1)
            found.append((block_[:, left] * rows + block_[:, right]).ravel())  # members ascend, so left < right
        return np.concatenate(found)

    def count(self, above: int = 1, most: int | None = None) -> int:
        """How many pairs `pairs` gives."""
        sizes = self.sizes[
            (self.sizes > above) & (self.sizes <= (self.limit if most is None else min(most, self.limit)))
        ]
        return int((sizes * (sizes - 1) // 2).sum())

    @property
    def left_out(self) -> int:
        """Rows in blocks beyond the limit."""
        return int(self.sizes[self.sizes > max(self.limit, 1)].sum())


@dataclass(frozen=True, slots=True)
class Blocked:
    """Distinct pairs in ascending order, the rows that each key left out, and the pairs that each key found."""

    pairs: Pairs
    left_out: dict[str, int]
    found: dict[str, int] = field(default_factory=dict)


def block(cleaned: Cleaned, *, sources: Codes | None = None, pairs_a_row: int = PAIRS_A_ROW) -> Blocked:
    """All pairs; with `sources`, only pairs of rows from different sources."""
    made = [key(name, codes, pairs_a_row) for name, codes in keys(cleaned).items()]
    return gathered(made, sources, cleaned.rows)


def gathered(made: Sequence[Key], sources: Codes | None, rows: int) -> Blocked:
    """All pairs of these keys."""
    found = {one.name: across(one.pairs(), sources, rows) for one in made}
    left_out = {one.name: one.left_out for one in made if one.left_out}
    return Blocked(distinct(list(found.values())), left_out, {name: len(pairs) for name, pairs in found.items()})


def key(name: str, codes: Codes, pairs_a_row: int = PAIRS_A_ROW) -> Key:
    """A key with its budget.  Size classes are taken whole: the choice never depends on the order of rows."""
    alone = "+" not in name and name in _ALONE
    budget = max(20_000, (ALONE_PAIRS_A_ROW if alone else pairs_a_row) * len(codes))
    sizes = np.bincount(codes[codes >= 0]).astype(np.int64)
    size = np.arange(BIGGEST_BLOCK + 1, dtype=np.int64)
    cost = np.cumsum(np.bincount(sizes, minlength=BIGGEST_BLOCK + 1)[: BIGGEST_BLOCK + 1] * (size * (size - 1) // 2))
    return Key(name, codes, sizes, int(np.searchsorted(cost, budget, side="right")) - 1)


def across(pairs: Pairs, sources: Codes | None, rows: int) -> Pairs:
    """The pairs whose rows come from different sources; all of them without sources."""
    return pairs if sources is None else pairs[sources[pairs // rows] != sources[pairs % rows]]


def distinct(found: Sequence[Pairs]) -> Pairs:
    """All pairs once, ascending.  Sorting whole numbers is several times quicker than numpy's `unique`."""
    every = np.concatenate([np.empty(0, np.int64), *found])
    every.sort()
    return every[np.flatnonzero(np.diff(every, prepend=np.int64(-1)))]


def keys(cleaned: Cleaned) -> dict[str, Codes]:
    """Every key as dense codes, -1 where a row takes no part."""
    atoms = _atoms(cleaned)
    found: dict[str, Codes] = {}
    for item in cleaned.of(*IDENTIFIER_KINDS):
        if not item.shared:
            found[item.name] = item.coded.codes
        if item.kind == "email":
            found[f"{item.name} local"] = item.coded.mapped(
                lambda v: v.split("@")[0] if len(v.split("@")[0]) > 4 else None
            ).codes
    for recipe in RECIPES:
        if all(a in atoms for a in recipe):
            found["+".join(recipe)] = _combine([atoms[a] for a in recipe])
    return found


def _atoms(cleaned: Cleaned) -> dict[str, Codes]:
    atoms = {name: coded.codes for name, coded in coded_atoms(cleaned).items()}
    if "first" in cleaned.fields and "last" in cleaned.fields:
        atoms["names"], atoms["names1"] = _unordered(cleaned.fields["first"].coded, cleaned.fields["last"].coded)
    return atoms


def coded_atoms(cleaned: Cleaned) -> dict[str, Coded]:
    """The parts that keys are made of, with their values; of pairs of names in either order see `_unordered`."""
    atoms: dict[str, Coded] = {}

    def add(name: str, source: str, change: Callable[[str], str | None] | None = None) -> None:
        if source in cleaned.fields:
            coded = cleaned.fields[source].coded
            atoms[name] = coded.mapped(change) if change else coded

    for base in ("first", "last"):
        add(base, base, lambda v: v if len(v) > 1 else None)
        add(f"{base}~", base, lambda v: sound(v.split(" ")[0]) if len(v) > 1 else None)
        add(f"{base}1", base, lambda v: v[:1])
        add(f"{base}3", base, lambda v: v[:3] if len(v) > 2 else None)
    add("birth", "birth", lambda v: v if v[4:] != "0000" else None)
    add("year", "birth", lambda v: v[:4])
    add("yearmonth", "birth", lambda v: v[:6] if v[4:6] != "00" else None)
    add("monthday", "birth", lambda v: v[4:] if v[4:] not in {"0000", "0101"} else None)
    # Day and month in either order.
    add("parts", "birth", lambda v: v[:4] + min(v[4:6], v[6:]) + max(v[4:6], v[6:]))
    add("postcode", "postcode")
    add("area", "postcode", lambda v: v[:-3] if len(v) > 5 else v[:3])
    for base in ("place", "city", "street", "category"):
        add(base, base)
    add("full", "full")
    add("lead", "full", lambda v: " ".join(v.split()[:2]))
    add("tail", "full", lambda v: " ".join(v.split()[-2:]))
    add("second", "full", lambda v: v.partition(" ")[2].partition(" ")[0] or None)
    return atoms


def _unordered(first: Coded, last: Coded) -> tuple[Codes, Codes]:
    """Codes of {first, last} whatever their order, whole and by initial."""
    results = []
    for change in (lambda v: v, lambda v: v[:1]):
        left, right = first.mapped(change), last.mapped(change)
        words = {v: i for i, v in enumerate(sorted({*left.values, *right.values}))}
        a = np.array([words[v] for v in left.values] + [-1])[left.codes]
        b = np.array([words[v] for v in right.values] + [-1])[right.codes]
        both = (a >= 0) & (b >= 0)
        codes = np.where(both, np.minimum(a, b) * np.int64(len(words) + 1) + np.maximum(a, b), -1)
        results.append(_dense(codes))
    return results[0], results[1]


def _dense(codes: NDArray[np.int64]) -> Codes:
    """Codes renumbered from 0 without gaps, in the order of their first row; negative ones become -1."""
    found = pc.dictionary_encode(pa.array(codes, mask=codes < 0)).indices
    return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), dtype=np.int32)


def _combine(parts: list[Codes]) -> Codes:
    codes = parts[0].astype(np.int64)
    for part in parts[1:]:
        width = int(part.max(initial=0)) + 1
        codes = np.where((codes < 0) | (part < 0), -1, codes * width + part)
        codes = _dense(codes).astype(np.int64)
    return codes.astype(np.int32)
