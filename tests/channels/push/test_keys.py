"""Our signing keys: one for all processes, never replaced while somebody is subscribed under it (spec channels.A23, A24)."""

import asyncio
import json
from datetime import timedelta

import pytest
from py_vapid import Vapid02

from channels.push.errors import BadSubscription, UnknownVapidKey, VapidKeyInUse
from channels.push.subscription import decode
from channels.push.vapid import Signer, private_key
from kernel.clock import FrozenClock
from tests.channels.conftest import NOW
from tests.channels.push.conftest import SAID, Shop
from tests.support.push_receiver import Receiver

pytestmark = pytest.mark.anyio


def key_of(authorization: str) -> str:
    return authorization.split(",k=")[1]


async def test_many_who_need_a_key_at_once_get_the_same(shop: Shop) -> None:
    found = await asyncio.gather(*(shop.channels.push.keyring.current() for _ in range(3)))
    assert len({one.public for one in found}) == 1
    (only,) = await shop.channels.push.keyring.keys()
    assert len(decode(only.public)) == 65


async def test_the_private_half_lies_sealed(shop: Shop) -> None:
    made = await shop.channels.push.keyring.current()
    number = (await shop.channels.push.keyring.private(made.vapid_id)).private_numbers().private_value.to_bytes(32)
    async with shop.world.kernel.db.reading() as conn:
        row = await (await conn.execute("SELECT private FROM channels.vapid_keys")).fetchone()
    assert number not in bytes(row["private"])


async def test_after_a_rotation_each_subscription_hears_from_its_own_key(shop: Shop) -> None:
    keyring = shop.channels.push.keyring
    _, first, ada = await shop.visitor("a" * 20)
    old = await keyring.current()
    new = await keyring.rotate(actor="staff:ann")
    _, second, ben = await shop.visitor("b" * 20)
    for person, contact in ((ada, first), (ben, second)):
        await shop.reserve(person, contact)
    await shop.channels.dispatch()
    assert {key_of(one.headers["authorization"]) for one in shop.service.posted} == {old.public, new.public}
    assert all(Vapid02.verify(one.headers["authorization"]) for one in shop.service.posted)
    assert [(one.vapid_id, one.live, one.current) for one in await keyring.keys()] == [
        (old.vapid_id, 1, False),
        (new.vapid_id, 1, True),
    ]


async def test_a_key_goes_when_nobody_is_left_under_it(shop: Shop) -> None:
    keyring = shop.channels.push.keyring
    receiver, _, _ = await shop.visitor("a" * 20)
    old = await keyring.current()
    with pytest.raises(VapidKeyInUse):
        await keyring.retire(old.vapid_id, actor="staff:ann")  # current
    new = await keyring.rotate(actor="staff:ann")
    with pytest.raises(VapidKeyInUse):
        await keyring.retire(old.vapid_id, actor="staff:ann")  # somebody lives under it
    fresh = Receiver(shop.service.endpoint())  # her browser subscribes anew at its next visit
    await shop.channels.push.subscriptions.register(
        shop.who("a" * 20), fresh.subscription, public=new.public, said=SAID, replaces=receiver.endpoint
    )
    await keyring.retire(old.vapid_id, actor="staff:ann")
    with pytest.raises(UnknownVapidKey):
        await keyring.retire(old.vapid_id, actor="staff:ann")
    with pytest.raises(UnknownVapidKey):
        await keyring.private(old.vapid_id)
    assert [one.vapid_id for one in await keyring.keys()] == [new.vapid_id]
    assert [tag for tag in await shop.world.tags() if tag.startswith("vapid.")] == [
        "vapid.made",
        "vapid.made",
        "vapid.retired",
    ]


async def test_a_subscription_under_a_strangers_key_is_refused(shop: Shop) -> None:
    await shop.channels.push.keyring.current()
    found = Receiver(shop.service.endpoint())
    with pytest.raises(BadSubscription):
        await shop.channels.push.subscriptions.register(
            shop.who("a" * 20), found.subscription, public=found.subscription.p256dh
        )


async def test_a_token_is_reused_for_hours_per_service_and_never_outlives_a_day() -> None:
    clock, asked = FrozenClock(NOW), 0

    async def private(name: str):
        nonlocal asked
        asked += 1
        return private_key(b"\x01" * 32)

    signer = Signer(clock, "mailto:a@shop.example.org", private, lasts=timedelta(hours=48), reused=timedelta(hours=6))

    async def claims(origin: str, key: str = "one") -> dict:
        signed = await signer.header(origin, key)
        return json.loads(decode(signed.split(".")[1]))

    first = await claims("https://a.example")
    assert first == {
        "aud": "https://a.example",
        "exp": int(NOW.timestamp()) + 86_400,
        "sub": "mailto:a@shop.example.org",
    }
    clock.advance(timedelta(hours=5, minutes=59))
    assert await claims("https://a.example") == first
    assert asked == 1
    assert (await claims("https://b.example"))["aud"] == "https://b.example"  # claims of their own, nothing shared
    assert (await claims("https://a.example", "two"))["aud"] == "https://a.example"
    clock.advance(timedelta(hours=1))
    later = await claims("https://a.example")
    assert later["exp"] - first["exp"] == 7 * 3600 - 60
    assert asked == 4
