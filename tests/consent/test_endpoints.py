"""The token pages over HTTP."""

import json
import re
from datetime import timedelta
from html.parser import HTMLParser

import httpx
import pytest

from consent import endpoints
from kernel.errors import Unavailable
from tests.consent.conftest import House
from tests.support.shared import shared_path

pytestmark = pytest.mark.anyio
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ONE_CLICK = b"List-Unsubscribe=One-Click"


async def subscribed(house: House) -> tuple[str, str, str]:
    """A person who agreed to email; her person id, the identifier, and a one-click token."""
    person, _, email = await house.person("ada@example.org")
    await house.record(house.grant(email))
    house.kernel.clock.advance(timedelta(minutes=1))
    token = house.kernel.tokens.issue(
        "unsubscribe", email, timedelta(days=90), purpose="marketing.email", channel="email", delivery="dlv_x"
    )
    return person, email, token


async def acts(house: House, person) -> int:
    async with house.kernel.db.reading() as conn:
        return len(await house.consent.history(conn, person))


async def test_one_click_as_the_shared_cases_ask(house: House, client: httpx.AsyncClient) -> None:
    """Every endpoint case of unsubscribe.json, in its words."""
    found = json.loads(shared_path("cases/unsubscribe.json").read_text())["endpoint_cases"]
    assert len(found) == 5
    person, _, token = await subscribed(house)
    url = f"/u/{token}"

    get = await client.get(url)  # GET must not unsubscribe: a confirm page
    assert get.status_code == 200
    assert 'value="One-Click"' in get.text
    assert await house.may(person) == "consent.granted"

    for body in (
        b"",
        b"List-Unsubscribe=Two-Click",
        b"list-unsubscribe=one-click",
        b"x=1",
    ):  # without the body: no change
        assert (await client.post(url, content=body, headers=FORM)).status_code == 400
    assert (await client.post(url, content=ONE_CLICK, headers={"Content-Type": "text/plain"})).status_code == 400
    assert await house.may(person) == "consent.granted"

    raw = found[0]["request"].split("\r\n\r\n")[1].encode()
    done = await client.post(url, content=raw, headers=FORM)  # now, 2xx, no redirect, no login, no cookie
    assert done.status_code == 200
    assert "set-cookie" not in done.headers
    assert await house.may(person) == "withdrawn.channel"
    assert await acts(house, person) == 2

    again = await client.post(url, content=raw, headers=FORM)  # idempotent
    assert (again.status_code, again.text) == (200, done.text)
    assert await acts(house, person) == 2

    for bad in ("nonsense", token[:-2] + ("AA" if token[-2:] != "AA" else "BB"), "x" * 4000):  # no oracle
        other = await client.post(f"/u/{bad}", content=raw, headers=FORM)
        assert (other.status_code, other.text) == (200, done.text)
        assert {k: v for k, v in other.headers.items() if k != "date"} == {
            k: v for k, v in done.headers.items() if k != "date"
        }


async def test_one_click_takes_a_multipart_body_too(house: House, client: httpx.AsyncClient) -> None:
    person, _, token = await subscribed(house)
    boundary = "b1"
    body = f'--{boundary}\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--{boundary}--\r\n'
    done = await client.post(
        f"/u/{token}", content=body, headers={"Content-Type": f"multipart/form-data; boundary={boundary}"}
    )
    assert done.status_code == 200
    assert await house.may(person) == "withdrawn.channel"


async def test_a_broken_multipart_body_changes_nothing(house: House, client: httpx.AsyncClient) -> None:
    person, _, token = await subscribed(house)
    done = await client.post(f"/u/{token}", content=b"--x", headers={"Content-Type": "multipart/form-data"})
    assert done.status_code == 400
    assert await house.may(person) == "consent.granted"


async def test_tokens_of_another_scope_or_time_do_nothing(house: House, client: httpx.AsyncClient) -> None:
    person, email, token = await subscribed(house)
    other = house.kernel.tokens.issue(
        "preferences", email, timedelta(days=1), purpose="marketing.email", channel="email"
    )
    house_page = await client.post(f"/u/{other}", content=ONE_CLICK, headers=FORM)
    assert house_page.status_code == 200
    house.kernel.clock.advance(timedelta(days=91))
    assert (await client.post(f"/u/{token}", content=ONE_CLICK, headers=FORM)).text == house_page.text
    assert await house.may(person) == "consent.granted"


