"""The house as a Dagster resource: an asset asks it to run one step.

Two ways to live. Under `candor pipeline run` and the demo the house is open already, in another thread's event loop: `lend` hands it over. Under
`dg dev` and the daemon nobody has opened it: the first step of a process opens one from the settings in a loop of its own. An accident's words never
reach Dagster's storage: ours carry none, and of others only kind and place are told (spec consent.K7).
"""

import asyncio
import atexit
import threading
import traceback
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import dagster as dg

from kernel.errors import CandorError
from kernel.log import get_logger
from orchestration.settings import load
from orchestration.wiring import House, open_house

T = TypeVar("T")
_log = get_logger("pipeline")


class StepBroken(CandorError):
    """A step met with an accident that is not one of ours; its message may quote values, so only its place is told."""

    code = "pipeline_step_broken"
    remedy = "Report the place that is named, it holds no personal data; what earlier steps stored stays."


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
    _fault: ClassVar[CandorError | None] = None
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def run(self, step: Callable[[House], Coroutine[Any, Any, T]], *, quiet: bool = False) -> T:
        """The result of `step(house)`; its exception, if it raises. `quiet`: the progress does not tell of it.

        Raises:
            CandorError: the step's own, or `StepBroken` in the place of any other.
        """
        house, loop = self._find()
        if not quiet:
            HouseResource._told(step.__name__)

        async def call() -> T:
            return await step(house)

        try:
            return asyncio.run_coroutine_threadsafe(call(), loop).result()
        except CandorError as fault:
            HouseResource._fault = fault
            raise
        except Exception as fault:  # noqa: BLE001  # broad: the top of a worker; the words of others stay out of Dagster's storage
            _log.error("step_broken", step=step.__name__, exc_info=fault)
            broken = StepBroken(f"expected the step {step.__name__} to end, got {_place(fault)}")
            HouseResource._fault = broken
            raise broken from None

    @classmethod
    def fault(cls) -> CandorError | None:
        """The accident that a lent house's last step met with."""
        return cls._fault

    def _find(self) -> tuple[House, asyncio.AbstractEventLoop]:
        cls = type(self)
        if cls._lent is not None:
            return cls._lent
        with cls._lock:
            if cls._own is None:
                cls._own = _Own()
        return cls._own.house, cls._own.loop


def _place(fault: BaseException) -> str:
    """Kind of an accident and the line of ours that it happened below."""
    frames = [one for one in traceback.extract_tb(fault.__traceback__) if "site-packages" not in one.filename]
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"
    return f"{type(fault).__name__} at {where}"


@contextmanager
def lend(house: House, loop: asyncio.AbstractEventLoop, told: Callable[[str], None]) -> Iterator[None]:
    """While the block runs, assets of this process use `house`, which lives in `loop`; `told` hears each step's name as it begins."""
    HouseResource._told = staticmethod(told)  # noqa: SLF001
    HouseResource._fault = None  # noqa: SLF001
    HouseResource._lent = (house, loop)  # noqa: SLF001 - the two halves of one module
    try:
        yield
    finally:
        HouseResource._told = staticmethod(lambda _: None)  # noqa: SLF001
        HouseResource._lent = None  # noqa: SLF001
