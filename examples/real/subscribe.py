"""Browsers of some visitors subscribe to notifications, through Candor's own door; each has keys of its own.

Usage: python subscribe.py VISITORS.csv PUSH_ORIGIN COUNT. Who did not agree to notifications is refused by the gate, and nothing is kept of that.
"""

import asyncio
import base64
import csv
import secrets
import sys
from collections import Counter
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from channels.push.subscription import checked
from channels.push.words import Registrant
from events.log import Source
from identity.identifiers import Identifier
from orchestration.settings import load
from orchestration.wiring import open_house


def text(raw: bytes) -> str:
    """base64url, as browsers write it."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


async def main(names: list[str], origin: str) -> None:
    """Register them one by one, as they would come."""
    told: Counter[str] = Counter()
    async with open_house(load()) as house:
        async with house.kernel.db.transaction() as conn:
            await house.events.register_source(conn, Source("ecom_browsers", "marketing.push", "consent"))
        for name in names:
            public = (
                generate_private_key(SECP256R1())
                .public_key()
                .public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            )
            browser = checked(f"{origin}/push/{secrets.token_urlsafe(24)}", text(public), text(secrets.token_bytes(16)))
            who = Registrant(identifiers=(Identifier("login_id", name),), source="ecom_browsers", actor="example")
            made = await house.channels.push.subscriptions.register(who, browser)
            told["subscribed" if made.contact else "refused by the gate"] += 1
    print(", ".join(f"{word} {number}" for word, number in sorted(told.items())))


if __name__ == "__main__":
    with Path(sys.argv[1]).open(encoding="utf-8", newline="") as table:
        visitors = [row["user_id"] for row in csv.DictReader(table)]
    asyncio.run(main(visitors[: int(sys.argv[3])], sys.argv[2]))
