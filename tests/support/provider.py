"""A small HTTP provider on loopback that answers as the test says, faults included: what SendGrid may do and no mock server can.

`answers` are taken in turn, the last one stays. Each is `Reply(...)`, or a fault: "reset" (the request is read, then the connection is
reset), "reset_early" (reset before a byte is read), "hang" (read, and nothing is ever said), "half" (a status line and headers that
promise a body, then reset).
"""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Reply:
    status: int = 202
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Got:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict:
        return json.loads(self.body)


class Provider:
    def __init__(self) -> None:
        self.handler: Callable[[Got], Reply] | None = None  # answers instead, for those that have a state
        self.answers: list[Reply | str] = []
        self.got: list[Got] = []
        self.connections = 0
        self.url = ""
        self._gone = asyncio.Event()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                if self.answers and self.answers[0] == "reset_early":
                    return self._reset(writer)
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.decode("latin-1").split("\r\n")
                method, path, _ = lines[0].split(" ")
                headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.got.append(Got(method, path, headers, body))
                answer = Reply(202, {"X-Message-Id": f"m{len(self.got)}"})
                if self.handler is not None:
                    answer = self.handler(self.got[-1])
                elif self.answers:
                    answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if answer == "reset":
                    return self._reset(writer)
                if answer == "hang":
                    await self._gone.wait()
                    return None
                if answer == "half":
                    writer.write(b"HTTP/1.1 202 Accepted\r\nX-Message-Id: half\r\nContent-Length: 100\r\n\r\nabc")
                    await writer.drain()
                    return self._reset(writer)
                told = {"Content-Length": str(len(answer.body)), **answer.headers}
                lines = [f"HTTP/1.1 {answer.status} Said", *(f"{k}: {v}" for k, v in told.items()), "", ""]
                writer.write("\r\n".join(lines).encode() + answer.body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        finally:
            writer.close()

    @staticmethod
    def _reset(writer: asyncio.StreamWriter) -> None:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()


@asynccontextmanager
async def provider(*answers: Reply | str) -> AsyncIterator[Provider]:
    found = Provider()
    found.answers = list(answers)
    server = await asyncio.start_server(found._serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    found.url = f"http://127.0.0.1:{port}"
    try:
        yield found
    finally:
        found._gone.set()
        server.close()
        await server.wait_closed()


def closed_port() -> int:
    """A port of loopback on which nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
