"""Keys, staff, sessions, and the guard in front of every route."""

import asyncio
import re
from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from audit import checkpoint, endpoints, merkle, tiles
from audit.access import secrets
from audit.access.endpoints import Guard, needs
from audit.access.principal import Principal, Scope
from audit.access.service import Access
from audit.tags import Tag
from kernel.clock import FrozenClock
from kernel.errors import CandorError, Conflict, InvalidInput, NotFound

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock():
    return FrozenClock(datetime(2026, 3, 1, tzinfo=UTC))


@pytest.fixture
def access(kernel, audit):
    return Access(kernel, audit)


STATUS = {"not_authenticated": 401, "scope_missing": 403, "wrong_origin": 403, "entry_not_found": 404, "tile_not_found": 404,
          "log_empty": 404}  # fmt: skip


@pytest.fixture
async def client(audit, access, anyio_backend):
    app = FastAPI()
    app.state.house = SimpleNamespace(audit=audit, access=access)
    app.include_router(endpoints.router)

    @app.exception_handler(CandorError)
    async def problem(_request: Request, fault: CandorError):
        return JSONResponse({"code": fault.code}, STATUS.get(fault.code, 400))

    @app.post("/collect")
    async def collect(principal: Principal = needs("collect", "browser")):
        return {"actor": principal.actor}

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://candor.test") as found:
        yield found


def bearer(secret):
    return {"Authorization": f"Bearer {secret}"}


def basic(secret):
    return {"Authorization": "Basic " + b64encode(f"{secret}:".encode()).decode()}


def test_a_secret_carries_its_checksum_and_matches_the_published_pattern():
    made = {secrets.new_secret(kind) for kind in ("sk", "bk", "ss") for _ in range(50)}
    assert len(made) == 150
    for secret in made:
        assert re.fullmatch(secrets.PATTERN, secret)
        assert secrets.kind_of(secret) == secret[4:6]
        for place in range(7, len(secret)):
            other = "0" if secret[place] != "0" else "1"
            assert secrets.kind_of(secret[:place] + other + secret[place + 1 :]) is None
    for odd in ("", "cnd_sk_", "cnd_xx_" + "0" * 38, "x" * 45, secret + "\n", secret[:-1]):
        assert secrets.kind_of(odd) is None


async def test_a_key_works_until_revoked_and_only_its_hash_is_stored(access, kernel, audit):
    made = await access.create_key({Scope.COLLECT}, actor="stf_ada", source="shop", name="shop server")
    principal = await access.authenticate(made.secret)
    assert principal == Principal(made.key.api_key_id, frozenset({Scope.COLLECT}), "shop", None)
    async with kernel.db.reading() as conn:
        row = await (await conn.execute("SELECT * FROM audit.api_keys")).fetchone()
    assert made.secret not in str(row)
    assert row["last_used_at"] is not None
    await access.revoke_key(made.key.api_key_id, actor="stf_ada")
    assert await access.authenticate(made.secret) is None
    with pytest.raises(NotFound):
        await access.revoke_key(made.key.api_key_id, actor="stf_ada")
    assert [one.tag for one in await audit.lineage([("api_key", made.key.api_key_id)])] == [
        Tag.KEY_CREATED,
        Tag.KEY_REVOKED,
    ]
    opened = await audit.open_entry((await audit.entries(tag=Tag.KEY_CREATED))[0].entry_id)
    assert (opened["actor"], opened["scopes"], opened["source"]) == ("stf_ada", ["collect"], "shop")
    assert made.secret not in repr(await access.keys())


async def test_a_key_revoked_in_another_process_ends_within_seconds(access, kernel, audit, settings):
    made = await access.create_key({Scope.DECIDE}, actor="local")
    assert await access.authenticate(made.secret)
    hasty = Access(kernel, type(audit)(kernel, settings.model_copy(update={"access_cache_seconds": 0.05})))
    assert await hasty.authenticate(made.secret)
    await access.revoke_key(made.key.api_key_id, actor="local")
    await asyncio.sleep(0.06)
    assert await hasty.authenticate(made.secret) is None


async def test_a_key_expires_even_while_it_is_remembered(access, clock):
    made = await access.create_key({Scope.DECIDE}, actor="local", expires_at=clock.now() + timedelta(hours=1))
    assert await access.authenticate(made.secret)
    clock.advance(timedelta(hours=1))
    assert await access.authenticate(made.secret) is None
    with pytest.raises(InvalidInput):
        await access.create_key({Scope.DECIDE}, actor="local", expires_at=clock.now())