async def test_when_we_fail_the_mail_client_is_told_to_try_again(
    house: House, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, _, token = await subscribed(house)

    async def down(*_: object, **__: object) -> None:
        raise Unavailable("expected Postgres to answer, got nothing")

    with monkeypatch.context() as broken:
        broken.setattr(house.consent, "withdraw", down)
        answer = await client.post(f"/u/{token}", content=ONE_CLICK, headers=FORM)
    assert answer.status_code == 503
    assert "retry-after" in answer.headers
    assert (await client.post(f"/u/{token}", content=ONE_CLICK, headers=FORM)).status_code == 200
    assert await house.may(person) == "withdrawn.channel"


# the preference page


class Form(HTMLParser):
    """Controls of the page: radios by name, and the buttons."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.radios: dict[str, dict[str, bool]] = {}
        self.buttons: list[tuple[str | None, str | None]] = []
        self.scripts = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "input" and given.get("type") == "radio":
            self.radios.setdefault(given["name"] or "", {})[given["value"] or ""] = "checked" in given
        elif tag == "button":
            self.buttons.append((given.get("name"), given.get("value")))
        self.scripts += tag == "script" or any(name.startswith("on") for name in given)


async def page_of(house: House, email) -> str:
    return f"/preferences/{house.kernel.tokens.issue('preferences', email, timedelta(days=30))}"


async def test_yes_and_no_cost_the_same_and_nothing_is_preselected(house: House, client: httpx.AsyncClient) -> None:
    _, _, email = await house.person("ada@example.org")
    shown = await client.get(await page_of(house, email))
    assert shown.status_code == 200
    form = Form(shown.text)
    assert form.scripts == 0
    assert "set-cookie" not in shown.headers
    assert "script-src" not in shown.headers["content-security-policy"]
    assert "default-src 'none'" in shown.headers["content-security-policy"]
    assert form.radios
    assert "marketing.email|email" in form.radios
    assert not any(name.startswith("service") for name in form.radios)  # not asked: it rests on contract
    for name, options in form.radios.items():
        assert options == {"granted": False, "denied": False}, name
    assert [v for n, v in form.buttons if n == "all"] == ["granted", "denied"]


async def test_see_grant_and_withdraw(house: House, client: httpx.AsyncClient) -> None:
    person, _, email = await house.person("ada@example.org")
    url = await page_of(house, email)
    assert await house.may(person) == "consent.missing"
    saved = await client.post(url, data={"marketing.email|email": "granted"})
    assert saved.status_code == 303
    assert saved.headers["location"].endswith("?saved=1")
    assert await house.may(person) == "consent.granted"
    shown = (await client.get(saved.headers["location"])).text
    assert Form(shown).radios["marketing.email|email"] == {"granted": True, "denied": False}
    assert "Saved." in shown
    assert "Offers and news sent to your email address." in shown
    assert (
        "You may say no, and you may change your answer on this page at any time." in shown
    )  # the words of the notice
    house.kernel.clock.advance(timedelta(minutes=1))
    await client.post(url, data={"marketing.email|email": "denied"})
    assert await house.may(person) == "consent.withdrawn"
    assert await acts(house, person) == 2


async def test_a_partial_save_touches_only_what_was_answered(house: House, client: httpx.AsyncClient) -> None:
    person, _, email = await house.person("ada@example.org")
    url = await page_of(house, email)
    await client.post(url, data={"marketing.email|email": "granted", "marketing.push|push": "granted"})
    async with house.kernel.db.reading() as conn:
        before = {x.act.purpose: x.act for x in await house.consent.history(conn, person)}
    house.kernel.clock.advance(timedelta(days=1))
    await client.post(
        url, data={"marketing.email|email": "denied", "marketing.fax|fax": "granted", "service|email": "granted"}
    )
    async with house.kernel.db.reading() as conn:
        history = await house.consent.history(conn, person)
    assert len(history) == 3
    assert [x.act for x in history if x.act.purpose == "marketing.push"] == [before["marketing.push"]]
    assert await house.may(person, "marketing.push", "push") == "consent.granted"


async def test_the_same_answers_again_record_nothing(house: House, client: httpx.AsyncClient) -> None:
    person, _, email = await house.person("ada@example.org")
    url = await page_of(house, email)
    for _ in range(3):
        await client.post(url, data={"marketing.email|email": "granted", "analytics|": "denied"})
        house.kernel.clock.advance(timedelta(minutes=1))
    assert await acts(house, person) == 2


async def test_no_to_all_then_yes_to_all(house: House, client: httpx.AsyncClient) -> None:
    person, _, email = await house.person("ada@example.org")
    url = await page_of(house, email)
    await client.post(url, data={"all": "denied"})
    assert await house.may(person, "analytics", None) == "consent.denied"
    house.kernel.clock.advance(timedelta(minutes=1))
    await client.post(url, data={"all": "granted"})
    for purpose in (
        "analytics",
        "marketing.email",
        "marketing.push",
        "marketing.web",
        "marketing.personalize",
        "sharing",
    ):
        assert await house.may(person, purpose, None) == "consent.granted"


async def test_she_may_take_back_an_unsubscribe_and_an_imported_no_of_the_same_source_row(
    house: House, client: httpx.AsyncClient
) -> None:
    person, record, email = await house.person("ada@example.org")
    async with house.kernel.db.transaction() as conn:
        await house.consent.withdraw(conn, email, "marketing.email", "email", mechanism="one_click", actor="person")
    await house.record(house.grant(record, "marketing", status="denied", notice=None, mechanism="import"))
    house.kernel.clock.advance(timedelta(minutes=1))
    url = await page_of(house, email)
    form = Form((await client.get(url)).text)
    assert form.radios["marketing|"] == {"granted": False, "denied": True}
    await client.post(url, data={"marketing.email|email": "granted"})
    assert await house.may(person) == "consent.denied"  # the wider no still stands
    await client.post(url, data={"marketing|": "granted"})
    assert await house.may(person) == "consent.granted"


async def test_she_does_not_speak_for_another_contact_of_the_same_person(
    house: House, client: httpx.AsyncClient
) -> None:
    person, _, first = await house.person("ada@example.org", "1", login_id="u1")
    same, _, second = await house.person("ada@work.example", "2", login_id="u1")
    assert same == person
    await house.record(house.grant(second, status="denied", notice=None))
    house.kernel.clock.advance(timedelta(minutes=1))
    url = await page_of(house, first)
    await client.post(url, data={"marketing.email|email": "granted"})
    assert await house.may(person) == "consent.denied"
    assert "from one under another contact" in (await client.get(url)).text


async def test_a_privacy_signal_is_applied_shown_and_not_cleared_by_a_save(
    house: House, client: httpx.AsyncClient
) -> None:
    person, _, email = await house.person("ada@example.org")
    url = await page_of(house, email)
    assert "Opt-Out Request Honored" not in (await client.get(url)).text
    first = await client.get(url, headers={"Sec-GPC": "1"})
    assert "Opt-Out Request Honored" in first.text  # applied before anything was read for this very page
    assert "sharing|" not in Form(first.text).radios
    house.kernel.clock.advance(timedelta(minutes=1))
    await client.post(url, data={"all": "granted", "sharing|": "granted"})
    assert await house.may(person, "sharing", None) == "directive.gpc"
    assert "Opt-Out Request Honored" in (await client.get(url)).text


@pytest.mark.parametrize(("headers", "status"), [
    ({"Origin": "https://evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Sec-Fetch-Site": "cross-site"}, 403),
    ({"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:8460"}, 403),
    ({"Origin": "http://127.0.0.1:8460"}, 303),
    ({"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:8460"}, 303),
    ({}, 303),
])  # fmt: skip
async def test_a_form_of_another_site_is_refused(house: House, client: httpx.AsyncClient, headers, status: int) -> None:
    person, _, email = await house.person("ada@example.org")
    done = await client.post(await page_of(house, email), data={"marketing.email|email": "granted"}, headers=headers)
    assert done.status_code == status
    assert await house.may(person) == ("consent.granted" if status == 303 else "consent.missing")


async def test_a_bad_preference_link_says_what_to_do(client: httpx.AsyncClient) -> None:
    for answer in (
        await client.get("/preferences/nonsense"),
        await client.post("/preferences/nonsense", data={"a": "b"}),
    ):
        assert answer.status_code == 404
        assert "newest message" in answer.text


async def test_a_person_may_ask_for_her_data_without_log_in(house: House, client: httpx.AsyncClient) -> None:
    person, _, email = await house.person("ada@example.org")
    url = await page_of(house, email)
    for _ in range(2):
        assert (await client.post(url, data={"request": "erasure"})).status_code == 303
    (opened,) = await house.rights.list_requests(person=person)
    assert opened.right == "erasure"
    assert opened.opened_by == "person"
    assert opened.seeds == (email,)  # answered from what is surely of this contact


async def test_support_resource_and_stylesheet(client: httpx.AsyncClient) -> None:
    said = await client.get("/.well-known/gpc.json")
    assert said.headers["content-type"] == "application/json"
    assert said.json() == {"gpc": True, "lastUpdate": "2026-11-21"}
    css = await client.get("/static/candor.css")
    assert css.headers["content-type"].startswith("text/css")
    assert "prefers-color-scheme: dark" in css.text


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    lin = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * lin[0] + 0.7152 * lin[1] + 0.0722 * lin[2]


def test_colours_have_enough_contrast() -> None:
    text = endpoints.STYLESHEET.decode()
    light, dark = (
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", part))
        for part in (text.split("@media")[0], text.split("@media")[1])
    )
    for theme in (light, {**light, **dark}):
        pairs = [
            ("ink", "ground"),
            ("ink", "surface"),
            ("quiet", "ground"),
            ("quiet", "surface"),
            ("accent", "surface"),
            ("accent", "ground"),
            ("accent-ink", "accent"),
            ("note-ink", "note"),
            ("ink", "accent-soft"),
        ]
        for ink, ground in pairs:
            a, b = sorted((luminance(theme[ink]), luminance(theme[ground])), reverse=True)
            assert (a + 0.05) / (b + 0.05) >= 4.5, (ink, ground)
        for line in ("control", "focus"):
            a, b = sorted((luminance(theme[line]), luminance(theme["surface"])), reverse=True)
            assert (a + 0.05) / (b + 0.05) >= 3, line


async def test_a_link_from_the_why_page_shows_choices_but_no_history(house: House, client: httpx.AsyncClient) -> None:
    _, email, _ = await subscribed(house)
    own = house.kernel.tokens.issue("preferences", email, timedelta(days=1))
    passed_on = house.kernel.tokens.issue("preferences", email, timedelta(days=1), history=False)
    assert "What you told us" in (await client.get(f"/preferences/{own}")).text
    narrow = (await client.get(f"/preferences/{passed_on}")).text
    assert "What you told us" not in narrow
    assert "marketing" in narrow
