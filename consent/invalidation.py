"""What the hot store must forget when a person's consent moves.

Enters: people. Leaves: nothing. Keys: ``profile:{person}``, and every ``decisions:{person}:{placement}``, found through the
set ``decisions:{person}`` to which whoever writes one adds its placement. What is written after us rests on the new version
or is stopped by the fence. A store that does not answer is owed the deletion, and gets it with the next one.
"""

from collections.abc import Iterable
from typing import Final

from kernel.cache import Cache, CacheUnavailable
from kernel.ids import PersonId
from kernel.log import get_logger

_BULK: Final = 1000  # above this one sweep of all sticky decisions is cheaper than a look-up a person
_FORGET: Final = """
redis.call('UNLINK', unpack(KEYS))
for _, placements in ipairs(ARGV) do
  for _, name in ipairs(redis.call('SMEMBERS', placements)) do redis.call('UNLINK', placements .. ':' .. name) end
  redis.call('UNLINK', placements)
end
"""
_log = get_logger("consent.invalidation")


class Invalidation:
    """Deletes what advises, after the commit of what rules."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._owed: set[PersonId] = set()

    async def forget(self, people: Iterable[PersonId]) -> None:
        """Delete the profiles and sticky decisions of these people, and of those owed from before."""
        gone = self._owed | set(people)
        if not gone:
            return
        self._owed = gone  # until done: a crash of the store in the middle leaves nothing out
        try:
            if len(gone) > _BULK:
                await self._cache.delete([f"profile:{person}" for person in sorted(gone)])
                await self._cache.delete_matching("decisions:*")
            else:
                await self._cache.together(
                    _FORGET, [f"profile:{one}" for one in sorted(gone)], [f"decisions:{one}" for one in sorted(gone)]
                )
        except CacheUnavailable as fault:
            _log.warning("cache_owes_deletions", code=fault.code, count=len(self._owed))
            return
        self._owed = self._owed - gone
