"""One message all the way: asked for over HTTP, decided, sent to a SendGrid on loopback, reported back signed, shown."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from pydantic import SecretStr

from channels.email.settings import SendGridSettings
from channels.email.signature import SIGNATURE, TIMESTAMP
from channels.settings import ChannelsSettings
from consent.acts import NewAct, Notice
from identity.identifiers import Identifier
from identity.records import NewRecord
from kernel.clock import FrozenClock
from kernel.kernel import Kernel
from orchestration.service.app import create_app
from orchestration.service.checks import doctor
from orchestration.settings import Settings
from orchestration.wiring import House, build
from tests.channels.email.conftest import KEY, event, public, sign
from tests.orchestration.service.support import is_problem, key
from tests.support.provider import Provider, Reply, provider
from tests.support.sure import SURE

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
CATALOGUE = """
controller: Blue Shop
contents:
  - {id: cart, category: reminder, variants: [{id: plain, label: Plain, channels: [email], subject: Your basket, body: "Hello {{ first_name }}", slots: {first_name: {trait: first_name, fallback: there}}}]}
placements:
  - {name: open, purpose: marketing.email, channels: [email], variants: [plain], reward: bought}
rewards: {bought: 1.0}
"""


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(NOW)


@pytest.fixture
async def there(anyio_backend: str) -> AsyncIterator[Provider]:
    async with provider() as found:
        yield found


@pytest.fixture
async def house(kernel: Kernel, there: Provider) -> AsyncIterator[House]:
    sendgrid = SendGridSettings(api_key=SecretStr("SG.x"), base_url=there.url, webhook_public_keys=(public(KEY),))
    settings = ChannelsSettings(email_connector="sendgrid", sendgrid=sendgrid, sender_address="hello@shop.example")
    made = build(Settings(kernel=kernel.settings, channels=settings, decision=SURE), kernel)
    async with kernel.db.transaction() as conn:
        await made.decisions.publish_catalogue(conn, CATALOGUE, actor="test")
        contact = Identifier("email", "ada@example.org")
        await made.identity.add_records(conn, [NewRecord(
            source="shop", source_key="1", identifiers=(contact,), traits={"first_name": "Ada"}, kinds={},
            observed_at=NOW - timedelta(days=30), purpose="service", basis="contract", also_for=("marketing.personalize",),
        )])  # fmt: skip
        (subject,) = await made.identity.register_identifiers(conn, [contact])
        await made.consent.record(conn, [
            NewAct(
                subject=subject, purpose=purpose, status="granted", channel=None, basis="consent", jurisdiction="gdpr",
                notice=Notice.of("May we?", version="v1", language="en"), mechanism="form", actor="web",
                given_at=NOW - timedelta(days=20),
            )
            for purpose in ("marketing.email", "marketing.personalize", "tracking")
        ])  # fmt: skip
    yield made
    await made.events.close()
    await made.decisions.close()
    await made.channels.close()


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(house), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8460") as found:
        yield found


async def asked(client: httpx.AsyncClient, headers: dict[str, str]) -> str:
    """A delivery; a draw may also say that nothing is better, so a few are asked for."""
    body = {"person": "email:ada@example.org", "placement": "open", "trigger": "Cart Abandoned"}
    for _ in range(20):
        answer = await client.post("/v1/sends", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        if "delivery_id" in answer.json():
            return str(answer.json()["delivery_id"])
    raise AssertionError("twenty draws of nothing")


async def post(client: httpx.AsyncClient, *events: object, **headers: str) -> httpx.Response:
    raw = json.dumps(events).encode() + b"\r\n"
    now = str(int(NOW.timestamp()))
    told = {SIGNATURE: sign(KEY, now, raw), TIMESTAMP: now} | headers
    return await client.post("/webhooks/sendgrid", content=raw, headers=told)


async def test_from_the_request_to_the_receipt(house: House, client: httpx.AsyncClient, there: Provider) -> None:
    headers = await key(house, "send")
    one = await asked(client, headers)
    await house.channels.dispatch()
    (got,) = [g for g in there.got if g.json["personalizations"][0]["custom_args"]["delivery_id"] == one]
    assert got.json["personalizations"][0]["to"] == [{"email": "ada@example.org"}]
    assert "List-Unsubscribe" in got.json["personalizations"][0]["headers"]
    shown = (await client.get(f"/v1/deliveries/{one}", headers=headers)).json()
    assert (shown["state"], shown["connector"]) == ("accepted", "sendgrid")
    assert shown["provider_id"].startswith("m")

    at = NOW.timestamp()
    answer = await post(
        client, event(one, "processed", at + 1), event(one, "delivered", at + 9), event(one, "open", at + 99)
    )
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"taken": 3, "repeated": 0, "unmatched": 0, "ignored": 0}
    shown = (await client.get(f"/v1/deliveries/{one}", headers=headers)).json()
    assert shown["state"] == "delivered"
    assert [step["state"] for step in shown["history"]] == ["reserved", "intent", "accepted", "delivered"]
    async with house.kernel.db.reading() as conn:
        events = (await house.events.outcomes_for(conn, [shown["decision_id"]]))[shown["decision_id"]]
    assert {e.name for e in events} >= {"Email Sent", "Email Delivered", "Email Opened"}
    assert all(e.properties["delivery_id"] == one for e in events)


async def test_an_uncertain_send_is_never_repeated_and_settled_by_the_provider(
    house: House, client: httpx.AsyncClient, there: Provider
) -> None:
    headers = await key(house, "send")
    there.answers = ["reset"]
    one = await asked(client, headers)
    await house.channels.dispatch()
    await house.channels.dispatch()
    assert (await client.get(f"/v1/deliveries/{one}", headers=headers)).json()["state"] == "uncertain"
    sent = [g for g in there.got if g.json["personalizations"][0]["custom_args"]["delivery_id"] == one]
    assert len(sent) == 1
    assert (await post(client, event(one, "delivered", NOW.timestamp() + 9))).status_code == 200
    assert (await client.get(f"/v1/deliveries/{one}", headers=headers)).json()["state"] == "delivered"


async def test_a_429_frees_the_worker_and_the_message_leaves_at_its_time(
    house: House, client: httpx.AsyncClient, there: Provider, clock: FrozenClock
) -> None:
    headers = await key(house, "send")
    there.answers = [Reply(429, {"Retry-After": "120"}), Reply(202, {"X-Message-Id": "later"})]
    one = await asked(client, headers)
    await house.channels.dispatch()
    shown = (await client.get(f"/v1/deliveries/{one}", headers=headers)).json()
    assert shown["state"] == "reserved"
    assert datetime.fromisoformat(shown["deliver_after"]) == NOW + timedelta(seconds=120)
    clock.advance(timedelta(seconds=121))
    house.channels.connectors["email"]._shut_until = 0.0  # the loop's clock did not move with ours
    await house.channels.dispatch()
    assert (await client.get(f"/v1/deliveries/{one}", headers=headers)).json()["provider_id"] == "later"


async def test_a_post_that_is_not_sendgrids_learns_nothing(client: httpx.AsyncClient) -> None:
    bodies = []
    for raw, headers in (
        (b"[]", {}),
        (b"{not json", {SIGNATURE: "AAAA", TIMESTAMP: str(int(NOW.timestamp()))}),
        (b"[]", {SIGNATURE: sign(KEY, "1", b"[]"), TIMESTAMP: "1"}),
        (b"\xff\xfe", {SIGNATURE: "not base64", TIMESTAMP: "soon"}),
    ):
        answer = await client.post("/webhooks/sendgrid", content=raw, headers=headers)
        body = is_problem(answer, 403, "channels.not_genuine")
        bodies.append({k: v for k, v in body.items() if k != "request_id"})
    assert all(body == bodies[0] for body in bodies)


async def test_a_large_post_is_taken_and_one_beyond_every_measure_is_not(client: httpx.AsyncClient) -> None:
    unknown = [
        event("dlv_01JABCDEFGHJKMNPQRSTVWXYZ0", "delivered", NOW.timestamp(), response="x" * 500) for _ in range(1200)
    ]
    answer = await post(client, *unknown)
    assert answer.status_code == 200
    assert answer.json()["unmatched"] == 1200
    too_large = await post(client, *(unknown * 3))
    is_problem(too_large, 413, "too_large")


async def test_a_database_that_is_gone_makes_sendgrid_come_again(
    house: House, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kernel.db import DatabaseUnavailable

    async def gone(*_: object, **__: object) -> None:
        raise DatabaseUnavailable("expected Postgres to answer, got nothing")

    monkeypatch.setattr(house.channels._noting, "prepare", gone)
    answer = await post(client, event("dlv_01JABCDEFGHJKMNPQRSTVWXYZ0", "delivered", NOW.timestamp()))
    is_problem(answer, 503)
    assert answer.headers["retry-after"]


async def test_the_doctor_and_a_rehearsal_look_at_the_account(house: House, there: Provider) -> None:
    checks = {check.name: check for check in await doctor(house)}
    assert checks["channel email"].ok
    assert checks["channel email"].state == "sendgrid"
    there.answers = [Reply(200)]
    (found,) = await house.channels.rehearse("sendgrid")
    assert found.ok, found
    assert found.outcome is not None
    assert found.outcome.reason == "sandbox"
    assert all(g.json["mail_settings"]["sandbox_mode"]["enable"] for g in there.got)
    assert {g.json["personalizations"][0]["to"][0]["email"] for g in there.got} == {"check@candor.invalid"}
    assert {g.json["from"]["email"] for g in there.got} == {"hello@shop.example"}
    there.answers = [Reply(401)]
    (found,) = await house.channels.rehearse("email")
    assert not found.ok
    assert found.outcome is not None
    assert found.outcome.reason == "unauthorized"
    assert await house.channels.rehearse("fax") == []
