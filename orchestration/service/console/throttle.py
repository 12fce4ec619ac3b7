"""How often somebody may try to log in: per name and per address, counted in the hot store for every process alike.

Enters: a name and an address. Leaves: nothing, or `TooManyTries`. Every try counts, whether the name exists or not, so being slowed down tells nobody
anything; a login that works gives its name a fresh start. Names and addresses are counted under keyed hashes. While the hot store is down this process counts by itself,
with half the tries; the wait after wrong passwords that `audit.access` keeps in Postgres holds in any case.
"""

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from kernel.cache import CacheUnavailable
from orchestration.service.console import store
from orchestration.service.console.errors import TooManyTries

if TYPE_CHECKING:
    from kernel.kernel import Kernel

WINDOW: Final = 900  # seconds: after a quarter of an hour a name or address begins anew
PER_NAME: Final = 10
PER_ADDRESS: Final = 50  # an office behind one address
_REMEMBERED: Final = 10_000  # names and addresses that this process counts by itself, at most


class Throttle:
    """One per application."""

    def __init__(self) -> None:
        self._own: OrderedDict[str, tuple[float, int]] = OrderedDict()

    async def count(self, kernel: "Kernel", name: str, address: str) -> None:
        """Note a try.

        Raises:
            TooManyTries: one too many, with this name or from this address.
        """
        for key, most in ((self._key(kernel, "name", name), PER_NAME), (self._key(kernel, "at", address), PER_ADDRESS)):
            if await self._tries(kernel, key, most) > most:
                raise TooManyTries(f"expected at most {most} tries in a quarter of an hour, got more")

    async def forget(self, kernel: "Kernel", name: str) -> None:
        """A login worked: the name begins anew."""
        key = self._key(kernel, "name", name)
        self._own.pop(key, None)
        try:
            await kernel.cache.delete([key])
        except CacheUnavailable:
            return  # it was not counted there either

    async def _tries(self, kernel: "Kernel", key: str, most: int) -> int:
        try:
            return await store.add_try(kernel.cache, key, WINDOW)
        except CacheUnavailable:
            return self._alone(key) + most // 2

    def _alone(self, key: str) -> int:
        now = time.monotonic()
        began, tries = self._own.pop(key, (now, 0))
        if now - began > WINDOW:
            began, tries = now, 0
        self._own[key] = (began, tries + 1)
        if len(self._own) > _REMEMBERED:
            self._own.popitem(last=False)
        return tries + 1

    @staticmethod
    def _key(kernel: "Kernel", what: str, value: str) -> str:
        return f"console:tries:{what}:{kernel.vault.pepper('console.login', value).hex()[:32]}"
