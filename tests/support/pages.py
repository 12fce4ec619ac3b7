"""Pages as people meet them: a real application on loopback, a real Chromium, three looks, axe, and a picture for whoever wants to see.

`SCREENSHOTS=FOLDER pytest …` keeps a picture of every page that a test looks at.
"""

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from axe_playwright_python.async_playwright import Axe
from fastapi import FastAPI
from playwright.async_api import Browser, Page, async_playwright

from tests.support import needs

LOOKS = {
    "desktop": {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"},
    "phone": {"viewport": {"width": 390, "height": 844}, "reduced_motion": "reduce", "has_touch": True},
    "dark": {"viewport": {"width": 834, "height": 1100}, "reduced_motion": "reduce", "color_scheme": "dark"},
}  # without smooth scrolling, where the focus is can be measured at once
RULES = {
    "rules": {"target-size": {"enabled": True}},  # WCAG 2.2, which axe leaves out unless asked
    "resultTypes": ["violations"],  # of what is well it need not tell every place
}


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The machine's own Chromium; skips the test where there is none."""
    program = needs.chromium()
    async with async_playwright() as playwright:
        options = ["--no-sandbox", "--disable-background-networking"]
        browser = await playwright.chromium.launch(executable_path=program, args=options)
        yield browser
        await browser.close()


@asynccontextmanager
async def served(app: FastAPI, port: int = 0) -> AsyncIterator[str]:
    """The address of the application, served in this loop."""
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    with socket.create_server(("127.0.0.1", port)) as listening:
        running = asyncio.create_task(server._serve([listening]))
        while not server.started:
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        await running


@dataclass
class Seen:
    """One page under one look."""

    status: int
    title: str
    words: str
    faults: list[str]


async def look(browser: Browser, url: str, name: str, style: str, **more: object) -> Seen:
    """Open a page and judge it: axe, nothing wider than the screen, nothing cut off, nothing of another host, no word on the console."""
    context = await browser.new_context(**{**LOOKS[style], **more})
    page = await context.new_page()
    told: list[str] = []
    page.on("console", lambda message: told.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: told.append(f"script: {error}"))
    page.on(
        "request", lambda request: told.append(f"asked {request.url}") if not request.url.startswith(url[:20]) else None
    )
    answer = await page.goto(url)
    faults = await judge(page)
    await keep(page, f"{name}-{style}")
    words = " ".join((await page.locator("body").inner_text()).split())
    seen = Seen(
        answer.status, await page.title(), words, faults + [one for one in told if "Failed to load resource" not in one]
    )
    await context.close()
    return seen


async def judge(page: Page) -> list[str]:
    """What is wrong with how a page stands there."""
    found = (await Axe().run(page, options=RULES)).response["violations"]
    faults = [f"axe {one['id']}: {one['nodes'][0]['html'][:200]}" for one in found]
    wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if wide > 0:
        faults.append(f"{wide} pixels wider than the screen")
    return faults + await page.evaluate(CUT)


# An element whose own words are wider than it, in a box that hides what is over.
CUT = """() => [...document.querySelectorAll('body *')]
  .filter(one => one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 1 && getComputedStyle(one).overflowX === 'hidden' && one.innerText)
  .map(one => 'cut off: ' + one.innerText.slice(0, 80))"""


INSIDE = """() => {
  const box = document.activeElement.getBoundingClientRect();
  return box.top >= -1 && box.bottom <= innerHeight + 1;
}"""


async def keep(page: Page, name: str) -> None:
    """A picture, if somebody asked for it."""
    if folder := os.environ.get("SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        await page.screenshot(path=Path(folder) / f"{re.sub(r'[^a-z0-9-]+', '-', name.lower())}.png", full_page=True)


async def focused(page: Page) -> dict[str, str]:
    """What holds the keyboard's focus, and whether it can be seen that it does."""
    return await page.evaluate(
        """() => {
          const one = document.activeElement;
          const shown = [one, one.nextElementSibling, one.parentElement].filter(Boolean)
            .some(near => getComputedStyle(near).outlineStyle !== 'none' && parseFloat(getComputedStyle(near).outlineWidth) >= 2);
          return {tag: one.tagName, name: (one.innerText || one.value || one.name || '').trim(), field: one.name || '', value: one.value || '',
            visible: shown ? 'yes' : 'no'};
        }"""
    )


async def tab_to(page: Page, **wanted: str) -> dict[str, str]:
    """Press Tab until what is wanted has the focus; every stop on the way must be visible."""
    for _ in range(60):
        await page.keyboard.press("Tab")
        at = await focused(page)
        assert at["tag"] != "BODY", f"expected a stop with {wanted}, got the end of the page"
        assert at["visible"] == "yes", f"expected the focus to be seen, got {at}"
        if all(at[key] == value for key, value in wanted.items()):
            await page.wait_for_function(INSIDE)  # the browser scrolls in its own time
            return at
    raise AssertionError(f"expected a stop with {wanted} within 60 steps")
