"""The stream of a visitor's page: what changed, in the order of the commits, as server-sent events (channels.A27, HTML Living Standard 9.2).

Enters: a visitor, the id of the last event her page saw. Leaves: bytes. Every event carries an id `{tag}.{seq}`: the tag names the person by
a keyed hash, the number counts her changes without gaps. Who comes back with an id gets exactly what followed it, or one `resync` when that
cannot be told. A comment at least every 15 seconds keeps the way open. The truth is in Postgres: one look-up for all streams of a
process twice a second finds what other processes wrote; what this process writes wakes its streams at once.
"""

import asyncio
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import orjson

from channels.settings import ChannelsSettings
from channels.web.pages import Pages
from channels.web.standing import Change, What
from channels.web.visitor import Visitor
from identity.service import Identity
from kernel.canonical import Json
from kernel.errors import Conflict, Unavailable
from kernel.ids import PersonId
from kernel.kernel import Kernel
from kernel.log import get_logger

RETRY_MS: Final = 3000  # after how long a browser comes back
_TAG_BYTES: Final = 6
_DIGITS: Final = 18  # a number of changes that Postgres can count

_log = get_logger("channels.web.stream")


class TooManyStreams(Conflict):
    """A visitor or an address holds as many streams as one may."""

    code = "too_busy"
    remedy = "Close another page of this site, or raise channels.web_streams_per_visitor or channels.web_streams_per_address."


@dataclass(eq=False, slots=True, weakref_slot=True)
class _Watch:
    """One open stream. `seq`: the last change it was told."""

    visitor: Visitor
    person: PersonId | None = None
    seq: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)


class Streams:
    """Every stream of this process. One per process and event loop."""

    def __init__(self, kernel: Kernel, identity: Identity, pages: Pages, settings: ChannelsSettings) -> None:
        self._kernel = kernel
        self._identity = identity
        self._pages = pages
        self._settings = settings
        self._open: set[_Watch] = set()
        self._held: Counter[str] = Counter()
        self._sweeper: asyncio.Task[None] | None = None
        self._draining = False
        pages.on_change.append(self._wake)

    @property
    def count(self) -> int:
        """How many are open."""
        return len(self._open)

    def drain(self) -> None:
        """End every stream and take no new one: the process is about to stop, and browsers come back to another."""
        self._draining = True
        for watch in self._open:
            watch.news.set()

    def open(
        self, visitor: Visitor, last: str | None, address: str, alive: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[bytes]:
        """A stream. `alive` is asked now and then whether the key still works.

        Raises:
            TooManyStreams: the visitor or her address has enough of them.
        """
        who = self._kernel.vault.pepper("web/stream/visitor", visitor.identifier.value).hex()
        limits = {
            f"v:{who}": self._settings.web_streams_per_visitor,
            f"a:{address}": self._settings.web_streams_per_address,
        }
        if any(self._held[name] >= most for name, most in limits.items()):
            raise TooManyStreams("expected fewer open streams of this visitor or address, got as many as allowed")
        self._held.update(limits.keys())
        stream = self._stream(_Watch(visitor), last, alive)
        # Also when nobody ever reads from it.
        weakref.finalize(stream, self._release, tuple(limits)).atexit = False
        return stream

    def _release(self, names: tuple[str, ...]) -> None:
        self._held.subtract(names)
        for name in names:
            if self._held[name] <= 0:
                del self._held[name]

    async def _stream(
        self, watch: _Watch, last: str | None, alive: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[bytes]:
        self._open.add(watch)
        if self._sweeper is None or self._sweeper.done():
            self._sweeper = asyncio.create_task(self._sweep(), name="web-streams")
        try:
            yield f"retry: {RETRY_MS}\n\n".encode()
            if missed := await self._begin(watch, last):
                yield missed
            while not self._draining:
                try:
                    async with asyncio.timeout(self._settings.web_ping_seconds):
                        await watch.news.wait()
                except TimeoutError:
                    yield b": ping\n\n"
                    if not await alive():
                        return
                if watch.news.is_set() and not self._draining:
                    watch.news.clear()
                    if told := await self._news(watch):
                        yield told
        finally:
            self._open.discard(watch)

    async def _begin(self, watch: _Watch, last: str | None) -> bytes:
        watch.person = await self._who(watch.visitor)
        newest = await self._newest(watch.person)
        tag, _, number = (last or "").rpartition(".")
        if not last:
            watch.seq = newest
            return _event("ready", self._id(watch), {})
        if tag != self._tag(watch.person) or not (number.isascii() and number.isdigit() and len(number) <= _DIGITS):
            watch.seq = newest
            return _event("resync", self._id(watch), {})
        watch.seq = int(number)
        return await self._since(watch)

    async def _news(self, watch: _Watch) -> bytes:
        """What this stream has not told yet; who she is comes first, since a merge changes whose changes they are."""
        try:
            person = await self._who(watch.visitor)
            if person != watch.person:
                watch.person, watch.seq = person, await self._newest(person)
                return _event("resync", self._id(watch), {})
            return await self._since(watch)
        except Unavailable as fault:
            _log.warning("stream_waits", code=fault.code)
            return b": waiting\n\n"

    async def _since(self, watch: _Watch) -> bytes:
        if watch.person is None:
            return b""
        changes = await self._pages.changes(watch.person, watch.seq)
        if changes is None:
            watch.seq = await self._newest(watch.person)
            return _event("resync", self._id(watch), {})
        told = []
        for one in changes:
            watch.seq = one.seq
            told.append(_event(one.what.value, self._id(watch), _said(one)))
        return b"".join(told)

    async def _who(self, visitor: Visitor) -> PersonId | None:
        (found,) = await self._identity.resolve_hot([[visitor.identifier]])
        return found.person

    async def _newest(self, person: PersonId | None) -> int:
        return 0 if person is None else (await self._pages.seqs([person])).get(person, 0)

    def _tag(self, person: PersonId | None) -> str:
        return self._kernel.vault.pepper("web/stream", person or "nobody")[:_TAG_BYTES].hex()

    def _id(self, watch: _Watch) -> str:
        return f"{self._tag(watch.person)}.{watch.seq}"

    def _wake(self, people: Iterable[PersonId]) -> None:
        moved = set(people)
        for watch in self._open:
            if watch.person is None or watch.person in moved:  # who was unknown may be one of them
                watch.news.set()

    async def _sweep(self) -> None:
        """While streams are open: who has changes that another process wrote, or is gone."""
        while self._open:
            await asyncio.sleep(self._settings.web_look_seconds)
            people = {watch.person for watch in self._open if watch.person is not None}
            try:
                newest: Mapping[PersonId, int] = await self._pages.seqs(sorted(people))
            except Unavailable as fault:
                _log.warning("streams_wait", code=fault.code)
                continue
            for watch in self._open:
                if watch.person is None or newest.get(watch.person, 0) != watch.seq:
                    watch.news.set()


def _said(change: Change) -> dict[str, Json]:
    if change.what is What.PERMISSIONS:
        return {}
    return {"placement": change.placement, "channel": change.channel, "decision_id": change.decision_id}


def _event(name: str, id_: str, said: dict[str, Json]) -> bytes:
    return f"id: {id_}\nevent: {name}\ndata: {orjson.dumps(said).decode()}\n\n".encode()
