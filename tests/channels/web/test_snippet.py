"""The page's script in a real browser: it shows, waits for consent, gives way, and counts once (channels.A28, console.C10, C11)."""

import asyncio
import gzip
import re

import pytest

from channels.web.script import MOST_BYTES, SNIPPET

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

SHIFTS = """
window.shifts = 0;
new PerformanceObserver((list) => list.getEntries().forEach((one) => { window.shifts += one.value; }))
  .observe({type: "layout-shift", buffered: true});
"""


def test_it_is_small_and_evaluates_nothing() -> None:
    assert len(gzip.compress(SNIPPET.words, 9)) <= MOST_BYTES
    code = SNIPPET.words.decode()
    assert not re.search(r"\beval\b|new Function|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\.cookie", code)


async def test_without_consent_nothing_is_stored_and_nothing_sent(web, visit) -> None:
    await visit.page.goto(web.page())
    await visit.page.evaluate("candor.track('Looked', {}); candor.page('Home'); candor.identify('u1'); candor.place()")
    await visit.page.evaluate("candor.consent({'marketing.web': false})")
    await visit.page.click("#no")
    await visit.page.wait_for_timeout(400)
    ours = [one.url for one in visit.sent if one.url.startswith(web.at)]
    assert ours == [web.at + SNIPPET.path]
    assert await visit.stored() == {}
    assert await visit.context.cookies() == []
    assert await visit.page.inner_text("#hero") == "Our season"


async def test_after_a_yes_the_page_shows_what_was_decided(web, visit) -> None:
    await visit.page.goto(web.page())
    await visit.agree()
    text = await visit.page.inner_text("#hero")
    assert "Hello, new boots" in text  # the neutral words: public content knows no name
    assert "<b>No markup</b>" in text
    assert "Advertisement" in text
    assert visit.complaints == []  # the page's policy allows no inline code and no other host
    assert await visit.context.cookies() == []
    assert set(await visit.stored()) == {"candor"}
    assert all("anonymousId=" not in one.url and web.key not in one.url for one in visit.sent)
    async with visit.context.expect_page() as opened:
        await visit.page.click("#hero a.candor-why")
    why = await opened.value
    await why.wait_for_load_state()
    assert "/why/" in why.url
    assert "Why you got this message" in await why.inner_text("body")
    async with visit.context.expect_page() as opened:  # explain.E9: every rendered message carries both links
        await visit.page.click("#hero a.candor-preferences")
    settings = await opened.value
    await settings.wait_for_url("**/preferences/**")
    assert "may have been passed on" in await settings.inner_text("body")


async def test_the_next_page_shows_it_without_asking_again_for_consent(web, visit) -> None:
    await visit.page.goto(web.page())
    await visit.agree()
    await web.until("Content Viewed")
    shown = await visit.page.evaluate("JSON.parse(localStorage.candor).id")
    await visit.page.goto(web.page())
    await visit.shows("new boots")
    assert await visit.visitor() == shown
    assert len(visit.to("/v1/visitor/consents")) == 1
    await visit.page.evaluate("candor.track('Looked', {})")
    await web.until("Looked")
    assert len(await web.until("Content Viewed")) == 1  # one decision, seen on two pages


async def test_seen_clicked_and_rated_are_events_that_name_their_decision(web, visit) -> None:
    await visit.page.goto(web.page())
    await visit.agree()
    (seen,) = await web.until("Content Viewed")
    await visit.page.click("#up")
    (rated,) = await web.until("Content Rated")
    await visit.page.click("#hero a.candor-action")
    await visit.page.wait_for_url("**/boots")
    (clicked,) = await web.until("Content Clicked")
    decisions = {one.decision_id for one in (seen, rated, clicked)}
    assert len(decisions) == 1
    record = await web.house.decisions.show(decisions.pop())
    assert record["choice"] == "boots@web"
    assert (seen.properties["placement"], seen.properties["variant"]) == ("hero", "boots")
    assert rated.properties["thumb"] == "up"


