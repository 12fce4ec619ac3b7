"""Who is in an experiment and in which arm: by two hashes of the stable person id, so that nobody ever changes sides (decision.D18, D19).

Enters: a secret word of the experiment and a person id. Leaves: two numbers in [0, 1). The first says whether she takes part at a share: whoever takes part at 1 % takes part at
5 %. The second says in which arm, whatever the share. Experiments have words of their own, so their divisions are independent of each other.

When people turn out to be one, she is where the id that survives is, and whoever was known under ids of different arms counts in none: `side_of` says so, reports count it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

MIXED = "mixed"
"""Known under ids of different arms: decided for like the surviving id, counted in no arm."""


@dataclass(frozen=True, slots=True)
class Division:
    """The arms of an experiment with their shares, which sum to one, and its secret word."""

    word: bytes
    arms: tuple[tuple[str, float], ...]

    def arm(self, person: str) -> str:
        """The arm of a person id, whether or not she takes part yet."""
        at, total = _unit(self.word, b"arm", person), 0.0
        for name, share in self.arms:
            total += share
            if at < total:
                return name
        return self.arms[-1][0]

    def takes_part(self, person: str, share: float) -> bool:
        """Whether a person id takes part while this share of people does."""
        return share >= 1 or _unit(self.word, b"part", person) < share


def _unit(word: bytes, what: bytes, person: str) -> float:
    """A number in [0, 1) with 53 bits."""
    found = hashlib.sha256(b"%b|%b|%b" % (word, what, person.encode())).digest()
    return int.from_bytes(found[:7], "big") / 2**56


def side_of(sides: Sequence[str]) -> str:
    """Where a person counts who was decided for under several ids, each with its side."""
    return sides[0] if len(set(sides)) == 1 else MIXED
