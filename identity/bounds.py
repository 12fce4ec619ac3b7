"""What rows of a linkage table hold of limited kinds, as the guard asks it (identity.I12).

Enters: links of rows (row, kind, value, moment). Leaves: `Bounds`: which components could exceed a limit at all, and whether two groups would.  Rows are numbered as
the evidence numbers them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from identity.cleaning import Cleaned
from identity.limits import Limits, Values, too_many
from identity.records import Row
from kernel.ids import RecordId

Rows = NDArray[np.int64]
Hold = tuple[int, int, float]  # row, code of the value, observed at (seconds)


@dataclass(frozen=True, slots=True)
class Held:
    """Values of one kind: `codes[n]` on `rows[n]`, observed at `times[n]`; rows ascend."""

    rows: Rows
    codes: Rows
    times: NDArray[np.float64]

    @classmethod
    def of(cls, holds: Iterable[Hold]) -> "Held":
        """In the order of rows."""
        listed = sorted(holds)
        return cls(
            np.array([row for row, _, _ in listed], np.int64),
            np.array([code for _, code, _ in listed], np.int64),
            np.array([at for _, _, at in listed], np.float64),
        )

    def placed(self, place: Rows) -> "Held":
        """The same where row r is called `place[r]`."""
        rows = place[self.rows]
        order = np.argsort(rows, kind="stable")
        return Held(rows[order], self.codes[order], self.times[order])

    def values(self, place: Rows, count: int) -> list[Values | None]:
        """By the local number of a row, `place[row]` (-1: not asked for): what it holds."""
        local = place[self.rows]
        asked = np.flatnonzero(local >= 0)
        found: list[Values | None] = [None] * count
        for at, code, row in zip(
            self.times[asked].tolist(), self.codes[asked].tolist(), local[asked].tolist(), strict=True
        ):
            found[row] = (found[row] or frozenset()) | {(at, code)}
        return found


@dataclass(frozen=True, slots=True)
class Bounds:
    """``held``: by limited kind. ``owned``: by kind of which a shared value makes an edge certain."""

    limits: Limits = field(default_factory=lambda: Limits({}, {}))
    held: Mapping[str, Held] = field(default_factory=dict)
    owned: Mapping[str, Held] = field(default_factory=dict)

    @classmethod
    def of(cls, limits: Limits, owning: Sequence[str], links: Iterable[tuple[int, str, str, float]]) -> "Bounds":
        """Of links: row, kind, value, moment. ``owning``: the kinds that one person owns alone."""
        code: dict[str, int] = {}
        by_kind: dict[str, list[Hold]] = {kind: [] for kind in (*limits.kinds, *owning)}
        for row, kind, value, at in links:
            if kind in by_kind:
                by_kind[kind].append((row, code.setdefault(value, len(code)), at))
        made = {kind: Held.of(holds) for kind, holds in by_kind.items() if holds}
        return cls(
            limits,
            {kind: made[kind] for kind in limits.kinds if kind in made},
            {kind: made[kind] for kind in owning if kind in made},
        )

    @classmethod
    def of_records(
        cls, limits: Limits, owning: Sequence[str], rows: Iterable[Row], seen: Mapping[RecordId, datetime]
    ) -> "Bounds":
        """Of opened records, numbered as they come. ``seen``: when each was observed."""
        links = (
            (place, one.kind, one.value, seen[record].timestamp())
            for place, (record, _, _, identifiers) in enumerate(rows)
            for one in identifiers
            if record in seen
        )
        return cls.of(limits, owning, links if limits.of else ())

    @classmethod
    def of_table(cls, limits: Limits, cleaned: Cleaned) -> "Bounds":
        """Of a table without moments: what its columns of these kinds hold."""
        return cls.of(
            limits,
            (),
            (
                (row, one.kind, one.coded.values[code], 0.0)
                for one in cleaned.of(*limits.kinds)
                for row, code in enumerate(one.coded.codes.tolist())
                if code >= 0
            ),
        )

    def placed(self, place: Rows) -> "Bounds":
        """The same where row r is called `place[r]`."""
        return replace(
            self,
            held={kind: one.placed(place) for kind, one in self.held.items()},
            owned={kind: one.placed(place) for kind, one in self.owned.items()},
        )

    def crowded(self, person: Rows) -> NDArray[np.bool_]:
        """Labels of groups that hold more different values of a kind than its limit, whenever they were observed."""
        found = np.zeros(len(person), bool)
        for kind, one in self.held.items():
            width = int(one.codes.max(initial=0)) + 1
            groups = np.unique(person[one.rows] * width + one.codes) // width
            labels, counts = np.unique(groups, return_counts=True)
            found[labels[counts > self.limits.of[kind].most]] = True
        return found


class Bounded:
    """The bounds of groups that grow: what each holds, at its root."""

    def __init__(self, bounds: Bounds, place: Rows, count: int) -> None:
        self._limits = bounds.limits
        self._held = {kind: one.values(place, count) for kind, one in bounds.held.items()}
        self._owned = {kind: one.values(place, count) for kind, one in bounds.owned.items()} if self._held else {}

    def exceeded(self, a: int, b: int, shared: str | None) -> bool:
        """Whether two groups would together exceed a limit that an edge by ``shared`` (None: by likeness) does not outlive."""
        for kind, values in self._held.items():
            mine, theirs = values[a], values[b]
            asked = mine and theirs and not self._limits.spared(kind, shared)
            if asked and too_many(mine or (), theirs or (), self._limits.of[kind]):
                return True
        return False

    def shared(self, left: int, right: int) -> str | None:
        """The most important kind of which two rows own the same value."""
        found = [
            kind
            for kind, values in self._owned.items()
            if {code for _, code in values[left] or ()} & {code for _, code in values[right] or ()}
        ]
        return min(found, key=self._limits.rank, default=None)

    def merge(self, a: int, b: int) -> None:
        """What b holds is a's."""
        for values in self._held.values():
            if values[b]:
                values[a] = (values[a] or frozenset()) | (values[b] or frozenset())
                values[b] = None
