"""`/metrics` over real engines: who may read it, what it counts, and that it names nobody."""

import asyncio
import re
from datetime import timedelta
from types import SimpleNamespace

import httpx
import pytest

from identity import parameters_store, run_store
from identity.run_card import Card
from identity.run_store import Run
from kernel.ids import GraphVersion, new_id
from orchestration.service.app import create_app
from orchestration.service.checks import graph
from orchestration.service.watching import from_here
from orchestration.wiring import House
from tests.orchestration.service.support import key, shop

pytestmark = pytest.mark.anyio
LINE = re.compile(r"^(?P<name>\w+)(\{(?P<labels>[^}]*)\})? (?P<value>\S+)$")


def figures(text: str) -> dict[str, float]:
    return {
        m["name"] + (f"{{{m['labels']}}}" if m["labels"] else ""): float(m["value"])
        for m in map(LINE.match, text.splitlines())
        if m
    }


def reading(house: House, host: str = "127.0.0.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=create_app(house), client=(host, 4711))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8460")


async def page(house: House) -> dict[str, float]:
    """The figures as a new application sees them, so that nothing of ten seconds ago is shown."""
    async with reading(house) as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return figures(answer.text)


async def test_from_this_machine_no_key_is_needed_and_from_elsewhere_one_to_operate(house: House):
    headers = {name: await key(house, name) for name in ("operate", "decide")}
    async with reading(house, "192.0.2.7") as far:
        assert (await far.get("/metrics")).status_code == 401
        assert (await far.get("/metrics", headers=headers["decide"])).status_code == 403
        assert (await far.get("/metrics", headers=headers["operate"])).status_code == 200
    async with reading(house) as near:
        assert (await near.get("/metrics")).status_code == 200
        # A proxy on this machine speaks for somebody elsewhere.
        for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
            assert (await near.get("/metrics", headers={name: "192.0.2.7"})).status_code == 401


def test_a_request_without_an_address_is_from_elsewhere():
    assert not from_here(SimpleNamespace(client=None, headers={}))


async def test_events_are_counted_by_what_became_of_them(house: House):
    headers = await shop(house)
    before = await page(house)
    call = {"type": "track", "event": "Product Viewed", "userId": "u1", "messageId": "m1"}
    async with reading(house) as client:
        for _ in range(2):
            answer = await client.post("/v1/track", json=call, headers=headers)
        await client.post("/v1/batch", json={"batch": [{"type": "track", "userId": "u1"}]}, headers=headers)
    after = await page(house)
    grown = {name: after[name] - before.get(name, 0) for name in after if name.startswith("candor_events_total")}
    assert {name: count for name, count in grown.items() if count} == {
        'candor_events_total{outcome="accepted"}': 1,
        'candor_events_total{outcome="duplicate"}': 1,
        'candor_events_total{outcome="rejected"}': 1,
    }
    assert re.fullmatch(r"capture;dur=[\d.]+, total;dur=[\d.]+", answer.headers["server-timing"])
    route = 'candor_http_requests_total{method="POST",route="/v1/track",status="200"}'
    assert after[route] - before.get(route, 0) >= 2


async def test_consent_acts_are_counted_once_they_are_committed(house: House):
    before = await page(house)
    officer = await key(house, "officer")
    body = {
        "subject": "email:ada@example.org", "purpose": "marketing.email", "status": "granted", "notice_text": "May we?",
        "notice_version": "v1", "mechanism": "form", "jurisdiction": "gdpr", "given_at": house.kernel.clock.now().isoformat(),
    }  # fmt: skip
    async with reading(house) as client:
        assert (await client.post("/v1/consents", json=body, headers=officer)).status_code in {200, 201}
    after = await page(house)
    name = 'candor_consent_acts_total{purpose="marketing.email",status="granted"}'
    assert after[name] - before.get(name, 0) == 1


