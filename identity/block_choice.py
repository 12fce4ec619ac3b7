"""The blocking keys that are kept with the graph: their names, and which blocks are too large to look through.

Enters: what a run chose (blocks.py).  Leaves: the hashes of a few rows.  Light, for it is read where no linkage engine is loaded.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from identity.cleaning import Cleaned

MOST_ROWS: Final = 100  # of a block that is looked through


@dataclass(frozen=True, slots=True)
class Choice:
    """The keys by name, and the hashes of their blocks that are too large."""

    names: tuple[str, ...]
    full: frozenset[int] = frozenset()

    def hashes(self, cleaned: "Cleaned", secret: bytes) -> list[list[int]]:
        """Of each row, in signed 64 bits as Postgres has them."""
        import numpy as np

        from identity.keying import row_keys

        found = row_keys(cleaned, secret, self.names)
        columns = [found[name].view(np.int64).tolist() for name in self.names if name in found]
        return [
            [one for one in row if one and one not in self.full]
            for row in (zip(*columns, strict=True) if columns else [()] * cleaned.rows)
        ]
