"""Coming in, staying and going out: login, its throttle, the session's cookie and its end, the forms' tokens, the scopes of every page."""

import re
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import httpx
import pytest

from audit.access.principal import Scope
from kernel.cache import CacheUnavailable
from orchestration.service.app import create_app
from orchestration.service.console.login import inside
from orchestration.service.console.throttle import PER_NAME, WINDOW
from orchestration.service.console.words import STAFF
from tests.orchestration.service.console.conftest import PASSWORD, TOKEN
from tests.orchestration.service.support import BASE, bearer, doors

pytestmark = pytest.mark.anyio

DOORS = [door for door in doors(create_app(SimpleNamespace())) if door.path.startswith("/console") and door.scopes]
READS = [door.path for door in DOORS if door.method == "GET"]
ACTS = [door.path for door in DOORS if door.method == "POST"]


def filled(path: str) -> str:
    return re.sub(r"\{\w+\}", "x", path)


async def test_a_stranger_is_sent_to_the_login_and_back_to_where_she_wanted(comes) -> None:
    ann = await comes(inside=False)
    sent = await ann.get("/console/decisions?channel=email")
    assert (sent.status_code, sent.headers["location"]) == (
        303,
        "/console/login?next=/console/decisions%3Fchannel%3Demail",
    )
    form = await ann.get(sent.headers["location"])
    assert 'name="next" value="/console/decisions?channel=email"' in form.text
    come = await ann.login(next="/console/decisions?channel=email")
    assert (come.status_code, come.headers["location"]) == (303, "/console/decisions?channel=email")
    assert (await ann.get("/console/decisions")).status_code == 200


async def test_a_link_of_another_site_knocks_once_and_then_has_the_cookie(comes) -> None:
    """SameSite=Strict keeps the cookie back on a visit that another site began."""
    ann = await comes()
    stranger = await comes("ben", inside=False)
    knock = await stranger.get("/console/staff", **{"Sec-Fetch-Site": "cross-site"})
    assert knock.status_code == 200
    assert 'content="0;url=/console/staff"' in knock.text
    assert (await stranger.get("/console/staff", **{"Sec-Fetch-Site": "same-origin"})).status_code == 303
    assert (await ann.get("/console/staff", **{"Sec-Fetch-Site": "cross-site"})).status_code == 200


async def test_a_program_is_told_to_bring_a_key(comes) -> None:
    ann = await comes(inside=False)
    answer = await ann.client.get("/console/decisions.json", headers={"Accept": "text/html"})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("to", [
    "https://other.example", "//other.example", "/consoles", "/console/../u/x", "/console\\other.example", "/console/login",
    "/console/logout", "/console/a\nb", "",
])  # fmt: skip
def test_the_way_back_never_leaves_the_console(to: str) -> None:
    assert inside(to) == "/console"


def test_the_way_back_keeps_its_filters() -> None:
    assert inside("/console/decisions?channel=email&next=//x") == "/console/decisions?channel=email&next=//x"


async def test_every_failed_login_gets_the_same_answer(comes, house) -> None:
    ann, gone, nobody = [await comes(name, inside=False) for name in ("ann", "gone", "nobody")]
    await house.access.remove_staff(gone.staff_id, actor="test")
    nobody.name = "somebody-else"
    said = []
    for clerk, password in ((ann, "wrong password here"), (gone, PASSWORD), (nobody, PASSWORD)):
        answer = await clerk.login(password)
        assert answer.status_code == 401
        assert not clerk.cookie()
        said.append(TOKEN.sub("", answer.text).replace(f'value="{clerk.name}"', ""))
    assert len(set(said)) == 1
    assert "do not go together" in said[0]


async def test_the_cookie_is_for_this_site_and_no_script(comes) -> None:
    ann = await comes(inside=False)
    (cookie,) = [
        one for one in (await ann.login()).headers.get_list("set-cookie") if one.startswith("candor-session=cnd_ss_")
    ]
    assert {part.strip().lower() for part in cookie.split(";")[1:]} == {"httponly", "path=/", "samesite=strict"}


async def test_over_https_the_cookie_is_bound_to_the_host(house, comes) -> None:
    ann = await comes(inside=False)
    settings = house.kernel.settings.model_copy(update={"base_url": "https://candor.example"})
    proxied = create_app(replace(house, kernel=replace(house.kernel, settings=settings)))
    ann.client = httpx.AsyncClient(transport=httpx.ASGITransport(proxied), base_url="https://candor.example")
    (cookie,) = [one for one in (await ann.login()).headers.get_list("set-cookie") if "cnd_ss_" in one]
    assert cookie.startswith("__Host-candor-session=")
    assert {"secure", "httponly", "path=/", "samesite=strict"} == {
        part.strip().lower() for part in cookie.split(";")[1:]
    }
    assert (await ann.get("/console")).status_code == 200


