"""From a subscription to a decrypted push, and what the push service may answer instead."""

import json
from datetime import timedelta

import pytest
from py_vapid import Vapid02

from channels.ledger import State
from channels.push.encryption import BODY_BYTES, topic
from tests.channels.push.conftest import SAID, SUBJECT, Shop
from tests.support.push_receiver import Receiver
from tests.support.push_service import Answer

pytestmark = pytest.mark.anyio


async def test_what_was_decided_is_what_the_browser_reads(shop: Shop) -> None:
    receiver, contact, person = await shop.visitor()
    async with shop.world.kernel.db.transaction() as conn:
        await shop.world.consent.record(conn, [shop.world.grant(contact, "tracking")])
    id_ = await shop.reserve(person, contact)
    assert (await shop.channels.dispatch()).states == {"accepted": 1}
    (posted,) = shop.service.posted
    said = json.loads(receiver.read(posted.body))
    assert (said["title"], said["url"]) == ("Hello Ada", "https://shop.example/garden")
    assert said["body"] == "The garden is open, Ada.\nAdvertisement"
    tokens = shop.world.kernel.tokens
    assert tokens.read(said["why_url"].rsplit("/", 1)[1], "why").subject == said["decision_id"]
    assert tokens.read(said["preferences_url"].rsplit("/", 1)[1], "preferences").subject == contact
    assert tokens.read(said["token"], "push-report").subject == id_
    assert len(posted.body) <= BODY_BYTES
    assert len(receiver.read(posted.body)) % 512 == 0  # filled up: its length says little
    assert (posted.headers["content-encoding"], posted.headers["urgency"]) == ("aes128gcm", "normal")
    assert posted.headers["ttl"] == "86400"
    assert posted.headers["topic"] == topic(id_)  # a repeat of this delivery would replace it
    assert Vapid02.verify(posted.headers["authorization"])
    found = await shop.channels.show(id_)
    assert (found.connector, found.state) == ("webpush", State.ACCEPTED)
    assert found.provider_id


async def test_who_does_not_let_us_see_it_has_no_address_to_report_to(shop: Shop) -> None:
    receiver, contact, person = await shop.visitor()
    await shop.reserve(person, contact)
    await shop.channels.dispatch()
    said = json.loads(receiver.read(shop.service.posted[0].body))
    assert (said["report"], said["token"]) == ("", "")
    assert said["why_url"]


async def test_no_endpoint_and_no_key_is_written_down_in_clear(shop: Shop) -> None:
    receiver, contact, person = await shop.visitor()
    await shop.reserve(person, contact)
    await shop.channels.dispatch()
    async with shop.world.kernel.db.reading() as conn:
        tables = await (
            await conn.execute(
                "SELECT schemaname || '.' || tablename AS name FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND has_table_privilege(schemaname || '.' || tablename, 'SELECT')"
            )
        ).fetchall()
        for secret in (receiver.endpoint.rsplit("/", 1)[1], receiver.subscription.auth, receiver.subscription.p256dh):
            for table in tables:
                row = await (
                    await conn.execute(
                        f"SELECT count(*) AS n FROM {table['name']} t WHERE position(%s in t::text) > 0"
                        " OR position(encode(%s::bytea, 'hex') in t::text) > 0",
                        (secret, secret.encode()),
                    )
                ).fetchone()
                assert row["n"] == 0, table["name"]


@pytest.mark.parametrize("status", [404, 410])
async def test_an_ended_subscription_is_dropped(shop: Shop, status: int) -> None:
    _, contact, person = await shop.visitor()
    id_ = await shop.reserve(person, contact)
    shop.service.script.append(Answer(status))
    await shop.channels.dispatch()
    assert await shop.state(id_) == (State.REJECTED, "subscription_gone")
    assert not await shop.live(contact)
    assert "push.dropped" in await shop.world.tags()
    second = await shop.reserve(person, contact)
    assert (await shop.channels.dispatch()).reasons == {"contact_gone": 1}
    assert (await shop.state(second))[0] is State.WITHHELD
    assert len(shop.service.posted) == 1


