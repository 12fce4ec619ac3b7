"""A person whose link was cut short, or who meets an accident, reads a page; a program gets its problem document as ever."""

from collections.abc import AsyncIterator

import httpx
import pytest
from playwright.async_api import Browser

from orchestration.service.app import create_app
from orchestration.wiring import House
from tests.orchestration.service.support import is_problem
from tests.support.pages import LOOKS, chromium, look, served

pytestmark = pytest.mark.anyio
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(scope="module")
async def browser(anyio_backend: str) -> AsyncIterator[Browser]:
    async with chromium() as found:
        yield found


@pytest.mark.parametrize("path", ["/nowhere", "/why", "/why/", "/u/", "/preferences/", "/why/a/b/c"])
async def test_a_link_that_was_cut_short_is_told_in_words(client: httpx.AsyncClient, path: str) -> None:
    page = await client.get(path, headers=BROWSER)
    assert page.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    assert "it was cut short on its way" in page.text
    assert page.headers["x-request-id"] in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    is_problem(await client.get(path), 404)
    is_problem(await client.get(path, headers={"Accept": "application/json"}), 404)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/nowhere",
        "/v1/people/per_1/graph",
        "/audit/entries/1",
        "/metrics/x",
        "/docs/api/x",
        "/content/a/variant-b.json",
    ],
)
async def test_programs_get_problems_even_from_a_browser(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path, headers=BROWSER)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_an_accident_tells_a_person_nothing_of_its_cause(
    house: House, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("ada@example.org")

    monkeypatch.setattr(type(house.kernel.tokens), "inspect", broken)
    page = await client.get("/why/x", headers=BROWSER)
    assert (page.status_code, "Not just now" in page.text) == (500, True)
    assert "ada" not in page.text
    assert page.headers["x-request-id"] in page.text
    is_problem(await client.get("/why/x"), 500, "unexpected")


@pytest.mark.browser
@pytest.mark.parametrize("style", LOOKS)
async def test_the_pages_can_be_read(house: House, browser: Browser, style: str) -> None:
    async with served(create_app(house)) as at:
        start = await look(browser, f"{at}/", "stray-start", style)
        cut = await look(browser, f"{at}/nowhere", "stray-cut", style)
        narrowest = style == "phone"  # the list of them is long, and looks like one of them
        codes = await look(browser, f"{at}/problems", "problems", style) if narrowest else start
        code = await look(browser, f"{at}/problems/ambiguous_subject", "problem", style)
    assert (start.status, cut.status, codes.status, code.status) == (200, 404, 200, 200)
    assert start.faults + cut.faults + codes.faults + code.faults == []
    for seen in (start, cut):
        assert house.consent.settings.controller in seen.words[:300]
        assert "Open the message again and follow the whole link" in seen.words[:300]


async def test_the_type_of_a_problem_leads_to_what_it_means(client: httpx.AsyncClient) -> None:
    refused = (await client.get("/v1/nowhere")).json()
    at = refused["type"].removeprefix(str(client.base_url))
    told = await client.get(at)
    assert told.json()["code"] == refused["code"]
    read = await client.get(at, headers=BROWSER)
    assert "What to do" in read.text
    assert (await client.get("/problems/no_such_code", headers=BROWSER)).status_code == 404
    is_problem(await client.get("/problems/no_such_code"), 404)
    every = (await client.get("/problems")).json()
    assert {"http_404", "invalid_request", "ambiguous_subject", "key_destroyed"} <= set(every)
    assert all(one["means"] and one["remedy"] and 400 <= one["status"] <= 599 for one in every.values())
