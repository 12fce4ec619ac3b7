"""The whole house behind its real application, on the session's engines."""

from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest

from kernel.kernel import Kernel
from orchestration.service.app import create_app
from orchestration.settings import Settings
from orchestration.wiring import House, build
from tests.support.sure import SURE


@pytest.fixture
async def house(kernel: Kernel) -> AsyncIterator[House]:
    made = build(Settings(kernel=kernel.settings, decision=SURE), kernel)
    yield made
    await made.events.close()
    await made.decisions.close()


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(house), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8460") as found:
        yield found


Rows = Callable[[str], Awaitable[int]]


@pytest.fixture
def rows(house: House) -> Rows:
    """How many rows a table has: what a refusal must not change."""

    async def count(table: str) -> int:
        async with house.kernel.db.reading() as conn:
            row = await (await conn.execute(f"SELECT count(*) AS n FROM {table}")).fetchone()
        return int(row["n"])

    return count
