"""Fixtures of every test: a ``kernel`` on real engines, fresh for each test.

A module that needs another time overrides the fixture ``clock``::

    @pytest.fixture
    def clock():
        return FrozenClock(datetime(2026, 3, 1, tzinfo=UTC))
"""

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis

from kernel.clock import Clock, SystemClock
from kernel.engines import Addresses
from kernel.kernel import Kernel, open_at
from kernel.settings import KernelSettings
from tests.support.engines import RunEngines, sweep
from tests.support.migrations import bridges, folders


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: begun last, one of them would hold up the end while the other workers have nothing to do."""
    slow = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("browser")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def engines() -> Iterator[RunEngines]:
    """The run's engines, with a migrated template."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    sweep()
    found = RunEngines(
        os.environ.get("PYTEST_XDIST_TESTRUNUID") or secrets.token_hex(8), int(worker.removeprefix("gw"))
    )
    try:
        found.start([*folders(), *bridges(found.folder / "bridges")])
        yield found
    finally:
        found.stop()


@pytest.fixture
def clock() -> Clock:
    """The kernel's clock; override it in a module that needs a frozen one."""
    return SystemClock()


@pytest.fixture
def addresses(engines: RunEngines) -> Iterator[Addresses]:
    """Fresh databases and an empty hot store; open a second kernel on them with ``open_at(kernel.settings, addresses)``."""
    with engines.clone() as found:
        with redis.Redis.from_url(found.redis) as client:
            client.flushdb()
        yield found


@pytest.fixture
def kernel_settings(engines: RunEngines, tmp_path: Path) -> KernelSettings:
    """Settings with a data folder of the test's own and the run's key file."""
    return KernelSettings(data_dir=tmp_path / "candor", kek_file=engines.key_file, pool_size=4)


@pytest.fixture
async def kernel(
    anyio_backend: str, kernel_settings: KernelSettings, addresses: Addresses, clock: Clock
) -> AsyncIterator[Kernel]:
    """A kernel on fresh databases cloned from the migrated template."""
    (kernel_settings.data_dir).mkdir(parents=True, exist_ok=True)
    async with open_at(kernel_settings, addresses, clock=clock) as found:
        yield found
