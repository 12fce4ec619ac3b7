"""Every route with every scope: generated from the routes and their guards, so a new route joins by itself.

A route without a guard must stand in PUBLIC, with the reason why anybody may call it (OWASP API1:2023).
"""

import re
from datetime import timedelta
from types import SimpleNamespace

import httpx
import pytest

from audit.access.principal import Scope
from kernel.kernel import Kernel
from orchestration.service.app import create_app
from orchestration.wiring import House
from tests.orchestration.service.support import Door, bearer, doors, is_problem

pytestmark = pytest.mark.anyio

PUBLIC = {
    "GET /openapi.json": "what the API is",
    "GET /": "where a link lands that was cut off; names nobody",
    "GET /docs/api": "the same as a page; it holds nothing of this installation",
    "GET /docs/api/{name}": "its scripts and styles",
    "GET /problems": "what the codes of refusals mean; it holds nothing of this installation",
    "GET /problems/{code}": "the same for one code",
    "GET /console/login": "whoever has no session yet",
    "POST /console/login": "name and password are the right, and tries are counted",
    "GET /console/static/{version}/{name}": "the look of the console",
    "GET /healthz": "the balancer asks; says nothing of anybody",
    "GET /readyz": "the balancer asks; says nothing of anybody",
    "GET /metrics": "this machine asks; from elsewhere the route itself asks for the scope operate",
    "GET /.well-known/gpc.json": "browsers ask",
    "GET /static/candor.css": "the look of public pages",
    "GET /candor.js": "the script of pages, the same for everybody",
    "GET /candor.{digest}.js": "one version of that script",
    "OPTIONS /v1/stream": "a browser asks before it asks; carries no key by design",
    "OPTIONS /v1/visitor/consents": "a browser asks before it asks; carries no key by design",
    "OPTIONS /v1/placements": "a browser asks before it asks; carries no key by design",
    "OPTIONS /v1/placements/{placement}": "a browser asks before it asks; carries no key by design",
    "OPTIONS /v1/{call}": "a browser asks before it sends; carries no key by design",
    "GET /content/{placement}/variant-{variant}.json": "content of a campaign, the same for everybody, without slots filled",
    "GET /audit/checkpoint": "what the log stands for is public",
    "GET /audit/keys": "who verifies a receipt needs to know which keys hold",
    "GET /audit/tile/{path:path}": "hashes of the log are public",
    "GET /push/sw.js": "code of every browser that takes pushes",
    "GET /push/subscribe.js": "code of every page that offers pushes",
    "OPTIONS /v1/push/key": "a browser asks before it asks; carries no key by design",
    "OPTIONS /v1/push/subscriptions": "a browser asks before it sends; carries no key by design",
    "POST /webhooks/push": "the signed token in the body is the right",
    "GET /u/{token}": "the token is the right",
    "POST /u/{token}": "the token is the right",
    "GET /preferences/{token}": "the token is the right",
    "POST /preferences/{token}": "the token is the right",
    "GET /.well-known/dsrdelete.json": "agents ask where to send requests",
    "POST /v1/data-rights-request": "an agent's own token and its signature are the right",
    "GET /v1/data-rights-request/{request_id}": "an agent's own token is the right",
    "DELETE /v1/data-rights-request/{request_id}": "an agent's own token is the right",
    "GET /packages/{token}": "the token is the right, and the code beside it",
    "POST /packages/{token}": "the token is the right, and the code beside it",
    "GET /confirm/{token}": "the token is the right",
    "POST /confirm/{token}": "the token is the right",
    "GET /preferences/{token}/receipt": "the token is the right",
    "POST /preferences/{token}/receipt": "the token is the right",
    "POST /webhooks/sendgrid": "the provider's signature is the right, checked before anything is parsed",
    "GET /why/{token}": "the token is the right",
    "GET /why/{token}/preferences": "the token is the right",
    "POST /why/{token}/not-interested": "the token is the right",
    "POST /why/{token}/not-me": "the token is the right",
    "POST /why/{token}/stop-using": "the token is the right",
    "POST /why/{token}/correct": "the token is the right",
    "POST /why/{token}/pause": "the token is the right",
    "POST /why/{token}/opt-out": "the token is the right",
    "GET /why/{token}/answer": "the token is the right",
    "POST /why/{token}/review": "the token is the right",
    "POST /why/{token}/no-machine": "the token is the right",
    "GET /notice/{placement}": "what is told to everybody before a machine chooses; names nobody",
}
ORIGIN = "https://shop.example"
EVERY = doors(create_app(SimpleNamespace()))
GUARDED = [door for door in EVERY if door.scopes]
PAGES = sorted({door.path for door in EVERY if "{token}" in door.path and door.method == "GET"})


