"""The short way for decisions answers as the route does: the same words, the same refusals."""

from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI

from audit.access.principal import Scope
from audit.access.service import Access
from orchestration.decision.endpoints import router
from orchestration.service import problems
from orchestration.service.lane import Lane

pytestmark = pytest.mark.anyio
DRY = {"person": "email:ada@example.org", "placement": "open", "dry_run": True, "seed": "s1"}


async def test_both_ways_say_the_same(shop):
    await shop.person("ada")
    access = Access(shop.kernel, shop.audit)
    keys = {
        scope: (await access.create_key([Scope(scope)], actor="staff:ann", name=scope)).secret
        for scope in ("decide", "auditor")
    }
    app = FastAPI()
    problems.install(app)
    app.include_router(router)
    app.state.house = SimpleNamespace(
        kernel=shop.kernel, audit=shop.audit, access=access, channels=shop.channels, decisions=shop.decisions
    )
    passed = 0

    async def counted(scope, receive, send):
        nonlocal passed
        passed += 1
        await app(scope, receive, send)

    async def straight(scope, receive, send):
        await app(scope, receive, send)

    async def laned(scope, receive, send):
        await Lane(counted)(scope | {"app": app}, receive, send)

    json = {"content-type": "application/json"}
    cases = [  # (key, headers, body, whether the short way answers)
        ("decide", {}, DRY, True),
        ("decide", {}, {k: v for k, v in DRY.items() if k != "placement"} | {"placements": ["open", "cart"]}, True),
        ("decide", {}, DRY | {"placement": "nowhere"}, True),
        ("decide", {}, DRY | {"person": "email:nobody@example.org"}, True),
        ("auditor", {}, DRY, True),
        (None, {}, DRY, True),
        ("decide", {}, DRY | {"dry_run": False}, False),
        ("decide", {}, DRY | {"strange": 1}, False),
        ("decide", {"Idempotency-Key": "k1"}, DRY, False),
        ("decide", json, b"{", False),
        ("decide", {"content-type": "text/plain"}, b'{"placement": "open"}', False),
    ]

    def plain(one):
        return {
            name: said for name, said in one.json().items() if name not in {"decision_id", "expires_at", "request_id"}
        }

    async with (
        httpx.AsyncClient(transport=httpx.ASGITransport(straight), base_url="http://127.0.0.1") as long,
        httpx.AsyncClient(transport=httpx.ASGITransport(laned), base_url="http://127.0.0.1") as short,
    ):  # fmt: skip
        for key, more, body, quick in cases:
            headers = more | ({"Authorization": f"Bearer {keys[key]}"} if key else {})
            told = {"content": body} if isinstance(body, bytes) else {"json": body}
            before = passed
            there = await long.post("/v1/decisions", headers=headers, **told)
            here = await short.post("/v1/decisions", headers=headers, **told)
            assert (passed == before) == quick, body
            assert here.status_code == there.status_code, body
            assert here.headers["content-type"] == there.headers["content-type"]
            if "decisions" in there.json():
                assert [one["choice"] for one in here.json()["decisions"]] == [
                    one["choice"] for one in there.json()["decisions"]
                ]
            else:
                assert plain(here) == plain(there)
