"""What the description promises is what the routes answer: every answer as JSON is held against its schema, and has no member that is not described."""

import asyncio
import re
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
import uvicorn
from jsonschema import Draft202012Validator

from audit.access.principal import Scope
from events.log import Source
from identity.service import Identity
from identity.settings import IdentitySettings
from orchestration.service.app import create_app, description
from orchestration.service.problems import MEDIA_TYPE
from orchestration.wiring import House
from tests.identity.running import run, shop, take
from tests.orchestration.service.support import bearer, key
from tests.support.pages import chromium, judge

pytestmark = pytest.mark.anyio

DOCUMENT = description()
ORIGIN = "https://shop.example"
CATALOGUE = """
controller: Blue Shop
contents:
  - id: cart
    variants:
      - {id: plain, label: Plain, channels: [email], subject: Your basket, body: "Hello {{ first_name }}", slots: {first_name: {trait: first_name, fallback: there}}}
      - {id: banner, label: Banner, channels: [web], body: Welcome back., action: {label: Look, url: "https://shop.example"}}
placements:
  - {name: cart, purpose: marketing.email, channels: [email], variants: [plain], reward: bought, significant_decision: true}
  - {name: home, purpose: marketing.web, channels: [web], variants: [banner], epsilon: {web: 0.0}}
rewards: {bought: 1.0}
"""
TRIGGERS = """
version: 1
triggers:
  - {name: thanks, placement: cart, when: api}
"""
Ask = Callable[..., Awaitable[dict]]


