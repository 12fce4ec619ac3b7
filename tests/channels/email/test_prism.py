"""Against Twilio's own OpenAPI documents, served by Prism: code and schema that nobody here wrote."""

from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from pydantic import SecretStr

from channels.conformance import broken_promises
from channels.connector import Answer
from channels.email.connector import SendGridConnector
from channels.email.settings import SendGridSettings
from tests.support.messages import AT, messages
from tests.support.prism import VIOLATIONS, prism, violations

pytestmark = [pytest.mark.anyio, pytest.mark.shared]


@pytest.fixture(scope="module")
def url():
    with prism("tsg_mail_v3.json") as found:
        yield found


def connector(url: str) -> SendGridConnector:
    return SendGridConnector(SendGridSettings(api_key=SecretStr("SG.x"), base_url=url))


async def test_two_hundred_generated_bodies_have_no_violation(url: str, capsys) -> None:
    found = await violations(url, 200)
    with capsys.disabled():
        print(f" [200 generated messages, {len(found)} violations] ", end="")  # noqa: T201  # the figure is asked for
    assert found == []


async def test_prism_would_have_seen_one(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": "Bearer x"}, trust_env=False) as client:
        wrong = {"personalizations": [{"to": [{"email": "nobody"}]}], "from": {"email": "a@example.org"}}
        answer = await client.post("/v3/mail/send", json=wrong)
    assert answer.status_code == 400
    assert VIOLATIONS in answer.headers


async def test_the_connector_hands_over_to_it_and_keeps_its_contract(url: str) -> None:
    one = connector(url)
    for what, _, _ in messages(5, seed=3):
        found = await one.send(what, what.delivery_id, what.at + timedelta(seconds=10))
        assert found.answer is Answer.ACCEPTED
    assert await broken_promises(one, to="ada@example.org", at=AT) == []
    await one.close()


async def test_a_host_that_is_not_the_api_is_a_configuration_error(url: str) -> None:
    one = connector(f"{url}/elsewhere")
    (what, _, _), = messages(1)  # fmt: skip
    found = await one.send(replace(what), what.delivery_id, what.at + timedelta(seconds=10))
    assert (found.answer, found.reason) == (Answer.DEFERRED, "configuration")
    await one.close()
