"""Bad input at the real doors: a clear error with a remedy, and nothing half-written."""

from pathlib import Path

import httpx
import pytest

from events import mapping
from events.errors import BadMap
from kernel.cache import CacheUnavailable
from kernel.db import DatabaseUnavailable
from kernel.kernel import open_at
from orchestration.service.app import create_app
from orchestration.wiring import House, build
from tests.orchestration.service.support import BASE, is_problem, key, shop

pytestmark = pytest.mark.anyio

PEOPLE = """
source: crm
what: people
subject: {kind: record, column: id}
columns: {email: email, name: first_name}
collect_under: {purpose: service, basis: contract}
"""
CONSENTS = """
source: cmp
what: consents
subject: {kind: email, column: email}
consent: {purpose: marketing.email, status: granted, mechanism: import, notice: v1, given_at: at, signal: tc, signal_kind: tcf}
"""
CATALOGUE = """
contents:
  - {id: c, variants: [{id: hello, label: Hello, channels: [email], subject: Hello, body: Hello there}]}
placements:
  - {name: greet, purpose: marketing.email, channels: [email], variants: [hello]}
"""


async def test_a_malformed_row_is_reported_with_line_and_column_and_its_neighbours_are_kept(
    house: House, rows, tmp_path: Path
) -> None:
    file = tmp_path / "people.csv"
    file.write_text(
        "id,email,name\n1,ada@example.org,Ada\n2,not-an-address,Bob\n3,cy@example.org,Cy\n", encoding="utf-8"
    )
    report = await house.importer.run(file, mapping.parse(PEOPLE))
    assert (report.accepted, report.rejected) == (2, 1)
    assert report.faults[0].line == 3
    assert report.faults[0].column == "email"
    assert "not-an-address" not in report.faults[0].reason
    assert await rows("identity.records") == 2


async def test_an_unknown_mapping_key_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(BadMap) as caught:
        mapping.parse(PEOPLE.replace("columns:", "colums:"))
    assert "columns" in str(caught.value)
    assert caught.value.remedy


async def test_an_unknown_person_is_a_404_that_says_what_to_do_first(
    house: House, client: httpx.AsyncClient, rows
) -> None:
    async with house.kernel.db.transaction() as conn:
        await house.decisions.publish_catalogue(conn, CATALOGUE, actor="test")
    answer = await client.post(
        "/v1/decisions",
        json={"person": "email:nobody@example.org", "placement": "greet"},
        headers=await key(house, "decide"),
    )
    body = is_problem(answer, 404)
    assert "nobody@example.org" not in answer.text
    assert "/v1/identify" in body["detail"]
    assert await rows("decision.decisions") == 0


async def test_an_unknown_placement_offers_the_nearest_name(house: House, client: httpx.AsyncClient) -> None:
    async with house.kernel.db.transaction() as conn:
        await house.decisions.publish_catalogue(conn, CATALOGUE, actor="test")
    await client.post(
        "/v1/identify",
        json={"userId": "u1", "traits": {"email": "ada@example.org"}, "messageId": "m1"},
        headers=await shop(house),
    )
    answer = await client.post(
        "/v1/decisions", json={"person": "login_id:u1", "placement": "gret"}, headers=await key(house, "decide")
    )
    assert "greet" in is_problem(answer, 404)["detail"]


async def test_a_garbage_consent_string_is_kept_and_permits_nothing(house: House, tmp_path: Path) -> None:
    people, consents = tmp_path / "p.csv", tmp_path / "c.csv"
    people.write_text("id,email,name\n1,ada@example.org,Ada\n", encoding="utf-8")
    consents.write_text("email,at,tc\nada@example.org,2026-01-01T00:00:00Z,%%%garbage%%%\n", encoding="utf-8")
    await house.importer.run(people, mapping.parse(PEOPLE))
    await house.importer.run(consents, mapping.parse(CONSENTS))
    async with house.kernel.db.reading() as conn:
        person = await house.identity.lookup(conn, "email:ada@example.org")
        found = await house.consent.check(conn, person, "marketing.email", "email")
    assert not found.permission.granted


async def test_a_wrong_key_is_401_and_a_wrong_scope_is_403(house: House, client: httpx.AsyncClient, rows) -> None:
    before = await rows("events.events")
    call = {"userId": "u1", "event": "Seen", "messageId": "m1"}
    is_problem(await client.post("/v1/track", json=call), 401)
    is_problem(await client.post("/v1/track", json=call, headers={"Authorization": "Bearer sk_nonsense"}), 401)
    is_problem(await client.post("/v1/track", json=call, headers=await key(house, "decide")), 403)
    is_problem(await client.get("/v1/people/per_x/consents", headers=await shop(house)), 403)
    assert await rows("events.events") == before


