"""The Segment routes over HTTP, with real keys on real engines (features V1, V4, V8, V9)."""

import base64
import gzip
import json
import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI

from audit.access.principal import Scope
from audit.access.service import Access
from events.bodies import decode
from events.endpoints import router
from events.errors import BodyTooLarge
from events.settings import EventsSettings
from kernel.db import DatabaseUnavailable
from orchestration.service import problems
from tests.events.conftest import build, track

pytestmark = pytest.mark.anyio


@dataclass
class Door:
    http: httpx.AsyncClient
    app: FastAPI
    access: Access
    key: str

    async def post(self, path, body, *, key=None, **more):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {key or self.key}"} | more.pop("headers", {})
        return await self.http.post(path, content=content, headers=headers, **more)


@pytest.fixture
async def door(rooms) -> AsyncIterator[Door]:
    await rooms.source()
    access = Access(rooms.kernel, rooms.audit)
    made = await access.create_key([Scope.COLLECT], actor="test", source="shop")
    app = FastAPI()
    problems.install(app)
    app.include_router(router)
    app.state.house = SimpleNamespace(events=rooms.events, access=access, kernel=rooms.kernel)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://candor.test") as http:
        yield Door(http, app, access, made.secret)


async def test_every_call_has_its_path(door):
    calls = {
        "identify": {"userId": "u1", "traits": {"email": "a@b.org"}},
        "track": {"userId": "u1", "event": "X"},
        "page": {"anonymousId": "a"},
        "screen": {"anonymousId": "a", "name": "Start"},
        "group": {"userId": "u1", "groupId": "g"},
        "alias": {"previousId": "a", "userId": "u1"},
        "t": {"userId": "u1", "event": "X", "type": "track"},
    }
    for path, body in calls.items():
        answer = await door.post(f"/v1/{path}", body | {"messageId": path})
        assert answer.status_code == 200, path
        (result,) = answer.json()["results"]
        assert (result["status"], result["messageId"]) == ("accepted", path)
        assert result["eventId"].startswith("evt_")


async def test_a_batch_is_answered_item_by_item(door, rooms):
    batch = [track(message="a") | {"type": "track"}, {"type": "track"}, track(message="a"), 5]
    answer = await door.post(
        "/v1/batch", {"batch": batch, "sentAt": "2026-03-01T12:00:00Z", "context": {"locale": "de"}}
    )
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [r["status"] for r in results] == ["accepted", "rejected", "duplicate", "rejected"]
    assert results[1] == {
        "status": "rejected",
        "pointer": "/event",
        "reason": "expected the name of what happened, got nothing",
    }
    (event,) = await rooms.history("login_id:u1")
    assert event.context == {"locale": "de"}


async def test_a_single_call_with_a_fault_is_a_problem_with_its_pointer(door):
    answer = await door.post("/v1/track", {"userId": "u1"})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json()["code"], answer.json()["errors"][0]["pointer"]) == ("event_rejected", "/event")


async def test_keys_come_as_basic_as_bearer_or_in_the_body(door):
    body = {"userId": "u1", "event": "X"}
    basic = base64.b64encode(f"{door.key}:".encode()).decode()
    for answer in (
        await door.http.post("/v1/track", json=body, headers={"authorization": f"Basic {basic}"}),
        await door.http.post("/v1/track", json=body | {"writeKey": door.key}),
        await door.http.post(
            "/v1/track", content=json.dumps(body | {"writeKey": door.key}), headers={"content-type": "text/plain"}
        ),
    ):
        assert answer.status_code == 200


