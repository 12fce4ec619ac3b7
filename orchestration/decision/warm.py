"""What the hot store had of a person in one look, and what a decision did without because of it (decision.D11).

Enters: a look. Leaves: names for the record. Whatever is missed is read from Postgres instead, so nothing is decided on less; the record says so.
"""

from dataclasses import dataclass
from typing import Final

from profiles.hot import HotProfile

HOT_STORE: Final = "hot_store"
"""It was down."""
HOT_PROFILE: Final = "hot_profile"
"""Hers did not hold any more: too old, of features or rules of consent that are no more, or past the end of a consent."""


@dataclass(frozen=True, slots=True)
class Warm:
    """Her profile, and what channels remember of her. `stale`: there was a profile that does not hold now."""

    hot: HotProfile | None
    advice: bytes | None
    stale: bool = False

    def without(self, *, available: bool) -> tuple[str, ...]:
        """What the decision did without; nothing where she was merely not known there yet. `available`: whether the hot store answers."""
        if not available:
            return (HOT_STORE,)
        return (HOT_PROFILE,) if self.stale else ()