def filled(path: str) -> str:
    return re.sub(r"\{index\}", "0", re.sub(r"\{(?!index)\w+(:\w+)?\}", "x", path))


@pytest.fixture
async def keys(house: House) -> dict[Scope, str]:
    """A live key a scope."""
    found = {}
    for scope in Scope:
        made = await house.access.create_key(
            {scope},
            actor="test",
            source="shop" if scope in {Scope.COLLECT, Scope.BROWSER} else None,
            origin=ORIGIN if scope is Scope.BROWSER else None,
        )
        found[scope] = made.secret
    return found


async def ask(client: httpx.AsyncClient, door: Door, headers: dict[str, str]) -> httpx.Response:
    body = None if door.method in {"GET", "OPTIONS"} else {}
    return await client.request(door.method, filled(door.path), json=body, headers={"Origin": ORIGIN, **headers})


def test_a_route_without_a_guard_is_public_on_purpose() -> None:
    assert {str(door) for door in EVERY if not door.scopes} == set(PUBLIC)
    assert len(GUARDED) > 25


async def test_every_guarded_route_opens_to_its_scopes_and_to_no_other(client: httpx.AsyncClient, keys) -> None:
    wrong = []
    for door in GUARDED:
        for scope, secret in keys.items():
            answer = await ask(client, door, bearer(secret))
            refused = answer.status_code in {401, 403} and answer.json()["code"] == "scope_missing"
            if refused == (scope in door.scopes):
                wrong.append((str(door), scope.value, answer.status_code))
            if refused:
                is_problem(answer, 403, "scope_missing")
            assert answer.status_code < 500, (door, scope, answer.text)
    assert wrong == []


async def test_every_guarded_route_asks_for_a_key(client: httpx.AsyncClient) -> None:
    for door in GUARDED:
        answer = await ask(client, door, {})
        is_problem(answer, 401, "not_authenticated")
        assert answer.headers["www-authenticate"].startswith("Basic")
        is_problem(await ask(client, door, bearer("sk_nobody")), 401, "not_authenticated")


async def test_a_revoked_key_opens_nothing(house: House, client: httpx.AsyncClient) -> None:
    made = await house.access.create_key(set(Scope) - {Scope.BROWSER}, actor="test", source="shop")
    await house.access.revoke_key(made.key.api_key_id, actor="test")
    for door in GUARDED:
        is_problem(await ask(client, door, bearer(made.secret)), 401, "not_authenticated")


async def test_a_browser_key_works_on_its_own_site_only(client: httpx.AsyncClient, keys) -> None:
    for door in (door for door in GUARDED if Scope.BROWSER in door.scopes):
        for elsewhere in ("https://other.example", "null", f"{ORIGIN}.other.example"):
            answer = await ask(client, door, {**bearer(keys[Scope.BROWSER]), "Origin": elsewhere})
            is_problem(answer, 403, "wrong_origin")


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_never_tells_a_good_token_of_another_door_from_a_bad_one(
    kernel: Kernel, client: httpx.AsyncClient, path: str
) -> None:
    """A link opens the page it was made for and no other; what a stranger sees does not depend on the token."""
    own = {
        "/u/{token}": "unsubscribe",
        "/preferences/{token}": "preferences",
        "/preferences/{token}/receipt": "preferences",
        "/confirm/{token}": "confirm",
        "/packages/{token}": "package",
        "/why/{token}": "why",
        "/why/{token}/preferences": "why",
        "/why/{token}/answer": "why",
    }[path]
    bad = await client.get(path.format(token="nonsense"))
    assert bad.status_code in {200, 404, 410}
    assert bad.headers["content-type"].startswith("text/html")
    for scope in {"unsubscribe", "preferences", "why", "click", "confirm"} - {own}:
        token = kernel.tokens.issue(scope, "idn_01JABCDEFGHJKMNPQRSTVWXYZ0", timedelta(days=1))
        other = await client.get(path.format(token=token))
        assert (other.status_code, other.text) == (bad.status_code, bad.text), scope
