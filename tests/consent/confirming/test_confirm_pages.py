"""The page behind a confirmation mail in a real browser: three looks, axe, and a sign-up confirmed by keyboard alone."""

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI
from playwright.async_api import Browser

from consent import endpoints
from tests.consent.confirming.conftest import PostBox, person_of, sign_up
from tests.consent.conftest import House
from tests.support.pages import LOOKS, chromium, judge, keep, look, served, tab_to

pytestmark = [pytest.mark.anyio, pytest.mark.browser]


@pytest.fixture(scope="module")
async def browser(anyio_backend: str) -> AsyncIterator[Browser]:
    async with chromium() as found:
        yield found


@pytest.fixture
async def at(house: House) -> AsyncIterator[str]:
    app = FastAPI()
    app.state.house = house
    app.include_router(endpoints.router)
    async with served(app) as found:
        yield found


async def test_the_pages_can_be_read_in_every_look(
    house: House, client: httpx.AsyncClient, box: PostBox, browser: Browser, at: str
) -> None:
    await sign_up(client, notice_language="de", notice_text="Dürfen wir Ihnen Angebote per E-Mail senden?")
    _, _, email = await house.person("bea@example.org", "2")
    page = f"/preferences/{house.kernel.tokens.issue('preferences', email, timedelta(hours=1))}"
    german, english = box.link, f"{box.link.partition('?')[0]}?lang=en"
    await client.post(page, data={"marketing.email|email": "granted"})
    looks = {
        "confirm-german": (german, "Haben Sie dem zugestimmt?"),
        "confirm": (english, "Did you agree to this?"),
        "waiting": (page, "Waiting for your confirmation."),
    }
    for style, (name, (path, words)) in zip(LOOKS, looks.items(), strict=True):
        seen = await look(browser, at + path, f"consent-{name}", style)
        assert (seen.status, seen.faults) == (200, []), name
        assert words in seen.words


async def test_by_keyboard_alone_a_sign_up_is_confirmed(
    house: House, client: httpx.AsyncClient, box: PostBox, browser: Browser, at: str
) -> None:
    await sign_up(client)
    person = await person_of(house)
    page = await browser.new_page(**LOOKS["phone"])
    await page.goto(at + box.link)
    assert await house.may(person) == "consent.unconfirmed"  # looking changes nothing
    yes, no = [await page.get_by_role("button", name=name).bounding_box() for name in ("Yes, I agree", "No")]
    assert (yes["width"], yes["height"]) == (no["width"], no["height"])  # one is as easy to hit as the other
    await tab_to(page, name="Yes, I agree")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Thank you, it is confirmed").wait_for()
    assert await judge(page) == []
    await keep(page, "consent-confirmed")
    assert await house.may(person) == "consent.granted"