async def test_an_oversized_event_is_refused_alone(house: House, client: httpx.AsyncClient, rows) -> None:
    headers = await shop(house)
    big = {"type": "track", "userId": "u1", "event": "Big", "messageId": "m1", "properties": {"words": "x" * 40_000}}
    good = {"type": "track", "userId": "u1", "event": "Good", "messageId": "m2"}
    answer = await client.post("/v1/batch", json={"batch": [big, good]}, headers=headers)
    results = answer.json()["results"]
    assert answer.status_code == 200
    assert [one["status"] for one in results] == ["rejected", "accepted"]
    assert "32" in results[0]["reason"]
    assert await rows("events.events") == 1
    is_problem(await client.post("/v1/batch", content=b"x" * 600_000, headers=headers), 413)


async def test_a_broken_model_file_falls_back_to_rules_and_doctor_says_so(house: House) -> None:
    from kernel.canonical import digest
    from orchestration.learning import store
    from orchestration.learning.store import ModelRow, Promotion

    name = digest("a model")
    now = house.kernel.clock.now()
    async with house.kernel.db.transaction() as conn:
        await house.decisions.publish_catalogue(conn, CATALOGUE, actor="test")
        await store.add_model(
            conn,
            ModelRow(
                digest=name, placement="greet", feature_set="", training_set="", rows=1, evaluation={}, trained_at=now
            ),
        )
        await store.promote(conn, Promotion(placement="greet", digest=name, actor="test", reason="test", at=now))
    active = await house.learning.active("greet")
    assert active.model is None
    assert active.fallback
    assert any("greet" in fault for fault in await house.learning.faults())


async def test_with_the_hot_store_down_it_is_ready_and_decides_from_postgres(
    house: House, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, rows
) -> None:
    async with house.kernel.db.transaction() as conn:
        await house.decisions.publish_catalogue(conn, CATALOGUE, actor="test")
    await client.post(
        "/v1/identify",
        json={"userId": "u1", "traits": {"email": "ada@example.org"}, "messageId": "m1"},
        headers=await shop(house),
    )

    async def down(*_: object, **__: object) -> None:
        raise CacheUnavailable("expected the hot store to answer, got none")

    monkeypatch.setattr(type(house.kernel.cache), "run", down)
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()["ready"]) == (200, True)
    assert ready.json()["checks"]["hot store"] != "answers"
    answer = await client.post(
        "/v1/decisions", json={"person": "login_id:u1", "placement": "greet"}, headers=await key(house, "decide")
    )
    assert answer.status_code == 200, answer.text
    assert await rows("decision.decisions") == 1


async def test_with_postgres_down_it_says_try_again_and_stores_nothing(house: House, addresses, clock, rows) -> None:
    headers, before = await shop(house), await rows("events.events")
    call = {"userId": "u1", "event": "Seen", "messageId": "m1"}
    async with open_at(house.kernel.settings, addresses, clock=clock) as kernel:
        other = build(house.settings, kernel)
        transport = httpx.ASGITransport(create_app(other), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            assert (await client.post("/v1/track", json=call, headers=headers)).status_code == 200
            await kernel.db.close()
            answer = await client.post("/v1/track", json={**call, "messageId": "m2"}, headers=headers)
            is_problem(answer, 503)
            assert answer.headers["retry-after"]
            assert (await client.get("/readyz")).status_code == 503
            assert (await client.get("/healthz")).status_code == 200
        await other.events.close()
        await other.decisions.close()
    assert await rows("events.events") == before + 1


@pytest.mark.parametrize("words", ["a\\u0000b", "a\\ud800b"])
async def test_text_that_cannot_be_stored_is_the_callers_fault_and_harms_nobody(
    house: House, client: httpx.AsyncClient, rows, words: str
) -> None:
    async with house.kernel.db.transaction() as conn:
        await house.decisions.publish_catalogue(conn, CATALOGUE, actor="test")
    body = {"userId": "u1", "traits": {"email": "ada@example.org"}, "messageId": "m1"}
    await client.post("/v1/identify", json=body, headers=await shop(house))
    headers = {**await key(house, "decide", "send", "operate"), "Content-Type": "application/json"}
    before = await rows("decision.decisions")
    for route, given in (
        ("/v1/sends", '"placement":"greet","trigger":"%s"'),
        ("/v1/sends", '"placement":"%s","trigger":"x"'),
        ("/v1/decisions", '"placement":"%s"'),
    ):
        answer = await client.post(route, content=f'{{"person":"login_id:u1",{given % words}}}', headers=headers)
        assert 400 <= answer.status_code < 500, answer.text
        assert is_problem(answer, answer.status_code)["detail"]
    assert await rows("decision.decisions") == before
    assert 400 <= (await client.get("/v1/deliveries/%00", headers=headers)).status_code < 500


def test_the_errors_named_here_carry_a_remedy() -> None:
    for error in (CacheUnavailable("x"), DatabaseUnavailable("x"), BadMap("x")):
        assert error.remedy.endswith(".") or error.remedy.endswith("`.")
