"""A push service that nobody here wrote checks our signature and decrypts what we send (npm web-push-testing)."""

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from channels.conformance import broken_promises, sample
from channels.connector import Answer
from channels.push.connector import PushConnector
from channels.push.settings import PushSettings
from channels.push.subscription import Address
from channels.push.vapid import Signer, public_of
from kernel.clock import SystemClock
from tests.channels.push.served import SUBJECT, free_port
from tests.support.peers import peer

pytestmark = pytest.mark.anyio
PRELOAD = Path(__file__).parents[2] / "support" / "web_push_testing.js"


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    program, port = peer("web-push-testing"), free_port()
    url = f"http://localhost:{port}"
    with tempfile.TemporaryFile() as said:
        command = ["node", "--require", str(PRELOAD), str(program), str(port)]
        running = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, cwd=tempfile.gettempdir())
        try:
            for _ in range(200):
                with httpx.Client(trust_env=False) as client:
                    try:
                        client.post(f"http://127.0.0.1:{port}/status")
                        break
                    except httpx.TransportError:
                        assert running.poll() is None, said.read()
                        time.sleep(0.05)
            yield url
        finally:
            running.terminate()
            running.wait(10)


class Mine:
    def __init__(self, url: str) -> None:
        self.key = generate_private_key(SECP256R1())
        self.connector = self.connecting(url, self.key)
        self.url = url

    @staticmethod
    def connecting(url: str, key) -> PushConnector:
        async def private(name: str):
            return key

        settings = PushSettings(subject=SUBJECT, private_origins=(url,))
        lasts = timedelta(hours=12)
        return PushConnector(
            SystemClock(), settings, Signer(SystemClock(), SUBJECT, private, lasts=lasts, reused=lasts / 2)
        )

    async def subscribe(self) -> tuple[str, str]:
        """`to`, and the name under which the peer shows what it received."""
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as client:
            asked = {"userVisibleOnly": "true", "applicationServerKey": public_of(self.key)}
            answer = await client.post("/subscribe", json=asked)
            made = answer.json()["data"]
        to = Address(made["endpoint"], made["keys"]["p256dh"].rstrip("="), made["keys"]["auth"].rstrip("="), "mine", 1)
        return to.text(), made["clientHash"]

    async def received(self, name: str) -> list[str]:
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as client:
            answer = await client.post("/get-notifications", json={"clientHash": name})
            return answer.json()["data"]["messages"]


@pytest.fixture
async def mine(anyio_backend: str, service: str):
    found = Mine(service)
    yield found
    await found.connector.close()


def now() -> datetime:
    return datetime.now(UTC)


async def test_what_we_send_is_read_word_by_word(mine: Mine) -> None:
    to, name = await mine.subscribe()
    words = json.dumps({"title": "Grüße 🌷", "body": "x" * 3000})
    for _ in range(2):
        message = sample(to, now())
        outcome = await mine.connector.send(
            replace(message, channel="push", text=words), message.delivery_id, now() + timedelta(seconds=10)
        )
        assert outcome.answer is Answer.ACCEPTED, outcome
    assert [one.rstrip() for one in await mine.received(name)] == [words, words]


async def test_the_connector_keeps_every_promise(mine: Mine) -> None:
    to, name = await mine.subscribe()
    assert await broken_promises(mine.connector, to=to, at=now()) == []
    assert len(await mine.received(name)) == 9


async def test_a_strangers_signature_is_refused_there(mine: Mine) -> None:
    to, name = await mine.subscribe()
    other = Mine.connecting(mine.url, generate_private_key(SECP256R1()))
    message = sample(to, now())
    outcome = await other.send(message, message.delivery_id, now() + timedelta(seconds=10))
    await other.close()
    assert (outcome.answer, outcome.reason) == (Answer.REJECTED, "bad_request")
    assert await mine.received(name) == []


async def test_an_expired_subscription_is_gone(mine: Mine) -> None:
    to, name = await mine.subscribe()
    async with httpx.AsyncClient(base_url=mine.url, trust_env=False) as client:
        await client.post(f"/expire-subscription/{name}")
    message = sample(to, now())
    outcome = await mine.connector.send(message, message.delivery_id, now() + timedelta(seconds=10))
    assert (outcome.answer, outcome.gone) == (Answer.REJECTED, True)
