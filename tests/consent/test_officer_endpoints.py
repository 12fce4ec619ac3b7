"""Subject requests and consents over HTTP, for officers."""

import asyncio
from datetime import datetime, timedelta

import httpx
import pytest

from tests.consent.conftest import House

pytestmark = pytest.mark.anyio
OFFICER = {"Authorization": "Bearer officer"}


async def test_an_officer_records_and_reads(house: House, client: httpx.AsyncClient) -> None:
    person, _, _ = await house.person("ada@example.org")
    body = {
        "subject": "email:ada@example.org",
        "purpose": "marketing.email",
        "status": "granted",
        "notice_text": "May we?",
        "notice_version": "p1",
    }
    assert (await client.post("/v1/consents", json=body)).status_code == 403
    assert (
        await client.post("/v1/consents", json=body, headers={"Authorization": "Bearer collect"})
    ).status_code == 403
    done = await client.post("/v1/consents", json=body, headers=OFFICER)
    assert done.status_code == 201, done.text
    read = (await client.get(f"/v1/people/{person}/consents", headers=OFFICER)).json()
    assert read["permissions"]["marketing.email|email"]["answer"] == "granted"
    assert read["history"][0]["actor"] == "staff:officer"
    assert read["history"][0]["notice"]["text"] == "May we?"
    bare = await client.post("/v1/consents", json={k: v for k, v in body.items() if "notice" not in k}, headers=OFFICER)
    assert (bare.status_code, bare.json()["code"]) == (422, "consent.act_incomplete")


async def test_a_consent_that_is_recorded_again_under_its_key_is_one_act(
    house: House, client: httpx.AsyncClient
) -> None:
    """The answer was lost and the form asks again; without a key staff heard it twice, and both acts stand."""
    await house.person("ada@example.org")
    body = {"subject": "email:ada@example.org", "purpose": "marketing.email", "status": "denied"}
    keyed = OFFICER | {"Idempotency-Key": "form-7"}
    first, again = [(await client.post("/v1/consents", json=body, headers=keyed)).json()["ids"] for _ in range(2)]
    assert first == again
    at_once = await asyncio.gather(
        *[client.post("/v1/consents", json=body, headers=OFFICER | {"Idempotency-Key": "form-8"}) for _ in range(8)]
    )
    assert len({tuple(one.json()["ids"]) for one in at_once}) == 1
    other = await client.post("/v1/consents", json=body | {"status": "granted"}, headers=keyed)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert (await client.post("/v1/consents", json=body, headers=OFFICER)).json()["ids"] != first


async def test_subject_requests_over_http(house: House, client: httpx.AsyncClient) -> None:
    person, _, _ = await house.person("ada@example.org")
    body = {"right": "deletion", "person": "email:ada@example.org"}
    assert (await client.post("/v1/subject-requests", json=body, headers=OFFICER)).status_code == 422  # no key
    keyed = OFFICER | {"Idempotency-Key": '"k-1"'}
    first = await client.post("/v1/subject-requests", json=body, headers=keyed)
    again = await client.post("/v1/subject-requests", json=body, headers=keyed)
    assert first.status_code == 201
    assert first.json() == again.json()
    assert first.json()["person"] == person
    other = await client.post("/v1/subject-requests", json={**body, "right": "access"}, headers=keyed)
    assert (other.status_code, other.json()["code"]) == (422, "consent.idempotency_mismatch")
    listed = (await client.get("/v1/subject-requests?state=open", headers=OFFICER)).json()
    assert [one["id"] for one in listed["data"]] == [first.json()["id"]]
    assert (await client.get("/v1/subject-requests/req_nope", headers=OFFICER)).status_code == 404


async def test_what_held_is_told_as_known_then_and_as_known_now(client: httpx.AsyncClient, house: House) -> None:
    """A no that came in late, about an earlier day: then nobody knew of it, now it holds for that day too."""
    person, _, email = await house.person("ada@example.org")
    await house.record(house.grant(email))
    start = house.kernel.clock.now()
    house.kernel.clock.advance(timedelta(days=10))  # type: ignore[attr-defined]
    late = house.grant(email, status="denied", notice=None, mechanism="officer", given_at=start + timedelta(days=2))
    await house.record(late)

    async def ask(**query: datetime) -> tuple[str, int]:
        params = {name: moment.isoformat() for name, moment in query.items()}
        answer = await client.get(f"/v1/people/{person}/consents", headers=OFFICER, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()["permissions"]["marketing.email|email"]["reason"], len(answer.json()["history"])

    day_five = start + timedelta(days=5)
    assert await ask(at=day_five, known_at=day_five) == ("consent.granted", 1)
    assert await ask(at=day_five) == ("consent.withdrawn", 2)
    assert await ask(at=start + timedelta(days=1)) == ("consent.granted", 2)
    assert await ask() == ("consent.withdrawn", 2)
    async with house.kernel.db.reading() as conn:
        found = await house.consent.check(conn, person, "marketing.email", "email", at=day_five, known_at=day_five)
    assert (found.permission.granted, found.as_json()["known_at"]) == (True, day_five.isoformat())
    bad = await client.get(f"/v1/people/{person}/consents", headers=OFFICER, params={"at": "2026-01-01T00:00:00"})
    assert bad.status_code == 422
