"""A reader with a message in hand: she presses, and the next decision differs; a link that was passed on, and one that leads to somebody else's facts."""

import re
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI
from playwright.async_api import Browser

import consent.endpoints
from consent.requests import Rights
from explain import endpoints
from explain.concepts import OTHER, Concept, kind_of
from explain.explanation import Explanation
from explain.facts import FeatureValue, Provenance
from explain.levers import Lever
from explain.service import Explain
from identity.identifiers import Identifier
from identity.records import NewRecord
from identity.regrouping import By
from kernel.settings import KernelSettings
from orchestration.decision.feedback import acting, correcting
from profiles.kinds import kinds_of
from tests.support.pages import LOOKS, chromium, judge, keep, served, tab_to

pytestmark = [pytest.mark.anyio]


@pytest.fixture(scope="module")
async def browser(anyio_backend: str) -> AsyncIterator[Browser]:
    async with chromium() as found:
        yield found


@pytest.fixture
def kernel_settings(kernel_settings: KernelSettings) -> KernelSettings:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return kernel_settings.model_copy(update={"base_url": f"http://127.0.0.1:{port}", "port": port})


@pytest.fixture
def explain(shop) -> Explain:
    made = Explain(shop.kernel, shop.audit, identity=shop.identity)
    made.register(shop.decisions, shop.learning, shop.decisions)
    made.on_feedback.append(acting(shop.identity, shop.consent, shop.clock))
    shop.rights = Rights(shop.kernel, shop.audit, shop.identity, shop.consent)
    made.hearing.on_correction = correcting(shop.identity, shop.rights, shop.kernel.db)
    shop.profiles.declined = made.not_interested
    shop.profiles.features.kinds = kinds_of(shop.profiles.features.names, kind_of)
    return made


@pytest.fixture
def app(shop, explain) -> FastAPI:
    made = FastAPI()
    made.state.house = SimpleNamespace(
        kernel=shop.kernel, audit=shop.audit, consent=shop.consent, identity=shop.identity, rights=shop.rights, explain=explain
    )  # fmt: skip
    made.include_router(endpoints.router)
    made.include_router(consent.endpoints.router)
    return made


def link(shop, made) -> str:
    return f"/why/{shop.kernel.tokens.issue('why', made.decision_id, timedelta(days=30))}"


async def as_if_known(explain, monkeypatch, made, record=None) -> None:
    """From here on the explanation names what is known of her, as a model's would: her age, from this record."""
    content = (await explain.explain(made.decision_id)).content
    where = Provenance(
        trait="age", source="shop", observed_at=content.facts.at, purpose="marketing.personalize", record_id=record
    )  # fmt: skip
    known = Concept(
        key=OTHER, about="person", control="preferences", contribution=0.1, features=("age",), present=True, provenance=(where,)
    )  # fmt: skip
    row = (FeatureValue(name="age", value=40.0, provenance=(where,)),)
    lever = Lever(kind="without", subject=OTHER, choice="nothing", channel=None)
    content = replace(content, facts=replace(content.facts, features=row), concepts=(known,), levers=(lever,))
    told = Explanation(decision_id=made.decision_id, digest="", content=content)

    async def kept(_: str) -> Explanation:
        return told

    monkeypatch.setattr(explain, "explain", kept)


@pytest.mark.browser
async def test_by_keyboard_alone_what_she_presses_changes_the_next_decision(
    shop, explain, app, browser, monkeypatch
) -> None:
    ada = await shop.person("ada", age=40)
    first = await shop.decide(ada)
    async with served(app, shop.kernel.settings.port) as at:
        page = await browser.new_page(**LOOKS["desktop"])
        await page.goto(at + link(shop, first))
        await tab_to(page, tag="BUTTON", name="I am not interested in this")
        await page.keyboard.press("Enter")
        await page.get_by_role("heading", name="Noted").wait_for()
        assert (await shop.decide(ada)).variant != first.variant

        grown = await shop.decide(ada, "adults")
        if grown.variant is None:  # its only content is what she just turned away
            bea = await shop.person("bea", age=40)
            grown = await shop.decide(bea, "adults")
            ada = bea
        await as_if_known(explain, monkeypatch, grown)
        await page.goto(at + link(shop, grown))
        await tab_to(page, tag="BUTTON", name="Stop using this")
        await page.keyboard.press("Enter")
        await page.get_by_role("heading", name="We have stopped").wait_for()
        assert await judge(page) == []
        await keep(page, "journey-stopped")
        shop.clock.advance(timedelta(minutes=1))
        assert (await shop.decide(ada, "adults")).variant is None

        await page.goto(at + link(shop, grown))
        await tab_to(page, tag="BUTTON", name="Stop these messages")
        await page.keyboard.press("Enter")
        await page.get_by_role("heading", name="Do you want to stop this?").wait_for()
        assert await judge(page) == []
        await keep(page, "journey-asked")
        assert (
            await shop.rows("SELECT 1 FROM consent.acts WHERE mechanism = 'why_page' AND purpose = 'marketing.email'")
            == []
        )
        await tab_to(page, tag="BUTTON", name="Yes, stop it")
        await page.keyboard.press("Enter")
        await page.get_by_role("heading", name="It has ended").wait_for()
        assert (await shop.decide(ada)).withheld.startswith("consent")
        await page.close()


