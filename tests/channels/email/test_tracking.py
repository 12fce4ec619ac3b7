"""Seeing whether somebody opens an email is a purpose of its own: without her yes no pixel, no changed link, nothing heard, nothing counted."""

import re
from datetime import timedelta

import pytest
from pydantic import SecretStr

from channels.email.connector import SendGridConnector
from channels.email.settings import SendGridSettings
from channels.email.webhook import Taken
from tests.channels.conftest import World, delivery, files
from tests.channels.email.conftest import Mailroom, event
from tests.support.provider import provider

pytestmark = pytest.mark.anyio


async def mailed(world: World, *, tracked: bool) -> dict:
    """What SendGrid is given for a person, by a house whose settings ask for both trackers."""
    person, contact = await world.person(tracked=tracked)
    async with provider() as there:
        settings = SendGridSettings(api_key=SecretStr("SG.x"), base_url=there.url, track_opens=True, track_clicks=True)
        room = world.channels(SendGridConnector(settings), sender_address="hello@shop.example")
        await world.reserve(room, delivery(person, contact))
        await room.dispatch()
        await room.close()
    return there.got[0].json


async def test_without_her_yes_the_mail_that_leaves_has_no_pixel_and_no_changed_link(world: World) -> None:
    body = await mailed(world, tracked=False)
    assert body["tracking_settings"]["open_tracking"] == {"enable": False}
    assert body["tracking_settings"]["click_tracking"]["enable"] is False
    text, html = (part["value"] for part in body["content"])
    assert "<img" not in html
    assert 'href="https://shop.example/garden"' in html
    ours = [link for link in re.findall(r"https?://[^\s\"<>]+", html + text) if "/why/" in link or "/u/" in link or "/preferences/" in link]  # fmt: skip
    assert len(ours) == 6
    others = set(re.findall(r"https?://[^\s\"<>]+", html + text)) - set(ours)
    assert others == {"https://shop.example/garden"}


async def test_with_her_yes_the_settings_decide(world: World) -> None:
    body = await mailed(world, tracked=True)
    assert body["tracking_settings"]["open_tracking"] == {"enable": True}
    assert body["tracking_settings"]["click_tracking"]["enable"] is True


async def test_an_outbox_mail_is_never_tracked(world: World) -> None:
    person, contact = await world.person(tracked=True)
    room = world.channels()
    await world.reserve(room, delivery(person, contact))
    await room.dispatch()
    (file,) = files(world.kernel).values()
    assert b"<img" not in file.read_bytes()


async def test_without_her_yes_an_open_or_a_click_is_neither_heard_nor_counted(mailroom: Mailroom) -> None:
    new, one = await mailroom.sent(tracked=False)
    at = mailroom.world.clock.now().timestamp()
    taken = await mailroom.post(
        event(one, "delivered", at + 20),
        event(one, "open", at + 60, useragent="Mozilla/5.0"),
        event(one, "click", at + 70, useragent="Mozilla/5.0", url="https://shop.example/garden"),
    )
    assert taken == Taken(taken=1, repeated=0, unmatched=0, ignored=2)
    assert {e.name for e in await mailroom.names(new)} == {"Email Sent", "Email Delivered"}
    async with mailroom.world.kernel.db.reading() as conn:
        rows = await (await conn.execute("SELECT receipt FROM channels.receipts")).fetchall()
        counted = await (await conn.execute("SELECT receipt FROM channels.unmatched")).fetchall()
    assert [row["receipt"] for row in rows] == ["delivered"]
    assert counted == []
    assert (await mailroom.world.tags()).count("delivery.receipt") == 1


async def test_taking_it_back_ends_it_for_mails_that_were_sent_before(mailroom: Mailroom) -> None:
    new, one = await mailroom.sent(tracked=True)
    at = mailroom.world.clock.now().timestamp()
    await mailroom.post(event(one, "open", at + 60, useragent="Mozilla/5.0"))
    mailroom.world.clock.advance(timedelta(minutes=5))
    world = mailroom.world
    async with world.kernel.db.transaction() as conn:
        await world.consent.withdraw(
            conn, new.identifier_id, "tracking", "email", mechanism="preference_page", actor="person"
        )
    await mailroom.post(event(one, "open", at + 400, useragent="Mozilla/5.0"))
    assert sorted(e.name for e in await mailroom.names(new)) == ["Email Opened", "Email Sent"]


async def test_a_complaint_and_a_bounce_are_heard_all_the_same(mailroom: Mailroom) -> None:
    new, one = await mailroom.sent(tracked=False)
    at = mailroom.world.clock.now().timestamp()
    await mailroom.post(event(one, "spamreport", at + 60))
    assert {e.name for e in await mailroom.names(new)} == {"Email Sent", "Email Marked as Spam"}
