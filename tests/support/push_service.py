"""A push service on loopback: takes RFC 8030 posts and, for a browser, speaks autopush's websocket protocol (hello, register, notification, ack).

It answers posts as a test scripts it, keeps what it was sent, and checks nothing: the checks are the tests'.
"""

import asyncio
import base64
import json
import secrets
import uuid
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from websockets import ConnectionClosed
from websockets.asyncio.server import Server, ServerConnection, serve

REASONS = {200: "OK", 201: "Created", 404: "Not Found", 410: "Gone"}


@dataclass(frozen=True)
class Posted:
    """One post: its path, its headers in lower case, its body."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What the service says to one post. `hang`: nothing at all. `cut`: the connection breaks after the request was read."""

    status: int = 201
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False
    cut: bool = False


class PushService:
    """``async with PushService() as service``: `origin` takes posts, `websocket` browsers."""

    def __init__(self) -> None:
        self.posted: list[Posted] = []
        self.script: deque[Answer] = deque()
        self.channels: dict[str, tuple[str, str]] = {}  # path -> (user agent, channel)
        self.acks: list[tuple[str, int | None]] = []  # channel, code: 100 delivered, 101 could not be decrypted
        self._agents: dict[str, ServerConnection] = {}
        self._waiting: dict[str, list[str]] = {}
        self._http: asyncio.Server | None = None
        self._ws: Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._http = await asyncio.start_server(self._post, "127.0.0.1", 0)
        self._ws = await serve(self._talk, "127.0.0.1", 0)
        self.origin = f"http://127.0.0.1:{self._http.sockets[0].getsockname()[1]}"
        self.websocket = f"ws://127.0.0.1:{next(iter(self._ws.sockets)).getsockname()[1]}/"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._http is not None
        assert self._ws is not None
        self._ws.close()
        await self._ws.wait_closed()
        self._http.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.wait_closed()

    def endpoint(self, name: str = "") -> str:
        """An address that nobody listens behind."""
        return f"{self.origin}/push/{name or secrets.token_urlsafe(24)}"

    # posts

    async def _post(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while await self._one(reader, writer):
                    pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        path = head[0].split(" ")[1]
        self.posted.append(Posted(path, headers, body))
        answer = self.script.popleft() if self.script else Answer(headers={"Location": f"/message/{uuid.uuid4().hex}"})
        if answer.hang:
            await asyncio.sleep(3600)
        if answer.cut:
            return False
        if answer.status == 201:
            await self._deliver(path, headers, body)
        told = {"Content-Length": "0", **answer.headers}
        lines = [
            f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, 'Said')}",
            *(f"{n}: {v}" for n, v in told.items()),
        ]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        await writer.drain()
        return True

    async def _deliver(self, path: str, headers: dict[str, str], body: bytes) -> None:
        if path not in self.channels:
            return
        agent, channel = self.channels[path]
        words = json.dumps(
            {
                "messageType": "notification",
                "channelID": channel,
                "version": uuid.uuid4().hex,
                "data": base64.urlsafe_b64encode(body).rstrip(b"=").decode(),
                "headers": {"encoding": headers["content-encoding"]},
            }
        )
        if agent in self._agents:
            await self._agents[agent].send(words)
        else:
            self._waiting.setdefault(agent, []).append(words)

    # browsers

    async def _talk(self, browser: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await self._listen(browser)

    async def _listen(self, browser: ServerConnection) -> None:
        agent = ""
        async for raw in browser:
            said = json.loads(raw)
            match said.get("messageType"):
                case "hello":
                    agent = said.get("uaid") or uuid.uuid4().hex
                    self._agents[agent] = browser
                    await browser.send(
                        json.dumps(
                            {
                                "messageType": "hello",
                                "uaid": agent,
                                "status": 200,
                                "use_webpush": True,
                                "broadcasts": {},
                            }
                        )
                    )
                    for words in self._waiting.pop(agent, []):
                        await browser.send(words)
                case "register":
                    path = f"/push/{secrets.token_urlsafe(24)}"
                    self.channels[path] = agent, said["channelID"]
                    answer = {"channelID": said["channelID"], "status": 200, "pushEndpoint": f"{self.origin}{path}"}
                    await browser.send(json.dumps({"messageType": "register", **answer}))
                case "unregister":
                    self.channels = {p: v for p, v in self.channels.items() if v != (agent, said["channelID"])}
                    await browser.send(
                        json.dumps({"messageType": "unregister", "channelID": said["channelID"], "status": 200})
                    )
                case "ack":
                    for one in said.get("updates", []):
                        self.acks.append((one["channelID"], one.get("code")))
                case "ping" | None:
                    await browser.send("{}")
        if self._agents.get(agent) is browser:
            del self._agents[agent]
