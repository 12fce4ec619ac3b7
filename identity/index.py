"""How the store finds an identifier: a keyed hash, and a second one while the secret of the hash is being rotated.

Enters: the names and hashes that the vault gives. Leaves: an ``Index``, which knows the columns they live in: odd-numbered secrets write one, even-numbered ones the
other. While both count, who writes fills both and who reads asks the current one first; so nobody stores an identifier twice, whichever secret he knew of.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Index(NamedTuple):
    """Kind, hash under the current secret, the column it lives in; the hash under the earlier secret, which lives in the other, while that counts."""

    kind: str
    current: bytes
    even: bool = False
    older: bytes | None = None

    def under(self, *, even: bool) -> bytes | None:
        """The hash that lives in this column."""
        return self.current if even == self.even else self.older


def made(kind: str, named: Sequence[tuple[str, bytes]]) -> Index:
    """Of what the vault says, the current secret first."""
    (name, now), *earlier = named
    return Index(kind, now, is_even(name), earlier[0][1] if earlier else None)


def is_even(name: str) -> bool:
    """Which column a secret writes."""
    return int(name.rpartition("-")[2]) % 2 == 0
