"""The example page and the demo shop, as a newcomer meets them: shown, seen to be accessible, under their own strict policy."""

from pathlib import Path

import pytest

from audit.access.principal import Scope
from orchestration.demo import endpoints as demo
from orchestration.service.app import create_app
from tests.support.pages import LOOKS, judge, keep, look, tab_to

pytestmark = [pytest.mark.anyio, pytest.mark.browser]
ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "web"


async def publish(web, text: str) -> None:
    """With one variant a placement, so that every visit shows the same."""
    async with web.house.kernel.db.transaction() as conn:
        await web.house.decisions.publish_catalogue(conn, text, actor="test")
    web.house.decisions.shelf.forget()


async def test_the_example_page_shows_what_was_decided(web, visit) -> None:
    await publish(web, (EXAMPLE / "catalogue.yaml").read_text())
    page = (EXAMPLE / "index.html").read_text()
    assert 'src="http://127.0.0.1:8460/candor.js"' in page
    page = page.replace("http://127.0.0.1:8460", web.at).replace('data-key="KEY"', f'data-key="{web.key}"')
    page = page.replace('data-notice="web-1"', 'data-notice="banner-1"')
    web.site.pages["/"] = ("text/html", page)
    web.site.pages["/page.css"] = ("text/css", (EXAMPLE / "page.css").read_text())
    await visit.page.goto(web.site.origin)
    await visit.page.click("button >> nth=0")
    await visit.page.wait_for_selector(".hero .candor-why")
    assert visit.complaints == []
    await visit.page.click("button >> nth=1")
    await visit.page.wait_for_selector(".hero .candor-why", state="detached")
    assert "Everything for the garden." in await visit.page.inner_text(".hero")


@pytest.mark.parametrize("style", LOOKS)
async def test_the_demo_shop_shows_and_is_accessible(web, browser, style) -> None:
    await publish(web, (ROOT / "orchestration" / "demo" / "catalogue.yaml").read_text())
    await web.stop()
    router = await demo.shop(web.house)
    await web.serve(create_app(web.house, [router]))
    context = await browser.new_context(**LOOKS[style])
    page = await context.new_page()
    complaints: list[str] = []
    page.on("console", lambda one: complaints.append(one.text) if one.type == "error" else None)
    await page.goto(web.at + demo.PAGE)
    assert await page.is_visible("#ask")
    assert await judge(page) == []
    await keep(page, f"shop-asked-{style}")
    assert "Meadow & Mill" in (await page.inner_text("body"))[:300]
    await tab_to(page, name="Yes, choose for me")  # the question is answered by keyboard alone
    await page.keyboard.press("Enter")
    await page.wait_for_selector(".hero .candor-why")
    assert not await page.is_visible("#ask")
    assert await judge(page) == []
    await keep(page, f"shop-shown-{style}")
    assert "Five loaves" in await page.inner_text("main") or "garden" in await page.inner_text("main")
    why = await page.get_attribute(".hero .candor-why", "href")
    await page.focus("body")
    await tab_to(page, name="Change my choice")
    await page.keyboard.press("Enter")
    await page.click("text=No, thank you")
    await page.wait_for_selector(".candor-why", state="detached")
    assert "This week in the shop" in await page.inner_text(".hero")
    assert complaints == []
    await context.close()
    seen = await look(browser, why, "shop-why", style)
    assert (seen.status, seen.faults) == (200, [])
    assert "Why you" in seen.words[:300]


async def test_the_demo_keys_are_the_page_s_own(web) -> None:
    await demo.shop(web.house)
    keys = [one for one in await web.house.access.keys() if one.name == "demo shop"]
    assert [(one.scopes, one.origin) for one in keys] == [(frozenset({Scope.BROWSER}), web.at)]
