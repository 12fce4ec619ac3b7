"""Processors: whoever got data from us must do as the person asks, says so under signature, and is asked again whether it is true (consent.D13; GDPR Art. 17(2), 19, 28).

What enters: requests as they are carried out. What leaves: signed letters, tried again at growing intervals; acknowledgements, kept as they came; a probe afterwards; the log's entries. A letter that
nobody acknowledged in time, and a processor that acknowledged and kept the data, are escalated: an alarm in the log, on the request's page and in the exit code of
`candor processor letters`. Whom a letter is about is sealed under a key of its own, which is destroyed when the probe finds nothing.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, cast
from urllib.parse import urlsplit

import httpx
import orjson

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from consent.errors import ProcessorInvalid
from consent.lifecycle import Request, Right
from consent.rights import post
from consent.rights import processors_store as rows
from consent.rights.package import Recipient
from consent.rights.post import Act, Answered, State
from consent.rights.processors_store import Letter, Processor
from consent.rights.providers import Provider, Taken
from consent.service import Consent
from identity.names import alone
from identity.service import Identity
from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import RequestId, new_id
from kernel.kernel import Kernel
from kernel.letters import PUBLIC_BYTES, Pen

ACTS: Final[Mapping[Right, Act]] = {
    Right.ERASURE: Act.ERASE,
    Right.RESTRICTION: Act.RESTRICT,
    Right.OBJECTION: Act.STOP,
    Right.OPT_OUT: Act.STOP,
    Right.LIMIT_SENSITIVE: Act.STOP,
    Right.RECTIFICATION: Act.CORRECT,
}
"""Rights that others must hear of."""
CODE: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")  # names stand in the log
_WAITS: Final = tuple(timedelta(minutes=one) for one in (1, 5, 30, 120, 360))  # then every six hours
_ESCALATE_AFTER: Final = timedelta(hours=24)
_LEASE: Final = timedelta(minutes=5)
_TIMEOUT: Final = httpx.Timeout(10.0)
_BATCH: Final = 8  # at the same time: a stop waits for one timeout at most
_TABLE, _COLUMN = "consent.letters", "words"
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_ACTOR: Final = "system:post"
NO_LETTERS: Final = bytes(PUBLIC_BYTES)  # in the place of a key: whoever has none of their own signs nothing


class Processors:
    """Stands at ``Rights.processors``."""

    def __init__(self, kernel: Kernel, audit: Audit, identity: Identity, consent: Consent) -> None:
        self._kernel = kernel
        self._audit = audit
        self._identity = identity
        self._consent = consent
        self.pen = Pen.of(kernel.secrets.derive("consent/letters"))
        self.providers: dict[str, Provider] = {}

    def register(self, provider: Provider) -> None:
        """From now on it hears of erasures of people whose contacts it got."""
        self.providers[provider.name] = provider

    async def add(
        self, name: str, url: str, probe_url: str, public_key: bytes, *, actor: str, receives: Sequence[str] = (),
        purposes: Sequence[str] = (), contract: str = "",
    ) -> Processor:  # fmt: skip
        """Note a processor, or change one.

        Raises:
            ProcessorInvalid: a name that is no code, an address that is not https (or of this machine), a key that is none.
            UnknownPurpose: a purpose that is not listed.
        """
        if not CODE.fullmatch(name):
            raise ProcessorInvalid("expected a name of small letters, digits and . _ -, at most 64, got another")
        for one in (url, probe_url):
            parts = urlsplit(one)
            if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
                raise ProcessorInvalid("expected an https address, got another")
        if len(public_key) != PUBLIC_BYTES or public_key == NO_LETTERS:
            raise ProcessorInvalid(f"expected an Ed25519 public key of {PUBLIC_BYTES} bytes, got {len(public_key)}")
        for purpose in purposes:
            self._consent.rules.purposes.expect(purpose)
        made = Processor(
            name,
            url,
            probe_url,
            public_key,
            tuple(receives),
            tuple(purposes),
            contract,
            actor,
            self._kernel.clock.now(),
        )
        async with self._kernel.db.transaction() as conn:
            await rows.add(conn, made)
            facts: dict[str, Json] = {"purposes": list(purposes), "contract": contract}
            await self._audit.append(conn, [NewEntry(Tag.PROCESSOR_ADDED, {"processor": name}, facts, actor=actor)])
        return made

    async def remove(self, name: str, *, actor: str) -> bool:
        """It gets nothing any more; it still hears of erasures, for what it got before."""
        async with self._kernel.db.transaction() as conn:
            gone = await rows.remove(conn, name, self._kernel.clock.now())
            if gone:
                await self._audit.append(conn, [NewEntry(Tag.PROCESSOR_REMOVED, {"processor": name}, {}, actor=actor)])
        return gone

    async def listed(self) -> list[Processor]:
        """Those that get data now."""
        async with self._kernel.db.reading() as conn:
            return await rows.listed(conn)

    async def letters(self, request: str | None = None) -> list[Letter]:
        """Letters of a request, or the newest of all."""
        async with self._kernel.db.reading() as conn:
            return await rows.of_request(conn, RequestId(request) if request is not None else None)

    async def recipients(self, conn: Conn) -> list[Recipient]:
        """As an access package names them."""
        return [
            Recipient(name=one.name, kind="processor", receives=one.receives, for_what=", ".join(one.purposes) or "our service")
            for one in await rows.listed(conn)
            if one.public_key != NO_LETTERS  # a provider is named with the messages that it carried
        ]  # fmt: skip

    async def tell(
        self, conn: Conn, request: Request, purposes: Sequence[str] = (), correct: Mapping[str, Json] | None = None
    ) -> int:
        """Write the letters that this request calls for, while there is still something to say; how many."""
        act = ACTS.get(request.right)
        if act is None:
            return 0
        told = [one for one in await rows.listed(conn, removed=act is Act.ERASE) if one.public_key != NO_LETTERS]
        if act is Act.ERASE:
            told += await self._holding(conn, request)
        if not told:
            return 0
        held = (await self._identity.identifiers(conn, [request.person])).get(request.person, [])
        subjects = [{"kind": one.kind, "value": one.value} for one in held]
        if not subjects:
            return 0
        now = self._kernel.clock.now()
        key_ids = await self._kernel.vault.create_keys(len(told))
        keys = await self._kernel.vault.unwrap(key_ids)
        made = []
        for one, key_id in zip(told, key_ids, strict=True):
            name = new_id("ltr")
            body = post.written(name, act, request.id, self._consent.settings.controller, subjects, now, purposes)
            if correct is not None:
                body["correct"] = dict(correct)
            sealed = keys[key_id].seal(_TABLE, _COLUMN, name, orjson.dumps(body))
            made.append(Letter(name, request.id, request.person, one.name, act, State.WAITING, sealed, key_id, now, next_at=now))  # fmt: skip
        await rows.write(conn, made)
        refs = [{"letter": one.id, "request": request.id, "processor": one.processor} for one in made]
        await self._audit.append(conn, [NewEntry(Tag.LETTER_WRITTEN, one, {"act": act}, actor=_ACTOR) for one in refs])
        return len(made)

    async def work(self, limit: int = _BATCH) -> list[Letter]:
        """Take every due letter one step on: send it, send it again, probe. As they stand afterwards."""
        now = self._kernel.clock.now()
        async with self._kernel.db.transaction() as conn:
            due = await rows.claim(conn, now, now + _LEASE, limit)
            known = {one.name: one for one in await rows.listed(conn, removed=True)} if due else {}
        if not due:
            return []
        async with httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False, follow_redirects=False) as client:
            return await asyncio.gather(*(self._step(client, one, known[one.processor]) for one in due))

    async def _step(self, client: httpx.AsyncClient, letter: Letter, to: Processor) -> Letter:
        body = await self._opened(letter)
        if body is not None and to.public_key == NO_LETTERS:
            return await self._provider(letter, body)
        if body is None:  # its key is gone: nobody can say any more whom it was about
            return await self._kept(replace(letter, next_at=None, fault="key_gone"), ())
        now = self._kernel.clock.now()
        probe = letter.state in {State.ACKNOWLEDGED, State.KEPT}
        words = post.asked(letter.id, body["subjects"], now) if probe else body
        heard, ack = await self._asked(client, to.probe_url if probe else to.url, words, to, probe=probe)
        tried = replace(letter, attempts=letter.attempts + 1, fault=heard.fault)
        if heard.fault is not None:
            return await self._again(tried, now)
        if not probe:
            until = now + timedelta(hours=self._consent.settings.probe_after_hours)
            acked = replace(tried, state=State.ACKNOWLEDGED, acked_at=now, ack=ack, attempts=0, next_at=until)  # fmt: skip
            return await self._kept(acked, (Tag.LETTER_ACKNOWLEDGED,))
        if heard.held and letter.act == Act.ERASE:
            return await self._caught(replace(tried, probed_at=now), now)
        done = replace(tried, state=State.PROVEN, probed_at=now, next_at=None, words=None, key_id=None)
        return await self._kept(done, (Tag.LETTER_PROVEN,), destroy=letter)

    async def _holding(self, conn: Conn, request: Request) -> list[Processor]:
        """Providers that got something of hers, each noted once as somebody who gets data from us."""
        # Also what was sent while she was taken for somebody whose id lives on: it may have gone to a contact of hers.
        ever = (await self._identity.past.names(conn, [request.person]))[request.person]
        names = sorted({*await alone(conn, request.person), *ever})
        known = {one.name for one in await rows.listed(conn, removed=True)}
        found = []
        for one in self.providers.values():
            if not await one.holds(conn, names):
                continue
            made = Processor(one.name, one.url, "", NO_LETTERS, (), (), "", _ACTOR, self._kernel.clock.now())
            if one.name not in known:
                await rows.add(conn, made)
                facts: dict[str, Json] = {"purposes": [], "contract": ""}
                entry = NewEntry(Tag.PROCESSOR_ADDED, {"processor": one.name}, facts, actor=_ACTOR)
                await self._audit.append(conn, [entry])
            found.append(made)
        return found

    async def _provider(self, letter: Letter, body: Mapping[str, Json]) -> Letter:
        """By the provider's own call. It takes the job or does not; there is nothing to verify and nothing to probe."""
        provider, now = self.providers.get(letter.processor), self._kernel.clock.now()
        subjects = cast("Sequence[Json]", body["subjects"])
        taken = Taken("not_connected") if provider is None else await provider.erase(subjects)
        tried = replace(letter, attempts=letter.attempts + 1, fault=taken.fault)
        if taken.fault is not None:
            return await self._again(tried, now)
        done = replace(tried, state=State.TAKEN, acked_at=now, ack=taken.receipt, next_at=None, words=None, key_id=None)
        return await self._kept(done, (Tag.LETTER_TAKEN,), destroy=letter)

    async def _asked(
        self, client: httpx.AsyncClient, url: str, body: Mapping[str, Json], to: Processor, *, probe: bool
    ) -> tuple[Answered, str]:
        """What came back, and what is kept of it."""
        words, headers = post.signed(body, self.pen)
        try:
            async with client.stream("POST", url, content=words, headers=headers) as got:
                if got.status_code != httpx.codes.OK:
                    return Answered(f"status_{got.status_code}"), ""
                signature = got.headers.get(post.SIGNATURE, "")
                answer = b""
                async for part in got.aiter_bytes():
                    answer += part
                    if len(answer) > post.MOST:
                        return Answered("too_long"), ""
        except httpx.HTTPError as fault:
            return Answered(type(fault).__name__), ""
        heard = post.judged(body, answer, signature, to.public_key, probe=probe)
        return heard, "" if heard.fault else post.evidence(answer, signature)

    async def _again(self, letter: Letter, now: datetime) -> Letter:
        """Later; after a day of silence somebody must look."""
        wait = _WAITS[min(letter.attempts, len(_WAITS)) - 1]
        late = letter.escalated_at is None and now - (letter.acked_at or letter.made_at) >= _ESCALATE_AFTER
        moved = replace(letter, next_at=now + wait, escalated_at=now if late else letter.escalated_at)
        return await self._kept(moved, (Tag.LETTER_ESCALATED,) if late else ())

    async def _caught(self, letter: Letter, now: datetime) -> Letter:
        """They said that it is done, and hold it still. Asked again each day until it is true."""
        first = letter.state != State.KEPT
        moved = replace(
            letter,
            state=State.KEPT,
            fault="kept",
            next_at=now + timedelta(days=1),
            escalated_at=letter.escalated_at or now,
        )
        return await self._kept(moved, (Tag.PROCESSOR_KEPT,) if first else ())

    async def _kept(self, letter: Letter, tags: Sequence[Tag], *, destroy: Letter | None = None) -> Letter:
        refs = {"letter": letter.id, "request": letter.request, "processor": letter.processor}
        facts: dict[str, Json] = {"act": letter.act, "attempts": letter.attempts, "fault": letter.fault}
        async with self._kernel.db.transaction() as conn:
            await rows.keep(conn, letter)
            await self._audit.append(conn, [NewEntry(tag, refs, facts, actor=_ACTOR) for tag in tags])
            if destroy is not None and destroy.key_id is not None:
                await self._consent.shredder.doom(conn, [destroy.key_id])
        return letter

    async def _opened(self, letter: Letter) -> Mapping[str, Json] | None:
        if letter.words is None or letter.key_id is None:
            return None
        keys = await self._kernel.vault.unwrap([letter.key_id])
        if letter.key_id not in keys:
            return None
        return cast("Mapping[str, Json]", orjson.loads(keys[letter.key_id].open(_TABLE, _COLUMN, letter.id, letter.words)))  # fmt: skip


def troubled(letter: Letter) -> bool:
    """Whether somebody must look."""
    return letter.escalated_at is not None and letter.state not in {State.PROVEN, State.TAKEN}
