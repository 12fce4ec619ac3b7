"""The dispatcher: claim, ask again, send, record. At most once per intent, and honest about the rest (DESIGN 5.4).

Enters: due deliveries. Leaves: messages through a connector, steps of the ledger, entries of the log, events.

A delivery passes two transactions. The first claims a batch (intent and lease, durable before any byte). The second belongs to one
delivery and is held open while its message is sent: it locks the person's consent version FOR SHARE, then the delivery, then the
contact's suppression, asks the gate once more, and only then sends. So a withdrawal is either committed before that lock, and
then the gate says no; or it waits for the send and is acknowledged after it. Nothing is ever sent after the acknowledgement, and
the price is that a withdrawal may wait for one send, `send_timeout` seconds at most. The order person, delivery, contact, cap is the
one in which an erasure locks too. What dies in between stays an intent, and becomes uncertain when its lease is over.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from channels import forms, store
from channels.clearance import Clearance, Go, Stop
from channels.connector import AddressBook, Answer, Connector, Message, Outcome
from channels.deliveries import Delivery, DispatchReport, No
from channels.errors import Unrenderable
from channels.ledger import State, Step
from channels.links import Links
from channels.moving import Move, Mover
from channels.noting import Noting
from channels.rendering import Envelope, Sender
from channels.settings import ChannelsSettings
from consent.service import Consent
from identity.service import Identity
from kernel.db import Conn
from kernel.ids import PersonId
from kernel.kernel import Kernel
from kernel.log import get_logger

GRAPH_MOVED: Final = "graph_moved"
LEASE_OVER: Final = "lease_over"
_FIRST_PAUSE: Final = 30.0  # seconds before a second attempt when the provider names no time; doubles, with full jitter
_LONGEST_PAUSE: Final = 3600.0
_log = get_logger("channels")


class Dispatcher:
    """One per process and event loop; any number of processes."""

    def __init__(
        self, kernel: Kernel, identity: Identity, consent: Consent, clearance: Clearance, mover: Mover, noting: Noting,
        links: Links, connectors: Mapping[str, Connector], settings: ChannelsSettings,
        books: Mapping[str, AddressBook],
    ) -> None:  # fmt: skip
        self._kernel = kernel
        self._identity = identity
        self._consent = consent
        self._clearance = clearance
        self._mover = mover
        self._noting = noting
        self._links = links
        self._connectors = connectors
        self._settings = settings
        self._books = books
        self._sender = Sender(
            name=settings.sender_name,
            address=settings.sender_address,
            postal=settings.postal_address,
            list_domain=settings.list_domain,
        )
        # Each send holds a connection, and what happens inside may need another.
        self._gate = asyncio.Semaphore(max(1, min(settings.senders, kernel.settings.pool_size // 2)))

    async def dispatch(self, limit: int) -> DispatchReport:
        """Send what is due, `limit` deliveries at most."""
        tally = Counter[str]()
        reasons = Counter[str]()
        await self._noting.prepare()
        await self._recover(limit, tally, reasons)
        left = limit
        while left > 0:
            seen, claimed = await self._claim(min(left, self._settings.claim_batch), tally, reasons)
            if not seen:
                break
            left -= seen
            ends = await asyncio.gather(*(self._turn(d, words) for d, words in claimed), return_exceptions=True)
            for end in ends:
                if isinstance(end, BaseException):
                    raise end  # the others are done; this one's intent stands, and its lease will tell
                if end is not None:
                    state, reason = end
                    tally[state] += 1
                    reasons.update([reason] if reason else [])
        return DispatchReport(dict(tally), dict(reasons))

    async def recover(self, limit: int = 1000) -> int:
        """Claimed deliveries without a live worker become uncertain; how many."""
        tally = Counter[str]()
        await self._recover(limit, tally, Counter())
        return sum(tally.values())

    async def _recover(self, limit: int, tally: Counter[str], reasons: Counter[str]) -> None:
        async with self._kernel.db.transaction() as conn:
            lost = await store.lost(conn, limit)
            moves = [Move(delivery=d, step=Step.LOSE, reason=LEASE_OVER, generation=d.generation) for d in lost]
            moved = await self._mover.move(conn, moves)
        tally.update(state for _, state in moved)
        reasons.update(LEASE_OVER for _ in moved)

    async def _claim(
        self, limit: int, tally: Counter[str], reasons: Counter[str]
    ) -> tuple[int, list[tuple[Delivery, bytes | None]]]:
        """Transaction 1: a no ends here, a yes becomes an intent with a lease."""
        async with self._kernel.db.transaction() as conn:
            now = self._kernel.clock.now()
            due = await store.claimable(conn, now, limit)
            if not due:
                return 0, []
            answers = await self._clearance.ask(conn, due, firm=False)
            stops = [(d, a) for d, _ in due if isinstance(a := answers[d.delivery_id], Stop)]
            moved = await self._mover.move(
                conn, [Move(delivery=d, step=stop.step, reason=stop.reason) for d, stop in stops]
            )
            going = [(d, words) for d, words in due if isinstance(answers[d.delivery_id], Go)]
            names = [self._connectors[d.channel].name for d, _ in going]
            generations = await store.claim(
                conn, [d.delivery_id for d, _ in going], names, lease_seconds=self._settings.lease_seconds, now=now
            )
            claimed = [
                (replace(d, state=State.INTENT, generation=generations[d.delivery_id], attempts=d.attempts + 1), words)
                for d, words in going
                if d.delivery_id in generations
            ]
            await self._mover.remember(conn, [(d, State.INTENT, None) for d, _ in claimed])
        tally.update(state for _, state in moved)
        reasons.update(stop.reason for _, stop in stops)
        return len(due), claimed

    async def _turn(self, delivery: Delivery, words: bytes | None) -> tuple[State, str | None] | None:
        """Transaction 2, open while the message is sent. None: the lease was over, or somebody else moved the delivery."""
        async with self._gate, self._kernel.db.transaction() as conn:
            live = await self._identity.current(conn, [delivery.person])
            people = {delivery.person, *live.values()}
            await self._consent.fence(conn, dict.fromkeys(sorted(people), 0))  # for its lock: versions stand still now
            if not await store.hold(conn, delivery.delivery_id, delivery.generation):
                return None
            answer = (await self._clearance.ask(conn, [(delivery, words)], firm=True))[delivery.delivery_id]
            move = await self._try(conn, delivery, answer, people)
            moved = await self._mover.move(conn, [move])
            if not moved:
                return None
            if moved[0][1] is State.ACCEPTED and isinstance(answer, Go):
                await self._noting.sent(conn, delivery, answer.person)
            return moved[0][1], move.reason

    async def _try(self, conn: Conn, delivery: Delivery, answer: Go | Stop, people: set[PersonId]) -> Move:
        """Send, while the caller holds the locks; the step that follows."""
        if isinstance(answer, Stop):
            return _move(delivery, answer.step, answer.reason)
        now = self._kernel.clock.now()
        if answer.person not in people:  # merged between the look-up and the lock: the wrong version was locked
            return replace(_move(delivery, Step.DEFER, GRAPH_MOVED), deliver_after=now)
        try:
            message = self._message(delivery, answer, now)
        except Unrenderable as refused:
            return _move(delivery, Step.WITHHOLD, refused.reason)
        outcome = await self._send(message)
        if outcome.gone and delivery.channel in self._books:
            await self._books[delivery.channel].gone(conn, delivery.identifier_id, answer.to)
        return self._judged(delivery, outcome, now)

    def _message(self, delivery: Delivery, go: Go, now: datetime) -> Message:
        content = go.content
        links = self._links.of_message(
            delivery.decision_id, delivery.delivery_id, delivery.identifier_id,
            purpose=content.confirms or delivery.purpose, channel=delivery.channel,
            language=content.locale or self._settings.locale,
        )  # fmt: skip
        if (
            content.confirms and content.action is not None
        ):  # no decision stands behind it: the page itself says why it came
            links = replace(links, why=content.action.url)
        envelope = Envelope(
            delivery_id=delivery.delivery_id,
            decision_id=delivery.decision_id,
            channel=delivery.channel,
            purpose=delivery.purpose,
            to=go.to,
            reserved_at=delivery.reserved_at,
            at=now,
            expires_at=delivery.expires_at,
            tracked=go.tracked and not content.confirms,
        )
        return forms.render(go.content, envelope, links, self._sender, default_locale=self._settings.locale)

    async def _send(self, message: Message) -> Outcome:
        connector = self._connectors[message.channel]
        deadline = message.at + timedelta(seconds=self._settings.send_timeout)
        try:
            async with asyncio.timeout(self._settings.send_timeout):
                return await connector.send(message, message.delivery_id, deadline)
        except TimeoutError:
            return Outcome(answer=Answer.UNCERTAIN, reason="timeout")
        except Exception as fault:  # noqa: BLE001  # broad: whatever a connector raises means that it does not know
            _log.error("connector_raised", connector=connector.name, delivery=message.delivery_id, exc_info=fault)
            return Outcome(answer=Answer.UNCERTAIN, reason="connector_raised")

    def _judged(self, delivery: Delivery, outcome: Outcome, now: datetime) -> Move:
        match outcome.answer:
            case Answer.ACCEPTED:
                return replace(_move(delivery, Step.ACCEPT, outcome.reason), provider_id=outcome.provider_id)
            case Answer.REJECTED:
                return _move(delivery, Step.REJECT, outcome.reason or "rejected")
            case Answer.UNCERTAIN:
                move = _move(delivery, Step.LOSE, outcome.reason or "uncertain")
                return replace(move, provider_id=outcome.provider_id)
            case Answer.DEFERRED:
                if delivery.attempts >= self._settings.max_attempts:
                    return _move(delivery, Step.REJECT, No.TOO_MANY_ATTEMPTS)
                wait = outcome.retry_after
                if wait is None:
                    wait = random.uniform(0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**delivery.attempts))  # noqa: S311  # jitter is no secret
                move = _move(delivery, Step.DEFER, outcome.reason or "deferred")
                return replace(move, deliver_after=now + timedelta(seconds=max(0.0, wait)))


def _move(delivery: Delivery, step: Step, reason: str | None) -> Move:
    return Move(delivery=delivery, step=step, reason=reason, generation=delivery.generation)
