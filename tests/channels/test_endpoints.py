"""The routes of deliveries."""

from collections.abc import AsyncIterator
from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from audit.access.principal import Principal, Scope
from channels import endpoints
from kernel.errors import CandorError, Conflict, NotFound, NotPermitted
from tests.channels.conftest import Recorder, World, delivery

pytestmark = pytest.mark.anyio


class Keys:
    async def authenticate(self, secret: str) -> Principal | None:
        return Principal(f"key:{secret}", frozenset({Scope(secret)})) if secret in {"send", "collect"} else None


async def problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, CandorError)
    families = {NotFound: 404, Conflict: 409, NotPermitted: 403}
    status = next((code for family, code in families.items() if isinstance(error, family)), 422)
    return JSONResponse({"code": error.code}, status_code=status)


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.state.house = SimpleNamespace(channels=world.channels(Recorder()), access=Keys())
    app.include_router(endpoints.router)
    app.add_exception_handler(CandorError, problem)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://127.0.0.1:8460", headers={"Authorization": "Bearer send"}
    ) as found:
        found.room = app.state.house.channels  # type: ignore[attr-defined]
        yield found


async def test_a_delivery_is_shown_and_folds_its_receipts(world: World, client: httpx.AsyncClient) -> None:
    person, contact = await world.person()
    (id_,) = await world.reserve(client.room, delivery(person, contact))
    path = f"/v1/deliveries/{id_}"
    early = {"event_id": "e0", "type": "delivered", "at": "2026-03-05T12:00:05Z"}
    assert (await client.post(f"{path}/events", json=early)).status_code == 409
    await client.room.dispatch()
    shown = (await client.get(path)).json()
    assert (shown["state"], shown["provider_id"]) == ("accepted", "p1")
    assert [step["state"] for step in shown["history"]] == ["reserved", "intent", "accepted"]
    assert "ada1" not in str(shown)
    for _ in range(2):
        answer = await client.post(f"{path}/events", json=early)
        assert answer.status_code == 200
        assert answer.json()["state"] == "delivered"
    assert len(answer.json()["history"]) == 4


async def test_doors_are_closed_to_others(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/deliveries/dlv_nothing")).status_code == 404
    for secret, status in (("collect", 403), ("nobody", 403)):
        headers = {"Authorization": f"Bearer {secret}"}
        assert (await client.get("/v1/deliveries/dlv_nothing", headers=headers)).status_code == status
    body = {"event_id": "e", "type": "read", "at": "2026-03-05T12:00:05Z"}
    assert (await client.post("/v1/deliveries/dlv_nothing/events", json=body)).status_code == 422
