"""A shop's page in a real browser, and the real application behind another port: everything on loopback."""

import asyncio
import re
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import uvicorn
from playwright.async_api import Browser, BrowserContext, Page, Request
from playwright.async_api import TimeoutError as PlaywrightTimeout

from audit.access.principal import Scope
from channels.web.script import SNIPPET
from consent.visitors import Visitors, announce
from events.log import Source
from identity.identifiers import Identifier
from identity.visitor import visitor as named
from kernel.clock import SystemClock
from kernel.kernel import Kernel
from orchestration.service.app import create_app
from orchestration.settings import Settings
from orchestration.wiring import House, build
from tests.support.pages import chromium
from tests.support.sure import SURE

NOTICE = "banner-1"
PURPOSES = ("marketing.web", "marketing.personalize")
CSP = "default-src 'none'; style-src 'self'; script-src {at}; connect-src {at}; base-uri 'none'; form-action 'none'"
CATALOGUE = """
controller: Blue Shop
contents:
  - id: hero
    variants:
      - {id: boots, label: Boots, channels: [web], heading: "{{ first_name }}, new boots", body: "Warm.\\n\\nDry. <b>No markup</b>", action: {label: Look, url: "AT/boots"}, slots: {first_name: {trait: first_name, fallback: Hello}}}
  - id: side
    variants:
      - {id: coats, label: Coats, channels: [web], heading: Coats, body: "For rain."}
placements:
  - {name: hero, purpose: marketing.web, channels: [web], variants: [boots], epsilon: {web: 0.0}}
  - {name: side, purpose: marketing.web, channels: [web], variants: [boots, coats], epsilon: {web: 0.0}}
"""
BODY = """
<h1>Blue Shop</h1>
<div id="hero" data-candor-placement="hero"><p>Our season</p></div>
<p id="below">Below</p>
<button id="yes" data-candor-consent="marketing.web marketing.personalize">Yes</button>
<button id="no" data-candor-consent="none">No</button>
<button id="up" data-candor-rate="up" data-candor-for="hero">Good</button>
"""
# Boxes with padding, measured in both ways.
STYLE = "[data-candor-placement] {min-height: 260px; padding: 10px; border: 1px solid} #side {box-sizing: border-box} body {font: 16px/1.4 sans-serif}"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Site:
    """The shop's own web server: pages by path, each with the strict policy that forbids inline code."""

    def __init__(self, candor: str) -> None:
        pages = self.pages = {}
        self.policy = CSP.format(at=candor)
        site = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                kind, words = pages.get(
                    self.path.split("?")[0], ("text/html", "<!doctype html><title>Shop</title><p>A page")
                )
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Security-Policy", site.policy)
                self.end_headers()
                self.wfile.write(words.encode())

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self._server.daemon_threads = True
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def write(self, path: str, tag: str, body: str = BODY) -> str:
        self.pages["/style.css"] = ("text/css", STYLE)
        head = f'<!doctype html><html lang="en"><title>Shop</title><link rel="stylesheet" href="/style.css">{tag}'
        self.pages[path] = ("text/html", f"{head}<body>{body}</body></html>")
        return self.origin + path

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Web:
    """Everything a test of the page needs."""

    house: House
    site: Site
    port: int
    key: str = ""
    server: uvicorn.Server | None = None
    running: asyncio.Task | None = None

    @property
    def at(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def tag(self, **more: object) -> str:
        """The element as it is printed for people, with more attributes."""
        made = SNIPPET.tag(self.at, self.key, notice=NOTICE)
        extra = "".join(f' data-{name}="{value}"' for name, value in {"budget": 30_000, **more}.items())
        return made.replace("></script>", f"{extra}></script>")

    def page(self, body: str = BODY, **more: object) -> str:
        return self.site.write("/", self.tag(**more), body)

    async def serve(self, app=None) -> None:
        config = uvicorn.Config(
            app or create_app(self.house), host="127.0.0.1", port=self.port, log_config=None, lifespan="off"
        )
        self.server = uvicorn.Server(config)
        self.running = asyncio.create_task(self.server._serve())
        while not self.server.started:
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        if self.server is not None:
            self.house.channels.streams.drain()
            self.server.should_exit = True
            await self.running
            self.server = None
            self.house.channels.streams._draining = False

    async def agree(self, visitor: str) -> None:
        """As the page's own question would record it."""
        desk = Visitors(self.house.consent, self.house.identity, self.house.kernel.clock)
        async with self.house.kernel.db.transaction() as conn:
            await desk.say(conn, named(visitor), dict.fromkeys(PURPOSES, True), notice=NOTICE, gpc=False, actor="test")

    async def identifier(self, visitor: str) -> str:
        async with self.house.kernel.db.transaction() as conn:
            return (await self.house.identity.register_identifiers(conn, [Identifier("anonymous_id", visitor)]))[0]

    async def withdraw(self, visitor: str, purpose: str = "marketing.web") -> None:
        """As staff or a preference page would."""
        subject = await self.identifier(visitor)
        async with self.house.kernel.db.transaction() as conn:
            await self.house.consent.withdraw(conn, subject, purpose, None, mechanism="preference_page", actor="person")

    async def events(self) -> list:
        async with self.house.kernel.db.reading() as conn:
            people = await self.house.identity.people(conn)
            return [one for found in (await self.house.events.of_people(conn, people)).values() for one in found]

    async def until(self, name: str, count: int = 1) -> list:
        """Events of this name, once there are so many."""
        for _ in range(200):
            found = [one for one in await self.events() if one.name == name]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.05)
        raise AssertionError(f"expected {count} events {name}, got {[one.name for one in await self.events()]}")


