"""The why page in a real browser: whatever ruled the choice, with good links and bad ones, in both languages; by keyboard alone; judged by axe."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from fastapi import FastAPI
from playwright.async_api import Browser

import consent.endpoints
from consent.requests import Rights
from explain import endpoints
from explain.facts import NOTHING, PolicyFacts, Stage, Verdict
from kernel.settings import KernelSettings
from tests.explain.conftest import Room, facts, gated, ruled_by_rules
from tests.support.pages import LOOKS, chromium, judge, keep, look, served, tab_to

pytestmark = [pytest.mark.anyio, pytest.mark.browser]


@pytest.fixture(scope="module")
async def browser(anyio_backend: str) -> AsyncIterator[Browser]:
    async with chromium() as found:
        yield found


@pytest.fixture
def kernel_settings(kernel_settings: KernelSettings) -> KernelSettings:
    """Links lead to where the pages are served."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return kernel_settings.model_copy(update={"base_url": f"http://127.0.0.1:{port}", "port": port})


@pytest.fixture
async def at(room: Room) -> AsyncIterator[str]:
    """The why page, and the preference page that it leads to."""
    room.rights = Rights(room.kernel, room.audit, room.identity, room.consent)
    app = FastAPI()
    app.state.house = room
    app.include_router(endpoints.router)
    app.include_router(consent.endpoints.router)
    async with served(app, room.kernel.settings.port) as found:
        yield found


async def page_of(room: Room, make=facts, **more: object) -> str:
    return f"/why/{room.token((await room.about(make=make, **more)).decision_id)}"


async def model(room: Room) -> str:
    room.decisions.flips = {
        "marketing.email": Verdict(choice=NOTHING, channel=None, probability=1.0),
        "marketing.personalize": Verdict(choice="plain@email", channel="email", probability=1.0),
    }
    return await page_of(room)


async def by_chance(room: Room) -> str:
    tried = PolicyFacts(
        name="epsilon_greedy", ranked_by="ranker", digest="sha256:" + "b" * 64, epsilon=0.1, explored=True
    )
    return await page_of(room, policy=tried)


async def rules(room: Room) -> str:
    return await page_of(room, ruled_by_rules)


async def no_permission(room: Room) -> str:
    return await page_of(room, gated, stage=Stage.CONSENT)


async def capped(room: Room) -> str:
    return await page_of(room, gated, stage=Stage.CAP)


async def holdout(room: Room) -> str:
    return await page_of(room, gated, stage=Stage.HOLDOUT, holdout=True)


async def nothing(room: Room) -> str:
    made = facts()
    offer, plain, idle = made.candidates
    lost = replace(offer, stage=Stage.SCORE, reason="lower_utility", probability=0.05)
    return await page_of(
        room,
        choice=NOTHING,
        channel=None,
        candidates=(lost, plain, replace(idle, stage=None, reason=None, probability=0.9)),
    )


async def fallback(room: Room) -> str:
    return await page_of(
        room, score=None, features=(), model_digest=None,
        policy=PolicyFacts(name="epsilon_greedy", ranked_by="rules", fallback="score_not_finite"),
    )  # fmt: skip


async def newcomer(room: Room) -> str:
    """Somebody of whom nothing is known yet, on a page of the web."""
    known = ("spend_180d", "views_30d", "days_since_cart", "orders_180d")
    return await page_of(room, withheld=known, channel="web", purpose="marketing.web")


async def paused(room: Room) -> str:
    return await page_of(room, gated, stage=Stage.CONSENT, reason="pause.channel")


async def expired(room: Room) -> str:
    url = f"/why/{room.token((await room.about()).decision_id, days=1)}"
    room.kernel.clock.advance(timedelta(days=2))
    return url


async def cut_short(room: Room) -> str:
    return (await page_of(room))[:-3]


async def erased(room: Room) -> str:
    made = await room.about()
    await room.kernel.vault.destroy([made.key_id])
    return f"/why/{room.token(made.decision_id)}"