async def test_a_rotated_key_works_beside_its_successor_for_a_while(access, clock):
    old = await access.create_key({Scope.SEND}, actor="local", name="crm")
    assert await access.authenticate(old.secret)
    new = await access.rotate_key(old.key.api_key_id, actor="local", overlap=timedelta(hours=2))
    assert (new.key.name, new.key.scopes) == ("crm", old.key.scopes)
    clock.advance(timedelta(hours=1))
    assert await access.authenticate(old.secret)
    assert await access.authenticate(new.secret)
    clock.advance(timedelta(hours=1))
    assert await access.authenticate(old.secret) is None
    assert await access.authenticate(new.secret)


@pytest.mark.parametrize(
    ("scopes", "origin"),
    [((), None), (("browser",), None), (("browser", "collect"), "https://shop.example"), (("collect",), "https://shop.example"),
     (("browser",), "https://shop.example/path"), (("browser",), "shop.example"), (("browser",), "https://*")],
)  # fmt: skip
async def test_keys_that_would_be_too_wide_are_not_made(access, scopes, origin):
    with pytest.raises(InvalidInput):
        await access.create_key(scopes, actor="local", origin=origin)
    assert await access.keys() == []


async def test_staff_log_in_hold_sessions_and_leave(access, clock, kernel):
    ada = await access.add_staff("ada", "correct horse battery", {Scope.OFFICER}, actor="local")
    principal = await access.check_login("ada", "correct horse battery")
    assert principal == Principal(ada.staff_id, frozenset({Scope.OFFICER}))
    token = await access.open_session(principal)
    assert await access.authenticate(token) == principal
    clock.advance(timedelta(hours=12))
    assert await access.authenticate(token) is None
    token, other = await access.open_session(principal), await access.open_session(principal)
    await access.close_session(token)
    assert await access.authenticate(token) is None
    await access.remove_staff(ada.staff_id, actor="local")
    assert await access.authenticate(other) is None
    assert await access.check_login("ada", "correct horse battery") is None
    async with kernel.db.reading() as conn:
        stored = str(await (await conn.execute("SELECT * FROM audit.staff")).fetchall())
    assert "correct horse" not in stored
    assert "$argon2id$" in stored


async def test_wrong_passwords_make_one_wait_and_are_remembered(access, clock, audit):
    await access.add_staff("ada", "correct horse battery", {Scope.OFFICER}, actor="local")
    assert await access.check_login("nobody", "correct horse battery") is None
    for _ in range(5):
        assert await access.check_login("ada", "wrong horse battery") is None
    assert await access.check_login("ada", "correct horse battery") is None
    clock.advance(timedelta(seconds=31))
    assert await access.check_login("ada", "correct horse battery")
    assert len(await audit.entries(tag=Tag.STAFF_LOGIN_REFUSED)) == 7
    assert len(await audit.entries(tag=Tag.STAFF_LOGIN)) == 1


@pytest.mark.parametrize(
    ("name", "password", "scopes"),
    [("ada@example.org", "long enough words", {"officer"}), ("Ada", "long enough words", {"officer"}),
     ("ada", "short", {"officer"}), ("ada", "long enough words", set()), ("ada", "long enough words", {"browser"}),
     ("ada", "x" * 2000, {"officer"})],
)  # fmt: skip
async def test_staff_that_cannot_be_are_refused(access, name, password, scopes):
    with pytest.raises(InvalidInput) as caught:
        await access.add_staff(name, password, scopes, actor="local")
    assert password not in str(caught.value)


async def test_a_handle_is_given_once(access):
    await access.add_staff("ada", "correct horse battery", {Scope.OFFICER}, actor="local")
    with pytest.raises(Conflict):
        await access.add_staff("ada", "another horse battery", {Scope.OFFICER}, actor="local")


@pytest.mark.parametrize("header", [bearer, basic])
async def test_the_guard_takes_bearer_and_basic(client, access, header):
    made = await access.create_key({Scope.COLLECT}, actor="local")
    answer = await client.post("/collect", headers=header(made.secret))
    assert (answer.status_code, answer.json()) == (200, {"actor": made.key.api_key_id})


