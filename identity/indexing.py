"""Hashing identifiers anew under the current index secret, while both are looked up.

Enters: nothing; the vault knows the secrets. Leaves: counts. Each call does a batch; one that was cut off goes on.
"""

from collections import defaultdict
from typing import Final

from identity import index_store
from identity.collecting import Collector
from identity.hot_index import HotIndex
from identity.index import Index, is_even
from identity.sealing import open_identifiers
from kernel.ids import PersonId, RecordId
from kernel.kernel import Kernel

_BATCH: Final = 2_000
_PAGE: Final = 2_000


class Indexing:
    """One per process and event loop; stands at ``Identity.indexing``."""

    def __init__(self, kernel: Kernel, collector: Collector, hot: HotIndex) -> None:
        self._kernel = kernel
        self._collector = collector
        self._hot = hot

    async def lacking(self) -> int:
        """Living identifiers that have no hash under the current secret."""
        async with self._kernel.db.reading() as conn:
            return await index_store.count_lacking(conn, even=self._even)

    async def hash_anew(self, after: str = "", limit: int = _BATCH) -> tuple[str, int]:
        """A batch behind the identifier `after`: the last one looked at (empty: all were) and how many were hashed."""
        even = self._even
        async with self._kernel.db.transaction() as conn:
            page = await index_store.lacking(conn, after, limit, even=even)
            opened = await open_identifiers(self._kernel.vault, {one.id: one for one in page})
            rows = [(one.id, one.kind, self._collector.index(opened[one.id])) for one in page if one.id in opened]
            hashed = [(one, kind, held) for one, kind, index in rows if (held := index.under(even=even)) is not None]
            done = await index_store.write(conn, hashed, even=even) if hashed else 0
        return (page[-1].id if page else ""), done

    async def clear_other(self, limit: int = _BATCH) -> int:
        """Forget a batch of hashes under the secret before the current one; 0 when none is left."""
        async with self._kernel.db.transaction() as conn:
            return await index_store.clear(conn, limit, even=not self._even)

    async def fill_hot(self) -> int:
        """See ``Identity.fill_index``."""
        after, filled = "", 0
        async with self._kernel.db.reading() as conn:
            while True:
                since = await self._hot.moment()
                page = await index_store.held_page(conn, after, _PAGE, even=self._even)
                if not page:
                    return filled
                found: dict[Index, dict[PersonId, RecordId]] = defaultdict(dict)
                for hit in page:
                    if hit.person is not None and hit.record is not None:
                        found[hit.index][hit.person] = hit.record
                await self._hot.write(found, since=since)
                filled += len(found)
                after = page[-1].id

    @property
    def _even(self) -> bool:
        return is_even(self._kernel.vault.index_names[0])
