"""The HTTP door of push: who may subscribe whom, what is answered, what browsers report."""

import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from audit.access.principal import Scope
from channels.links import REPORT
from events.log import Source
from identity.identifiers import Identifier
from kernel.clock import FrozenClock
from kernel.kernel import Kernel
from orchestration.service.app import create_app
from orchestration.settings import Settings
from orchestration.wiring import House, build
from tests.channels.conftest import NOW
from tests.channels.push.served import CATALOGUE, NOTICE, SUBJECT, lets_us_see
from tests.support.push_receiver import Receiver
from tests.support.push_service import PushService
from tests.support.sure import SURE

pytestmark = pytest.mark.anyio
ORIGIN = "https://shop.example"
VISITOR = str(uuid.UUID(int=7))


@pytest.fixture
async def house(kernel: Kernel, service: PushService) -> AsyncIterator[House]:
    push = {"subject": SUBJECT, "private_origins": (service.origin,)}
    made = build(Settings(kernel=kernel.settings, channels={"push": push}, decision=SURE), kernel)
    async with kernel.db.transaction() as conn:
        await made.events.register_source(conn, Source("site", "service", "contract"))
        await made.decisions.publish_catalogue(conn, CATALOGUE, actor="staff:ann")
    yield made
    await made.events.close()
    await made.channels.close()
    await made.decisions.close()


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(house))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8460") as found:
        yield found


async def key(house: House, *scopes: Scope) -> dict[str, str]:
    browser = Scope.BROWSER in scopes
    made = await house.access.create_key(
        set(scopes),
        actor="test",
        source=None if scopes == (Scope.SEND,) else "site",
        origin=ORIGIN if browser else None,
    )
    return {"Authorization": f"Bearer {made.secret}", "Origin": ORIGIN}


def body(receiver: Receiver, **more: object) -> dict:
    return {"anonymousId": VISITOR, "subscription": receiver.json, "consent": {"notice": NOTICE}, **more}


async def subscribe(house: House, client: httpx.AsyncClient, receiver: Receiver, **more: object) -> httpx.Response:
    return await client.post(
        "/v1/push/subscriptions", json=body(receiver, **more), headers=await key(house, Scope.BROWSER)
    )


async def test_a_browser_reads_the_key_and_subscribes(
    house: House, client: httpx.AsyncClient, service: PushService
) -> None:
    headers = await key(house, Scope.BROWSER)
    told = await client.get("/v1/push/key", headers=headers)
    current = await house.channels.push.keyring.current()
    assert told.json() == {"key": current.public}
    assert told.headers["access-control-allow-origin"] == ORIGIN
    receiver = Receiver(service.endpoint())
    made = await client.post(
        "/v1/push/subscriptions", json=body(receiver, applicationServerKey=current.public), headers=headers
    )
    assert (made.status_code, made.json()["status"]) == (200, "subscribed")
    assert made.headers["access-control-allow-origin"] == ORIGIN
    assert made.headers["cache-control"] == "no-store"
    again = await client.post("/v1/push/subscriptions", json=body(receiver), headers=headers)
    assert again.json() == made.json()


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"anonymousId": None}, 422),
        ({"anonymousId": "short"}, 422),
        ({"anonymousId": None, "userId": "u17"}, 422),  # a public key speaks for no account
        ({"subscription": {"endpoint": "https://attacker.example/x", "keys": {"p256dh": "A", "auth": "A"}}}, 422),
        ({"subscription": {"endpoint": "http://169.254.169.254/x", "keys": {"p256dh": "A", "auth": "A"}}}, 422),
        ({"subscription": "x"}, 422),
        ({"consent": {"purpose": "marketing.email", "notice": NOTICE}}, 422),
        ({"consent": {"notice": {**NOTICE, "text": ""}}}, 422),
        ({"applicationServerKey": "A" * 87}, 422),
        ({"surprise": 1}, 422),
    ],
)
async def test_what_is_no_subscription_is_refused_whole(
    house: House, client: httpx.AsyncClient, service: PushService, change: dict, status: int
) -> None:
    receiver = Receiver(service.endpoint())
    answer = await client.post(
        "/v1/push/subscriptions", json={**body(receiver), **change}, headers=await key(house, Scope.BROWSER)
    )
    assert answer.status_code == status, answer.text
    assert receiver.endpoint not in answer.text
    async with house.kernel.db.reading() as conn:
        assert await house.identity.people(conn) == []