async def test_the_guard_tells_401_from_403(client, access):
    other = await access.create_key({Scope.AUDITOR, Scope.OPERATE}, actor="local")
    gone = await access.create_key({Scope.COLLECT}, actor="local")
    await access.revoke_key(gone.key.api_key_id, actor="local")
    for headers, status, code in (
        ({}, 401, "not_authenticated"),
        (bearer(""), 401, "not_authenticated"),
        (bearer("garbage"), 401, "not_authenticated"),
        ({"Authorization": "Basic %%%"}, 401, "not_authenticated"),
        ({"Authorization": "Basic " + b64encode(b"\xff\xfe:").decode()}, 401, "not_authenticated"),
        ({"Authorization": "Digest x"}, 401, "not_authenticated"),
        (bearer(secrets.new_secret("sk")), 401, "not_authenticated"),
        (bearer(gone.secret), 401, "not_authenticated"),
        (bearer(other.secret), 403, "scope_missing"),
    ):
        answer = await client.post("/collect", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (status, code), headers


async def test_a_browser_key_works_only_from_its_origin(client, access):
    made = await access.create_key({Scope.BROWSER}, actor="local", origin="https://shop.example")
    for headers, status in (
        ({"Origin": "https://shop.example"}, 200),
        ({"Referer": "https://shop.example/cart?x=1"}, 200),
        ({}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://evil.example", "Referer": "https://shop.example/"}, 403),
        ({"Origin": "https://shop.example.evil.example"}, 403),
        ({"Origin": "http://shop.example"}, 403),
    ):
        answer = await client.post("/collect", headers=bearer(made.secret) | headers)
        assert answer.status_code == status, headers


async def test_every_scope_against_every_route(client, access):
    """Deny by default: only the named scope passes, whatever the others hold."""
    app = client._transport.app
    guards = {
        route.path: {
            scope for dep in route.dependant.dependencies if isinstance(dep.call, Guard) for scope in dep.call.scopes
        }
        for included in app.router.routes
        for route in ([included] if hasattr(included, "dependant") else [])
    }
    assert guards["/collect"] == {Scope.COLLECT, Scope.BROWSER}
    for scope in Scope:
        origin = "https://shop.example" if scope is Scope.BROWSER else None
        made = await access.create_key({scope}, actor="local", origin=origin)
        headers = bearer(made.secret) | ({"Origin": origin} if origin else {})
        for path in (
            "/audit/entries/0",
            "/audit/proof/inclusion/0",
            "/audit/proof/consistency?size1=1",
            "/audit/tile/entries/000",
        ):
            answer = await client.get(path, headers=headers)
            assert (answer.status_code == 403) == (scope is not Scope.AUDITOR), (scope, path)
            assert (await client.get(path)).status_code == 401


async def test_an_outsider_follows_the_log_over_http(client, audit, act, access):
    """Checkpoint and tiles without a key; leaves and proofs with an auditor's."""
    assert (await client.get("/audit/checkpoint")).status_code == 404
    ids = await act(300)
    first = await audit.sequence()
    await act(300)
    await audit.sequence()
    (key,) = await audit.verifier_keys()
    answer = await client.get("/audit/checkpoint")
    assert answer.headers["cache-control"] == "no-cache"
    shown = checkpoint.verify_checkpoint(answer.text, [key.text], "example.org/test-log")
    held = {}
    for name in tiles.tiles_of(shown.size):
        answer = await client.get(f"/audit/{tiles.path(name)}")
        assert "immutable" in answer.headers["cache-control"]
        held[name.level, name.index] = answer.content
    assert merkle.range_hash(0, shown.size, tiles.lookup_in(held)) == shown.root
    made = await access.create_key({Scope.AUDITOR}, actor="local")
    headers = bearer(made.secret)
    index = (await audit.inclusion(ids[7])).leaf_index
    leaf = (await client.get(f"/audit/entries/{index}", headers=headers)).json()["leaf"].encode()
    answer = (await client.get(f"/audit/proof/inclusion/{index}", headers=headers)).json()
    proof = [b64decode(part) for part in answer["proof"]]
    merkle.verify_inclusion(index, shown.size, merkle.leaf_hash(leaf), proof, shown.root)
    answer = (await client.get("/audit/proof/consistency?size1=300", headers=headers)).json()
    proof = [b64decode(part) for part in answer["proof"]]
    merkle.verify_consistency(300, answer["size2"], proof, first.root, shown.root)
    bundle = (await client.get("/audit/tile/entries/000", headers=headers)).content
    assert tiles.unbundle(bundle)[index] == leaf


@pytest.mark.parametrize(
    "path", ["0/000", "0/999", "../../keys/log-0001.skey", "0/000.p/3", "x", "0/../0/000", "checkpoint"]
)
async def test_a_path_that_is_no_tile_shows_nothing(client, path, audit, act):
    await act(2)
    await audit.sequence()
    answer = await client.get(f"/audit/tile/{path}")
    assert answer.status_code == 404
