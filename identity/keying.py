"""Blocking keys by value: what lets a row that came later find the rows it may be compared with.

Enters: cleaned fields and a secret.  Leaves: a 64-bit keyed hash a row and key (0: takes no part), and `KeyIndex`, which finds the rows that share one.  The
keys are those of blocking.py; a block too large for the key's budget of pairs answers nobody, as there.  Two values of one key share a hash once in
2^64 pairs of values, and then cost a comparison, no more.  12 bytes a row and key, no words.
"""

import hmac
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from identity.blocking import BIGGEST_BLOCK, IDENTIFIER_KINDS, PAIRS_A_ROW, RECIPES, coded_atoms
from identity.cleaning import Cleaned, Coded

Words = NDArray[np.uint64]
Rows = NDArray[np.int64]
LEAST_BUDGET: Final = 20_000
_ODD: Final = np.uint64(0x9E3779B97F4A7C15)  # Fibonacci hashing: 2^64 over the golden ratio, odd


def row_keys(cleaned: Cleaned, secret: bytes, names: Collection[str] | None = None) -> dict[str, Words]:
    """A hash a row for every key of the table, or for those named."""
    recipes = [recipe for recipe in RECIPES if names is None or "+".join(recipe) in names]
    used = {atom for recipe in recipes for atom in recipe}
    atoms = {name: _hashed(coded, secret) for name, coded in coded_atoms(cleaned).items() if name in used}
    if "first" in cleaned.fields and "last" in cleaned.fields:
        whole = [cleaned.fields[one].coded for one in ("first", "last")]
        initials = [one.mapped(lambda v: v[:1]) for one in whole]
        for name, both in (("names", whole), ("names1", initials)):
            if name not in used:
                continue
            one, other = (_hashed(coded, secret) for coded in both)
            atoms[name] = np.where(
                (one == 0) | (other == 0),
                np.uint64(0),
                _combined([np.minimum(one, other) | np.uint64(1), np.maximum(one, other)]),
            )
    found: dict[str, Words] = {}
    for item in cleaned.of(*IDENTIFIER_KINDS):
        if not item.shared and (names is None or item.name in names):
            found[item.name] = _named(item.name, _hashed(item.coded, secret), secret)
        if item.kind == "email" and (names is None or f"{item.name} local" in names):
            local = item.coded.mapped(lambda v: v.split("@")[0] if len(v.split("@")[0]) > 4 else None)
            found[f"{item.name} local"] = _named("local", _hashed(local, secret), secret)
    for recipe in recipes:
        if all(a in atoms for a in recipe):
            found["+".join(recipe)] = _named("+".join(recipe), _combined([atoms[a] for a in recipe]), secret)
    return found


def _hashed(coded: Coded, secret: bytes) -> Words:
    return np.array([*(_word(v, secret) for v in coded.values), 0], np.uint64)[coded.codes]


def _word(value: str, secret: bytes) -> int:
    return int.from_bytes(hmac.digest(secret, value.encode(), "sha256")[:8], "big") | 1


def _combined(parts: Sequence[Words]) -> Words:
    found = parts[0]
    for part in parts[1:]:
        mixed = (found * _ODD ^ (found >> np.uint64(29))) + part * np.uint64(3)
        found = np.where((found == 0) | (part == 0), np.uint64(0), mixed | np.uint64(1))
    return found


def _named(name: str, hashed: Words, secret: bytes) -> Words:
    """Told apart from another key's: an index may hold several keys in one column."""
    salt = np.uint64(_word(name, secret))
    return np.where(hashed == 0, np.uint64(0), (hashed ^ salt) * _ODD | np.uint64(1))


@dataclass(frozen=True, slots=True)
class _Level:
    """Rows sorted by hash."""

    hashes: Words
    rows: NDArray[np.int32]