PAGES = {
    model: (200, ["Blue Shop", "Why you got this message", "weighing what we know about you", "This is advertising"]),
    by_chance: (200, ["Blue Shop", "Why you got this message", "picked this by chance"]),
    rules: (200, ["Blue Shop", "Why you got this message", "We show this to everyone who may get it"]),
    no_permission: (200, ["Blue Shop", "Why you got nothing here", "you have not agreed to it"]),
    capped: (200, ["Blue Shop", "Why you got nothing here", "you had enough messages from us"]),
    holdout: (200, ["Blue Shop", "Why you got nothing here", "comparison group"]),
    fallback: (200, ["Blue Shop", "Why you got this message", "usual way of picking was not ready"]),
    newcomer: (200, ["Blue Shop", "Why you got this message", "because of the message itself"]),
    paused: (200, ["Blue Shop", "Why you got nothing here", "you asked for a break"]),
    nothing: (200, ["Blue Shop", "Why you got nothing here", "no message would be better"]),
    expired: (410, ["Blue Shop", "This link no longer works", "A newer message from us has a fresh link"]),
    cut_short: (404, ["Blue Shop", "This link no longer works", "A newer message from us has a fresh link"]),
    erased: (200, ["Blue Shop", "has been erased"]),
}


ONE_LOOK = {fallback: "phone", newcomer: "dark", paused: "phone", cut_short: "phone", capped: "dark"}
"""Pages that are made of the same parts as others: one look at each is enough."""
SEEN = [(make, style) for make in PAGES for style in LOOKS if ONE_LOOK.get(make, style) == style]


@pytest.mark.parametrize(("make", "style"), SEEN, ids=lambda one: getattr(one, "__name__", one))
async def test_a_page_says_what_it_is_and_can_be_read(
    room: Room, browser: Browser, at: str, make: Callable[[Room], Awaitable[str]], style: str
) -> None:
    status, words = PAGES[make]
    seen = await look(browser, at + await make(room), f"why-{make.__name__}", style)
    assert seen.status == status
    assert seen.faults == []
    assert ("I am not interested in this" in seen.words) is (make in {model, by_chance, rules, fallback, newcomer})
    for said in words:
        assert said in seen.words[:300], f"expected {said!r} early on, got {seen.words[:300]!r}"


@pytest.mark.parametrize("make", [model, holdout, expired, erased], ids=lambda one: one.__name__)
async def test_a_page_in_german_can_be_read_on_a_phone(
    room: Room, browser: Browser, at: str, make: Callable[[Room], Awaitable[str]]
) -> None:
    seen = await look(browser, at + await make(room), f"why-german-{make.__name__}", "phone", locale="de-DE")
    assert seen.faults == []
    assert (
        seen.title not in {"Why you got this message", "Why you got nothing here", "This link no longer works"}
        or make is not expired
    )


async def test_by_keyboard_alone_a_reason_is_read_answered_and_followed(room: Room, browser: Browser, at: str) -> None:
    url = at + await model(room)
    page = await browser.new_page(**LOOKS["desktop"])
    await page.goto(url)
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")  # the link past the head
    await page.wait_for_url("**#content")
    await tab_to(page, name="I am not interested in this")
    await tab_to(page, tag="BUTTON", name="I am not interested in this")
    await keep(page, "why-keyboard")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Noted").wait_for()
    assert await judge(page) == []
    await keep(page, "why-noted")
    assert [row["kind"] for row in await room.rows("SELECT kind FROM explain.feedback")] == ["not_interested"]
    await tab_to(page, name="Back to the reasons")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Why you got this message").wait_for()
    await tab_to(page, tag="BUTTON", name="This isn't me")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Thank you").wait_for()
    await page.go_back()
    await tab_to(page, name="See all your choices")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="What we may send you").wait_for()
    assert await page.get_by_role("heading", name="What you told us").count() == 0  # the link may have been passed on
