"""From a reservation to a file in the outbox, and what stops on the way."""

from datetime import timedelta
from email import message_from_bytes
from email.policy import SMTP

import pytest

from channels.ledger import State
from tests.channels.conftest import World, delivery, files

pytestmark = pytest.mark.anyio


async def test_a_reserved_message_becomes_one_file_with_every_link(world: World) -> None:
    channels = world.channels()
    person, contact = await world.person()
    new = delivery(person, contact)
    (id_,) = await world.reserve(channels, new)
    report = await channels.dispatch()
    assert report.states == {"accepted": 1}
    mail = message_from_bytes(files(world.kernel)[id_].read_bytes(), policy=SMTP)
    assert mail["To"] == "ada1@example.org"
    assert mail["Subject"] == "Hello Ada"
    text = mail.get_body(("plain",)).get_content()
    html = mail.get_body(("html",)).get_content()
    for scope in ("why", "preferences", "u"):
        assert f"/{scope}/v1." in text
        assert f"/{scope}/v1." in html
    one_click = mail["List-Unsubscribe"].strip("<>").rsplit("/", 1)[1]
    token = world.kernel.tokens.read(one_click, "unsubscribe")
    assert token is not None
    assert (token.subject, token.claims["purpose"], token.claims["channel"]) == (contact, "marketing.email", "email")
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert "1 Example Street" in text
    assert [step.state for step in await channels.history(id_)] == [State.RESERVED, State.INTENT, State.ACCEPTED]
    assert [tag for tag in await world.tags() if tag.startswith("delivery.")] == [
        "delivery.reserved",
        "delivery.intent",
        "delivery.accepted",
    ]
    async with world.kernel.db.reading() as conn:
        (event,) = (await world.events.outcomes_for(conn, [new.decision_id]))[new.decision_id]
    assert (event.name, event.properties["delivery_id"]) == ("Email Sent", id_)


async def test_a_message_waits_for_its_time_and_is_called_off_after_it(world: World) -> None:
    channels = world.channels()
    person, contact = await world.person()
    later = delivery(person, contact, deliver_after=world.clock.now() + timedelta(hours=1))
    (id_,) = await world.reserve(channels, later)
    assert (await channels.dispatch()).total == 0
    world.clock.advance(timedelta(days=3))
    assert (await channels.dispatch()).reasons == {"expired": 1}
    assert (await channels.show(id_)).state is State.CANCELLED
    assert files(world.kernel) == {}