async def test_what_is_not_in_view_does_not_count_as_seen(web, visit) -> None:
    far = BODY_BELOW
    await visit.page.goto(web.page(body=far))
    await visit.agree()
    await visit.page.evaluate("candor.track('Looked', {})")
    await web.until("Looked")
    assert [one.name for one in await web.events() if one.name == "Content Viewed"] == []
    await visit.page.evaluate("document.getElementById('hero').scrollIntoView()")
    await web.until("Content Viewed")


BODY_BELOW = """
<button id="yes" data-candor-consent="marketing.web marketing.personalize">Yes</button>
<div id="far"></div><hr id="gap"><div id="hero" data-candor-placement="hero"><p>Our season</p></div>
""" + "".join("<p>…</p>" for _ in range(3))
BODY_BELOW = BODY_BELOW.replace('<hr id="gap">', "<p>…</p>" * 60)


async def test_taking_it_back_forgets_and_restores_and_tells(web, visit) -> None:
    await visit.page.goto(web.page())
    await visit.agree()
    visitor = await visit.visitor()
    await web.until("Content Viewed")
    async with visit.page.expect_response("**/v1/visitor/consents") as told:
        await visit.page.click("#no")
    assert (await told.value).status == 200
    assert await visit.page.inner_text("#hero") == "Our season"
    assert await visit.stored() == {}
    before = len([one for one in visit.sent if one.url.startswith(web.at)])
    await visit.page.evaluate("candor.track('Looked', {}); candor.place()")
    await visit.page.wait_for_timeout(300)
    assert len([one for one in visit.sent if one.url.startswith(web.at)]) == before
    async with web.house.kernel.db.reading() as conn:
        person = await web.house.identity.lookup(conn, f"anonymous_id:{visitor}")
        found = await web.house.consent.check(conn, person, "marketing.web", "web")
    assert found.permission.reason == "consent.withdrawn"


async def test_a_browser_that_objects_stores_and_sends_nothing_even_after_a_yes(web, visit) -> None:
    await visit.page.add_init_script("Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})")
    await visit.page.goto(web.page())
    await visit.page.click("#yes")
    await visit.page.evaluate("candor.track('Looked', {})")
    await visit.page.wait_for_timeout(300)
    assert [one.url for one in visit.sent if one.url.startswith(web.at)] == [web.at + SNIPPET.path]
    assert await visit.stored() == {}
    await visit.page.evaluate("candor.consent({'marketing.web': true}, {askedDespiteSignal: true})")
    await visit.shows("new boots")


async def test_the_page_s_own_words_stay_when_candor_is_down(web, visit) -> None:
    await visit.page.goto(web.page())
    await visit.agree()
    await web.stop()
    # The script itself may come from a cache or not at all; the page's words are there either way.
    await visit.page.goto(web.page())
    assert await visit.page.inner_text("#hero") == "Our season"
    await visit.page.wait_for_timeout(500)
    assert await visit.page.inner_text("#hero") == "Our season"
    await web.serve()
    await visit.page.goto(web.page())
    await visit.shows("new boots")


async def test_the_page_s_own_words_stay_when_candor_hangs(web, visit) -> None:
    await visit.page.goto(web.page())
    await visit.agree()

    async def hang(route) -> None:
        await asyncio.sleep(0.9)
        await route.continue_()

    await visit.context.route("**/v1/placements*", hang)
    await visit.page.goto(web.page(budget=200))
    await visit.page.evaluate("candor.on('placement', (said) => { window.reason = said.reason })")
    for _ in range(4):
        assert await visit.page.inner_text("#hero") == "Our season"
        await visit.page.wait_for_timeout(100)
    await visit.page.wait_for_function("() => window.reason === 'late'")
    assert await visit.page.inner_text("#hero") == "Our season"  # too late to change what is being read
    await visit.page.wait_for_timeout(200)
    shown = [one for one in await web.events() if one.name == "Content Viewed"]
    assert len(shown) <= 1  # of the first page, at most


