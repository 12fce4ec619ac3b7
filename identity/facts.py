"""What speaks against two rows being one person.

Enters: cleaned fields.  Leaves: `Evidence`, integer codes per row for unique identifiers, first and last names, birth dates
and what a person is reached by, and the questions that the guard asks of them: may these first names, these birth dates,
these addresses belong to one person?  Answers allow for nicknames, initials, typing errors, swapped day and month.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import DamerauLevenshtein, JaroWinkler

from identity.bounds import Bounds
from identity.cleaning import Cleaned, Coded, Codes
from identity.lexicon import akin
from identity.training import LinkageModel

_NONE = Coded(np.empty(0, np.int32), ())
CONTACTS = ("email", "phone", "national_id")
MANY = 24  # records with one value, beyond which nobody looks who they are
STEADY = (
    -2.0
)  # a contact speaks against one person where two of hers differ at most a quarter as often as two strangers' do


@dataclass(frozen=True, slots=True)
class Evidence:
    """Codes per row, -1 where a row says nothing."""

    rows: int
    uniques: tuple[Codes, ...] = ()
    first_names: Coded = _NONE
    last_names: Coded = _NONE
    births: Coded = _NONE
    contacts: tuple[Coded, ...] = ()
    in_common: tuple[
        NDArray[np.bool_], ...
    ] = ()  # by contact: which of its values people share who are clearly not one
    first_weight: float = -5.0  # log2 of how much rarer a contradiction is within one person than between two
    birth_weight: float = -5.0
    bounds: Bounds = field(default_factory=Bounds)
    _known: dict[tuple[str, int, int], bool] = field(default_factory=dict)

    def codes(self, held: Coded) -> Codes:
        """Codes of a field, -1 for every row where the table has no such field."""
        return held.codes if len(held.codes) else np.full(self.rows, -1, np.int32)

    def names_agree(self, a: int, b: int) -> bool:
        """Whether two first names may be one person's."""
        return self._agree("first", self.first_names.values, a, b, same_first_name)

    def births_agree(self, a: int, b: int) -> bool:
        """Whether two birth dates may be one person's."""
        return self._agree("birth", self.births.values, a, b, same_birth_date)

    def contacts_agree(self, which: int, a: int, b: int) -> bool:
        """Whether two values of a contact are one, mistyped at most."""
        return self._agree(f"contact {which}", self.contacts[which].values, a, b, same_contact)

    def common(self, which: int) -> NDArray[np.bool_]:
        """Which values of a contact several people use."""
        return self.in_common[which] if self.in_common else np.zeros(len(self.contacts[which].values), bool)

    def _agree(self, what: str, values: tuple[str, ...], a: int, b: int, same: Callable[[str, str], bool]) -> bool:
        if a == b:
            return True
        key = (what, a, b) if a < b else (what, b, a)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = same(values[a], values[b])
        return known

    def first_is_last(self, first: int, last: int) -> bool:
        """Whether a first name of one row is the last name of another."""
        key = ("s", first, last)
        if key not in self._known:
            self._known[key] = (
                JaroWinkler.similarity(self.first_names.values[first], self.last_names.values[last]) >= 0.9
            )
        return self._known[key]


def unlike(
    codes: Codes, left: NDArray[np.int64], right: NDArray[np.int64], agree: Callable[[int, int], bool]
) -> NDArray[np.bool_]:
    """Which pairs of rows bear values that cannot be one person's; every two values are looked at once."""
    found = np.zeros(len(left), bool)
    a, b = codes[left], codes[right]
    differ = np.flatnonzero((a >= 0) & (b >= 0) & (a != b))
    if not len(differ):
        return found
    a, b = np.minimum(a[differ], b[differ]).astype(np.int64), np.maximum(a[differ], b[differ]).astype(np.int64)
    width = int(codes.max()) + 1
    two, place = np.unique(a * width + b, return_inverse=True)
    answers = [not agree(x, y) for x, y in zip((two // width).tolist(), (two % width).tolist(), strict=True)]
    found[differ] = np.array(answers, bool)[place]
    return found


def within(label: NDArray[np.int64], size: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All pairs of rows of one group: `label` by row (-1: none), `size` by label, below 2 for groups to leave out."""
    members = np.flatnonzero(np.append(size, 0)[label] > 1)
    order = members[np.argsort(label[members], kind="stable")]
    sizes = size[label[order]]
    lefts, rights = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for one in np.unique(sizes).tolist():
        block = order[sizes == one].reshape(-1, one)
        a, b = np.triu_indices(one, 1)
        lefts.append(block[:, a].ravel())
        rights.append(block[:, b].ravel())
    return np.concatenate(lefts), np.concatenate(rights)


def held_in_common(known: Evidence, held: Coded) -> NDArray[np.bool_]:
    """Values of a contact that several people use, seen from the first names and birth dates beside them: a family's mailbox, a shop's telephone."""
    counts = held.counts()
    found = counts > MANY
    left, right = within(held.codes.astype(np.int64), np.where(found, 0, counts))
    first, birth, last = (known.codes(c) for c in (known.first_names, known.births, known.last_names))
    found[held.codes[left[unlike(birth, left, right, known.births_agree)]]] = True
    named = np.flatnonzero(unlike(first, left, right, known.names_agree))
    swapped = [
        (y >= 0 and known.first_is_last(a, y)) or (x >= 0 and known.first_is_last(b, x))
        for a, b, x, y in zip(
            *(c[side[named]].tolist() for c, side in ((first, left), (first, right), (last, left), (last, right))),
            strict=True,
        )
    ]
    found[held.codes[left[named[~np.array(swapped, bool)]]]] = True
    return np.asarray(found)


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


def same_contact(a: str, b: str) -> bool:
    """Equal before the @ (or as wholes), or one typing error apart: at another host it is no error but another mailbox."""
    (x, _, home), (y, _, other) = a.partition("@"), b.partition("@")
    return x == y or (
        DamerauLevenshtein.distance(x, y, score_cutoff=1) <= 1
        and DamerauLevenshtein.distance(home, other, score_cutoff=2) <= 2
    )


def contact_fields(cleaned: Cleaned, model: LinkageModel) -> list[str]:
    """Fields whose values are a person's own, in the order of `Evidence.contacts`."""
    return [f.name for f in cleaned.of(*CONTACTS) if not f.shared and model.weight(f.name, "different") <= STEADY]


def gather(cleaned: Cleaned, model: LinkageModel, extra_uniques: tuple[Codes, ...] = ()) -> Evidence:
    """Evidence of a cleaned table; `extra_uniques` are codes of which a person may have one only."""
    named = {n: cleaned.fields[n].coded for n in ("first", "last", "birth") if n in cleaned.fields}
    known = Evidence(
        rows=cleaned.rows,
        uniques=(*(f.coded.codes for f in cleaned.fields.values() if f.unique), *extra_uniques),
        first_names=named.get("first", _NONE),
        last_names=named.get("last", _NONE),
        births=named.get("birth", _NONE),
        contacts=tuple(cleaned.fields[name].coded for name in contact_fields(cleaned, model)),
        first_weight=min(0.0, model.weight("first", "different")),
        birth_weight=min(0.0, model.weight("birth", "different")),
    )
    return replace(known, in_common=tuple(held_in_common(known, held) for held in known.contacts))
