"""The pages behind the links of a message, in a real browser: desktop, phone and dark; by keyboard alone; judged by axe."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI
from playwright.async_api import Browser

from audit.receipt import verify_file
from consent import endpoints
from tests.consent.conftest import House, build
from tests.support.pages import LOOKS, chromium, judge, keep, look, served, tab_to

pytestmark = [pytest.mark.anyio, pytest.mark.browser]


@pytest.fixture(scope="module")
async def browser(anyio_backend: str) -> AsyncIterator[Browser]:
    async with chromium() as found:
        yield found


@pytest.fixture
async def house(kernel) -> House:
    return build(kernel, controller="Blue Shop")


@pytest.fixture
async def at(house: House) -> AsyncIterator[str]:
    app = FastAPI()
    app.state.house = house
    app.include_router(endpoints.router)
    async with served(app) as found:
        yield found


def preferences(house: House, email: str, **claims: object) -> str:
    return f"/preferences/{house.kernel.tokens.issue('preferences', email, timedelta(hours=1), **claims)}"


async def fresh(house: House) -> str:
    _, _, email = await house.person("ada@example.org")
    return preferences(house, email)


async def answered(house: House) -> str:
    _, _, email = await house.person("ada@example.org")
    await house.record(house.grant(email), house.grant(email, "marketing.personalize", status="denied", notice=None))
    return preferences(house, email) + "?saved=1"


async def passed_on(house: House) -> str:
    _, _, email = await house.person("ada@example.org")
    await house.record(house.grant(email))
    return preferences(house, email, history=False)


async def asked(house: House) -> str:
    person, _, email = await house.person("ada@example.org")
    await house.rights.open("access", person, actor="person")
    return preferences(house, email) + "?saved=r&by=2026-04-05"


async def signalled(house: House) -> str:
    _, _, email = await house.person("ada@example.org")
    async with house.kernel.db.transaction() as conn:
        await house.consent.apply_gpc(conn, [email], raw=b"Sec-GPC: 1", actor="browser")
    return preferences(house, email)


async def expired(house: House) -> str:
    url = await fresh(house)
    house.kernel.clock.advance(timedelta(hours=2))
    return url


async def unknown(house: House) -> str:
    return "/preferences/nonsense"


async def unsubscribe(house: House) -> str:
    _, _, email = await house.person("ada@example.org")
    return "/u/" + house.kernel.tokens.issue(
        "unsubscribe", email, timedelta(days=9), purpose="marketing.email", channel="email"
    )


async def receipt(house: House) -> str:
    url = (await answered(house)).partition("?")[0]
    _, _, email = await house.person("ada@example.org")
    async with house.kernel.db.transaction() as conn:
        await house.consent.apply_gpc(conn, [email], raw=b"Sec-GPC: 1", actor="browser")
    return f"{url}/receipt"


async def german(house: House) -> str:
    _, _, email = await house.person("ada@example.org")
    await house.record(house.grant(email), house.grant(email, "analytics", status="denied", notice=None))
    async with house.kernel.db.transaction() as conn:
        await house.consent.apply_gpc(conn, [email], raw=b"Sec-GPC: 1", actor="browser")
    return f"{preferences(house, email)}?lang=de&saved=1"


async def german_unsubscribe(house: House) -> str:
    return f"{await unsubscribe(house)}?lang=de"


PAGES = {
    receipt: (200, ["Blue Shop", "Your receipt", "Nobody can change what is written here"]),
    german: (200, ["Blue Shop", "Was wir Ihnen senden dürfen, und warum", "Gespeichert."]),
    german_unsubscribe: (200, ["Blue Shop", "Diese Nachrichten beenden?"]),
    fresh: (200, ["Blue Shop", "What we may send you, and why", "Say yes or no"]),
    answered: (200, ["Blue Shop", "What we may send you, and why", "Saved."]),
    passed_on: (200, ["Blue Shop", "What we may send you, and why"]),
    asked: (200, ["Blue Shop", "Your request is with our staff. They answer by 5 April 2026."]),
    signalled: (200, ["Blue Shop", "Opt-Out Request Honored"]),
    expired: (404, ["Blue Shop", "This link does not work any more", "newest message"]),
    unknown: (404, ["Blue Shop", "This link does not work any more", "newest message"]),
    unsubscribe: (200, ["Blue Shop", "Stop these messages?", "Nothing has changed yet"]),
}


@pytest.mark.parametrize("style", LOOKS)
@pytest.mark.parametrize("make", PAGES, ids=lambda one: one.__name__)
async def test_a_page_says_what_it_is_and_can_be_read(
    house: House, browser: Browser, at: str, make: Callable[[House], Awaitable[str]], style: str
) -> None:
    status, words = PAGES[make]
    seen = await look(browser, at + await make(house), f"consent-{make.__name__}", style)
    assert seen.status == status
    assert seen.faults == []
    for said in words:
        assert said in seen.words[:300], f"expected {said!r} early on, got {seen.words[:300]!r}"


async def test_by_keyboard_alone_choices_are_made_saved_and_read_back(house: House, browser: Browser, at: str) -> None:
    person, _, email = await house.person("ada@example.org")
    page = await browser.new_page(**LOOKS["desktop"])
    await page.goto(at + preferences(house, email))
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")  # the link past the head
    await page.wait_for_url("**#content")
    await tab_to(page, field="marketing.email|email")
    await page.keyboard.press("Space")  # yes
    await tab_to(page, field="marketing.push|push")
    await page.keyboard.press("Space")
    await page.keyboard.press("ArrowRight")  # and on to no
    assert await judge(page) == []
    await keep(page, "consent-keyboard")
    await tab_to(page, name="Save my answers")
    await page.keyboard.press("Enter")
    await page.get_by_role("status").wait_for()
    assert await house.may(person) == "consent.granted"
    assert await house.may(person, "marketing.push", "push") == "consent.denied"
    for purpose in ("marketing.web", "sharing", "analytics"):  # not answered, so nothing is held
        assert await house.may(person, purpose, None) == "consent.missing", purpose
    checked = await page.locator("input:checked").evaluate_all("all => all.map(one => one.name + '=' + one.value)")
    assert checked == ["marketing.email|email=granted", "marketing.push|push=denied"]
    assert "saved=1" in page.url  # a reload sends nothing twice

    await tab_to(page, name="Ask for a copy")
    await page.keyboard.press("Enter")
    await page.get_by_text("They answer by").wait_for()
    (opened,) = await house.rights.list_requests()
    assert f"{opened.due_on:%-d %B %Y}" in await page.get_by_role("status").inner_text()

    await tab_to(page, name="Do Not Sell or Share My Personal Information")
    await page.keyboard.press("Enter")
    await page.get_by_text("It holds from now on").wait_for()
    await page.get_by_text("Opt-Out Request Honored").wait_for()
    assert await house.may(person, "sharing", None) == "directive.gpc"
    await tab_to(page, field="better")
    await page.keyboard.type("Ada")
    await tab_to(page, name="Ask for a correction")
    await page.keyboard.press("Enter")
    await page.get_by_text("They answer by").wait_for()
    assert await judge(page) == []
    assert [one.right for one in await house.rights.list_requests()] == ["access", "opt_out", "rectification"]


async def test_by_keyboard_alone_messages_are_ended(house: House, browser: Browser, at: str) -> None:
    person, _, email = await house.person("ada@example.org")
    await house.record(house.grant(email))
    house.kernel.clock.advance(timedelta(minutes=1))
    token = house.kernel.tokens.issue(
        "unsubscribe", email, timedelta(days=9), purpose="marketing.email", channel="email"
    )
    page = await browser.new_page(**LOOKS["phone"])
    await page.goto(f"{at}/u/{token}")
    assert await house.may(person) == "consent.granted"  # looking changes nothing
    await tab_to(page, name="Unsubscribe")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Done").wait_for()
    assert await judge(page) == []
    await keep(page, "consent-unsubscribed")
    assert await house.may(person) == "withdrawn.channel"


async def test_a_date_in_the_address_that_is_none_is_not_repeated(house: House, browser: Browser, at: str) -> None:
    url = (await asked(house)).replace("2026-04-05", "%3Cb%3Esoon")
    seen = await look(browser, at + url, "consent-changed", "desktop")
    assert (
        "Your request is with our staff. These" in seen.words
        or "Your request is with our staff. Understanding" in seen.words
    )
    assert "soon" not in seen.words


async def test_by_keyboard_alone_the_receipt_is_read_and_saved_as_a_file(
    house: House, browser: Browser, at: str, tmp_path: Path
) -> None:
    page = await browser.new_page(**LOOKS["dark"])
    await page.goto(at + (await answered(house)))
    await tab_to(page, name="See and download your receipt")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Your receipt").wait_for()
    await tab_to(page, name="Download the receipt as a file")
    async with page.expect_download() as coming:
        await page.keyboard.press("Enter")
    file = await coming.value
    assert file.suggested_filename == "consent-receipt-2026-03-05.json"
    await file.save_as(tmp_path / "receipt.json")
    (key,) = [one.text for one in await house.audit.verifier_keys()]
    assert verify_file(tmp_path / "receipt.json", key).trusted
