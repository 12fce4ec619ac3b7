"""The routes of reasons and runs: who may ask, what comes back, and that words leave a trace."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from fastapi import FastAPI

from audit.access.principal import Principal, Scope
from audit.errors import NotAuthenticated, ScopeMissing
from audit.service import Audit
from audit.tags import Tag
from identity.errors import RecordNotFound, RunNotFound
from identity.reasons_endpoints import router
from identity.service import Identity
from kernel.kernel import Kernel
from tests.identity.running import run, shop, take

pytestmark = pytest.mark.anyio


@dataclass
class Access:
    """Keys by their secret; the real one is tested in its own room."""

    async def authenticate(self, secret: str) -> Principal | None:
        scopes = {"officer": {Scope.OFFICER}, "auditor": {Scope.AUDITOR}}.get(secret)
        return Principal("stf_test", frozenset(scopes)) if scopes else None


@dataclass
class House:
    kernel: Kernel
    identity: Identity
    audit: Audit
    access: Access


@pytest.fixture
async def client(kernel: Kernel, identity: Identity) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.include_router(router)
    app.state.house = House(kernel, identity, identity._audit, Access())
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://candor.test") as found:
        yield found


def key(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {name}"}


async def test_reasons_are_told_to_officers_with_words_only_where_asked_and_logged(client, kernel, identity) -> None:
    await take(kernel, identity, shop(8))
    made = await run(kernel, identity)
    async with kernel.db.reading() as conn:
        cursor = await conn.execute("SELECT record_a, record_b FROM identity.edges ORDER BY weight DESC LIMIT 1")
        row = await cursor.fetchone()
    path = f"/v1/records/{row['record_a']}/why/{row['record_b']}"

    async def ask(path: str) -> dict:
        answer = await client.get(path, headers=key("officer"))
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def looks() -> int:
        return len(await identity._audit.entries(tag=Tag.READ_PERSONAL))

    told = await ask(path)
    assert sum(one["weight"] for one in told["waterfall"]["terms"]) == pytest.approx(told["edge"]["weight"], abs=1e-9)
    assert "words" not in told["waterfall"]
    assert await looks() == 0
    assert (await ask(f"{path}?words=true"))["waterfall"]["words"]["first"][0]
    assert await looks() == 1
    assert (await ask(path.replace("/why/", "/why-not/")))["cause"] is None
    assert (await ask(f"/v1/people/{told['people'][0]}/how"))["joins"]
    (listed,) = (await ask("/v1/linkage/runs"))["runs"]
    assert listed == await ask(f"/v1/linkage/runs/{made.run_id}")
    assert (await client.get("/v1/linkage/runs", headers=key("auditor"))).status_code == 200
    for closed in (path, f"/v1/people/{told['people'][0]}/how"):
        with pytest.raises(ScopeMissing):
            await client.get(closed, headers=key("auditor"))
        with pytest.raises(NotAuthenticated):
            await client.get(closed)
    with pytest.raises(RecordNotFound):
        await ask(path.replace(row["record_b"], "rec_none"))
    with pytest.raises(RunNotFound):
        await client.post("/v1/linkage/runs/run_none/allow", headers=key("officer"), json={"because": "looked"})
