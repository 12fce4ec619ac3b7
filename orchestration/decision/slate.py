"""A page that asks for several placements at once: no variant or item twice, no category or brand beyond its share (decision.D38, D48).

Enters: what is shown already, and how many placements there are. Leaves: what the next decision must leave out, before its draw: so each probability is that of what
was shown, given what stands beside it, and their product is the page's.
"""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from orchestration.decision.arbitration import Diversity
from orchestration.decision.inputs import BRAND_FULL, CATEGORY_FULL, SHOWN, Arm
from orchestration.decision.variants import name_parts

Kind = Callable[[str], tuple[str | None, str | None]]
_ROUNDING: Final = 1e-9  # a share of 0.3 of 10 places is 3, whatever the last bit says


@dataclass(frozen=True, slots=True)
class Beside:
    """What stands on the page beside a choice that is to be made."""

    variants: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    brands: frozenset[str] = frozenset()

    def refusal(self, arm: Arm) -> str | None:
        """Why this arm may not stand there too; None when it may."""
        if arm.variant in self.variants or (arm.item is not None and arm.item in self._items):
            return SHOWN
        if arm.category is not None and arm.category in self.categories:
            return CATEGORY_FULL
        return BRAND_FULL if arm.brand is not None and arm.brand in self.brands else None

    @property
    def _items(self) -> set[str | None]:
        return {name_parts(one)[1] for one in self.variants}


class Slate:
    """Of one page, filled one by one."""

    def __init__(self, size: int, rule: Diversity | None, kind: Kind) -> None:
        """`kind` tells category and brand of a variant; what has none is bound by no share."""
        rule = rule or Diversity()
        self._kind = kind
        self._most = (_most(rule.category, size), _most(rule.brand, size))
        self._variants: set[str] = set()
        self._items: set[str | None] = set()
        self._counts: tuple[Counter[str], Counter[str]] = (Counter(), Counter())

    def room(self, variant: str | None) -> bool:
        """Whether this variant, or nothing, may stand beside what is shown."""
        if variant is None:
            return True
        _, item = name_parts(variant)
        if variant in self._variants or (item is not None and item in self._items):
            return False
        return all(
            name is None or counts[name] < most
            for name, counts, most in zip(self._kind(variant), self._counts, self._most, strict=True)
        )

    def add(self, variant: str | None) -> None:
        """It is shown."""
        if variant is None:
            return
        self._variants.add(variant)
        self._items.add(name_parts(variant)[1])
        for name, counts in zip(self._kind(variant), self._counts, strict=True):
            if name is not None:
                counts[name] += 1

    def beside(self) -> Beside:
        """What the next choice must leave out."""
        full = [
            frozenset(name for name, count in counts.items() if count >= most)
            for counts, most in zip(self._counts, self._most, strict=True)
        ]
        return Beside(frozenset(self._variants), full[0], full[1])


def _most(share: float, size: int) -> int:
    return max(1, math.floor(share * size + _ROUNDING))
