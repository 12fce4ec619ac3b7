"""SendGrid's signed posts: verified, then read, then folded, then answered.

Enters: raw bytes and their headers. Leaves: what was taken, after it is committed. A post that cannot be taken now is refused whole, and
SendGrid sends it again (spec channels.A7, A8); one that was taken before changes nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from channels.email.errors import NotGenuine, WebhookBusy
from channels.email.reports import Post, read
from channels.email.settings import SendGridSettings
from channels.email.signature import Signatures
from channels.receiving import Heard
from kernel.errors import Conflict
from kernel.kernel import Kernel
from kernel.log import get_logger

CONNECTOR: Final = "sendgrid"
ACTOR: Final = "provider:sendgrid"
_KNOWN: Final = frozenset({Heard.TAKEN, Heard.REPEATED, Heard.NOT_PERMITTED})
_log = get_logger("channels.email")

Fold = Callable[[Post], Awaitable[list[Heard]]]


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of the events of a post."""

    taken: int
    repeated: int
    unmatched: int
    ignored: int


class SendGridWebhook:
    """Takes posts. One per process and event loop."""

    def __init__(self, kernel: Kernel, settings: SendGridSettings, fold: Fold) -> None:
        self._kernel = kernel
        self._settings = settings
        self._fold = fold
        self._signatures = Signatures(settings.webhook_public_keys, settings.webhook_window_seconds)
        self._own_host = urlsplit(kernel.settings.base_url).hostname or ""
        self._turns = asyncio.Semaphore(settings.webhook_posts)
        self._waiting = 0

    async def take(self, raw: bytes, *, signature: str, timestamp: str) -> Taken:
        """One post, durable when this returns.

        Raises:
            NotGenuine: not signed by a key of the settings, or not now.
            NotEvents: signed, but no array of events.
            WebhookBusy: others are being folded and enough wait already; nothing was taken.
        """
        now = self._kernel.clock.now()
        if not self._signatures.genuine(raw, signature=signature, timestamp=timestamp, now=now):
            raise NotGenuine
        if self._waiting >= self._settings.webhook_posts + self._settings.webhook_waiting:
            raise WebhookBusy("expected a post that finds a free place, got one too many")
        self._waiting += 1
        try:
            async with self._turns:
                return await self._take(read(raw, own_host=self._own_host))
        finally:
            self._waiting -= 1

    async def _take(self, post: Post) -> Taken:
        try:
            answers = await self._fold(post)
        except Conflict as fault:  # somebody holds a delivery of this post; not the provider's fault, so not a 409
            raise WebhookBusy("expected deliveries that nobody holds, got one that is being sent") from fault
        done = Taken(
            taken=sum(one is Heard.TAKEN for one in answers),
            repeated=sum(one is Heard.REPEATED for one in answers),
            unmatched=sum(one not in _KNOWN for one in answers) + post.strange.total(),
            ignored=post.ignored + sum(one is Heard.NOT_PERMITTED for one in answers),
        )
        if done.unmatched:
            _log.warning("sendgrid_unmatched", count=done.unmatched, of=len(answers) + post.strange.total())
        return done