async def test_nobody_is_logged_in_by_a_form_of_another_site(comes) -> None:
    ann = await comes(inside=False)
    fields = {"name": "ann", "password": PASSWORD}
    assert (await ann.post("/console/login", **fields)).status_code == 403
    other = await comes("ben", inside=False)
    token = TOKEN.findall((await other.get("/console/login")).text)[0]
    assert (await ann.post("/console/login", form_token=token, **fields)).status_code == 403
    own = TOKEN.findall((await ann.get("/console/login")).text)[0]
    foreign = await ann.client.post(
        "/console/login", data={"form_token": own, **fields}, headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert foreign.status_code == 403
    assert not ann.cookie()


async def test_too_many_tries_wait_and_others_do_not(comes, house) -> None:
    ann, ben = await comes(inside=False), await comes("ben", inside=False)
    for _ in range(PER_NAME):
        assert (await ann.login("wrong password here")).status_code == 401
    slow = await ann.login()
    assert (slow.status_code, slow.headers["retry-after"]) == (429, "900")
    assert "Too many tries" in slow.text
    assert (await ben.login()).status_code == 303

    async def left(redis) -> int:
        return min([await redis.ttl(key) async for key in redis.scan_iter("*console:tries*")])

    assert 0 < await house.kernel.cache.run(left) <= WINDOW


async def test_tries_are_counted_where_the_hot_store_is_down(comes, house, monkeypatch) -> None:
    ann = await comes(inside=False)

    async def down(*_: object) -> None:
        raise CacheUnavailable("expected the hot store to answer, got nothing")

    monkeypatch.setattr(house.kernel.cache, "run", down)
    answers = [(await ann.login("wrong password here")).status_code for _ in range(PER_NAME // 2 + 1)]
    assert answers == [401] * (PER_NAME // 2) + [429]


async def test_a_login_begins_a_session_of_its_own(comes) -> None:
    ann = await comes()
    old = ann.cookie()
    await ann.login()
    assert ann.cookie() != old
    ann.client.cookies.set("candor-session", old, domain="127.0.0.1", path="/")
    assert (await ann.get("/console")).status_code == 303


async def test_logout_ends_every_cookie_of_the_session(comes, clock) -> None:
    ann = await comes()
    first = ann.cookie()
    clock.advance(timedelta(minutes=20))
    await ann.get("/console")
    assert ann.cookie() != first
    out = await ann.send("/console/logout")
    assert (out.status_code, out.headers["location"]) == (303, "/console/login")
    assert out.headers["clear-site-data"] == '"cache"'
    assert not ann.cookie()
    for token in (first, ann.cookie()):
        ann.client.cookies.set("candor-session", token, domain="127.0.0.1", path="/")
        assert (await ann.get("/console")).status_code == 303


async def test_an_idle_session_ends_and_one_in_use_goes_on_under_fresh_cookies(comes, clock) -> None:
    idle, busy = await comes("idle"), await comes("busy")
    seen = {busy.cookie()}
    for _ in range(3):
        clock.advance(timedelta(minutes=20))
        assert (await busy.get("/console")).status_code == 200
        seen.add(busy.cookie())
    assert len(seen) == 4
    assert (await idle.get("/console")).status_code == 303


async def test_the_old_cookie_works_a_minute_longer_for_requests_under_way(comes, clock) -> None:
    ann = await comes()
    old = ann.cookie()
    clock.advance(timedelta(minutes=20))
    await ann.get("/console")
    ann.client.cookies.set("candor-session", old, domain="127.0.0.1.local", path="/")
    fresh = httpx.AsyncClient(transport=ann.client._transport, base_url=BASE, cookies={"candor-session": old})
    assert (await fresh.get("/console")).status_code == 200
    clock.advance(timedelta(seconds=61))
    assert (await fresh.get("/console", headers={"Accept": "text/html"})).status_code == 303


async def test_no_session_outlives_its_hours(comes, clock, house) -> None:
    ann = await comes()
    for _ in range(int(house.audit.settings.session_hours * 3) - 1):
        clock.advance(timedelta(minutes=20))
        assert (await ann.get("/console/find")).status_code == 200
    clock.advance(timedelta(minutes=20))
    assert (await ann.get("/console/find")).status_code == 303


async def test_who_was_removed_is_out_at_once(comes, house) -> None:
    ann = await comes()
    await house.access.remove_staff(ann.staff_id, actor="test")
    assert (await ann.get("/console")).status_code == 303


async def test_every_form_needs_the_token_of_its_own_session(comes, story) -> None:
    ann, ben = await comes(), await comes("ben")
    before = (await ann.json(f"/console/requests/{story.request}.json"))["state"]
    fields = {"person": story.person, "right": "access", "reason": "other", "sure": "yes", "value": "x", "kind": "id"}
    own, other = await ann.token(), await ben.token()
    names = {"decision": story.chosen, "request_id": story.request, "person": story.person, "review_id": "rvw", "judgement": "jdg", "run": "run_x",
             "name": "x", "a": story.records[0], "b": story.doubtful}  # fmt: skip
    for path in (path.format(**names) for path in ACTS):
        for more in ({}, {"form_token": ""}, {"form_token": "0" * 64}, {"form_token": other}):
            refused = await ann.post(path, **fields, **more)
            assert refused.status_code == 403, path
            assert "form_refused" in refused.text
            assert "send the form from there" in refused.text
        foreign = await ann.client.post(
            path, data={"form_token": own, **fields}, headers={"Sec-Fetch-Site": "same-site"}
        )
        assert foreign.status_code == 403
    assert (await ann.json(f"/console/requests/{story.request}.json"))["state"] == before
    assert len((await ann.json("/console/requests.json"))["requests"]) == 1


async def test_the_token_holds_as_long_as_the_session(comes, clock) -> None:
    ann = await comes()
    token = await ann.token()
    clock.advance(timedelta(minutes=20))
    await ann.get("/console")
    assert await ann.token() == token
    assert (await ann.post("/console/theme", form_token=token, theme="dark")).status_code == 303
    await ann.login()
    assert await ann.token() != token


async def test_every_page_opens_to_its_scopes_and_tells_the_others_who_may(comes) -> None:
    clerks = {scope: await comes(f"staff-{scope}", scope) for scope in STAFF}
    wrong = []
    for path, allowed in {door.path: door.scopes for door in DOORS if door.method == "GET"}.items():
        for scope, clerk in clerks.items():
            answer = await clerk.get(filled(path))
            refused = answer.status_code == 403
            if refused == (scope in allowed):
                wrong.append((path, scope, answer.status_code))
            assert answer.status_code < 500
            if refused and not path.endswith(".json"):
                assert answer.headers["content-type"].startswith("text/html")
                assert "Ask a colleague" in answer.text
                assert ", ".join(sorted(allowed)) in answer.text
    assert wrong == []


async def test_every_act_opens_to_its_scopes_only(comes) -> None:
    clerks = {scope: await comes(f"staff-{scope}", scope) for scope in STAFF}
    for door in (door for door in DOORS if door.method == "POST" and door.path != "/console/logout"):
        for scope, clerk in clerks.items():
            answer = await clerk.send(filled(door.path), value="x")
            refused = answer.status_code == 403 and "scope_missing" in answer.text
            assert refused == (scope not in door.scopes), (door, scope, answer.status_code)


async def test_the_menu_shows_what_one_may_open(comes) -> None:
    shown = {}
    for scope in STAFF:
        page = (await (await comes(f"staff-{scope}", scope)).get("/console")).text
        shown[scope] = re.findall(r'<li><a href="/console/?(\w*)"', page)
    deep = ["runs", "models", "reasons"]
    assert shown[Scope.OFFICER] == [
        "",
        "find",
        "decisions",
        "deliveries",
        "requests",
        "review",
        "looks",
        *deep,
        "rules",
        "log",
    ]
    trials = ["experiments", "learners"]
    assert shown[Scope.AUDITOR] == ["", "find", "decisions", "deliveries", *deep, *trials, "rules", "log"]
    assert shown[Scope.OPERATE] == ["", "find", "deliveries", *deep, *trials, "staff"]
    assert shown[Scope.DECIDE] == ["", "find", "decisions", "models", "reasons"]
    assert shown[Scope.SEND] == ["", "find", "deliveries"]


async def test_a_key_reads_the_same_pages_and_needs_no_form_token(comes, house, story) -> None:
    ann = await comes(inside=False)
    made = await house.access.create_key(set(STAFF), actor="test")
    headers = bearer(made.secret)
    assert (await ann.client.get("/console/overview.json", headers=headers)).json()["decisions"] == 2
    page = await ann.client.get("/console", headers=headers)
    assert "form_token" not in page.text
    done = await ann.client.post(f"/console/decisions/{story.chosen}/replay", headers=headers)
    assert "Replayed: identical" in done.text


async def test_a_password_in_the_authorization_header_is_no_session(comes) -> None:
    """Browsers repeat Basic by themselves, so a form of another site would come with it."""
    ann = await comes(inside=False)
    answer = await ann.client.get("/console", auth=("ann", PASSWORD))
    assert answer.status_code == 401


async def test_the_look_is_kept_and_the_page_stays(comes) -> None:
    ann = await comes()
    set_ = await ann.send("/console/theme", theme="dark", next="/console/staff")
    assert set_.headers["location"] == "/console/staff"
    assert '<html lang="en" data-theme="dark">' in (await ann.get("/console/staff")).text
    assert 'data-theme="dark"' in (await ann.get("/console/people/x")).text
    await ann.send("/console/theme", theme="system")
    assert "data-theme" not in (await ann.get("/console")).text