async def test_a_renewed_subscription_survives_the_end_of_the_old_one(shop: Shop) -> None:
    receiver, contact, person = await shop.visitor()
    async with shop.world.kernel.db.transaction() as conn:
        held = (await shop.world.identity.identifiers(conn, [person]))[person]
        old = (await shop.channels.push.subscriptions.addresses(conn, [one for one in held if one.id == contact]))[
            contact
        ]
    await shop.visitor(receiver=Receiver(receiver.endpoint))  # the same endpoint, new keys
    async with shop.world.kernel.db.transaction() as conn:
        assert not await shop.channels.push.subscriptions.gone(conn, contact, old)
    assert await shop.live(contact)


@pytest.mark.parametrize(
    ("answer", "state", "reason"),
    [
        (Answer(413), State.REJECTED, "too_large"),
        (Answer(400), State.REJECTED, "bad_request"),
        (Answer(401), State.REJECTED, "vapid_refused"),
        (Answer(403), State.REJECTED, "vapid_refused"),
        (Answer(307, {"Location": "http://127.0.0.1:1/"}), State.REJECTED, "redirected"),
        (Answer(429, {"Retry-After": "120"}), State.RESERVED, "too_many"),
        (Answer(503, {"Retry-After": "Thu, 05 Mar 2026 12:02:00 GMT"}), State.RESERVED, "push_service_error"),
        (Answer(hang=True), State.UNCERTAIN, "timeout"),
        (Answer(cut=True), State.UNCERTAIN, "connection_lost"),
    ],
)
async def test_every_answer_has_its_meaning(shop: Shop, answer: Answer, state: State, reason: str) -> None:
    _, contact, person = await shop.visitor()
    id_ = await shop.reserve(person, contact)
    shop.service.script.append(answer)
    await shop.channels.dispatch()
    found = await shop.channels.show(id_)
    steps = await shop.channels.history(id_)
    assert (found.state, steps[-1].reason) == (state, reason)
    assert await shop.live(contact)
    if state is State.RESERVED:
        assert found.deliver_after - shop.world.clock.now() == timedelta(seconds=120)
    # Whatever it was, waiting repeats only what was put off.
    shop.world.clock.advance(timedelta(seconds=121))
    await shop.channels.dispatch()
    assert len(shop.service.posted) == (2 if state is State.RESERVED else 1)


async def test_nobody_there_is_tried_again_and_never_uncertain(shop: Shop) -> None:
    _, contact, person = await shop.visitor()
    id_ = await shop.reserve(person, contact)
    await shop.service.__aexit__()
    await shop.channels.dispatch()
    assert await shop.state(id_) == (State.RESERVED, None) or (await shop.state(id_))[0] is State.RESERVED
    assert (await shop.channels.history(id_))[-1].reason == "unreachable"
    await shop.service.__aenter__()


async def test_a_short_life_is_told_to_the_push_service(shop: Shop) -> None:
    _, contact, person = await shop.visitor()
    await shop.reserve(person, contact, expires_at=shop.world.clock.now() + timedelta(minutes=10))
    await shop.channels.dispatch()
    assert shop.service.posted[0].headers["ttl"] == "600"


async def test_nothing_leaves_after_the_permission_was_taken_back(shop: Shop) -> None:
    _, contact, person = await shop.visitor()
    id_ = await shop.reserve(person, contact)
    await shop.channels.push.subscriptions.unregister(shop.who("a" * 20), None, purpose="marketing.push")
    await shop.channels.dispatch()
    assert (await shop.state(id_))[0] is State.WITHHELD
    assert shop.service.posted == []


async def test_a_vapid_token_names_us_and_is_reused(shop: Shop) -> None:
    for name in ("a" * 20, "b" * 20):
        _, contact, person = await shop.visitor(name)
        await shop.reserve(person, contact)
    await shop.channels.dispatch()
    first, second = (one.headers["authorization"] for one in shop.service.posted)
    assert first == second
    from base64 import urlsafe_b64decode

    part = first.split("t=")[1].split(",")[0].split(".")[1]
    claims = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    assert (claims["aud"], claims["sub"]) == (shop.service.origin, SUBJECT)
    assert 0 < claims["exp"] - shop.world.clock.now().timestamp() <= 86_400
    assert SAID.purpose == "marketing.push"