async def test_without_scripts_the_page_is_whole(web, browser) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(web.page())
    assert await page.inner_text("#hero") == "Our season"
    assert await page.is_visible("#hero")
    await context.close()


async def test_nothing_moves_when_content_changes(web, visit) -> None:
    await visit.page.add_init_script(SHIFTS)
    await visit.page.goto(web.page())
    await visit.agree()
    await visit.page.goto(web.page())  # now on load, with no click before it to excuse a shift
    await visit.shows("new boots")
    await visit.page.wait_for_timeout(300)
    assert await visit.page.evaluate("window.shifts") == 0


async def test_what_does_not_fit_its_box_is_not_shown(web, visit) -> None:
    web.site.pages["/style.css"] = ("text/css", "")
    await visit.page.add_init_script(SHIFTS)
    url = web.page()
    web.site.pages["/style.css"] = ("text/css", "body {font: 16px sans-serif}")
    await visit.page.goto(url)
    await visit.page.evaluate("candor.on('placement', (said) => { window.reason = said.reason })")
    await visit.page.click("#yes")
    await visit.page.wait_for_function("() => window.reason === 'no_room'")
    assert await visit.page.inner_text("#hero") == "Our season"
    await visit.page.goto(url)
    await visit.page.wait_for_timeout(500)
    assert await visit.page.evaluate("window.shifts") == 0


async def test_a_queue_made_before_it_came_is_drained_and_a_second_one_ignored(web, visit) -> None:
    await visit.page.goto(web.page())
    await visit.agree()
    early = "window.candor = window.candor || []; candor.push(['track', 'Early', {n: 1}]); candor.push(['ready', () => { window.ready = true }])"
    await visit.page.add_init_script(early)
    await visit.page.goto(web.site.write("/", web.tag() + web.tag()))
    await visit.shows("new boots")
    assert await visit.page.evaluate("window.ready") is True
    await web.until("Early")
    await visit.page.evaluate("candor.track('Late', {})")
    await web.until("Late")
    assert len([one for one in await web.events() if one.name == "Early"]) == 1
    methods = ["identify", "track", "page", "group", "alias", "reset", "ready", "on"]
    assert await visit.page.evaluate("(names) => names.every((name) => typeof candor[name] === 'function')", methods)


async def test_an_altered_script_is_not_run(web, visit) -> None:
    tag = web.tag().replace("sha384-", "sha384-A")
    await visit.page.goto(web.site.write("/", tag))
    await visit.page.wait_for_timeout(300)
    assert await visit.page.evaluate("typeof candor") == "undefined"
    assert await visit.page.inner_text("#hero") == "Our season"


async def test_a_withdrawal_elsewhere_changes_the_open_page(web, visit) -> None:
    await visit.page.goto(web.page())
    await visit.agree()
    await visit.page.wait_for_function("() => document.getElementById('hero').querySelector('.candor-why')")
    for _ in range(100):
        if web.house.channels.streams.count:
            break
        await visit.page.wait_for_timeout(50)
    await web.withdraw(await visit.visitor())
    await visit.shows("Our season")
    assert await visit.page.query_selector(".candor-why") is None


async def test_two_placements_of_a_page_show_two_things(web, visit) -> None:
    body = BODY_TWO
    await visit.page.goto(web.page(body=body))
    await visit.agree()
    await visit.page.wait_for_function("() => document.getElementById('side').textContent.includes('Coats')")
    assert len(visit.to("/v1/placements")) == 1


BODY_TWO = """
<div id="hero" data-candor-placement="hero"><p>Our season</p></div>
<div id="side" data-candor-placement="side"><p>Our side</p></div>
<button id="yes" data-candor-consent="marketing.web marketing.personalize">Yes</button>
"""
