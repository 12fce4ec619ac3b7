"""The house as a Dagster resource: an asset asks it to run one step.

Two ways to live. Under `candor pipeline run` and the demo the house is open already, in another thread's event loop: `lend` hands it over. Under
`dg dev` and the daemon nobody has opened it: the first step of a process opens one from the settings in a loop of its own.
"""

import asyncio
import atexit
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar

import dagster as dg

from orchestration.settings import load
from orchestration.wiring import House, open_house

T = TypeVar("T")


class _Own:
    """A house that this process opened for its assets, with the thread its loop runs in."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, name="candor-house", daemon=True).start()
        self._opened = open_house(load())
        self.house = asyncio.run_coroutine_threadsafe(self._opened.__aenter__(), self.loop).result()
        atexit.register(self.close)

    def close(self) -> None:
        """Close the house and end the loop."""
        asyncio.run_coroutine_threadsafe(self._opened.__aexit__(None, None, None), self.loop).result(timeout=60)
        self.loop.call_soon_threadsafe(self.loop.stop)


class HouseResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Runs a coroutine over the house and waits for its result."""

    _lent: ClassVar[tuple[House, asyncio.AbstractEventLoop] | None] = None
    _own: ClassVar[_Own | None] = None
    _told: ClassVar[Callable[[str], None]] = staticmethod(lambda _: None)
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def run(self, step: Callable[[House], Coroutine[Any, Any, T]]) -> T:
        """The result of `step(house)`; its exception, if it raises."""
        house, loop = self._find()
        HouseResource._told(step.__name__)

        async def call() -> T:
            return await step(house)

        return asyncio.run_coroutine_threadsafe(call(), loop).result()

    def _find(self) -> tuple[House, asyncio.AbstractEventLoop]:
        cls = type(self)
        if cls._lent is not None:
            return cls._lent
        with cls._lock:
            if cls._own is None:
                cls._own = _Own()
        return cls._own.house, cls._own.loop


@contextmanager
def lend(house: House, loop: asyncio.AbstractEventLoop, told: Callable[[str], None]) -> Iterator[None]:
    """While the block runs, assets of this process use `house`, which lives in `loop`; `told` hears each step's name as it begins."""
    HouseResource._told = staticmethod(told)  # noqa: SLF001
    HouseResource._lent = (house, loop)  # noqa: SLF001 - the two halves of one module
    try:
        yield
    finally:
        HouseResource._told = staticmethod(lambda _: None)  # noqa: SLF001
        HouseResource._lent = None  # noqa: SLF001
