"""Kinds of information: what a person may tell us to leave out when we choose for her.

Enters: columns of the feature set, and who names their kinds (explain knows the words; wiring hooks it in). Leaves: which columns and deeds a kind takes with it. What she said
is a consent act (`consent.gate.unused`); the consent filter carries it into her profile, so that it holds online and offline alike.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

KindOf = Callable[[str], str | None]
"""The kind of a column; None for one that is not about a person, such as the hour."""

TASTE: Final = "interests"
DEEDS: Final[Mapping[str, str]] = {
    "viewed": "visits", "added": "cart", "bought": "purchases", "liked": TASTE, "disliked": TASTE,
}  # fmt: skip
"""The kind that a deed belongs to. Who stops the kind of taste itself has no interests at all."""


def kinds_of(columns: Sequence[str], kind_of: KindOf) -> Mapping[str, str]:
    """The kind of each column that has one."""
    named = ((column, kind_of(column)) for column in columns)
    return {column: kind for column, kind in named if kind is not None}