async def test_whoever_holds_a_link_that_was_passed_on_turns_things_off_and_nothing_on(shop, explain, app) -> None:
    ada = await shop.person("ada")
    made = await shop.decide(ada)
    preferences = explain.person_view(await explain.explain(made.decision_id)).preferences_url
    await shop.withdraw("ada", "use:purchases")
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url=shop.kernel.settings.base_url
    ) as client:
        shown = (await client.get(preferences)).text
        assert "may have been passed on" in shown
        assert "Yes to all" not in shown
        # What is on can be turned off; when and how she said what is hers alone, and so is what she told us to leave out.
        told = shown.split("<main", 1)[1]
        assert not re.search(r"\b20\d\d\b", told)
        assert "purchases" not in told
        assert "bought" not in told
        assert told.count('type="radio"') >= 4
        assert "Ask for erasure" not in shown
        for form in ({"request": "erasure"}, {"request": "access"}, {"again": "1"}):
            await client.post(preferences, data=form)
        assert await shop.rights.list_requests(person=ada) == []
        await client.post(
            preferences, data={"marketing.email|email": "denied", "marketing.email|": "denied", "all": "denied"}
        )
        assert (await shop.decide(ada)).variant is None
        for form in ({"all": "granted"}, {"marketing.email|email": "granted", "marketing.email|": "granted"}):
            await client.post(preferences, data=form)
        assert (await shop.decide(ada)).variant is None
        # Her words wait for a human who checks; a form of another site and a GET do nothing.
        path = link(shop, made)
        assert (await client.get(f"{path}/opt-out")).status_code == 405
        answer = await client.post(f"{path}/pause", data={"about": "email"}, headers={"Origin": "https://evil.example"})
        assert answer.status_code == 403
        strange = await client.post(f"{path}/stop-using", data={"about": "cart"})
        assert "Nothing was done" in strange.text
    assert await shop.rows("SELECT 1 FROM consent.acts WHERE purpose IN ('pause', 'use:cart')") == []


async def test_once_two_are_told_apart_neither_page_says_what_was_known_of_the_other(
    shop, explain, app, monkeypatch
) -> None:
    ada = await shop.person("ada", age=40)
    other = NewRecord(
        source="crm", source_key="b", identifiers=(Identifier("email", "bob@example.org"),), traits={"age": 41}, kinds={},
        observed_at=shop.clock.now(), purpose="service", basis="contract", also_for=("marketing.personalize",),
    )  # fmt: skip
    by = By("staff:ann")
    async with shop.kernel.db.transaction() as conn:
        (his,) = await shop.identity.add_records(conn, [other])
        (bob,) = (await shop.identity.subjects(conn, [his]))[his].people
        assert (await shop.identity.judging.merge(conn, ada, bob, by)).refused is None
        both = (await shop.identity.current(conn, [ada]))[ada]
    made = await shop.decide(both)
    await as_if_known(explain, monkeypatch, made, his)
    told = await explain.explain(made.decision_id)
    assert not (await explain.hers(told)).mixed
    async with shop.kernel.db.transaction() as conn:
        assert (await shop.identity.judging.unmerge(conn, both, by)).refused is None
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url=shop.kernel.settings.base_url
    ) as client:
        page = (await client.get(link(shop, made))).text
        for control, about in (("stop-using", "other"), ("correct", "other"), ("not-interested", "")):
            told = (await client.post(f"{link(shop, made)}/{control}", data={"about": about, "words": "Not so."})).text
            assert "Nothing was done" in told, control
            assert "other things we know" not in told
    assert await shop.rows("SELECT 1 FROM explain.feedback UNION ALL SELECT 1 FROM explain.uses") == []
    assert "took you and someone else for one person" in page
    for fact in ("other things we know", "From shop", "Stop using this", "You agreed", "not interested"):
        assert fact not in page, fact
