"""A SendGrid of the test's own: its signing key, its posts, and a room that trusts it."""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from channels.connector import Answer, Outcome
from channels.email.settings import SendGridSettings
from channels.email.webhook import Taken
from channels.service import Channels
from tests.channels.conftest import Recorder, World, delivery

KEY = generate_private_key(SECP256R1())


def public(key: EllipticCurvePrivateKey) -> str:
    return b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def sign(key: EllipticCurvePrivateKey, timestamp: str, raw: bytes) -> str:
    return b64encode(key.sign(timestamp.encode() + raw, ECDSA(SHA256()))).decode()


def event(delivery_id: str, kind: str, at: float, **more: Any) -> dict[str, Any]:
    """One event as SendGrid posts it."""
    return {
        "email": "ada1@example.org",
        "timestamp": int(at),
        "smtp-id": "<x@ismtpd>",
        "event": kind,
        "sg_event_id": f"{kind}-{int(at)}-{delivery_id[-6:]}",
        "sg_message_id": "abc.recvd-1",
        "delivery_id": delivery_id,
        "decision_id": "dec_x",
    } | more


Post = Callable[..., Any]


class Mailroom:
    """The room with a connector that calls itself sendgrid, and posts that it takes."""

    def __init__(self, world: World, **settings: Any) -> None:
        self.world = world
        self.recorder = Recorder(name="sendgrid")
        self.room: Channels = world.channels(
            self.recorder, sendgrid=SendGridSettings(webhook_public_keys=(public(KEY),), **settings)
        )

    async def sent(self, key: str = "1", answer: Answer = Answer.ACCEPTED, *, tracked: bool = True) -> tuple[Any, str]:
        """A delivery that went out (or may have)."""
        person, contact = await self.world.person(key, tracked=tracked)
        new = delivery(person, contact)
        (made,) = await self.world.reserve(self.room, new)
        self.recorder.answer = Outcome(answer=answer, provider_id="p1")
        await self.room.dispatch()
        return new, made

    async def post(self, *events: Mapping[str, Any]) -> Taken:
        raw = json.dumps(list(events)).encode() + b"\r\n"
        now = str(int(self.world.clock.now().timestamp()))
        return await self.room.sendgrid.take(raw, signature=sign(KEY, now, raw), timestamp=now)

    async def names(self, new: Any) -> list[Any]:
        """Events that name the decision."""
        async with self.world.kernel.db.reading() as conn:
            return (await self.world.events.outcomes_for(conn, [new.decision_id]))[new.decision_id]


@pytest.fixture
def mailroom(world: World) -> Mailroom:
    return Mailroom(world)
