"""An erasure reaches SendGrid: whom it carried mail for is erased there by its own call, nobody else is told of (consent.D13)."""

from datetime import timedelta

import pytest
from pydantic import SecretStr

from channels.email.connector import SendGridConnector
from channels.email.forgetting import PATH
from channels.email.settings import SendGridSettings
from consent.rights.post import State
from consent.rights.processors import troubled
from tests.channels.conftest import World, delivery
from tests.support.provider import Got, Reply, provider

pytestmark = pytest.mark.anyio


async def erased(world: World, person: str) -> None:
    request = await world.rights.open("erasure", person, actor="person")
    await world.rights.approve(request.id, actor="staff:b")
    await world.rights.run(request.id, actor="staff:a")


async def test_whom_it_carried_mail_for_is_erased_there_and_nobody_else(world: World) -> None:
    ada, contact = await world.person("1")
    ben, _ = await world.person("2")
    answers = [Reply(429), Reply(202, {}, b'{"job_id": "2f6a-77"}')]

    def answer(got: Got) -> Reply:
        return answers.pop(0) if got.path == PATH else Reply(202, {"X-Message-Id": "m1"})

    async with provider() as there:
        there.handler = answer
        settings = SendGridSettings(api_key=SecretStr("SG.x"), base_url=there.url)
        room = world.channels(SendGridConnector(settings), sender_address="hello@shop.example", sendgrid=settings)
        for one in room.providers():
            world.rights.processors.register(one)
        await world.reserve(room, delivery(ada, contact))
        await room.dispatch()
        await erased(world, ben)
        assert await world.rights.processors.letters() == []  # they never heard of him
        await erased(world, ada)
        (tried,) = await world.rights.processors.work()
        assert (tried.state, tried.fault) == (State.WAITING, "status_429")
        world.clock.advance(timedelta(minutes=2))
        (done,) = await world.rights.processors.work()
        assert (done.state, done.ack, done.words, troubled(done)) == (State.TAKEN, "2f6a-77", None, False)
        world.clock.advance(timedelta(days=2))
        assert await world.rights.processors.work() == []  # there is nothing to probe
        await room.close()
    asked = [got for got in there.got if got.path == PATH]
    assert [got.json for got in asked] == [{"email_addresses": ["ada1@example.org"]}] * 2
    assert all(got.headers["authorization"] == "Bearer SG.x" for got in asked)
    entries = await world.audit.lineage([("letter", done.id)], depth=1)
    assert {one.tag for one in entries} == {"letter.written", "letter.taken"}
    async with world.kernel.db.reading() as conn:
        assert await world.rights.processors.recipients(conn) == []  # named with the messages, not twice


async def test_without_an_account_that_sends_nobody_is_asked(world: World) -> None:
    assert world.channels().providers() == []
