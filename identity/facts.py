"""What speaks against two rows being one person.

Enters: cleaned fields.  Leaves: `Evidence`, integer codes per row for unique identifiers, first and last names and birth
dates, and the two questions that the guard asks of them: may these first names, these birth dates belong to one person?
Answers allow for nicknames, initials, typing errors, swapped day and month.
"""

from dataclasses import dataclass, field

import numpy as np
from rapidfuzz.distance import DamerauLevenshtein, JaroWinkler

from identity.cleaning import Cleaned, Coded, Codes
from identity.lexicon import akin
from identity.training import LinkageModel

_NONE = Coded(np.empty(0, np.int32), ())


@dataclass(frozen=True, slots=True)
class Evidence:
    """Codes per row, -1 where a row says nothing."""

    rows: int
    uniques: tuple[Codes, ...] = ()
    first_names: Coded = _NONE
    last_names: Coded = _NONE
    births: Coded = _NONE
    first_weight: float = -5.0  # log2 of how much rarer a contradiction is within one person than between two
    birth_weight: float = -5.0
    _known: dict[tuple[str, int, int], bool] = field(default_factory=dict)

    def codes(self, held: Coded) -> list[int]:
        """Codes of a field, -1 for every row where the table has no such field."""
        return held.codes.tolist() if len(held.codes) else [-1] * self.rows

    def names_agree(self, a: int, b: int) -> bool:
        """Whether two first names may be one person's."""
        if a == b:
            return True
        key = ("f", min(a, b), max(a, b))
        if key not in self._known:
            self._known[key] = same_first_name(self.first_names.values[a], self.first_names.values[b])
        return self._known[key]

    def births_agree(self, a: int, b: int) -> bool:
        """Whether two birth dates may be one person's."""
        if a == b:
            return True
        key = ("b", min(a, b), max(a, b))
        if key not in self._known:
            self._known[key] = same_birth_date(self.births.values[a], self.births.values[b])
        return self._known[key]

    def first_is_last(self, first: int, last: int) -> bool:
        """Whether a first name of one row is the last name of another."""
        key = ("s", first, last)
        if key not in self._known:
            self._known[key] = (
                JaroWinkler.similarity(self.first_names.values[first], self.last_names.values[last]) >= 0.9
            )
        return self._known[key]


def same_first_name(a: str, b: str) -> bool:
    """Equal, an initial, a nickname, or a typing error apart."""
    x, y = a.split(" ", maxsplit=1)[0], b.split(" ", maxsplit=1)[0]
    if len(x) == 1 or len(y) == 1:
        return x[0] == y[0]
    # Mary Ann is Mary, and is Ann.
    if set(a.split(" ")) & set(b.split(" ")) or akin(x, y) or x.startswith(y) or y.startswith(x):
        return True
    return DamerauLevenshtein.distance(x, y) <= 1 or JaroWinkler.similarity(x, y) >= 0.88


def same_birth_date(a: str, b: str) -> bool:
    """Equal but for one digit, two swapped ones, day and month, an unknown day, or one part of three."""
    parts_a, parts_b = (a[:4], a[4:6], a[6:]), (b[:4], b[4:6], b[6:])
    if sum(x == y for x, y in zip(parts_a, parts_b, strict=True)) >= 2 or DamerauLevenshtein.distance(a, b) <= 1:
        return True
    if a[:4] != b[:4]:
        return False
    return parts_a[1:] == parts_b[:0:-1] or "0101" in {a[4:], b[4:]} or "0000" in {a[4:], b[4:]}


def gather(cleaned: Cleaned, model: LinkageModel, extra_uniques: tuple[Codes, ...] = ()) -> Evidence:
    """Evidence of a cleaned table; `extra_uniques` are codes of which a person may have one only."""
    named = {n: cleaned.fields[n].coded for n in ("first", "last", "birth") if n in cleaned.fields}
    return Evidence(
        rows=cleaned.rows,
        uniques=(*(f.coded.codes for f in cleaned.fields.values() if f.unique), *extra_uniques),
        first_names=named.get("first", _NONE),
        last_names=named.get("last", _NONE),
        births=named.get("birth", _NONE),
        first_weight=min(0.0, model.weight("first", "different")),
        birth_weight=min(0.0, model.weight("birth", "different")),
    )
