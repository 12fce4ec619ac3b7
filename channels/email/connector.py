"""Email through SendGrid: one request a message, once.

Enters: a `Message`. Leaves: an `Outcome`. mail/send has no idempotency key, so what decides after an accident is whether a byte of the
request may have left: none, and the message may be tried again; any, and nobody knows, so it is never sent again (DESIGN 5.4, spec
channels.A13). No retry, no sleep: a 429 defers, frees the worker, and closes this way until the time it named (A15).
"""

import asyncio
import random
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import httpx
import orjson

from channels.connector import Answer, Connector, Fault, Message, Outcome
from channels.email import answering
from channels.email.body import compose
from channels.email.errors import Unsendable
from channels.email.settings import SendGridSettings
from channels.email.table import Row
from kernel.ids import DeliveryId
from kernel.log import get_logger

_REMEMBERED: Final = 10_000  # deliveries that this process has handed over; a second call answers as the first did
_MARGIN: Final = 0.1  # share of the time kept back, so that we give up before the dispatcher cancels us and knows less
_FIELD: Final = re.compile(r"[a-z0-9_.\[\]-]{1,80}")  # names of fields; a provider's prose may quote an address
_log = get_logger("channels.email")


class SendGridConnector:
    """Sends. One per process and event loop."""

    name: Final = "sendgrid"
    channel: Final = "email"

    def __init__(self, settings: SendGridSettings) -> None:
        self.settings = settings
        self._client: httpx.AsyncClient | None = None
        self._done: OrderedDict[DeliveryId, Outcome] = OrderedDict()
        self._shut_until = 0.0  # the loop's time until which nobody is asked
        self._shut_reason = ""

    async def send(self, message: Message, delivery_id: DeliveryId, deadline: datetime) -> Outcome:
        """Hand the message over, unless this process did so before."""
        if (before := self._done.get(delivery_id)) is not None:
            return before
        if self.settings.api_key is None:
            return Outcome(answer=Answer.DEFERRED, reason="configuration")
        try:
            body = orjson.dumps(compose(message, self.settings))
        except Unsendable as refused:
            return Outcome(answer=Answer.REJECTED, reason=refused.reason)
        if (left := self._shut_until - asyncio.get_running_loop().time()) > 0:
            # Spread, so that those who wait do not all come back in the same moment.
            wait = left * random.uniform(1.0, 1.25)  # noqa: S311  # jitter is no secret
            return Outcome(answer=Answer.DEFERRED, reason=self._shut_reason, retry_after=wait)
        found = await self._post(body, message, delivery_id, (deadline - message.at).total_seconds())
        if found.answer in {Answer.ACCEPTED, Answer.UNCERTAIN}:
            self._done[delivery_id] = found
            while len(self._done) > _REMEMBERED:
                self._done.popitem(last=False)
        return found

    async def forget(self, delivery_id: DeliveryId, reserved_at: datetime) -> bool:
        """Nothing to delete: no copy is kept here. (What SendGrid keeps, its own erasure route deletes.)"""
        del delivery_id, reserved_at
        return False

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def rehearsal(self, folder: Path) -> Connector:
        """The same account in its sandbox: everything is checked there, nothing is sent."""
        del folder
        return SendGridConnector(self.settings.model_copy(update={"sandbox": True}))

    def faults(self) -> Sequence[Fault]:
        """What is missing before messages can leave and come back as receipts."""
        found: list[Fault] = []
        key = self.settings.api_key
        if key is None or not key.get_secret_value().strip():
            found.append(Fault("no API key", "Set CANDOR_CHANNELS__SENDGRID__API_KEY; every message waits until then."))
        if not self.settings.webhook_public_keys:
            found.append(
                Fault(
                    "no verification key of the event webhook: nothing that SendGrid reports is taken",
                    "Set CANDOR_CHANNELS__SENDGRID__WEBHOOK_PUBLIC_KEYS to a JSON list with the key that SendGrid shows.",
                )
            )
        return found

    async def _post(self, body: bytes, message: Message, delivery_id: DeliveryId, seconds: float) -> Outcome:
        key = self.settings.api_key
        assert key is not None
        left = _Left()
        patience = httpx.Timeout(seconds, connect=self.settings.connect_seconds, pool=self.settings.connect_seconds)
        request = self._open().build_request(
            "POST",
            "/v3/mail/send",
            content=body,
            headers={"Authorization": f"Bearer {key.get_secret_value()}", "Content-Type": "application/json"},
            timeout=patience,
            extensions={"trace": left.watch},
        )
        response: httpx.Response | None = None
        try:
            async with asyncio.timeout(max(0.01, seconds * (1 - _MARGIN))):
                response = await self._open().send(request, stream=True)
                await response.aread()
        except (httpx.TransportError, TimeoutError) as fault:
            if response is None:
                late = isinstance(fault, (TimeoutError, httpx.TimeoutException))
                if left.any:
                    return Outcome(answer=Answer.UNCERTAIN, reason="timeout" if late else "connection_lost")
                return Outcome(answer=Answer.DEFERRED, reason="connect_timeout" if late else "not_reached")
            # The status came, and it is the word; the rest would only have explained it.
        finally:
            if response is not None:
                await response.aclose()
        found, row = answering.outcome(
            response.status_code,
            response.headers,
            delivery_id=delivery_id,
            sandbox=self.settings.sandbox,
            at=message.at,
        )
        self._heed(found, row, response)
        return found

    def _heed(self, found: Outcome, row: Row, response: httpx.Response) -> None:
        """Say what a person must repair, and close the way for as long as the answer wants."""
        if found.answer not in {Answer.ACCEPTED, Answer.DEFERRED} or row.alarm:
            level = _log.error if row.alarm else _log.warning
            level(
                "sendgrid_refused", status=response.status_code, reason=found.reason, part=" ".join(_fields(response))
            )
        pause = found.retry_after if found.retry_after is not None and row.pause else row.pause
        if pause > 0:
            until = asyncio.get_running_loop().time() + pause
            if until > self._shut_until:
                self._shut_until, self._shut_reason = until, found.reason or "deferred"

    def _open(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                base_url=self.settings.base_url,
                limits=httpx.Limits(max_connections=self.settings.connections),
                follow_redirects=False,  # a key is not carried elsewhere
                trust_env=not self.settings.local,
            )
        return self._client


class _Left:
    """Whether a byte of the request may have left: its headers are the first thing that is written."""

    def __init__(self) -> None:
        self.any = False

    async def watch(self, event: str, info: Mapping[str, object]) -> None:
        del info
        if event.endswith("send_request_headers.started"):
            self.any = True


def _fields(response: httpx.Response) -> list[str]:
    """Names of the fields that SendGrid found wrong."""
    try:
        errors = orjson.loads(response.content).get("errors")
    except (orjson.JSONDecodeError, AttributeError, httpx.ResponseNotRead):
        return []
    named = [one.get("field") for one in errors if isinstance(one, Mapping)] if isinstance(errors, list) else []
    return [one for one in named if isinstance(one, str) and _FIELD.fullmatch(one)][:10]
