"""Keys that must go: noted in the commit that removes what they sealed, destroyed after it, by whoever starts next if a crash came between.

What enters: key ids, in a transaction. What leaves: nothing; the keys are gone.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final

from consent import retention_store as rows
from kernel.db import Conn, after_commit
from kernel.ids import KeyId
from kernel.kernel import Kernel

_PAGE: Final = 5_000


class Shredder:
    """One per process and event loop; stands at ``Consent.shredder``."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    async def doom(self, conn: Conn, keys: Sequence[KeyId]) -> None:
        """Once this transaction has committed these keys are destroyed, whatever happens to the process."""
        if keys:
            await rows.doom(conn, keys, self._kernel.clock.now())
            after_commit(conn, partial(self._destroy, list(keys)))

    async def finish(self) -> int:
        """Destroy what was doomed and is still noted; the number of keys."""
        gone = 0
        while True:
            async with self._kernel.db.reading() as conn:
                keys = await rows.doomed(conn, _PAGE)
            if not keys:
                return gone
            await self._destroy(keys)
            gone += len(keys)

    async def _destroy(self, keys: list[KeyId]) -> None:
        await self._kernel.vault.destroy(keys)
        async with self._kernel.db.transaction() as conn:
            await rows.undoom(conn, keys)