@pytest.mark.parametrize("endpoint", ["https://attacker.example/x", "http://127.0.0.1:1/x", "https://10.0.0.1/x"])
async def test_an_endpoint_of_nobody_we_know_is_refused_even_with_good_keys(
    house: House, client: httpx.AsyncClient, endpoint: str
) -> None:
    answer = await subscribe(house, client, Receiver(endpoint))
    assert (answer.status_code, answer.json()["code"]) == (422, "channels.bad_subscription")


async def test_a_server_may_name_an_account(house: House, client: httpx.AsyncClient, service: PushService) -> None:
    headers = await key(house, Scope.COLLECT)
    receiver = Receiver(service.endpoint())
    answer = await client.post(
        "/v1/push/subscriptions", json={**body(receiver), "anonymousId": None, "userId": "u17"}, headers=headers
    )
    assert answer.status_code == 200, answer.text
    async with house.kernel.db.reading() as conn:
        person = await house.identity.lookup(conn, "login_id:u17")
        held = await house.identity.identifiers(conn, [person])
    assert {one.kind for one in held[person]} == {"login_id", "push"}
    nobody = await client.post("/v1/push/subscriptions", json={"subscription": receiver.json}, headers=headers)
    assert nobody.status_code == 422


async def test_the_browsers_signal_is_heard_before_anything_else(
    house: House, client: httpx.AsyncClient, service: PushService
) -> None:
    headers = {**await key(house, Scope.BROWSER), "Sec-GPC": "1"}
    await client.post("/v1/push/subscriptions", json=body(Receiver(service.endpoint())), headers=headers)
    async with house.kernel.db.reading() as conn:
        person = await house.identity.lookup(conn, f"anonymous_id:{VISITOR}")
        assert {act.mechanism for act in (await house.consent.state(conn, person)).acts} == {"gpc", "form"}


async def test_a_page_of_another_origin_is_told_what_it_may_do(client: httpx.AsyncClient) -> None:
    for path in ("/v1/push/key", "/v1/push/subscriptions"):
        answer = await client.options(path)
        assert answer.status_code == 204
        assert "DELETE" in answer.headers["access-control-allow-methods"]
        assert "authorization" in answer.headers["access-control-allow-headers"]
    for script in ("sw", "subscribe"):
        answer = await client.get(f"/push/{script}.js")
        assert answer.headers["content-type"].startswith("text/javascript")
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
        assert len(answer.content) < 5 * 1024


async def test_push_that_is_not_set_up_says_so(kernel: Kernel) -> None:
    made = build(Settings(kernel=kernel.settings), kernel)
    async with kernel.db.transaction() as conn:
        await made.events.register_source(conn, Source("site", "service", "contract"))
    headers = await key(made, Scope.BROWSER)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(made)), base_url="http://127.0.0.1:8460"
    ) as client:
        assert (await client.get("/v1/push/key", headers=headers)).json() == {"key": None}
        answer = await client.post(
            "/v1/push/subscriptions", json=body(Receiver("https://fcm.googleapis.com/x")), headers=headers
        )
        assert (answer.status_code, answer.json()["code"]) == (409, "channels.push_off")
    assert "push" not in made.channels.connectors
    await made.events.close()
    await made.channels.close()
    await made.decisions.close()


# from the subscription to the report


async def sent(house: House, client: httpx.AsyncClient, service: PushService) -> str:
    await subscribe(house, client, Receiver(service.endpoint()))
    asked = {"person": f"anonymous_id:{VISITOR}", "placement": "offer", "trigger": "test"}
    answer = await client.post("/v1/sends", json=asked, headers=await key(house, Scope.SEND))
    assert "delivery_id" in answer.json(), answer.text
    assert (await house.channels.dispatch()).states == {"accepted": 1}
    return answer.json()["delivery_id"]


async def report(client: httpx.AsyncClient, token: str, word: str) -> int:
    answer = await client.post("/webhooks/push", content=f"{token}\n{word}", headers={"Content-Type": "text/plain"})
    return answer.status_code


async def names(house: House) -> list[str]:
    async with house.kernel.db.reading() as conn:
        person = await house.identity.lookup(conn, f"anonymous_id:{VISITOR}")
        return [event.name for event in (await house.events.of_people(conn, [person]))[person]]


