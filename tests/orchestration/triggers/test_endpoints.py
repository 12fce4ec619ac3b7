"""The routes of triggers as a caller sees them."""

from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI

from audit.access.principal import Scope
from audit.access.service import Access
from orchestration.service import problems
from orchestration.triggers.endpoints import router
from tests.orchestration.triggers.conftest import HOUR

pytestmark = pytest.mark.anyio

FILE = """
triggers:
  - {name: call, placement: open, when: api}
  - {name: cart, placement: open, when: {event: Product Added, delay: PT1H}}
"""


@pytest.fixture
async def web(ring):
    await ring.triggers.publish(FILE, actor="staff:ann")
    access = Access(ring.shop.kernel, ring.shop.audit)
    app = FastAPI()
    problems.install(app)
    app.include_router(router)
    app.state.house = SimpleNamespace(triggers=ring.triggers, access=access)
    keys = {
        scope: (await access.create_key([Scope(scope)], actor="staff:ann", name=scope)).secret
        for scope in ("send", "operate", "auditor", "collect")
    }
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:

        async def call(method, path, *, scope="send", **more):
            return await client.request(method, path, headers={"Authorization": f"Bearer {keys[scope]}"}, **more)

        yield call


async def test_a_call_is_taken_once_and_told_with_its_history(ring, web):
    ada = await ring.shop.person("ada")
    body = {"person": "email:ada@example.org", "key": "order-1"}
    first = await web("POST", "/v1/triggers/call", json=body)
    assert first.status_code == 202
    made = first.json()
    assert (made["state"], made["person"], made["repeated"]) == ("sent", ada, False)
    assert [one["reason"] for one in made["history"]] == ["api", "due", "plain@email"]
    again = await web("POST", "/v1/triggers/call", json=body)
    assert (again.status_code, again.json()) == (200, made | {"repeated": True})
    shown = await web("GET", f"/v1/trigger-runs/{made['run_id']}", scope="auditor")
    assert shown.json() == made
    by_login = await web("POST", "/v1/triggers/call", json={"identifiers": {"login_id": "ada"}})
    assert by_login.json()["person"] == ada


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("call", {"person": "email:nobody@example.org"}, 404, "unknown_person"),
        ("call", {}, 422, "subject"),
        ("call", {"person": "email:ada@example.org", "placement": "x"}, 422, None),
        ("cal", {"person": "email:ada@example.org"}, 404, "unknown_trigger"),
        ("cart", {"person": "email:ada@example.org"}, 422, "trigger_not_callable"),
    ],
)
async def test_what_is_not_taken_is_a_problem_and_leaves_no_run(ring, web, path, body, status, code):
    await ring.shop.person("ada")
    got = await web("POST", f"/v1/triggers/{path}", json=body)
    assert got.status_code == status
    assert code is None or got.json()["code"] == code
    assert await ring.runs() == []


async def test_an_operator_lets_one_rest_and_go_on(ring, web):
    await ring.shop.person("ada")
    assert (await web("POST", "/v1/triggers/call/pause", scope="operate")).json() == {"changed": True}
    assert (await web("POST", "/v1/triggers/call/pause", scope="operate")).json() == {"changed": False}
    refused = await web("POST", "/v1/triggers/call", json={"person": "email:ada@example.org"})
    assert (refused.status_code, refused.json()["code"]) == (409, "trigger_paused")
    assert (await web("POST", "/v1/triggers/call/resume", scope="operate")).json() == {"changed": True}
    assert (await web("POST", "/v1/triggers/call/pause", scope="collect")).status_code == 403


async def test_the_triggers_that_rule_are_listed_with_what_became_of_their_runs(ring, web):
    await ring.shop.person("ada")
    await ring.happens("ada", "Product Added")
    await ring.work(HOUR)
    await ring.triggers.pause("call", actor="staff:ann")
    found = (await web("GET", "/v1/triggers")).json()
    assert [(one["name"], one["kind"], one["paused"], one["runs"]) for one in found] == [
        ("call", "api", True, {}), ("cart", "event", False, {"sent": 1}),
    ]  # fmt: skip
    assert found[1]["rule"]["when"]["delay"] == "PT1H"
    unknown = await web("GET", "/v1/trigger-runs/trg_x")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_run")
