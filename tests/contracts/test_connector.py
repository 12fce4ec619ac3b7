"""Every connector of the house keeps the connector contract."""

from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from channels.conformance import broken_promises
from channels.connector import Answer, Outcome
from channels.email.connector import SendGridConnector
from channels.email.settings import SendGridSettings
from channels.outbox.connector import OutboxConnector
from channels.push.connector import PushConnector
from channels.push.settings import PushSettings
from kernel.clock import FrozenClock
from tests.support.provider import provider

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_the_outbox_conforms(tmp_path) -> None:
    assert await broken_promises(OutboxConnector(tmp_path), to="ada@example.org", at=AT) == []
    assert list(tmp_path.rglob("*.eml")) == []
    assert list(tmp_path.rglob("*.part")) == []


@pytest.mark.anyio
async def test_pushes_conform_on_a_stage_that_reaches_nobody(tmp_path) -> None:
    push = PushConnector(FrozenClock(AT), PushSettings(subject="mailto:push@shop.example.org"), None)
    assert await broken_promises(push.rehearsal(tmp_path), to=push.nobody, at=AT) == []


@pytest.mark.anyio
async def test_sendgrid_conforms() -> None:
    async with provider() as there:
        one = SendGridConnector(SendGridSettings(api_key=SecretStr("SG.x"), base_url=there.url))
        assert await broken_promises(one, to="ada@example.org", at=AT) == []
        await one.close()
    # One and eight: the second call with an id sends nothing, and what is malformed never leaves.
    assert len(there.got) == 9


@pytest.mark.anyio
async def test_the_kit_sees_a_connector_that_lies(tmp_path) -> None:
    class Careless(OutboxConnector):
        async def send(self, message, delivery_id, deadline) -> Outcome:
            if "@" not in message.to:
                raise ValueError
            return Outcome(answer=Answer.ACCEPTED, provider_id=str(object.__hash__(object())))

        async def forget(self, delivery_id, reserved_at) -> bool:
            return True

    assert len(await broken_promises(Careless(tmp_path), to="ada@example.org", at=AT)) >= 3
