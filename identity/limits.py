"""How many values of an identifier one person may have in a time, and which of them count where a source says more (identity.I12).

Enters: links, a record carrying a value of a kind at a moment. Leaves: whether two sides may become one, and the links that are demoted: they stay on
their record, for consent, export and erasure, and lead nobody to the person. The rule is that of Segment's Unify ("Identity Resolution Onboarding", Limit and
Priority): when a limit would be exceeded, identifiers are left out of the match, the least important first, until none is. So a match outlives a limit where the
identifier that it rests on is more important than the one there would be too many of; likeness of words is the least important of all. Pure.

1. In every window of a kind's length no more different values count than its limit. Earlier links count before later ones, ties by record and value.
2. Two sides are kept apart where together they would have more values of a kind than its limit, and more than either has, unless they share an identifier of a more
   important kind. So nobody exceeds a limit by a match, and who did before a limit was made stricter loses nobody.
3. Where they do share one, they are one, and the links beyond the limit are demoted.
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import Field

from kernel.settings import Section

Within = Literal["day", "week", "month", "year", "ever"]
_DAY: Final = 86_400.0
SECONDS: Final[Mapping[str, float]] = {
    "day": _DAY,
    "week": 7 * _DAY,
    "month": 30 * _DAY,
    "year": 365 * _DAY,
    "ever": math.inf,
}
LIKENESS: Final = math.inf  # rank of a match that rests on no identifier
Link = tuple[float, str, str]  # observed at (seconds), record, value
Values = frozenset[tuple[float, int]]  # observed at, code of a value


class Limit(Section):
    """So many different values of a kind one person may have in any such time."""

    most: int = Field(ge=1, description="Different values.")
    within: Within = Field(default="ever", description="Of any day, week, month (30 days), year (365 days), or ever.")

    @property
    def seconds(self) -> float:
        """Length of the window."""
        return SECONDS[self.within]


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of an installation. ``ranks``: how important kinds are, 0 the most."""

    of: Mapping[str, Limit]
    ranks: Mapping[str, int]

    @property
    def kinds(self) -> tuple[str, ...]:
        """Limited kinds, the most important first."""
        return tuple(sorted(self.of, key=self.rank))

    def rank(self, kind: str) -> tuple[float, str]:
        """Where a kind stands; those without a place come after the others, by name (as Segment orders them)."""
        return self.ranks.get(kind, math.inf), kind

    def spared(self, kind: str, by: str | None) -> bool:
        """Whether a match by this identifier (None: by likeness) outlives a limit of the kind: its values are left out first."""
        return by is not None and self.rank(by) < self.rank(kind)

    def refuse(
        self,
        one: Mapping[str, Iterable[tuple[float, str]]],
        other: Mapping[str, Iterable[tuple[float, str]]],
        by: str | None,
    ) -> str | None:
        """The kind of which two sides would have too many values together, the most important first; each side's (observed at, value) by kind."""
        for kind in self.kinds:
            mine, theirs = set(one.get(kind, ())), set(other.get(kind, ()))
            if mine and theirs and not self.spared(kind, by) and too_many(mine, theirs, self.of[kind]):
                return kind
        return None

    def demoted(self, held: Mapping[str, Sequence[Link]]) -> set[tuple[str, str]]:
        """(Record, value) of the links beyond a limit, from the links of one person by kind."""
        return {
            (record, value)
            for kind, links in held.items()
            if kind in self.of
            for record, value in beyond(links, self.of[kind])
        }


def too_many(one: Iterable[tuple[float, object]], other: Iterable[tuple[float, object]], limit: Limit) -> bool:
    """Whether two sides would together have more values in a window than the limit, and than either has."""
    mine, theirs = set(one), set(other)
    together = peak(mine | theirs, limit.seconds)
    return together > limit.most and together > max(peak(mine, limit.seconds), peak(theirs, limit.seconds))


def peak(values: Iterable[tuple[float, object]], window: float) -> int:
    """The most different values that lie in one window, half open: exactly a window's length apart is not within it."""
    listed = sorted(values, key=lambda one: one[0])
    if window == math.inf:
        return len({value for _, value in listed})
    counts: dict[object, int] = {}
    inside: deque[tuple[float, object]] = deque()
    found = 0
    for at, value in listed:
        inside.append((at, value))
        counts[value] = counts.get(value, 0) + 1
        while inside[0][0] <= at - window:
            _, gone = inside.popleft()
            counts[gone] -= 1
            if not counts[gone]:
                del counts[gone]
        found = max(found, len(counts))
    return found


def beyond(links: Iterable[Link], limit: Limit) -> list[tuple[str, str]]:
    """Links that do not count: each is let in if with those let in before it, no window holds more values than the limit."""
    window, left_out = limit.seconds, []
    last: dict[str, float] = {}  # when each value was let in last
    for at, record, value in sorted(links):
        others = sum(1 for other, seen in last.items() if other != value and seen > at - window)
        if others < limit.most:
            last[value] = at
        else:
            left_out.append((record, value))
    return left_out
