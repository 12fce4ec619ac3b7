"""How many signed events a second are folded durably: `python examples/peers/webhook_rate.py [--people N] [--json]`.

Opens a house of its own in a temporary folder (real Postgres with fsync, real routes), makes deliveries, then posts SendGrid's events for them, eight a
delivery, in posts of 500, and waits for every answer. Prints events a second; exits 1 when a delivery did not end as it should.
"""

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from base64 import b64encode
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from channels.content import Content
from channels.deliveries import NewDelivery
from channels.email.settings import SendGridSettings
from channels.email.signature import SIGNATURE, TIMESTAMP
from channels.settings import ChannelsSettings
from consent.acts import NewAct, Notice
from identity.identifiers import Identifier
from identity.records import NewRecord
from kernel.ids import DecisionId, DeliveryId, new_id
from kernel.settings import KernelSettings
from orchestration.service.app import create_app
from orchestration.settings import Settings
from orchestration.wiring import House, open_house

KINDS = ("processed", "deferred", "delivered", "open", "open", "click", "click", "spamreport")
POST = 500
NOTICE = Notice.of("May we write to you?", version="v1", language="en")


async def people(house: House, count: int) -> list[DeliveryId]:
    """Deliveries to people who agreed, as if SendGrid had taken them."""
    now = house.kernel.clock.now()
    contacts = [Identifier("email", f"p{n}@example.org") for n in range(count)]
    records = [
        NewRecord(
            source="shop", source_key=str(n), identifiers=(contact,), traits={}, kinds={},
            observed_at=now - timedelta(days=30), purpose="service", basis="contract",
        )
        for n, contact in enumerate(contacts)
    ]  # fmt: skip
    async with house.kernel.db.transaction() as conn:
        await house.identity.add_records(conn, records)
        found = await house.identity.resolve(conn, [[one] for one in contacts])
        ids = await house.identity.register_identifiers(conn, contacts)
        acts = [
            NewAct(
                subject=one, purpose=purpose, status="granted", channel=None, basis="consent",
                jurisdiction="gdpr", notice=NOTICE, mechanism="form", actor="person", given_at=now - timedelta(days=1),
            )
            for one in ids
            for purpose in ("marketing.email", "tracking")
        ]  # fmt: skip
        await house.consent.record(conn, acts)
        wanted = [
            NewDelivery(
                decision_id=DecisionId(new_id("dec")), person=one.person, identifier_id=contact, channel="email",
                purpose="marketing.email", expires_at=now + timedelta(days=1),
                content=Content(content_id="c", subject="Hello", heading="Hello", paragraphs=("Hello.",)),
            )
            for one, contact in zip(found, ids, strict=True) if one.person is not None
        ]  # fmt: skip
        made = await house.channels.reserve(conn, wanted)
    while (await house.channels.dispatch(count)).total:
        pass
    return [one for one in made if isinstance(one, str)]


def posts(ids: list[DeliveryId], now: int) -> list[bytes]:
    """Eight events a delivery, mixed, as arrays of 500."""
    events: list[dict[str, Any]] = [
        {
            "email": "somebody@example.org", "timestamp": now - 8 + place, "event": kind, "sg_event_id": f"{one}-{place}",
            "sg_message_id": "x.recvd-1", "delivery_id": one, "useragent": "Mozilla/5.0 (X11; Linux x86_64)",
            "ip": "192.0.2.1", "url": "https://shop.example/garden?x=1", "sg_machine_open": place == 3,
        }
        for place, kind in enumerate(KINDS) for one in ids
    ]  # fmt: skip
    return [json.dumps(events[start : start + POST]).encode() + b"\r\n" for start in range(0, len(events), POST)]


def signed(key: EllipticCurvePrivateKey, raw: bytes, now: int) -> dict[str, str]:
    """The two headers of a post."""
    seal = b64encode(key.sign(str(now).encode() + raw, ECDSA(SHA256()))).decode()
    return {SIGNATURE: seal, TIMESTAMP: str(now), "Content-Type": "application/json"}


async def measure(folder: Path, count: int, at_once: int) -> dict[str, Any]:
    """The figures."""
    key = generate_private_key(SECP256R1())
    public = b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
    settings = Settings(
        kernel=KernelSettings(data_dir=folder, log_level="error"),
        channels=ChannelsSettings(sendgrid=SendGridSettings(webhook_public_keys=(public,))),
    )
    async with open_house(settings) as house:
        ids = await people(house, count)
        async with (
            house.kernel.db.transaction() as conn
        ):  # they left through the outbox here; SendGrid is to have carried them
            await conn.execute("UPDATE channels.deliveries SET connector = 'sendgrid'")
        now = int(house.kernel.clock.now().timestamp())
        made = posts(ids, now)
        gate = asyncio.Semaphore(at_once)
        spent: list[float] = []
        transport = httpx.ASGITransport(create_app(house))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8460") as client:

            async def post(raw: bytes) -> None:
                async with gate:
                    begun = time.perf_counter()
                    answer = await client.post("/webhooks/sendgrid", content=raw, headers=signed(key, raw, now))
                    answer.raise_for_status()
                    spent.append(time.perf_counter() - begun)

            begun, busy = time.perf_counter(), time.process_time()
            await asyncio.gather(*(post(raw) for raw in made))
            seconds, busy = time.perf_counter() - begun, time.process_time() - busy
        states = await house.channels.counts()
    events = count * len(KINDS)
    return {
        "deliveries": count,
        "events": events,
        "posts": len(made),
        "at_once": at_once,
        "seconds": round(seconds, 2),
        "own_cpu_seconds": round(busy, 2),  # without Postgres: what a busy machine does not change much
        "events_per_second": round(events / seconds),
        "slowest_post_ms": round(max(spent) * 1000),
        "states": states,
        "ok": states == {"complained": count},
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="candor-rate-", dir="/var/tmp"))
    folder.chmod(0o711)
    try:
        told = asyncio.run(measure(folder / "candor", asked.people, asked.at_once))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if asked.json:
        print(json.dumps(told))
    else:
        print(
            f"{told['events_per_second']} events/s folded durably ({told['events']} events, {told['posts']} posts, states {told['states']})"
        )
    return 0 if told["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
