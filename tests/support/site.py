"""A shop's website on loopback: a few files from memory, on an origin of its own."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Self

TYPES = {"html": "text/html; charset=utf-8", "js": "text/javascript"}


class Site:
    """``async with Site({"/": page}) as site``: `origin`, and `files` that may still change."""

    def __init__(self, files: Mapping[str, str] | None = None) -> None:
        self.files = dict(files or {})
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.origin = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in list(self._open):
            writer.close()
        await self._server.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                    path = head.split(" ")[1].partition("?")[0]
                    words = self.files.get(path)
                    status = "200 OK" if words is not None else "404 Not Found"
                    body = (words or "").encode()
                    kind = TYPES.get(path.rpartition(".")[2], TYPES["html"])
                    told = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nCache-Control: no-store\r\n\r\n"
                    writer.write(told.encode() + body)
                    await writer.drain()
        finally:
            self._open.discard(writer)
            writer.close()
