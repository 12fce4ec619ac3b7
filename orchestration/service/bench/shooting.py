"""The load generator: a process of its own that sends requests when they are due, whatever the answers do (open loop).

Enters: a plan as JSON (host, port, rps, seconds, connections, requests as text, keep). Leaves: a result as JSON. Run as `python -m`; nothing of Candor is
imported, so that it starts at once and takes little of the machine it shares with the server. A request that finds no idle connection takes a
new one, up to the limit, and then waits in line while its clock runs: no coordinated omission.
"""

import asyncio
import gc
import json
import sys
import time
from collections import Counter, deque
from pathlib import Path
from typing import Any, Final, cast

import httptools
import uvloop

PATIENCE: Final = 10.0  # seconds for the last answers, unless the plan says otherwise


class Shot:
    """One request of the plan."""

    __slots__ = ("body", "due", "left", "number", "status", "took")

    def __init__(self, number: int, due: float) -> None:
        self.number = number
        self.due = due
        self.left = 0.0
        self.took = 0.0
        self.status = 0
        self.body = b""


class Line(asyncio.Protocol):
    """One kept-alive connection; carries one request at a time."""

    def __init__(self, range_: "Range") -> None:
        self._range = range_
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.WriteTransport | None = None
        self._parts: list[bytes] = []
        self.shot: Shot | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102 - asyncio's interface
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is one in deed, not by class

    def data_received(self, data: bytes) -> None:  # noqa: D102
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._range.lost(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002, D102
        self._range.lost(self)

    def on_body(self, body: bytes) -> None:  # noqa: D102 - httptools' interface
        self._parts.append(body)

    def on_message_complete(self) -> None:  # noqa: D102
        shot, self.shot = self.shot, None
        words, self._parts = b"".join(self._parts), []
        if shot is not None:
            shot.status = self._parser.get_status_code()
            shot.body = words
            self._range.answered(shot)
        self._parser = httptools.HttpResponseParser(self)
        self._range.idle(self)

    def fire(self, shot: Shot, request: bytes) -> None:
        """Send a request."""
        assert self._transport is not None
        self.shot = shot
        self._transport.write(request)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


class Range:
    """Where the shooting happens."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._loop = asyncio.get_running_loop()
        self._host, self._port = str(plan["host"]), int(plan["port"])
        self._requests = [str(one).encode("latin-1") for one in plan["requests"]]
        self._pause = 1.0 / float(plan["rps"])
        self._count = max(1, round(float(plan["rps"]) * float(plan["seconds"])))
        self._most = int(plan["connections"])
        self._keep = bool(plan["keep"])
        self._patience = float(plan.get("patience", PATIENCE))
        self._idle: list[Line] = []
        self._open = 0
        self._waiting: deque[Shot] = deque()
        self._connecting: set[asyncio.Task[None]] = set()
        self._errors: Counter[str] = Counter()
        self._left = self._count
        self._done = self._loop.create_future()
        self._shots: list[Shot] = []
        self._next = 0
        self._start = 0.0

    async def run(self) -> dict[str, Any]:
        """Shoot the plan and tell how it went."""
        for _ in range(min(8, self._most)):  # a running client has connections already
            self._open += 1
            await self._connect()
        gc.collect()
        gc.disable()
        self._start = time.perf_counter() + 0.05  # the loop's own clock counts whole milliseconds
        self._loop.call_later(0.05, self._due)
        late = self._count * self._pause + self._patience
        await asyncio.wait([self._done], timeout=late)
        missing = self._left
        if missing > 0:
            self._errors["unanswered"] += missing
        told = [one for one in self._shots if one.status]
        return {
            "asked": self._count,
            "errors": dict(self._errors),
            "seconds": max((one.due + one.took for one in told), default=self._start) - self._start,
            "took": [one.took for one in told if 200 <= one.status < 300],
            "late": [one.left - one.due for one in self._shots if one.left],
            "status": [one.status for one in told],
            "number": [one.number for one in told],
            "bodies": [one.body.decode("latin-1") for one in told] if self._keep else [],
        }

    def _due(self) -> None:
        """Send what is due and come back for the next."""
        now = time.perf_counter()
        while self._next < self._count and self._start + self._next * self._pause <= now:
            shot = Shot(self._next, self._start + self._next * self._pause)
            self._next += 1
            self._shots.append(shot)
            self._waiting.append(shot)
        self._serve()
        if self._next < self._count:
            self._loop.call_later(max(0.0, self._start + self._next * self._pause - time.perf_counter()), self._due)

    def _serve(self) -> None:
        while self._waiting and self._idle:
            shot = self._waiting.popleft()
            shot.left = time.perf_counter()
            self._idle.pop().fire(shot, self._requests[shot.number % len(self._requests)])
        for _ in range(min(len(self._waiting) - len(self._connecting), self._most - self._open)):
            self._open += 1
            task = self._loop.create_task(self._connect())
            self._connecting.add(task)
            task.add_done_callback(self._connected)

    def _connected(self, task: asyncio.Task[None]) -> None:
        self._connecting.discard(task)
        self._serve()

    async def _connect(self) -> None:
        try:
            _, line = await self._loop.create_connection(lambda: Line(self), self._host, self._port)
        except OSError as fault:
            self._open -= 1
            self._errors["refused"] += 1
            if self._waiting:
                self._waiting.popleft()
                self._count_down()
            del fault
            return
        self._idle.append(line)

    def answered(self, shot: Shot) -> None:
        """An answer is complete."""
        shot.took = time.perf_counter() - shot.due
        if not 200 <= shot.status < 300:
            self._errors[f"status_{shot.status}"] += 1
        self._count_down()

    def idle(self, line: Line) -> None:
        """A connection may carry the next."""
        if line.shot is None:
            self._idle.append(line)
            self._serve()

    def lost(self, line: Line) -> None:
        """A connection is gone, with the request that it carried."""
        self._open -= 1
        if line in self._idle:
            self._idle.remove(line)
        if line.shot is not None:
            line.shot = None
            self._errors["connection_lost"] += 1
            self._count_down()
        line.close()

    def _count_down(self) -> None:
        self._left -= 1
        if self._left == 0 and not self._done.done():
            self._done.set_result(None)


def main() -> None:
    """`python -m orchestration.service.bench.shooting PLAN RESULT`."""
    plan = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))

    async def run() -> dict[str, Any]:
        return await Range(plan).run()

    Path(sys.argv[2]).write_text(json.dumps(uvloop.run(run())), encoding="utf-8")


if __name__ == "__main__":
    main()