class KeyIndex:
    """Rows by key. Rows are added in generations, which are looked up one after the other."""

    def __init__(self, pairs_a_row: float = PAIRS_A_ROW) -> None:
        self._pairs_a_row = pairs_a_row
        self._levels: dict[str, list[_Level]] = {}
        self._limits: dict[str, int] = {}
        self._full: dict[str, Words] = {}  # hashes of blocks that are too large: their rows are not kept

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(one.hashes.nbytes + one.rows.nbytes for levels in self._levels.values() for one in levels)

    def add(self, keys: Mapping[str, Words], first_row: int = 0) -> None:
        """A generation of rows, numbered from `first_row`; the first one sets how large a block of each key may be."""
        for name, hashes in keys.items():
            taking = np.flatnonzero(hashes)
            order = taking[np.argsort(hashes[taking], kind="stable")]
            level = _Level(hashes[order], (order + first_row).astype(np.int32))
            if name not in self._levels:
                sizes = np.unique(level.hashes, return_counts=True)[1]
                self._limits[name] = _limit(sizes, max(LEAST_BUDGET, int(self._pairs_a_row * len(hashes))))
                kept = np.repeat(sizes <= self._limits[name], sizes)
                full = level.hashes[~kept][np.flatnonzero(np.diff(level.hashes[~kept], prepend=np.uint64(0)))]
                self._full[name] = full
                level = _Level(level.hashes[kept], level.rows[kept])
            self._levels.setdefault(name, []).append(level)

    def near(self, keys: Mapping[str, Words], most: int | None = None) -> tuple[Rows, Rows]:
        """Distinct pairs (row of `keys`, row of the index) that share a key whose block is not too large, ascending; of each row of `keys`, with `most`,
        those alone that share most keys, older rows first among equals.
        """
        left: list[Rows] = []
        right: list[Rows] = []
        for name, hashes in keys.items():
            asking = np.flatnonzero(hashes)
            if name not in self._levels or not len(asking):
                continue
            wanted = hashes[asking]
            spans = [
                (np.searchsorted(level.hashes, wanted), np.searchsorted(level.hashes, wanted, side="right"), level.rows)
                for level in self._levels[name]
            ]
            size = sum((end - begin for begin, end, _ in spans), np.zeros(len(wanted), np.int64))
            allowed = (size > 0) & (size < self._limits[name]) & ~np.isin(wanted, self._full[name])
            for begin, end, rows in spans:
                count = np.where(allowed, end - begin, 0)
                places = np.repeat(begin - np.cumsum(count) + count, count) + np.arange(count.sum())
                left.append(np.repeat(asking, count))
                right.append(rows[places].astype(np.int64))
        if not left:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        one, other = np.concatenate(left), np.concatenate(right)
        width = np.int64(other.max(initial=0) + 1)
        both = one * width + other
        both.sort()
        firsts = np.flatnonzero(np.diff(both, prepend=np.int64(-1)))
        shared = np.diff(np.append(firsts, len(both)))
        both = both[firsts]
        if most is not None:
            row = both // width
            order = np.lexsort((-shared, row))  # stable: pairs of one row stay by their other row
            began = np.searchsorted(row, row[order])
            both = np.sort(both[order[np.arange(len(order)) - began < most]])
        return both // width, both % width

    def ranked(self, keys: Mapping[str, Words], most: int) -> Rows:
        """Rows that share a key with the one row of `keys`, those that share most keys first, older rows first among equals; at most so many."""
        found: list[NDArray[np.int32]] = []
        for name, hashes in keys.items():
            if not hashes[0] or name not in self._levels:
                continue
            wanted = hashes[0]
            spans = [
                (np.searchsorted(x.hashes, wanted), np.searchsorted(x.hashes, wanted, "right"), x.rows)
                for x in self._levels[name]
            ]
            if sum(int(end - begin) for begin, end, _ in spans) < self._limits[name] and not self._is_full(
                name, wanted
            ):
                found += [rows[begin:end] for begin, end, rows in spans if end > begin]
        if not found:
            return np.empty(0, np.int64)
        rows, shared = np.unique(np.concatenate(found), return_counts=True)
        return rows[np.argsort(-shared, kind="stable")[:most]].astype(np.int64)

    def _is_full(self, name: str, wanted: np.uint64) -> bool:
        full = self._full[name]
        place = int(np.searchsorted(full, wanted))
        return place < len(full) and bool(full[place] == wanted)


def _limit(sizes: Rows, budget: int) -> int:
    """The largest size of block such that all blocks up to it stay within the budget of pairs."""
    size = np.arange(BIGGEST_BLOCK + 1, dtype=np.int64)
    tally = np.bincount(np.minimum(sizes, BIGGEST_BLOCK + 1), minlength=BIGGEST_BLOCK + 2)[: BIGGEST_BLOCK + 1]
    return int(np.searchsorted(np.cumsum(tally * (size * (size - 1) // 2)), budget, side="right")) - 1