def closed(schema: object) -> object:
    """The same schema, in which a member that is not described is a fault."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: closed(value) for name, value in schema.items()}
    if "properties" in schema and "additionalProperties" not in schema:
        found["additionalProperties"] = False
    return found


def faults(operation: dict, answer: httpx.Response) -> list[str]:
    described = operation["responses"][str(answer.status_code)]
    if "$ref" in described:
        described = DOCUMENT["components"]["responses"][described["$ref"].rpartition("/")[2]]
    kind = answer.headers["content-type"].split(";")[0]
    schema = {**described["content"][kind]["schema"], "components": DOCUMENT["components"]}
    return [
        f"{fault.json_path}: {fault.message}"
        for fault in Draft202012Validator(closed(schema)).iter_errors(answer.json())
    ]


@pytest.fixture
def asked() -> set[str]:
    """The operations that a test has called."""
    return set()


@pytest.fixture
async def ask(house: House, client: httpx.AsyncClient, asked: set[str]) -> AsyncIterator[Ask]:
    """Calls an operation with a key that may, and holds the answer against the description."""
    officers = {Scope.OFFICER, Scope.AUDITOR, Scope.DECIDE, Scope.SEND, Scope.OPERATE}
    async with house.kernel.db.transaction() as conn:
        await house.decisions.publish_catalogue(conn, CATALOGUE, actor="test")
        await house.events.register_source(
            conn, Source("till", "service", "contract", also_for=("marketing.personalize",))
        )
        await house.events.register_source(conn, Source("site", "marketing.web", "consent"))
    staff = bearer((await house.access.create_key(officers, actor="test")).secret)
    till = await key(house, "collect", source="till")
    site = await house.access.create_key({Scope.BROWSER}, actor="test", source="site", origin=ORIGIN)
    keys = {"collect": till, "browser": {**bearer(site.secret), "Origin": ORIGIN}}

    wrong: list[tuple[str, str]] = []

    async def call(name: str, path: str = "", *, status: int = 200, who: str = "", **more: object) -> dict:
        method, pattern = name.split()
        operation = DOCUMENT["paths"][pattern][method.lower()]
        scopes = {scope for one in operation.get("security", ()) for held in one.values() for scope in held}
        mine = keys.get(who) or next(
            (keys[one] for one in ("collect", "browser") if one in scopes), staff if scopes else {}
        )
        headers = {**mine, **more.pop("headers", {})}
        answer = await client.request(method, path or pattern, headers=headers, **more)
        assert answer.status_code == status, (name, answer.text)
        wrong.extend((name, fault) for fault in faults(operation, answer))
        asked.add(name)
        return answer.json()

    yield call
    assert not wrong, "\n".join(f"{name}  {fault}" for name, fault in wrong)


async def _judged(house: House, ask: Ask) -> None:
    """Two people are merged and parted, and somebody says what she thinks of their records."""
    for name in "ab":
        call = {"anonymousId": f"visitor-{name}", "messageId": name, "traits": {"email": f"{name}@example.net"}}
        await ask("POST /v1/identify", json=call)
    async with house.kernel.db.reading() as conn:
        one, other = [await house.identity.lookup(conn, f"email:{name}@example.net") for name in "ab"]
        held = await house.identity.owned(conn, [one, other])
    act = {"act": "merge", "people": [one, other], "dry_run": False}
    made = await ask("POST /v1/identity/acts", json=act)
    await ask(
        "POST /v1/identity/judgements/{judgement}/revoke",
        f"/v1/identity/judgements/{made['judgement']}/revoke",
        json={},
    )
    await ask("POST /v1/identity/acts", json={"act": "unmerge", "people": [other], "dry_run": False})
    pair = {"a": held[one][0], "b": held[other][0]}
    await ask("POST /v1/identity/answers", json={**pair, "verdict": "unsure"})
    await ask("GET /v1/identity/changes")
    await ask("GET /v1/identity/questions")
    for why in ("why", "why-not"):
        at = f"/v1/records/{pair['a']}/{why}/{pair['b']}"
        await ask(f"GET /v1/records/{{record}}/{why}/{{other}}", at)
        await ask(f"GET /v1/records/{{record}}/{why}/{{other}}", f"{at}?words=true")
    await ask("GET /v1/people/{person}/how", f"/v1/people/{one}/how")


async def _linked(house: House, ask: Ask) -> None:
    """A run of the linkage is held back by its gate and let through."""
    await take(house.kernel, house.identity, shop(15))
    strict = Identity(house.kernel, house.audit, IdentitySettings(gate_largest=2))
    held = await run(house.kernel, strict)
    await ask("GET /v1/linkage/runs")
    await ask("GET /v1/linkage/runs/{run}", f"/v1/linkage/runs/{held.run_id}")
    at = f"/v1/linkage/runs/{held.run_id}/allow"
    await ask("POST /v1/linkage/runs/{run}/allow", at, json={"because": "looked"})


async def test_every_answer_as_json_is_as_described(house: House, ask: Ask, asked: set[str]) -> None:
    visitor = str(uuid.uuid4())
    for call, more in {
        "identify": {"traits": {"email": "ada@example.org", "firstName": "Ada"}}, "track": {"event": "Order Completed", "properties": {"revenue": 9}},
        "page": {"name": "Lamps"}, "screen": {"name": "Basket"}, "group": {"groupId": "g4"},
    }.items():  # fmt: skip
        await ask(f"POST /v1/{call}", json={"userId": "u1", "messageId": call, **more})
    await ask("POST /v1/alias", json={"userId": "u1", "previousId": visitor, "messageId": "alias"})
    await ask(
        "POST /v1/batch",
        json={
            "batch": [
                {"type": "track", "userId": "u1", "event": "X", "messageId": "b1"},
                {"type": "track", "userId": "u1"},
            ]
        },
    )
    found = await ask(
        "POST /v1/people/resolve",
        json={"subjects": [[{"kind": "email", "value": "ada@example.org"}], [{"kind": "login_id", "value": "nobody"}]]},
    )
    person = found["results"][0]["person"]
    await ask("POST /v1/people/resolve", json={"profiles": [{"traits": [{"kind": "first_name", "value": "Ada"}]}]})
    await ask("GET /v1/people/{person}/graph", f"/v1/people/{person}/graph")
    both = {"act": "merge", "people": [person, person]}
    await ask("POST /v1/identity/acts", json=both)
    await ask("POST /v1/identity/acts", json={**both, "dry_run": False})
    await _judged(house, ask)
    await _linked(house, ask)
    words = {"version": "web-1", "text": "May we?", "lists": ["marketing.web", "marketing.personalize"]}
    await ask("POST /v1/notices", status=201, json=words)
    for purpose in ("marketing.email", "marketing.personalize"):
        said = {
            "subject": "email:ada@example.org",
            "purpose": purpose,
            "status": "granted",
            "notice_text": "May we?",
            "notice_version": "v1",
            "mechanism": "form",
            "given_at": "2026-01-01T09:00:00Z",
        }
        await ask("POST /v1/consents", status=201, json=said)
    await ask("GET /v1/people/{person}/consents", f"/v1/people/{person}/consents")
    await ask("GET /v1/people/{person}/profile", f"/v1/people/{person}/profile")
    await ask("GET /v1/people/{person}/segments", f"/v1/people/{person}/segments")

    await ask("POST /v1/decisions", json={"person": person, "placement": "cart", "dry_run": True})
    await ask("POST /v1/decisions", json={"person": person, "placements": ["cart", "home"]})
    sent = await ask("POST /v1/sends", json={"person": person, "placement": "cart", "trigger": "cart_abandoned"})
    await ask(
        "POST /v1/sends",
        json={"person": "login_id:u1", "placement": "cart", "trigger": "cart_abandoned", "dry_run": True},
    )
    if "delivery_id" not in sent:  # the draw may fall on nothing
        pytest.fail(f"expected a delivery, got {sent}")
    await house.triggers.publish(TRIGGERS, actor="test")
    fired = [
        await ask("POST /v1/triggers/{name}", "/v1/triggers/thanks", status=status, json={"person": person, "key": "k"})
        for status in (202, 200)
    ]
    assert [one["repeated"] for one in fired] == [False, True]
    await ask("GET /v1/trigger-runs/{run_id}", f"/v1/trigger-runs/{fired[0]['run_id']}")
    await ask("GET /v1/triggers")
    for act in ("pause", "resume"):
        await ask(f"POST /v1/triggers/{{name}}/{act}", f"/v1/triggers/thanks/{act}")

    arms = [{"name": "words", "share": 0.5}, {"name": "none", "share": 0.5, "nothing": True}]
    compared = {"name": "x1", "placement": "home", "primary": "click_rate", "control": "none", "arms": arms}
    await ask("POST /v1/experiments", status=201, json=compared)
    await ask("GET /v1/experiments")
    await ask("GET /v1/experiments/{name}", "/v1/experiments/x1")
    await ask("POST /v1/experiments/{name}/ramp", "/v1/experiments/x1/ramp", json={})
    await ask("POST /v1/experiments/{name}/stop", "/v1/experiments/x1/stop", json={"reason": "tried"})

    at = f"/v1/deliveries/{sent['delivery_id']}"
    await ask("GET /v1/deliveries/{delivery_id}", at)
    await house.channels.dispatch()
    await ask(
        "POST /v1/deliveries/{delivery_id}/events",
        f"{at}/events",
        json={"event_id": "e1", "type": "delivered", "at": "2026-11-21T10:14:02Z"},
    )
    at = f"/v1/decisions/{sent['decision_id']}"
    await ask("GET /v1/decisions/{decision_id}", at)
    await ask("POST /v1/decisions/{decision_id}/replay", f"{at}/replay")
    await ask(
        "POST /v1/decisions/{decision_id}/counterfactual",
        f"{at}/counterfactual",
        json={"withdraw": "marketing.email"},
    )
    await ask("GET /v1/decisions/{decision_id}/receipt", f"{at}/receipt")
    await ask("GET /v1/decisions/{decision_id}/lineage", f"{at}/lineage")
    await ask("GET /v1/decisions/{decision_id}/why", f"{at}/why")
    await ask("GET /v1/decisions/{decision_id}/why", f"{at}/why?view=auditor")
    await ask("GET /v1/decisions/{decision_id}/why", f"{at}/why?view=auditor&against=nothing")
    await ask("GET /v1/decisions/{decision_id}/answer", f"{at}/answer")
    for variant, placement in (("plain", "cart"), ("banner", "home")):
        await ask("GET /content/{placement}/variant-{variant}.json", f"/content/{placement}/variant-{variant}.json")

    shown = {"headers": {"Candor-Visitor": visitor}}
    await ask("GET /v1/placements/{placement}", "/v1/placements/home", **shown)
    await ask(
        "POST /v1/visitor/consents",
        json={"anonymousId": visitor, "choices": {"marketing.web": True}, "notice": "web-1"},
    )
    await ask("GET /v1/placements/{placement}", "/v1/placements/home", **shown)
    await ask("GET /v1/placements", "/v1/placements?names=home", **shown)
    await ask("GET /v1/push/key")
    push = {"anonymousId": visitor, "endpoint": "https://push.example/send/1"}
    await ask("DELETE /v1/push/subscriptions", who="browser", json=push)

    opened = await ask(
        "POST /v1/subject-requests",
        status=201,
        headers={"Idempotency-Key": "a"},
        json={"right": "access", "person": person},
    )
    await ask("GET /v1/subject-requests/{request_id}", f"/v1/subject-requests/{opened['id']}")
    await ask("GET /v1/subject-requests")
    await ask("GET /v1/rules")
    one = f"/v1/subject-requests/{opened['id']}"
    await ask("POST /v1/subject-requests/{request_id}/check", f"{one}/check", json={"method": "document"})
    await ask("POST /v1/subject-requests/{request_id}/confirm", f"{one}/confirm")
    await ask(
        "POST /v1/subject-requests/{request_id}/extend", f"{one}/extend", json={"reason": "Two archives to be read."}
    )
    await ask("POST /v1/subject-requests/{request_id}/run", f"{one}/run")

    await house.audit.sequence()
    await ask("GET /audit/entries/{index}", "/audit/entries/1")
    await ask("GET /audit/proof/inclusion/{index}", "/audit/proof/inclusion/1")
    await ask("GET /audit/proof/consistency", "/audit/proof/consistency?size1=1")
    for path in ("/healthz", "/readyz", "/.well-known/gpc.json", "/.well-known/dsrdelete.json"):
        await ask(f"GET {path}")

    elsewhere = {
        "POST /v1/push/subscriptions": "tests/channels/push",
        "POST /webhooks/sendgrid": "tests/orchestration/service/test_sendgrid.py",
        "POST /v1/data-rights-request": "tests/consent/rights/test_agents.py",
        "GET /v1/data-rights-request/{request_id}": "tests/consent/rights/test_agents.py",
        "DELETE /v1/data-rights-request/{request_id}": "tests/consent/rights/test_agents.py",
    }
    as_json = {
        f"{method.upper()} {path}"
        for path, item in DOCUMENT["paths"].items()
        for method, operation in item.items()
        for status, answer in operation["responses"].items()
        if status.startswith("2") and "application/json" in answer.get("content", {})
    }
    assert as_json - asked == set(elsewhere)


async def test_refusals_are_as_described(ask: Ask) -> None:
    nobody = "dec_01JABCDEFGHJKMNPQRSTVWXYZ0"
    for name, path, status, code, more in (
        ("GET /v1/decisions/{decision_id}", f"/v1/decisions/{nobody}", 404, "unknown_decision", {}),
        ("GET /v1/decisions/{decision_id}/receipt", f"/v1/decisions/{nobody}/receipt", 404, "unknown_decision", {}),
        ("GET /v1/decisions/{decision_id}/why", f"/v1/decisions/{nobody}/why", 404, "unknown_decision", {}),
        ("GET /v1/decisions/{decision_id}/answer", f"/v1/decisions/{nobody}/answer", 404, "unknown_decision", {}),
        ("POST /v1/decisions/{decision_id}/replay", f"/v1/decisions/{nobody}/replay", 404, "unknown_decision", {}),
        ("GET /v1/deliveries/{delivery_id}", "/v1/deliveries/dlv_1", 404, "channels.unknown_delivery", {}),
        ("GET /v1/people/{person}/graph", "/v1/people/email:no@example.org/graph", 404, "person_not_found", {}),
        ("GET /v1/people/{person}/consents", "/v1/people/email:no@example.org/consents", 404, "person_not_found", {}),
        ("GET /v1/people/{person}/profile", "/v1/people/login_id:no/profile", 404, "person_not_found", {}),
        ("GET /v1/people/{person}/profile", "/v1/people/login_id:no/profile?purpose=x", 422, "consent.unknown_purpose", {}),
        ("GET /v1/subject-requests/{request_id}", "/v1/subject-requests/req_1", 404, "consent.request_not_found", {}),
        ("GET /audit/entries/{index}", "/audit/entries/999999", 404, "entry_not_found", {}),
        ("GET /audit/tile/{path}", "/audit/tile/9/999", 404, "tile_not_found", {}),
        ("GET /audit/tile/{path}", "/audit/tile/entries/000", 401, "not_authenticated", {}),
        ("GET /content/{placement}/variant-{variant}.json", "/content/cart/variant-no.json", 404, "unknown_variant", {}),
        ("GET /content/{placement}/variant-{variant}.json", "/content/no/variant-no.json", 404, "unknown_placement", {}),
        ("GET /v1/placements/{placement}", "/v1/placements/home", 422, "not_a_visitor", {}),
        ("POST /v1/track", "", 422, "event_rejected", {"json": {"userId": "u1"}}),
        ("POST /v1/batch", "", 422, "bad_body", {"content": b"{"}),
        ("POST /v1/decisions", "", 404, "unknown_person", {"json": {"identifiers": {"login_id": "u1"}, "placement": "cart"}}),
        ("POST /v1/decisions", "", 422, "invalid_request", {"json": {"person": "login_id:u1"}}),
        ("POST /v1/consents", "", 422, "consent.unknown_purpose", {"json": {"subject": "email:a@example.org", "purpose": "no", "status": "denied"}}),
        ("POST /v1/visitor/consents", "", 422, "not_a_visitor", {"json": {"anonymousId": "x", "choices": {"marketing.web": False}}}),
        ("POST /v1/subject-requests", "", 422, "invalid_request", {"json": {"right": "access", "person": "login_id:u1"}}),
        ("POST /webhooks/sendgrid", "", 403, "channels.not_genuine", {"json": []}),
        ("POST /webhooks/push", "", 403, "channels.bad_report", {"content": b"x\ny"}),
    ):  # fmt: skip
        told = await ask(name, path, status=status, **more)
        assert told["code"] == code, name
        method, pattern = name.split()
        operation = DOCUMENT["paths"][pattern][method.lower()]
        answer = operation["responses"][str(status)]
        shared = DOCUMENT["components"]["responses"].get(f"Problem{status}", {})
        assert f"`{code}`" in answer.get("description", shared["description"]), name


async def test_the_reference_is_one_page_from_this_host(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs/api")
    assert page.status_code == 200
    assert "unsafe" not in page.headers["content-security-policy"]
    assert re.findall(r"https?://", page.text) == []
    for name in re.findall(r'(?:src|href)="(/docs/api/[^"]+)"', page.text):
        got = await client.get(name)
        assert got.status_code == 200, name
        assert len(got.content) > 200
    tag = (await client.get("/docs/api/swagger-ui.css")).headers["etag"]
    assert (await client.get("/docs/api/swagger-ui.css", headers={"If-None-Match": tag})).status_code == 304
    for other in ("redoc.standalone.js", "..%2Fpages.py", "api.html"):
        answer = await client.get(f"/docs/api/{other}")
        assert (answer.status_code, answer.headers["content-type"]) == (404, MEDIA_TYPE)
    assert create_app(None).openapi() == (await client.get("/openapi.json")).json()


@pytest.mark.browser
async def test_the_reference_is_drawn_in_a_browser_under_its_policy() -> None:
    server = uvicorn.Server(uvicorn.Config(create_app(None), log_config=None, lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = asyncio.create_task(server._serve([listening]))
        at = f"http://127.0.0.1:{listening.getsockname()[1]}"
        asked, said = [], []
        async with chromium() as browser:
            page = await browser.new_page(viewport={"width": 390, "height": 844})
            page.on("request", lambda request: asked.append(request.url))
            page.on("console", lambda message: said.append(message.text))
            await page.goto(f"{at}/docs/api")
            await page.locator("#operations-decisions-decide .opblock-summary").click()
            words = await page.locator("#operations-decisions-decide").inner_text()
            width = await page.evaluate("document.documentElement.scrollWidth")
            shown = await page.locator(".opblock").count()
            faults = await judge(page)
            await page.emulate_media(color_scheme="dark")
            await page.locator("html.dark-mode").wait_for()
        server.should_exit = True
        await serving
    assert shown == sum(len(item) for item in DOCUMENT["paths"].values())
    for part in ("Needs a key with the scope", "one placement", "cart_rescue", "unknown_placement", "propensity"):
        assert part in words, part
    assert [url for url in asked if not url.startswith((at, "data:"))] == []
    assert said == []  # a breach of the policy would be told here
    assert width <= 390
    assert faults == []
