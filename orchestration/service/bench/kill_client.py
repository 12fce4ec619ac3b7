"""The client of a server that dies: says things in order, says each again until it is answered, and remembers what it was told.

Enters: chains of `Job`s; a chain's jobs are said one after the other, several chains at the same time. Leaves: a `Word` for each thing said. A repeat is the same
request with the same message ids and the same Idempotency-Key. A 2xx is an acknowledgement; another 4xx is a refusal, of which nothing may be found.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from orchestration.service.bench.harness import BenchFailed

_AGAIN: Final = frozenset({429, 500, 502, 503, 504})
_PATIENCE: Final = 180.0  # seconds for one thing, kills and restarts included
_MOST_BROKEN: Final = 50
_TIMEOUT: Final = 15.0
_REPEATED: Final = 0.1  # share of answered requests that are said once more, as when an answer is lost on its way


@dataclass(frozen=True, slots=True)
class Job:
    """One request. `keys` name what it says: the message ids of a batch, else one."""

    kind: str
    keys: tuple[str, ...]
    path: str
    body: Mapping[str, Any]
    secret: str

    @property
    def headers(self) -> dict[str, str]:
        """A batch is known by its message ids, anything else by its key."""
        made = {"Authorization": f"Bearer {self.secret}"}
        return made if self.kind == "event" else made | {"Idempotency-Key": self.keys[0]}


@dataclass(slots=True)
class Word:
    """What became of one thing that was said; `at`, in seconds of the epoch, it was first acknowledged."""

    tries: int = 0
    at: float = 0.0
    answers: list[Mapping[str, Any]] = field(default_factory=list)
    refused: str | None = None


class Client:
    """Says and remembers."""

    def __init__(self, url: str, seed: str) -> None:
        self.url = url
        self.said: dict[str, dict[str, Word]] = {}
        self.checkpoints: list[str] = []
        self.under_way: Counter[str] = Counter()
        self.done = 0
        self.broken: Counter[str] = Counter()
        self._draw = random.Random(f"client:{seed}")  # noqa: S311  # a seeded simulation
        self._http = httpx.AsyncClient(base_url=url, timeout=_TIMEOUT, trust_env=False)

    async def close(self) -> None:
        """Hang up."""
        await self._http.aclose()

    async def walk(self, chains: Sequence[Sequence[Job]], *, at_once: int) -> None:
        """Say every chain."""
        waiting = iter(chains)

        async def one() -> None:
            for chain in waiting:
                for job in chain:
                    await self.say(job)

        await asyncio.gather(*(one() for _ in range(at_once)))

    async def say(self, job: Job) -> None:
        """Say it until it is answered, and sometimes once more."""
        for key in job.keys:
            self.said.setdefault(job.kind, {}).setdefault(key, Word())
        await self._until(job)
        self.done += 1
        if self._draw.random() < _REPEATED:
            await self._until(job)

    async def _until(self, job: Job) -> None:
        words = self.said[job.kind]
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            for key in job.keys:
                words[key].tries += 1
            answer = await self._ask(job)
            if answer is not None and answer.status_code not in _AGAIN:
                _note(job, words, answer)
                return
            if answer is not None:
                if self.broken[f"{job.kind} 500"] > _MOST_BROKEN:
                    raise BenchFailed(f"expected answers, got {_MOST_BROKEN} times status 500 to a {job.kind}")
                self.broken[f"{job.kind} {answer.status_code}"] += 1
            await asyncio.sleep(self._draw.uniform(0.05, 0.3))
        raise BenchFailed(f"expected an answer to a {job.kind} within {_PATIENCE:.0f} s of asking, got none")

    async def _ask(self, job: Job) -> httpx.Response | None:
        self.under_way[job.kind] += 1
        try:
            return await self._http.post(job.path, json=job.body, headers=job.headers)
        except httpx.TransportError:
            return None
        finally:
            self.under_way[job.kind] -= 1

    async def watch(self) -> None:
        """Keep every checkpoint that was shown: whoever holds one must find it in the log for ever."""
        while True:
            try:
                shown = await self._http.get("/audit/checkpoint")
            except httpx.TransportError:
                shown = None
            if shown is not None and shown.status_code == 200 and shown.text not in self.checkpoints[-1:]:
                self.checkpoints.append(shown.text)
            await asyncio.sleep(0.2)


@asynccontextmanager
async def client(url: str, seed: str) -> AsyncIterator[Client]:
    """A client with its watch over the log."""
    made = Client(url, seed)
    watch = asyncio.create_task(made.watch())
    try:
        yield made
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        await made.close()


def _note(job: Job, words: Mapping[str, Word], answer: httpx.Response) -> None:
    told = answer.json()
    for key in job.keys:
        words[key].at = words[key].at or time.time()
    if not answer.is_success:
        for key in job.keys:
            words[key].refused = str(told.get("code", answer.status_code))
    elif job.kind == "event":
        for key, one in zip(job.keys, told["results"], strict=True):
            words[key].answers.append(one)
    else:
        words[job.keys[0]].answers.append(told)