async def test_reports_fold_into_the_delivery_and_become_events_once(
    house: House, client: httpx.AsyncClient, service: PushService, clock: FrozenClock
) -> None:
    id_ = await sent(house, client, service)
    await lets_us_see(house, VISITOR)
    token = house.kernel.tokens.issue(REPORT, id_, timedelta(days=1))
    clock.advance(timedelta(seconds=1))
    for word in ("shown", "clicked", "clicked", "shown", "dismissed"):
        assert await report(client, token, word) == 204
    assert (await house.channels.show(id_)).state == "delivered"
    found = await names(house)
    assert sorted(found) == ["Push Clicked", "Push Delivered", "Push Dismissed", "Push Sent"]
    async with house.kernel.db.reading() as conn:
        delivery = await house.channels.show(id_)
        outcomes = (await house.events.outcomes_for(conn, [delivery.decision_id]))[delivery.decision_id]
    (clicked,) = [event for event in outcomes if event.name == "Push Clicked"]
    assert not clicked.machine  # a hand is quick on a phone: nobody scans notifications


async def test_a_click_after_the_no_is_nobodys_business(
    house: House, client: httpx.AsyncClient, service: PushService
) -> None:
    id_ = await sent(house, client, service)
    await lets_us_see(house, VISITOR)
    async with house.kernel.db.transaction() as conn:
        (subject,) = await house.identity.register_identifiers(conn, [Identifier("anonymous_id", VISITOR)])
        await house.consent.withdraw(conn, subject, "marketing.push", "push", mechanism="form", actor="person")
    token = house.kernel.tokens.issue(REPORT, id_, timedelta(days=1))
    assert await report(client, token, "clicked") == 204
    assert (await house.channels.show(id_)).state == "delivered"
    assert sorted(await names(house)) == ["Push Delivered", "Push Sent"]


async def test_without_her_yes_nothing_is_heard_of_what_became_of_it(
    house: House, client: httpx.AsyncClient, service: PushService
) -> None:
    """As with a pixel in an email: a purpose of its own, which marketing by push does not bring along."""
    id_ = await sent(house, client, service)
    token = house.kernel.tokens.issue(REPORT, id_, timedelta(days=1))
    for word in ("shown", "clicked", "dismissed"):
        assert await report(client, token, word) == 204  # the door does not tell
    assert (await house.channels.show(id_)).state == "accepted"
    assert await names(house) == ["Push Sent"]


async def test_a_report_needs_its_own_token_and_a_word(
    house: House, client: httpx.AsyncClient, service: PushService, clock: FrozenClock
) -> None:
    id_ = await sent(house, client, service)
    tokens = house.kernel.tokens
    good = tokens.issue(REPORT, id_, timedelta(days=1))
    for token in ("", "nonsense", good[:-2] + "xx", tokens.issue("why", id_, timedelta(days=1)), "é", "x" * 3000):
        assert await report(client, token, "clicked") == 403
    for word in ("", "opened", "clicked;drop", "CLICKED"):
        assert await report(client, good, word) == 403
    assert (await client.post("/webhooks/push", content=b"x" * 100_000)).status_code == 403
    stranger = tokens.issue(REPORT, "dlv_01JABCDEFGHJKMNPQRSTVWXYZ0", timedelta(days=1))
    assert await report(client, stranger, "clicked") == 204  # of another installation: nothing here to fold
    assert (await house.channels.show(id_)).state == "accepted"
    clock.advance(timedelta(days=2))
    assert await report(client, good, "clicked") == 403
    assert clock.now() > NOW


async def test_unsubscribing_ends_it(house: House, client: httpx.AsyncClient, service: PushService) -> None:
    receiver, headers = Receiver(service.endpoint()), await key(house, Scope.BROWSER)
    await subscribe(house, client, receiver)
    for endpoint in (receiver.endpoint, receiver.endpoint, "https://unknown.example/x", None):
        ending = {"anonymousId": VISITOR, "endpoint": endpoint}
        answer = await client.request("DELETE", "/v1/push/subscriptions", json=ending, headers=headers)
        assert (answer.status_code, answer.json()) == (200, {"status": "unsubscribed"})
    asked = {"person": f"anonymous_id:{VISITOR}", "placement": "offer", "trigger": "test"}
    answer = await client.post("/v1/sends", json=asked, headers=await key(house, Scope.SEND))
    assert "withheld" in answer.json()
