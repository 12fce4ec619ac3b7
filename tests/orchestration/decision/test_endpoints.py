"""The routes as a caller sees them: scopes, answers, problems."""

from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI

from audit.access.principal import Scope
from audit.access.service import Access
from audit.receipt import parse, verify
from identity.identifiers import Identifier
from orchestration.decision.endpoints import router
from orchestration.service import problems

pytestmark = pytest.mark.anyio


@pytest.fixture
async def web(shop):
    access = Access(shop.kernel, shop.audit)
    app = FastAPI()
    problems.install(app)
    app.include_router(router)
    app.state.house = SimpleNamespace(
        kernel=shop.kernel, audit=shop.audit, access=access, channels=shop.channels, decisions=shop.decisions
    )
    keys = {
        scope: (await access.create_key([Scope(scope)], actor="staff:ann", name=scope)).secret
        for scope in ("decide", "send", "auditor", "collect")
    }
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:

        async def call(method, path, *, scope="decide", **more):
            headers = {"Authorization": f"Bearer {keys[scope]}"} if scope else {}
            return await client.request(method, path, headers=headers | more.pop("headers", {}), **more)

        yield call


async def test_a_decision_is_answered_with_content_probability_and_links(shop, web):
    await shop.person("ada")
    body = {"person": "email:ada@example.org", "placement": "open"}
    tried = (await web("POST", "/v1/decisions", json=body | {"seed": "s1", "dry_run": True})).json()
    assert tried["choice"] == "plain@email"
    assert tried["content"]["subject"] == "Your basket"
    got = await web("POST", "/v1/decisions", json=body)
    assert got.status_code == 200
    made = got.json()
    assert 0 < made["propensity"] < 1
    assert "/why/" in made["why_url"]
    shown = await web("GET", f"/v1/decisions/{made['decision_id']}")
    assert shown.json()["choice"] == made["choice"]
    again = await web("POST", f"/v1/decisions/{made['decision_id']}/replay", scope="auditor")
    assert again.json()["status"] == "identical"


async def test_a_caller_who_chose_the_draw_would_choose_the_arm(shop, web):
    await shop.person("ada")
    got = await web(
        "POST", "/v1/decisions", json={"person": "email:ada@example.org", "placement": "open", "seed": "s1"}
    )
    assert got.status_code == 422
    assert await shop.rows("SELECT 1 FROM decision.decisions") == []


async def test_several_placements_and_identifiers_in_one_call(shop, web):
    await shop.person("ada", agree=("marketing.email", "marketing.web", "marketing.personalize"))
    body = {"identifiers": {"login_id": "ada"}, "placements": ["open", "home"], "channels": ["email"]}
    got = (await web("POST", "/v1/decisions", json=body)).json()["decisions"]
    assert [one["placement"] for one in got] == ["open", "home"]
    assert got[1]["withheld"] == "no_candidate"


async def test_a_send_is_queued_once_and_then_withheld_by_its_cap(shop, web):
    await shop.person("ada")
    body = {"person": "email:ada@example.org", "placement": "cart", "trigger": "Cart Abandoned"}
    answers = [(await web("POST", "/v1/sends", scope="send", json=body)).json() for _ in range(12)]
    assert sum("delivery_id" in one for one in answers) == 1
    assert answers[-1]["withheld"] == "cap:placement:cart"
    rows = await shop.rows("SELECT state FROM channels.deliveries")
    assert [row["state"] for row in rows] == ["reserved"]


async def test_a_suppressed_contact_is_lost_to_suppression(shop, web):
    await shop.person("ada")
    async with shop.kernel.db.transaction() as conn:
        ids = await shop.identity.register_identifiers(conn, [Identifier("email", "ada@example.org")])
        await shop.channels.suppress(conn, ids, "email", "complaint", actor="staff:ann")
    body = {"person": "email:ada@example.org", "placement": "open", "trigger": "t"}
    assert (await web("POST", "/v1/sends", scope="send", json=body)).json()["withheld"] == "suppression:suppressed"


async def test_the_receipt_and_the_lineage_are_for_auditors(shop, web):
    await shop.person("ada")
    made = (await web("POST", "/v1/decisions", json={"person": "email:ada@example.org", "placement": "open"})).json()
    path = f"/v1/decisions/{made['decision_id']}"
    assert (await web("GET", f"{path}/receipt")).status_code == 403
    got = await web("GET", f"{path}/receipt", scope="auditor")
    assert verify(parse(got.text)).ok
    found = (await web("GET", f"{path}/lineage", scope="auditor")).json()["entries"]
    assert {"decision.made", "consent.granted", "read.personal"} & {one["tag"] for one in found} >= {"decision.made"}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"person": "email:nobody@example.org", "placement": "open"}, 404, "unknown_person"),
        ({"person": "email:ada@example.org", "placement": "opne"}, 404, "unknown_placement"),
        ({"placement": "open"}, 422, "subject"),
        ({"person": "email:ada@example.org"}, 422, None),
        ({"person": "email:ada@example.org", "placement": "open", "placment": "x"}, 422, None),
        ({"person": "ada", "placement": "open"}, 422, None),
    ],
)
async def test_what_cannot_be_decided_is_a_problem_with_a_code(shop, web, body, status, code):
    await shop.person("ada")
    got = await web("POST", "/v1/decisions", json=body)
    assert got.status_code == status
    assert got.headers["content-type"].startswith("application/problem+json")
    assert code is None or got.json()["code"] == code
    assert "ada@" not in got.text


@pytest.mark.parametrize(
    ("scope", "status"), [(None, 401), ("collect", 403), ("send", 403)],
)  # fmt: skip
async def test_deciding_needs_the_scope_decide(shop, web, scope, status):
    got = await web("POST", "/v1/decisions", scope=scope, json={"person": "email:a@example.org", "placement": "open"})
    assert got.status_code == status


async def test_published_content_is_public_and_immutable(shop, web):
    got = await web("GET", "/content/open/variant-plain.json", scope=None)
    assert got.json()["subject"] == "Your basket"
    assert "immutable" in got.headers["cache-control"]
    again = await web(
        "GET", "/content/open/variant-plain.json", scope=None, headers={"If-None-Match": got.headers["etag"]}
    )
    assert again.status_code == 304
    assert (await web("GET", "/content/home/variant-plain.json", scope=None)).status_code == 404
