"""A profile over HTTP: what one purpose may use, and nothing more (features V14, V17)."""

import httpx
import pytest

from consent.acts import NewAct, Notice
from events.log import Source
from identity.identifiers import Identifier
from orchestration.wiring import House
from tests.orchestration.service.support import is_problem, key

pytestmark = pytest.mark.anyio
NOTICE = Notice.of("May we?", version="v1", language="en")


async def ordered(house: House, client: httpx.AsyncClient, count: int) -> None:
    async with house.kernel.db.transaction() as conn:
        await house.events.register_source(
            conn, Source("till", "service", "contract", also_for=("marketing.personalize",))
        )
    headers = await key(house, "collect", source="till")
    calls = [
        {"type": "track", "event": "Order Completed", "userId": "u1", "properties": {"revenue": 20.0}, "messageId": f"m{n}"}
        for n in range(count)
    ]  # fmt: skip
    answer = await client.post("/v1/batch", json={"batch": calls}, headers=headers)
    assert [one["status"] for one in answer.json()["results"]] == ["accepted"] * count


async def said(house: House, status: str) -> None:
    async with house.kernel.db.transaction() as conn:
        (subject,) = await house.identity.register_identifiers(conn, [Identifier("login_id", "u1")])
        act = NewAct(
            subject=subject, purpose="marketing.personalize", status=status, channel=None, basis="consent", jurisdiction="gdpr",
            notice=NOTICE, mechanism="form", actor="test", given_at=house.kernel.clock.now(),
        )  # fmt: skip
        await house.consent.record(conn, [act])


async def test_a_purpose_sees_an_event_at_once_and_nothing_after_a_no(house: House, client: httpx.AsyncClient) -> None:
    reader = await key(house, "decide")
    await ordered(house, client, 2)
    unasked = (await client.get("/v1/people/login_id:u1/profile", headers=reader)).json()
    assert unasked["permitted"] is False
    assert "frequency_365d" not in {name for name, value in unasked["features"].items() if value}
    await said(house, "granted")
    seen = (await client.get("/v1/people/login_id:u1/profile", headers=reader)).json()
    assert seen["permitted"] is True
    assert seen["features"]["frequency_365d"] == 2
    assert seen["features"]["monetary_365d"] == 40
    by_id = await client.get(f"/v1/people/{seen['person']}/profile", headers=reader)
    assert by_id.json()["features"] == seen["features"]
    await said(house, "denied")
    gone = (await client.get("/v1/people/login_id:u1/profile", headers=reader)).json()
    assert gone["permitted"] is False
    assert not gone["features"].get("frequency_365d")


async def test_an_unknown_person_and_an_unknown_purpose_are_problems(house: House, client: httpx.AsyncClient) -> None:
    reader = await key(house, "officer")
    is_problem(await client.get("/v1/people/per_01J00000000000000000000000/profile", headers=reader), 404)
    is_problem(await client.get("/v1/people/login_id:nobody/profile", headers=reader), 404)
    await ordered(house, client, 1)
    is_problem(await client.get("/v1/people/login_id:u1/profile?purpose=spying", headers=reader), 422)
