"""Telling agents how their requests stand, where they asked for it (Data Rights Protocol 0.9.4, 2.03; consent.D1).

What enters: requests whose status an agent has not heard. What leaves: a POST of the protocol's status, signed like a letter, to the address that the agent named; tried again at growing intervals for a
week, in the worker's own time: no request waits for it. A status is about a request, never about a person. Of the answer the code counts; its words are not read.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

import httpx

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from consent import requests_store
from consent.rights import agents_store as rows
from consent.rights import post
from consent.rights.agents_store import Waiting
from consent.service import Consent
from kernel.canonical import Json
from kernel.db import Conn
from kernel.kernel import Kernel
from kernel.letters import Pen
from kernel.vault import SubjectKey

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_WAITS: Final = tuple(timedelta(minutes=one) for one in (1, 5, 30, 120, 360))  # then every six hours
_TRIES: Final = 30  # a week
_LEASE: Final = timedelta(minutes=5)
_TIMEOUT: Final = httpx.Timeout(10.0)
_BATCH: Final = 8  # at the same time: a stop waits for one timeout at most
_TABLE, _COLUMN = "consent.agent_requests", "callback"


def allowed(url: str) -> bool:
    """Whether we would post there: https, or this machine; no name and password in it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    if not parts.hostname or parts.username is not None or parts.password is not None or port == 0:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)


def seal(key: SubjectKey, request: str, url: str) -> bytes:
    """The address, which may name somebody, for its row."""
    return key.seal(_TABLE, _COLUMN, request, url.encode())


class Callbacks:
    """Stands at ``Rights.callbacks``. ``status``: how the protocol says a request."""

    def __init__(self, kernel: Kernel, audit: Audit, consent: Consent, pen: Pen, status: Callable[..., dict[str, Json]]) -> None:  # fmt: skip
        self._kernel = kernel
        self._audit = audit
        self._consent = consent
        self._pen = pen
        self._status = status

    async def work(self, limit: int = _BATCH) -> list[Waiting]:
        """Tell those who are due; which were tried."""
        now = self._kernel.clock.now()
        async with self._kernel.db.transaction() as conn:
            due = await rows.claim(conn, now, now + _LEASE, limit)
        if not due:
            return []
        async with httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False, follow_redirects=False) as client:
            await asyncio.gather(*(self._tell(client, one) for one in due))
        return due

    async def _tell(self, client: httpx.AsyncClient, one: Waiting) -> None:
        keys = await self._kernel.vault.unwrap([one.key_id])
        async with self._kernel.db.reading() as conn:
            request = await requests_store.get(conn, one.request)
        if request is None or one.key_id not in keys:
            await self._end(one, "gone")
            return
        url = keys[one.key_id].open(_TABLE, _COLUMN, one.request, one.callback).decode()
        words, headers = post.signed(self._status(request, one.named), self._pen)
        fault = await _posted(client, url, words, headers)
        if fault is None and one.closed_at is not None:
            await self._end(one, None)
        elif fault is not None and one.attempts + 1 >= _TRIES:
            await self._end(one, "given_up")
        else:
            await self._keep(one, fault)

    async def _keep(self, one: Waiting, fault: str | None) -> None:
        now = self._kernel.clock.now()
        async with self._kernel.db.transaction() as conn:
            if fault is None:
                await rows.told(conn, one, now)
                await self._note(conn, one, None)
            else:
                await rows.not_told(conn, one, fault, _later(now, one.attempts))

    async def _end(self, one: Waiting, fault: str | None) -> None:
        async with self._kernel.db.transaction() as conn:
            await rows.end(conn, one, fault)
            await self._consent.shredder.doom(conn, [one.key_id])
            await self._note(conn, one, fault)

    async def _note(self, conn: Conn, one: Waiting, fault: str | None) -> None:
        refs = {"request": one.request, "agent": one.agent}
        facts: dict[str, Json] = {"attempts": one.attempts + 1, "fault": fault}
        await self._audit.append(conn, [NewEntry(Tag.AGENT_TOLD, refs, facts, actor="system:callbacks")])


async def _posted(client: httpx.AsyncClient, url: str, words: bytes, headers: dict[str, str]) -> str | None:
    """Nothing when it was taken, else a code."""
    try:
        async with client.stream("POST", url, content=words, headers=headers) as got:
            return None if got.status_code == httpx.codes.OK else f"status_{got.status_code}"
    except httpx.HTTPError as fault:
        return type(fault).__name__


def _later(now: datetime, attempts: int) -> datetime:
    return now + _WAITS[min(attempts, len(_WAITS) - 1)]
