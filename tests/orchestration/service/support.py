"""What the tests of the doors share: keys, a source, the form of a problem, the routes with their guards."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from audit.access.endpoints import Guard
from audit.access.principal import Scope
from events.log import Source
from orchestration.wiring import House

BASE = "http://127.0.0.1:8460"
MEMBERS = {"type", "title", "status", "detail", "code", "request_id", "errors"}


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


async def key(house: House, *scopes: str, source: str | None = None) -> dict[str, str]:
    """Headers of a new key; with Basic, as Segment's clients send it."""
    made = await house.access.create_key({Scope(s) for s in scopes}, actor="test", source=source)
    return {"Authorization": "Basic " + base64.b64encode(f"{made.secret}:".encode()).decode()}


async def shop(house: House) -> dict[str, str]:
    """Headers of a key that may collect for a registered source."""
    async with house.kernel.db.transaction() as conn:
        await house.events.register_source(conn, Source("shop", "service", "contract"))
    return await key(house, "collect", source="shop")


def is_problem(answer: httpx.Response, status: int, code: str | None = None) -> dict:
    """An RFC 9457 problem with every member this project promises, and words that help."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert set(body) == MEMBERS
    assert body["status"] == status
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["type"] == f"{BASE}/problems/{body['code']}"
    assert len(body["title"]) > 5
    assert len(body["detail"]) > 20
    assert all(set(fault) == {"pointer", "reason"} for fault in body["errors"])
    if code:
        assert body["code"] == code
    return body


@dataclass(frozen=True)
class Door:
    """One method of one route, and who may pass; `scopes` is empty where everybody may."""

    method: str
    path: str
    scopes: frozenset[Scope]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def doors(app: FastAPI) -> list[Door]:
    found = []
    for route in iter_route_contexts(app.routes):
        scopes = [guard.scopes for guard in _guards(getattr(route, "dependant", None))]
        assert len(scopes) < 2, f"{route.path} has two guards"
        methods = sorted((route.methods or set()) - {"HEAD"})
        found.extend(Door(method, route.path, scopes[0] if scopes else frozenset()) for method in methods)
    return found


def _guards(dependant: Dependant | None) -> Iterator[Guard]:
    if dependant is None:
        return
    if isinstance(dependant.call, Guard):
        yield dependant.call
    for inner in dependant.dependencies:
        yield from _guards(inner)