@pytest.fixture
def clock() -> SystemClock:
    return SystemClock()


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def kernel_settings(kernel_settings, port: int):
    return kernel_settings.model_copy(update={"base_url": f"http://127.0.0.1:{port}", "port": port})


@pytest.fixture
def site(port: int) -> Iterator[Site]:
    found = Site(f"http://127.0.0.1:{port}")
    yield found
    found.close()


@pytest.fixture
async def web(kernel: Kernel, site: Site, port: int) -> AsyncIterator[Web]:
    house = build(Settings(kernel=kernel.settings, decision=SURE), kernel)
    async with kernel.db.transaction() as conn:
        await house.decisions.publish_catalogue(conn, CATALOGUE.replace("AT", site.origin), actor="test")
        await house.events.register_source(
            conn, Source("site", "marketing.web", "consent", also_for=("marketing.personalize",))
        )
        await announce(
            conn, house.consent, house.audit, "May we show you offers here, chosen for you?", version=NOTICE,
            language="en", lists=PURPOSES, actor="test",
        )  # fmt: skip
    made = await house.access.create_key({Scope.BROWSER}, actor="test", source="site", origin=site.origin)
    found = Web(house, site, port, made.secret)
    await found.serve()
    yield found
    await found.stop()
    await house.events.close()
    await house.decisions.close()


@pytest.fixture(scope="module")
async def browser(anyio_backend: str) -> AsyncIterator[Browser]:
    async with chromium() as made:
        yield made


@dataclass
class Visit:
    """One visitor's browser, with everything that left it."""

    context: BrowserContext
    page: Page
    sent: list[Request] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)

    async def stored(self) -> dict[str, str]:
        return await self.page.evaluate("({...localStorage, ...sessionStorage})")

    async def visitor(self) -> str:
        return await self.page.evaluate("candor.user().anonymousId()")

    def to(self, path: str) -> list[Request]:
        return [one for one in self.sent if re.search(path, one.url) and one.method != "OPTIONS"]

    async def shows(self, words: str, timeout: float = 30_000) -> None:
        try:
            await self.page.wait_for_function(
                "words => document.getElementById('hero').textContent.includes(words)", arg=words, timeout=timeout
            )
        except PlaywrightTimeout:
            there = await self.page.inner_text("#hero")
            asked = [f"{one.method} {one.url.partition('?')[0]}" for one in self.sent]
            pytest.fail(
                f"expected {words!r}, got {there!r}; answered {self.answered}, asked {asked}, complaints {self.complaints}"
            )

    async def agree(self) -> None:
        await self.page.click("#yes")
        await self.shows("new boots")


@pytest.fixture
async def visit(browser: Browser) -> AsyncIterator[Visit]:
    context = await browser.new_context()
    made = Visit(context, await context.new_page())
    context.on("request", lambda one: made.sent.append(one))  # noqa: PLW0108 - Playwright marks the function
    context.on("response", lambda one: made.answered.append(f"{one.status} {one.url.partition('?')[0]}"))
    made.page.on("console", lambda one: made.complaints.append(one.text) if one.type == "error" else None)
    made.page.on("pageerror", lambda one: made.complaints.append(str(one)))
    yield made
    await context.close()
