"""A provider of e-mail on loopback, as SendGrid looks from here: it takes a message, thinks, and only then answers.

Enters: POST /v3/mail/send. Leaves: 202, now and then a 429 or 503 that took nothing. A message counts as sent the moment its request was read to the end:
what the asker hears of it, or whether it still lives, makes no difference, as with the real one. It is no product: it asks for no key.
"""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

_REFUSALS: Final = {429: b"Retry-After: 1\r\n", 503: b"Retry-After: 1\r\n"}
_REFUSED: Final = 0.04  # share of requests
_SLOWEST: Final = (
    0.3  # seconds between taking a message and saying so: the moment in which a crash leaves nobody knowing
)


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that left for somebody; `at` in seconds of the epoch."""

    delivery_id: str
    decision_id: str
    to: str
    at: float


@dataclass(slots=True)
class Peer:
    """What the provider did. `thinking` are messages that it took and has not answered for."""

    url: str
    draw: random.Random
    on_taken: Callable[[Taken], None] = lambda _: None
    taken: list[Taken] = field(default_factory=list)
    thinking: set[str] = field(default_factory=set)
    busy: asyncio.Event = field(default_factory=asyncio.Event)
    refused: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until the other side hangs up."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (int(line.split(b":")[1]) for line in head.splitlines() if line.lower().startswith(b"content-length:")),
                    0,
                )  # fmt: skip
                writer.write(await self._answer(await reader.readexactly(length)))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # killed: that is what it is here for
        finally:
            writer.close()

    async def _answer(self, body: bytes) -> bytes:
        if self.draw.random() < _REFUSED:
            self.refused += 1
            status = self.draw.choice(sorted(_REFUSALS))
            return b"HTTP/1.1 %d No\r\n%sContent-Length: 0\r\n\r\n" % (status, _REFUSALS[status])
        (one,) = json.loads(body)["personalizations"]
        message = Taken(
            one["custom_args"]["delivery_id"],
            one["custom_args"]["decision_id"],
            str(one["to"][0]["email"]),
            time.time(),
        )
        self.taken.append(message)
        self.on_taken(message)
        self.thinking.add(message.delivery_id)
        self.busy.set()
        try:
            await asyncio.sleep(self.draw.uniform(0, _SLOWEST))
        finally:
            self.thinking.discard(message.delivery_id)
            if not self.thinking:
                self.busy.clear()
        return b"HTTP/1.1 202 Accepted\r\nX-Message-Id: m%d\r\nContent-Length: 0\r\n\r\n" % len(self.taken)


@asynccontextmanager
async def peer(seed: str) -> AsyncIterator[Peer]:
    """A provider on a free port of loopback."""
    made = Peer("", random.Random(f"peer:{seed}"))  # noqa: S311  # a seeded simulation
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
