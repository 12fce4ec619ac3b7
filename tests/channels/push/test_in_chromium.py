"""Our service worker in Chromium: what it shows, where a click leads, what it reports, and that nothing it is sent can make it do more."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from importlib.resources import files

import pytest
from playwright.async_api import CDPSession, Page, Worker

from tests.support.pages import chromium
from tests.support.provider import Provider, Reply, provider
from tests.support.site import Site

pytestmark = [pytest.mark.anyio, pytest.mark.browser]
SCRIPT = files("channels").joinpath("push", "static", "sw.js").read_text()
SAID = {
    "title": "The garden is open", "body": "Come and see.\nAdvertisement", "url": "https://shop.example/garden",
    "why_url": "https://candor.example/why/v1.w", "preferences_url": "https://candor.example/preferences/v1.p",
    "why": "Why this?", "preferences": "Settings", "decision_id": "dec_1", "tag": "t1", "lang": "en", "token": "v1.t",
}  # fmt: skip
# Chromium without a desktop now and then forgets a notification right after it was shown: then the same one, as the script asked for it, is shown again.
WATCH = """() => {
    const show = self.registration.showNotification.bind(self.registration), asked = [];
    self.registration.showNotification = (...words) => { asked.push(words); return show(...words); };
    self.listed = async () => {
        for (let turn = 1; turn <= 1500; turn++) {
            const shown = await self.registration.getNotifications();
            if (shown.length) return shown;
            if (turn % 50 === 0 && asked.length) await show(...asked.at(-1));
            await new Promise((wake) => setTimeout(wake, 20));
        }
        return [];
    };
}"""
SHOWN = """async () => (await self.listed()).map(({title, body, tag, lang, actions}) =>
    ({title, body, tag, lang, actions: actions.map(({action, title}) => ({action, title}))}))"""
# An event of a person's hand cannot be made by script; everything but its origin is the real one.
HAND = """async ([kind, action]) => {
    const opened = [], waits = [];
    self.clients.openWindow = async (url) => opened.push(url);
    WindowClient.prototype.focus = async function () { opened.push("focus " + this.url); };
    const [notification] = await self.listed();
    const event = new NotificationEvent(kind, {notification, action});
    event.waitUntil = (promise) => waits.push(promise);
    self.dispatchEvent(event);
    await Promise.all(waits);
    return [opened, (await self.registration.getNotifications()).length];
}"""


@dataclass
class Stage:
    page: Page
    cdp: CDPSession
    worker: Worker
    origin: str
    sender: Provider
    registrations: dict = field(default_factory=dict)

    async def push(self, words: str) -> None:
        await self.cdp.send(
            "ServiceWorker.deliverPushMessage",
            {"origin": self.origin, "registrationId": next(iter(self.registrations)), "data": words},
        )

    async def said(self, **more: object) -> dict:
        found = {**SAID, "report": f"{self.sender.url}/webhooks/push", **more}
        await self.push(json.dumps(found))
        return found

    async def heard(self, count: int) -> list[str]:
        for _ in range(250):
            if len(self.sender.got) >= count:
                break
            await asyncio.sleep(0.02)
        return [one.body.decode() for one in self.sender.got]


@pytest.fixture
async def stage(anyio_backend: str) -> AsyncIterator[Stage]:
    async with (
        provider(Reply(204)) as sender,
        Site({"/": "<!doctype html><title>Shop</title>", "/candor-sw.js": SCRIPT}) as site,
        chromium() as browser,
    ):
        context = await browser.new_context()
        await context.grant_permissions(["notifications"], origin=site.origin)
        page = await context.new_page()
        found = Stage(page, await context.new_cdp_session(page), None, site.origin, sender)  # type: ignore[arg-type]
        found.cdp.on(
            "ServiceWorker.workerRegistrationUpdated",
            lambda told: found.registrations.update({one["registrationId"]: one for one in told["registrations"]}),
        )
        versions: dict[str, str] = {}
        found.cdp.on(
            "ServiceWorker.workerVersionUpdated",
            lambda told: versions.update({one["versionId"]: one["status"] for one in told["versions"]}),
        )
        await found.cdp.send("ServiceWorker.enable")
        await page.goto(site.origin)
        await page.evaluate(
            "async () => { await navigator.serviceWorker.register('/candor-sw.js'); await navigator.serviceWorker.ready }"
        )
        for _ in range(1500):  # a push to a worker that is not yet active is dropped
            if context.service_workers and found.registrations and "activated" in versions.values():
                break
            await asyncio.sleep(0.02)
        found.worker = context.service_workers[0]
        await found.worker.evaluate(WATCH)
        yield found


async def test_a_push_is_shown_with_its_why_and_reported(stage: Stage) -> None:
    await stage.said()
    (shown,) = await stage.worker.evaluate(SHOWN)
    assert shown == {
        "title": SAID["title"],
        "body": SAID["body"],
        "tag": "t1",
        "lang": "en",
        "actions": [{"action": "why", "title": "Why this?"}, {"action": "preferences", "title": "Settings"}],
    }
    assert await stage.heard(1) == ["v1.t\nshown"]
    (got,) = stage.sender.got
    assert (got.method, got.path) == ("POST", "/webhooks/push")
    assert got.headers["content-type"].startswith("text/plain")
    assert "cookie" not in got.headers
    assert "authorization" not in got.headers


@pytest.mark.parametrize(
    ("action", "leads", "reports"),
    [
        ("", SAID["url"], ["v1.t\nshown", "v1.t\nclicked"]),
        ("why", SAID["why_url"], ["v1.t\nshown"]),
        ("preferences", SAID["preferences_url"], ["v1.t\nshown"]),
    ],
)
async def test_a_click_leads_where_the_message_says(stage: Stage, action: str, leads: str, reports: list[str]) -> None:
    await stage.said()
    await stage.worker.evaluate(SHOWN)
    assert await stage.worker.evaluate(HAND, ["notificationclick", action]) == [[leads], 0]
    assert await stage.heard(len(reports)) == reports


async def test_a_dismissal_is_reported(stage: Stage) -> None:
    await stage.said()
    await stage.worker.evaluate(SHOWN)
    assert (await stage.worker.evaluate(HAND, ["notificationclose", ""]))[0] == []
    assert await stage.heard(2) == ["v1.t\nshown", "v1.t\ndismissed"]


async def test_a_message_without_a_place_to_go_shows_the_site_that_is_open(stage: Stage) -> None:
    await stage.said(url="")
    await stage.worker.evaluate(SHOWN)
    assert await stage.worker.evaluate(HAND, ["notificationclick", ""]) == [[f"focus {stage.origin}/"], 0]


@pytest.mark.parametrize("words", ["plain words", '"a string"', "[1, 2]", "{", "null", "42"])
async def test_words_that_are_no_document_are_shown_and_reported_nowhere(stage: Stage, words: str) -> None:
    await stage.push(words)
    (shown,) = await stage.worker.evaluate(SHOWN)
    assert shown["title"]
    assert shown["actions"] == []
    assert stage.sender.got == []


async def test_links_that_are_no_web_addresses_are_not_followed(stage: Stage) -> None:
    await stage.said(url="javascript:alert(1)", why_url="data:text/html,x", report="javascript:alert(1)")
    (shown,) = await stage.worker.evaluate(SHOWN)
    assert [one["action"] for one in shown["actions"]] == ["preferences"]
    assert await stage.worker.evaluate(HAND, ["notificationclick", ""]) == [[f"focus {stage.origin}/"], 0]
    assert stage.sender.got == []


RENEWED = """async (settings) => {
    const waits = [];
    await (await caches.open("candor-push")).put("settings", new Response(JSON.stringify(settings)));
    const event = new ExtendableEvent("pushsubscriptionchange");
    event.newSubscription = {toJSON: () => ({endpoint: "https://push.example/new", keys: {p256dh: "P", auth: "A"}})};
    event.oldSubscription = {endpoint: "https://push.example/old"};
    event.waitUntil = (promise) => waits.push(promise);
    self.dispatchEvent(event);
    await Promise.all(waits);
}"""


async def test_a_subscription_that_the_browser_renews_by_itself_is_told_in_place_of_the_old(stage: Stage) -> None:
    allowed = {
        "Access-Control-Allow-Origin": stage.origin,
        "Access-Control-Allow-Headers": "authorization, content-type",
        "Access-Control-Allow-Methods": "POST",
    }
    stage.sender.answers = [Reply(200, allowed)]
    kept = {"base": stage.sender.url, "key": "bk_1", "anonymousId": "visitor", "publicKey": "K"}
    await stage.worker.evaluate(RENEWED, kept)
    got = stage.sender.got[-1]
    assert (got.method, got.path, got.headers["authorization"]) == ("POST", "/v1/push/subscriptions", "Bearer bk_1")
    assert got.json == {
        "anonymousId": "visitor",
        "subscription": {"endpoint": "https://push.example/new", "keys": {"p256dh": "P", "auth": "A"}},
        "applicationServerKey": "K",
        "replaces": "https://push.example/old",
    }


async def test_the_same_delivery_twice_is_one_notification(stage: Stage) -> None:
    await stage.said()
    await stage.worker.evaluate(SHOWN)
    await stage.said()
    assert await stage.heard(2) == ["v1.t\nshown"] * 2
    assert len(await stage.worker.evaluate(SHOWN)) == 1
