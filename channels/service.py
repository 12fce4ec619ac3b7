"""The front door of the channels room: reserve, dispatch, suppress, hear back.

Enters: messages that a decision wants sent, suppressions, receipts of providers. Leaves: at most one message each, through a connector,
with its why, preference and one-click links; every step in the ledger and in the log. What it never does: send without asking the
gate again, send twice for one intent, call a message delivered that was only accepted, or keep an address or a word unsealed.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from audit.service import Audit
from channels import caps_store, forms, reading_store, receipts_store, rehearsing, store
from channels import connectors as made
from channels.advice import Advice, Advisor
from channels.caps import CapRule
from channels.caps_store import Place
from channels.clearance import Clearance
from channels.confirming import Confirming
from channels.connector import AddressBook, Closed, Connector, Fault
from channels.content import Content
from channels.deliveries import Delivery, DispatchReport, NewDelivery, No, StepTaken, Withheld
from channels.dispatching import Dispatcher
from channels.email import webhook
from channels.email.forgetting import SendGridErasure
from channels.email.reports import Post
from channels.email.syncing import ListSync, Synced
from channels.email.webhook import SendGridWebhook
from channels.errors import IllegalStep, UnknownDelivery
from channels.figures import Backlog
from channels.holding import Holding
from channels.imports import SuppressionRows
from channels.keeping import Keeping
from channels.ledger import HEARD_IN, State, Step
from channels.links import Links
from channels.moving import Move, Mover
from channels.noting import Noting
from channels.push.push import Push
from channels.push.reporting import Reporting
from channels.receiving import Heard, NewReceipt, Receiving, unmatched
from channels.rehearsing import Rehearsal, rehearse
from channels.reservation import Reservations, windows_of
from channels.settings import ChannelsSettings
from channels.suppression import Suppressions
from channels.web.pages import Pages
from channels.web.standing import Elsewhere, Standing
from channels.web.stream import Streams
from consent.rights.providers import Provider
from consent.service import Consent
from events.service import Events
from identity.service import Identity
from kernel.canonical import Json
from kernel.db import Conn, Piece
from kernel.errors import CandorError, InvalidInput
from kernel.ids import DecisionId, DeliveryId, IdentifierId, PersonId
from kernel.kernel import Kernel
from kernel.log import get_logger
from profiles.service import Profiles

_PART = 200  # receipts in one commit: the loop is held for moments at a time, so nobody else waits
_PATIENCE_MS = 2_000  # a post of receipts waits this long for a delivery that is being sent; the provider repeats it
_log = get_logger("channels")


class Channels:
    """The way out. One per process and event loop. `connectors` by channel; without any, email goes to the outbox folder."""

    name = "channels"

    def __init__(
        self,
        kernel: Kernel,
        audit: Audit,
        identity: Identity,
        consent: Consent,
        events: Events,
        profiles: Profiles,
        settings: ChannelsSettings | None = None,
        connectors: Sequence[Connector] | None = None,
    ) -> None:
        self._kernel = kernel
        self._identity = identity
        self.settings = settings or ChannelsSettings()
        self.push = Push(kernel, audit, identity, consent, events, profiles, self.settings.push)
        books: Mapping[str, AddressBook] = {"push": self.push.subscriptions}
        if connectors is None:
            connectors = [*made.chosen(self.settings, kernel.settings.data_dir), *self.push.connectors]
        self.connectors: Mapping[str, Connector] = {one.channel: one for one in connectors}
        self.links = Links(
            kernel.tokens,
            kernel.settings.base_url,
            why_days=self.settings.why_days,
            preferences_days=self.settings.preferences_days,
            report_days=self.settings.push.report_days,
        )
        self._suppressions = Suppressions(kernel, audit, identity)
        self._advisor = Advisor(kernel, self._suppressions)
        self._mover = Mover(kernel, audit, identity, self._advisor)
        self._reservations = Reservations(
            kernel, identity, self._suppressions, self._mover, frozenset(self.connectors), self._advisor
        )
        self.confirming = Confirming(self._reservations.reserve)
        self._noting = noting = Noting(kernel, consent, events)
        clearance = Clearance(kernel, identity, consent, self._suppressions, frozenset(self.connectors), books)
        self._dispatcher = Dispatcher(
            kernel, identity, consent, clearance, self._mover, noting, self.links, self.connectors, self.settings, books
        )
        self._receiving = Receiving(kernel, audit, identity, consent, self._suppressions, noting)
        self._reporting = Reporting(kernel, identity, consent, noting, self._receiving)
        self.sendgrid = SendGridWebhook(kernel, self.settings.sendgrid, self._posted)
        self._lists = ListSync(kernel, audit, identity, consent, self._suppressions, self.settings.sendgrid)
        self.pages = Pages(kernel, identity)
        self.streams = Streams(kernel, identity, self.pages, self.settings)
        self._holding = Holding(kernel, identity, self._mover, self.connectors)
        self.keeping = Keeping(self.connectors)
        self.suppression_rows = SuppressionRows(
            self._suppressions, identity, consent, kernel.clock, profiles.settings.reach
        )

    async def close(self) -> None:
        """Let the connectors' connections go."""
        for one in self.connectors.values():
            if isinstance(one, Closed):
                await one.close()

    def faults(self) -> dict[str, list[Fault]]:
        """What is wrong with the configuration of each channel's connector; empty lists when messages can leave."""
        return {channel: rehearsing.faults(one) for channel, one in self.connectors.items()}

    async def rehearse(self, name: str | None = None) -> list[Rehearsal]:
        """Try every connector, or the one of this channel or name, without reaching anybody; none when no name fits."""
        wanted = [one for one in self.connectors.values() if name in {None, one.name, one.channel}]
        with TemporaryDirectory(prefix="candor-rehearsal-") as folder:
            now = self._kernel.clock.now()
            return [await rehearse(one, self.settings, Path(folder), now) for one in wanted]

    # in the decision's commit

    async def reserve(self, conn: Conn, deliveries: Sequence[NewDelivery]) -> list[DeliveryId | Withheld]:
        """Take the caps and queue the messages in the caller's transaction, or say why not; one answer each, in order.

        A decision that has a delivery already is answered with it. Content is checked and sealed here; nothing raises
        for one item.
        """
        return await self._reservations.reserve(conn, deliveries)

    async def stand(self, conn: Conn, wishes: Sequence[tuple[Standing, DecisionId | None]]) -> list[bool]:
        """Let web decisions stand on their pages in the caller's transaction, each where what it replaces still stands."""
        return await self.pages.stand(conn, wishes)

    async def elsewhere(self, conn: Conn, decisions: Sequence[Elsewhere]) -> None:
        """Tell the pages of these people, in the caller's transaction, that another channel carries something to them."""
        await self.pages.elsewhere(conn, decisions)

    @staticmethod
    def watching(people: Iterable[PersonId]) -> Piece:
        """A query of those of these people who have pages to be told, as part of a statement."""
        return Pages.watching(people)

    async def people_changed(self, conn: Conn, people: Sequence[PersonId]) -> None:
        """Who was merged into somebody brings along the places she took under caps (wiring registers this with identity)."""
        held = await caps_store.with_places(conn, people)
        live = await self._identity.current(conn, held) if held else {}
        merged = {old: live[old] for old in held if live.get(old, old) != old}
        if merged:
            await caps_store.merge_places(conn, merged)
            self._advisor.forget(conn, [*merged, *merged.values()])

    async def room(self, conn: Conn, person: PersonId, rules: Sequence[CapRule], at: datetime) -> str | None:
        """The name of the first cap that is full for a message at this time; None when all have room. Takes nothing."""
        for rule in rules:
            (window,) = windows_of([rule], at)
            place = Place(person=person, delivery_id=DeliveryId(""), at=at, window=window, kept_from=window.start)
            if not all(await caps_store.room(conn, [place])):
                return rule.name
        return None

    async def advice(
        self, person: PersonId, reach: Mapping[str, IdentifierId], rules: Mapping[str, Sequence[CapRule]], at: datetime,
        *, fresh: bool = False, words: bytes | None = None,
    ) -> Advice:  # fmt: skip
        """What stands in the way of a message for this time on each channel of `reach`: from the hot store (`words`, where somebody read it), or from Postgres."""
        return await self._advisor.ask(person, reach, rules, at, fresh=fresh, words=words)

    def refusal(self, content: Content, channel: str) -> str | None:
        """Why these words could not be queued on this channel, whoever they are for; None when they could. Pure."""
        if channel not in self.connectors:
            return No.NO_CONNECTOR
        try:
            forms.check(content, channel)
        except InvalidInput as fault:
            return fault.code.removeprefix("channels.")
        return None

    async def suppressed(
        self, conn: Conn, identifier_ids: Sequence[IdentifierId], channel: str | None = None
    ) -> set[IdentifierId]:
        """Those of these contact points that nothing may be sent to, on the channel or (None) on any."""
        return await self._suppressions.suppressed(conn, identifier_ids, channel)

    # sending

    async def dispatch(self, limit: int = 100) -> DispatchReport:
        """Send what is due, `limit` deliveries at most; abandoned claims become uncertain first."""
        return await self._dispatcher.dispatch(limit)

    async def recover(self, limit: int = 1000) -> int:
        """Claimed deliveries whose worker is gone become uncertain, never sent again; how many."""
        return await self._dispatcher.recover(limit)

    async def run_dispatcher(self, stop: asyncio.Event) -> None:
        """`dispatch` until `stop`; what is being sent then is finished. A dependency that is down is tried again later."""
        while not stop.is_set():
            moved = 0
            try:
                moved = (await self.dispatch(self.settings.claim_batch)).total
            except CandorError as fault:
                _log.error("dispatcher_paused", code=fault.code, remedy=fault.remedy)
            if not moved:
                try:
                    await asyncio.wait_for(stop.wait(), self.settings.poll_seconds)
                except TimeoutError:
                    continue

    async def cancel(self, delivery_id: DeliveryId, reason: str = No.CALLED_OFF, *, actor: str = "system") -> Delivery:
        """Call off a message that no worker has claimed yet.

        Raises:
            UnknownDelivery: there is none. IllegalStep: it has been claimed or is done.
        """
        async with self._kernel.db.transaction() as conn:
            delivery = await store.get(conn, delivery_id, lock=True)
            if delivery is None:
                raise UnknownDelivery(delivery_id)
            # Not from intent, though the ledger knows that step: from outside nobody can tell whether bytes have left.
            if delivery.state is not State.RESERVED:
                raise IllegalStep(delivery.state, Step.CANCEL, [State.RESERVED])
            await self._mover.move(conn, [Move(delivery=delivery, step=Step.CANCEL, reason=reason)], actor=actor)
        return await self.show(delivery_id)

    # hearing back

    async def receive(self, delivery_id: DeliveryId, receipt: NewReceipt, *, actor: str) -> Delivery:
        """Fold a provider's report; order and repetition make no difference. A final bounce or a complaint suppresses.

        Raises:
            UnknownDelivery: there is none. IllegalStep: no attempt was made that it could be about.
        """
        await self._noting.prepare()
        async with self._kernel.db.transaction() as conn:
            (heard,) = await self._receiving.receive(conn, [(delivery_id, receipt)], actor=actor)
        found = await self.show(delivery_id)
        if heard is Heard.NOT_SENT:
            raise IllegalStep(found.state, receipt.receipt, HEARD_IN)
        return found

    async def receive_many(
        self, reports: Sequence[tuple[DeliveryId, NewReceipt]], *, connector: str, actor: str,
        strange: Mapping[tuple[str, str], int] | None = None,
    ) -> list[Heard]:  # fmt: skip
        """Fold what one connector's provider reports; one answer each, and what is about nothing here is counted.

        `strange`: counts by (receipt, reason) of what could not even be read as one. Many are committed in parts: whatever was
        taken before an accident is recognised when it comes again.

        Raises:
            TransactionConflict: a delivery is being sent right now, or two posts stand in each other's way.
        """
        await self._noting.prepare()
        answers: list[Heard] = []
        lost = Counter(strange or {})
        for part in [reports[begin : begin + _PART] for begin in range(0, len(reports), _PART)] or [()]:
            async with self._kernel.db.transaction() as conn:
                await receipts_store.patience(conn, _PATIENCE_MS)
                heard = await self._receiving.receive(conn, part, actor=actor, connector=connector)
                lost.update(unmatched(part, heard))
                await receipts_store.count_unmatched(conn, connector, self._kernel.clock.now().date(), lost)
            answers += heard
            lost.clear()
        return answers

    async def _posted(self, post: Post) -> list[Heard]:
        return await self.receive_many(
            post.reports, connector=webhook.CONNECTOR, actor=webhook.ACTOR, strange=post.strange
        )

    async def reported(self, delivery_id: DeliveryId, word: str) -> bool:
        """A browser says what became of a push: shown, clicked or dismissed. Each is heard once; False when it is about nothing here."""
        return await self._reporting.reported(delivery_id, word)

    async def unmatched(self) -> list[tuple[str, str, str, int]]:
        """(connector, receipt, reason, count) of what providers said about nothing here."""
        async with self._kernel.db.reading() as conn:
            return await receipts_store.unmatched(conn)

    # suppressions

    async def suppress(
        self, conn: Conn, identifier_ids: Sequence[IdentifierId], channel: str, reason: str, *, actor: str
    ) -> int:
        """From this commit on nothing leaves to these contacts on the channel (`*`: on none); how many are new.

        Raises:
            UnknownContact: one is unknown or erased.
        """
        return await self._suppressions.suppress(conn, identifier_ids, channel, reason, actor=actor)

    async def lift(
        self, conn: Conn, identifier_ids: Sequence[IdentifierId], channel: str, reason: str, *, actor: str
    ) -> int:
        """Take suppressions back, with an entry; how many there were."""
        return await self._suppressions.lift(conn, identifier_ids, channel, reason, actor=actor)

    async def sync_lists(self, *, dry_run: bool = False, actor: str) -> Synced:
        """Exchange opt-outs with SendGrid's lists, both ways; run it again after an accident.

        Raises:
            NoApiKey: no account. ListsUnreachable: broken off; what was exchanged stands.
        """
        return await self._lists.run(dry_run=dry_run, actor=actor)

    # reading

    async def show(self, delivery_id: DeliveryId) -> Delivery:
        """One delivery, without content.

        Raises:
            UnknownDelivery: there is none.
        """
        async with self._kernel.db.reading() as conn:
            found = await store.get(conn, delivery_id)
        if found is None:
            raise UnknownDelivery(delivery_id)
        return found

    async def history(self, delivery_id: DeliveryId) -> list[StepTaken]:
        """Its steps, oldest first."""
        async with self._kernel.db.reading() as conn:
            return await store.steps(conn, delivery_id)

    async def listed(
        self, conn: Conn, *, state: State | None = None, channel: str | None = None,
        people: Sequence[PersonId] | None = None, before: str | None = None, limit: int = 50,
    ) -> list[Delivery]:  # fmt: skip
        """Deliveries, newest first, below the id `before`; without content."""
        return await reading_store.listed(conn, state=state, channel=channel, people=people, before=before, limit=limit)

    async def states(self, delivery_ids: Sequence[DeliveryId]) -> dict[str, int]:
        """Deliveries of these by state."""
        async with self._kernel.db.reading() as conn:
            return await receipts_store.states(conn, delivery_ids)

    async def counts(self) -> dict[str, int]:
        """Deliveries by state."""
        async with self._kernel.db.reading() as conn:
            return await store.states(conn)

    async def backlog(self) -> Backlog:
        """What is not finished, for `/metrics`."""
        async with self._kernel.db.reading() as conn:
            found, due = await store.open_states(conn), await store.oldest_due(conn)
        waited = (self._kernel.clock.now() - due).total_seconds() if due is not None else 0.0
        return Backlog(found, max(0.0, waited))

    # holder of personal data, counter of impact

    async def export(self, conn: Conn, person: PersonId) -> Json:
        """Every delivery of the person, with the words it carried."""
        words = await self._holding.export(conn, person)
        return {**words, "push_subscriptions": await self.push.subscriptions.export(conn, person)}

    async def erase(self, conn: Conn, person: PersonId) -> int:
        """Call off what waits, delete outbox files, blank the words, drop the counters. Suppressions stay: they are hashes."""
        self._advisor.forget(conn, [person])
        pushes = await self.push.subscriptions.erase(conn, person)
        return pushes + await self._holding.erase(conn, person) + await self.pages.erase(conn, person)

    def providers(self) -> Sequence[Provider]:
        """Whoever carries our messages and has a call to erase people."""
        carries = any(one.name == SendGridErasure.name for one in self.connectors.values())
        return [SendGridErasure(self.settings.sendgrid)] if carries else []

    async def corrected(self, conn: Conn, person: PersonId, decisions: Sequence[DecisionId]) -> Mapping[str, int]:
        """Dependant: call off messages that wait and carry words that were corrected since."""
        return await self._holding.corrected(conn, person, decisions)

    async def count(self, conn: Conn, people: Sequence[PersonId]) -> Mapping[str, int]:
        """How many deliveries a change of these people would concern, and those of them that wait."""
        every, waiting = await store.counts(conn, people)
        return {"deliveries": every, "deliveries_waiting": waiting}