async def test_no_key_a_wrong_key_and_a_wrong_scope_are_refused(door, rooms):
    body = {"userId": "u1", "event": "X"}
    assert (await door.http.post("/v1/track", json=body)).status_code == 401
    assert (await door.http.post("/v1/track", json=body | {"writeKey": "nonsense"})).status_code == 401
    assert (await door.post("/v1/track", body, key="nonsense")).status_code == 401
    officer = await door.access.create_key([Scope.OFFICER], actor="test")
    for answer in (
        await door.post("/v1/track", body, key=officer.secret),
        await door.http.post("/v1/track", json=body | {"writeKey": officer.secret}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
    assert await rooms.count("events.events") == 0


async def test_a_key_of_a_source_that_never_declared_itself_is_refused_with_a_remedy(door):
    stray = await door.access.create_key([Scope.COLLECT], actor="test", source="nobody")
    answer = await door.post("/v1/track", {"userId": "u1", "event": "X"}, key=stray.secret)
    assert answer.status_code == 404
    assert "Declare it with its purpose" in answer.json()["detail"]


async def test_a_browser_key_works_from_its_origin_for_its_visitor(door, rooms):
    shop = "https://shop.example"
    made = await door.access.create_key([Scope.BROWSER], actor="test", source="shop", origin=shop)
    body = {"anonymousId": "visitor", "userId": "victim", "event": "X", "type": "track", "writeKey": made.secret}
    answer = await door.http.post("/v1/t", json=body, headers={"origin": shop, "user-agent": "curl/8.5.0"})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, shop)
    assert (await door.http.post("/v1/t", json=body, headers={"origin": "https://evil.example"})).status_code == 403
    preflight = await door.http.options("/v1/t", headers={"origin": shop, "access-control-request-method": "POST"})
    assert preflight.status_code == 204
    (event,) = await rooms.history("anonymous_id:visitor")
    assert (event.machine, event.confidence) == (True, pytest.approx(0.9))


async def test_the_privacy_signal_of_a_request_is_an_act(door, rooms):
    await door.post("/v1/track", {"userId": "u1", "event": "X"}, headers={"Sec-GPC": "1"})
    await door.post("/v1/track", {"userId": "u2", "event": "X"}, headers={"Sec-GPC": "0"})
    async with rooms.kernel.db.reading() as conn:
        rows = await (await conn.execute("SELECT mechanism, status FROM consent.acts")).fetchall()
    assert [tuple(row.values()) for row in rows] == [("gpc", "denied")]


async def test_bodies_may_be_gzip_but_not_bombs(door):
    body = gzip.compress(json.dumps({"userId": "u1", "event": "X"}).encode())
    for name in ("gzip", "GZIP", "x-gzip"):  # RFC 9110: names of codings have no case, and gzip has two
        assert (await door.post("/v1/track", body, headers={"content-encoding": name})).status_code == 200
    bomb = gzip.compress(b" " * 50_000_000)
    answer = await door.post("/v1/track", bomb, headers={"content-encoding": "gzip"})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    tracemalloc.start()
    with pytest.raises(BodyTooLarge):
        decode(bomb, "gzip", 500_000)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
    for broken in (body[:-5], b"no gzip"):
        assert (await door.post("/v1/track", broken, headers={"content-encoding": "gzip"})).status_code == 422


async def test_bodies_that_are_no_call_are_problems(door):
    cases = [
        ("track", b"", 422),
        ("track", b"\xff", 422),
        ("track", b"[]", 422),
        ("track", b'{"event": "' + b"x" * 600_000 + b'"}', 413),
        ("batch", b"{}", 422),
        ("batch", b'{"batch": {}}', 422),
        ("batch", b'{"batch": [], "sentAt": 5}', 422),
        ("batch", b'{"batch": []}', 200),
    ]
    for path, body, status in cases:
        answer = await door.post(f"/v1/{path}", body)
        assert answer.status_code == status, body[:40]
        assert status == 200 or answer.json()["detail"]


async def test_too_much_at_once_is_429_with_a_time_to_come_back(door, rooms):
    small = build(rooms.kernel, EventsSettings(queue_items=1))
    small.events._queued = 1
    door.app.state.house.events = small.events
    answer = await door.post("/v1/track", {"userId": "u1", "event": "X"})
    assert (answer.status_code, answer.headers["retry-after"], answer.json()["code"]) == (429, "2", "too_busy")


async def test_postgres_down_is_503_and_nothing_is_half_written(door, rooms, monkeypatch):
    await door.post("/v1/track", {"userId": "u1", "event": "X"})

    async def gone(conn, rows):
        raise DatabaseUnavailable("expected Postgres to answer, got SQLSTATE none (connection lost)")

    monkeypatch.setattr("events.store.insert_events", gone)
    answer = await door.post("/v1/batch", {"batch": [track(message="m")]})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    monkeypatch.undo()
    (result,) = (await door.post("/v1/batch", {"batch": [track(message="m")]})).json()["results"]
    assert result["status"] == "accepted"
    assert await rooms.count("events.events") == 2