async def test_the_stores_figures_are_of_this_moment(house: House):
    await key(house, "decide")  # making a key is an act, and acts are entries
    found = await page(house)
    assert {found[f'candor_up{{part="{part}"}}'] for part in ("postgres", "keys", "cache")} == {1.0}
    assert found["candor_deliveries_uncertain"] == found["candor_queue_age_seconds"] == 0
    assert found["candor_log_entries"] + found["candor_log_pending_entries"] > 0
    await house.audit.sequence()
    later = await page(house)
    assert later["candor_log_pending_entries"] == 0
    assert later["candor_log_entries"] >= found["candor_log_entries"]
    assert found["candor_process_cpu_seconds_total"] > 0


async def test_a_long_transaction_is_seen(house: House):
    async with house.kernel.db.transaction() as conn:
        await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        await conn.execute("SELECT txid_current(), pg_sleep(0.2)")
        assert (await page(house))["candor_oldest_transaction_seconds"] >= 0.2


async def test_what_the_stores_say_is_asked_once_however_often_the_page_is_read(house: House):
    async with reading(house) as client:
        for _ in range(3):
            text = (await client.get("/metrics")).text
    scrapes = figures(text)["candor_scrape_seconds_count"]
    async with reading(house) as client:
        assert figures((await client.get("/metrics")).text)["candor_scrape_seconds_count"] == scrapes + 1


async def test_no_figure_names_a_person(house: House):
    """Whatever stands in a label is short, lower-case words of ours, a route, or a name of the catalogue."""
    headers = await shop(house)
    person = new_id("per")
    async with reading(house) as client:
        call = {"type": "identify", "userId": "ada@example.org", "traits": {"email": "ada@example.org"}}
        await client.post("/v1/identify", json=call, headers=headers)
        await client.get(f"/v1/people/{person}", headers=await key(house, "officer"))
        await client.get("/no/such/ada@example.org")
        text = (await client.get("/metrics")).text
    assert "ada@" not in text
    assert person not in text
    for labels in re.findall(r"\{([^}]*(?:\{[^}]*\}[^}]*)*)\} \d", text):
        assert "@" not in labels
        assert not re.search(r"(per|idn|rec|dec|dlv|act|key)_[0-9A-Z]{26}", labels)


async def test_a_dead_store_is_a_figure(house: House, monkeypatch: pytest.MonkeyPatch):
    from kernel.db import DatabaseUnavailable

    async def gone() -> None:
        raise DatabaseUnavailable("expected Postgres to answer, got none")

    monkeypatch.setattr(house.kernel.keys_db, "check", gone)
    assert (await page(house))['candor_up{part="keys"}'] == 0


async def test_a_model_has_an_age(house: House):
    async def ages() -> dict[str, float]:
        return {"home": timedelta(days=2).total_seconds()}

    house.learning.ages = ages  # type: ignore[method-assign]
    assert (await page(house))['candor_model_age_seconds{placement="home"}'] == 172_800


async def test_the_graph_tells_of_runs_that_are_held_and_of_records_that_wait(house: House):
    before = await page(house)
    assert (
        before["candor_linkage_held"] == before["candor_settling_waiting"] == before["candor_resident_identifiers"] == 0
    )
    assert (await graph(house)).state == "no linkage run yet"
    at = house.kernel.clock.now()
    card = Card("sha256:x", at.isoformat(), 0, 0, 0, 0, {}, 0.1, (), {}, {}, (), (), {})
    async with house.kernel.db.transaction() as conn:
        await parameters_store.keep(conn, "sha256:x", {}, {}, at)
        await run_store.add(conn, Run("run_1", at, "published", (), GraphVersion(0), card))
        await run_store.add(conn, Run("run_2", at, "held", ("drift",), None, card))
    stop = asyncio.Event()
    following = asyncio.create_task(house.identity.residing.run(stop))
    async with asyncio.timeout(60):
        await house.identity.residing.full.wait()
    found = await page(house)
    stop.set()
    await following
    assert found["candor_linkage_held"] == 1
    assert found["candor_resident_identifiers"] >= 0
    assert found["candor_resident_lag_seconds"] < 60
    said = await graph(house)
    assert not said.ok
    assert said.state == "run run_2 is held: drift"
