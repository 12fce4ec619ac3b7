"""Campaigns: one decision for everyone a placement may be meant for, carried out in batches that any process may go on with.

Enters: a placement, staff who start, pause, resume and kill. Leaves: runs, decisions and deliveries like those of any trigger, and `Standing`, counted from the runs.

Everybody is written down with the start, in one transaction. A batch is claimed with the ids that its decisions shall have, so whoever is killed at any instruction leaves a
batch that is taken up when its lease is over: a decision that is kept under its id is the answer, one that is not is made. Nobody gets two, nobody is passed over (spec channels.A36).
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from channels.errors import IllegalStep
from channels.ledger import State as DeliveryState
from channels.service import Channels
from identity.service import Identity
from kernel.canonical import Json
from kernel.db import Conn
from kernel.errors import CandorError, Conflict, Unavailable
from kernel.ids import DecisionId, DeliveryId, PersonId, new_id
from kernel.kernel import Kernel
from orchestration.decision.catalogue import NOTHING
from orchestration.decision.errors import AlreadyDecided
from orchestration.decision.request import Decision, DecisionRequest
from orchestration.decision.service import Decisions
from orchestration.triggers import campaign_store as store
from orchestration.triggers.campaign_store import Campaign, End, Stage
from orchestration.triggers.errors import CampaignStands, UnknownCampaign
from orchestration.triggers.runs import Run, State, Step, Why
from orchestration.triggers.settings import TriggersSettings

AT_ONCE: Final = 32
_CHUNK: Final = 5_000
_LOOK: Final = 0.1  # seconds between looks at what other workers hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a campaign stands. `left`: people who wait; `withheld`, `called_off` and `failed` by reason; `deliveries` by their state now."""

    placement: str
    campaign_id: str
    state: Stage
    people: int
    left: int
    arms: Mapping[str, int]
    channels: Mapping[str, int]
    withheld: Mapping[str, int]
    called_off: Mapping[str, int]
    failed: Mapping[str, int]
    deliveries: Mapping[str, int]
    decisions: tuple[DecisionId, ...]
    example: DecisionId | None
    started_at: datetime
    changed_at: datetime


class Campaigns:
    """One per process and event loop; any number of processes. Stands at `Triggers.campaigns`."""

    def __init__(
        self, kernel: Kernel, audit: Audit, identity: Identity, decisions: Decisions, channels: Channels,
        settings: TriggersSettings,
    ) -> None:  # fmt: skip
        self._kernel = kernel
        self._audit = audit
        self._identity = identity
        self._decisions = decisions
        self._channels = channels
        self._settings = settings

    # what staff do

    async def start(self, name: str, *, source: str | None = None, limit: int | None = None, actor: str) -> Campaign:
        """Begin a campaign: write down everybody, or those with a record of `source`, `limit` at most. One that was broken off is gone on with.

        Raises:
            UnknownPlacement, NoCatalogue. CampaignStands: it is paused.
        """
        (await self._decisions.shelf.current()).catalogue.placement(name)
        now = self._kernel.clock.now()
        async with self._kernel.db.transaction() as conn:
            people = (await self._identity.people(conn, source=source))[:limit]
            new = Campaign(
                campaign_id=new_id("cmp"), name=name, source=source, people=len(people), state=Stage.RUNNING, actor=actor,
                started_at=now, changed_at=now,
            )  # fmt: skip
            if not await store.open_one(conn, new):
                held = await self._held(conn, name)
                if held.state is Stage.PAUSED:
                    raise CampaignStands(
                        f"expected no campaign of '{name}' that is paused, got one",
                        remedy=f"Go on with it (candor campaign resume {name}) or end it (candor campaign kill {name}).",
                    )
                return held
            for start in range(0, len(people), _CHUNK):
                await store.enlist(conn, new, people[start : start + _CHUNK], now)
            await self._note(conn, new, "started", actor, people=len(people))
        return new

    async def pause(self, name: str, *, actor: str) -> Campaign:
        """Nobody further is decided for; a batch that a worker holds ends, and what is queued leaves. `UnknownCampaign`, `CampaignStands`."""
        return await self._turn(name, Stage.RUNNING, Stage.PAUSED, actor)

    async def resume(self, name: str, *, actor: str) -> Campaign:
        """Go on. `UnknownCampaign`, `CampaignStands`."""
        return await self._turn(name, Stage.PAUSED, Stage.RUNNING, actor)

    async def kill(self, name: str, *, actor: str) -> Campaign:
        """End it: whoever waits gets nothing, and what is queued and has not left is called off. After the answer nothing leaves any more.

        Raises:
            UnknownCampaign. CampaignStands: it is over.
        """
        now = self._kernel.clock.now()
        async with self._kernel.db.transaction() as conn:
            held = await self._held(conn, name)
            if held.over:
                raise CampaignStands(f"expected a campaign that is not over, got one that is {held.state}")
            await store.turn(conn, held, Stage.KILLED, now)
            gone = await store.call_off(conn, held, Why.KILLED, now)
            await self._note(conn, held, "killed", actor, called_off=gone)
        killed = replace(held, state=Stage.KILLED, changed_at=now)
        while await self._taken_up(killed):  # noqa: ASYNC110 - other processes hold these batches; they end them, or are gone
            await asyncio.sleep(_LOOK)
        async with self._kernel.db.reading() as conn:
            made = await store.decided(conn, killed)
        for _, delivery in made:
            if delivery is not None:
                await self._cancel(delivery, actor)
        return killed

    async def status(self, name: str) -> Standing:
        """The last campaign of a placement. `UnknownCampaign`."""
        async with self._kernel.db.reading() as conn:
            held = await self._held(conn, name, lock=False)
            tallies = await store.tallies(conn, held)
            made = await store.decided(conn, held)
        sent = [delivery for _, delivery in made if delivery is not None]
        by = {state: Counter({why: n for (at, why), n in tallies.items() if at is state}) for state in State}
        arms, channels = Counter[str](), Counter[str]()
        for choice, number in by[State.SENT].items():
            variant, _, channel = choice.rpartition("@")
            arms[variant] += number
            channels[channel] += number
        if nothing := by[State.WITHHELD].total():
            arms[NOTHING] += nothing
            channels["none"] += nothing
        return Standing(
            placement=held.name, campaign_id=held.campaign_id, state=held.state, people=held.people,
            left=by[State.WAITING].total() + by[State.DECIDING].total(), arms=_sorted(arms), channels=_sorted(channels),
            withheld=_sorted({why: n for why, n in by[State.WITHHELD].items() if why != Why.NOTHING_BETTER}),
            called_off=_sorted(by[State.CALLED_OFF]), failed=_sorted(by[State.FAILED]),
            deliveries=_sorted(await self._channels.states(sent)), decisions=tuple(one for one, _ in made),
            example=next((one for one, delivery in made if delivery is not None), None),
            started_at=held.started_at, changed_at=held.changed_at,
        )  # fmt: skip

    async def listed(self, limit: int = 50) -> list[Campaign]:
        """The newest campaigns."""
        async with self._kernel.db.reading() as conn:
            return await store.listed(conn, limit)

    # carrying out

    async def carry_out(self, name: str, told: Callable[[int], None] = lambda _: None) -> Campaign:
        """Decide and send until the campaign is over or paused; `told` how many wait."""
        while True:
            moved = await self.work(name)
            await self._channels.dispatch(self._settings.campaign_batch)
            async with self._kernel.db.reading() as conn:
                held, waiting = await self._held(conn, name, lock=False), 0
                if not held.over:
                    waiting = await store.left(conn, held)
            told(waiting)
            if held.state is not Stage.RUNNING:
                break
            if not moved:
                await asyncio.sleep(_LOOK)  # another worker holds the rest
        while (await self._channels.dispatch(self._settings.campaign_batch)).total:
            continue
        return held

    async def work_all(self) -> int:
        """One batch of every campaign that goes on, for whoever started it; how many runs moved."""
        async with self._kernel.db.reading() as conn:
            names = await store.running(conn)
        return sum([await self.work(name) for name in names])

    async def work(self, name: str) -> int:
        """Claim a batch, decide it, end it; how many runs moved. Where nobody waits any more, the campaign is done."""
        now = self._kernel.clock.now()
        async with self._kernel.db.transaction() as conn:
            held = await store.newest(conn, name, lock=True)
            if held is None or held.state is not Stage.RUNNING:
                return 0
            lease = now + timedelta(seconds=self._settings.lease_seconds)
            claimed = await store.claim(conn, held, now, lease, self._settings.campaign_batch)
            live, off = await self._sort(conn, held, claimed)
            await store.end(conn, off, now)
            if not claimed and not await store.left(conn, held):
                await store.turn(conn, held, Stage.DONE, now)
                await self._note(conn, held, "done", held.actor)
        if live:
            # Who takes longer than the lease has been overtaken.
            try:
                async with asyncio.timeout(self._settings.lease_seconds):
                    await self._decide(held, live)
            except TimeoutError:
                return len(off)
        return len(claimed)

    async def _sort(
        self, conn: Conn, campaign: Campaign, claimed: Sequence[Run]
    ) -> tuple[list[tuple[Run, PersonId]], list[End]]:
        """Each run with the live person behind it; those whose person is gone, or has become one with somebody whose turn it was, end."""
        names = [run.person for run in claimed if run.person is not None]
        current = await self._identity.current(conn, names)
        former = await self._identity.former(conn, sorted(set(current.values())))
        known = [name for many in former.values() for name in many]
        reached = await store.reached(conn, campaign, known, [run.run_id for run in claimed]) if known else set()
        had = {person for person, many in former.items() if not reached.isdisjoint(many)}
        live: list[tuple[Run, PersonId]] = []
        off: list[End] = []
        for run in claimed:
            person = current.get(run.person) if run.person is not None else None
            if person is None:
                off.append(End(run, Step.CALL_OFF, Why.ERASED))
            elif person in had:
                off.append(End(run, Step.CALL_OFF, Why.ONCE_PER))
            else:
                had.add(person)
                live.append((run, person))
        return live, off

    async def _decide(self, campaign: Campaign, live: Sequence[tuple[Run, PersonId]]) -> None:
        requests = [
            DecisionRequest(
                person=person, placement=campaign.name, trigger=campaign.trigger, send=True, decision_id=run.decision_id,
                actor=campaign.actor,
            )
            for run, person in live
        ]  # fmt: skip
        answers = await self._decisions.decide_many(requests, at_once=AT_ONCE)
        ends = [await self._end(run, answer) for (run, _), answer in zip(live, answers, strict=True)]
        now = self._kernel.clock.now()
        async with self._kernel.db.transaction() as conn:
            later = now + timedelta(seconds=self._settings.retry_seconds)
            await store.end(conn, [one for one in ends if one is not None], now, due_at=later)

    async def _end(self, run: Run, answer: Decision | Exception) -> End | None:
        if isinstance(answer, Decision):
            return _ended(run, answer.delivery_id, answer.choice, answer.withheld, shown=answer.variant is not None)
        if isinstance(answer, AlreadyDecided):
            return await self._kept(run)
        if isinstance(answer, Unavailable | Conflict) and run.attempts + 1 < self._settings.max_attempts:
            return End(run, Step.PUT_OFF, f"{Why.TRY_AGAIN}:{answer.code}")
        if isinstance(answer, CandorError):
            return End(run, Step.FAIL, answer.code)
        raise answer

    async def _kept(self, run: Run) -> End | None:
        """The end by the decision that is kept under the run's id; None: there is none."""
        row = await self._decisions.find(run.decision_id) if run.decision_id is not None else None
        if row is None:
            return None
        delivery = DeliveryId(row.delivery_id) if row.delivery_id is not None else None
        return _ended(run, delivery, row.choice, row.withheld, shown=row.variant is not None)

    # killing

    async def _taken_up(self, campaign: Campaign) -> int:
        """How many runs of a killed campaign a living worker still holds; those whose worker is gone end here."""
        now = self._kernel.clock.now()
        async with self._kernel.db.transaction() as conn:
            lease = now + timedelta(seconds=self._settings.lease_seconds)
            await store.call_off(conn, campaign, Why.KILLED, now)
            lost = await store.claim(conn, campaign, now, lease, self._settings.campaign_batch)
        ends = [(await self._kept(run)) or End(run, Step.CALL_OFF, Why.KILLED) for run in lost]
        async with self._kernel.db.transaction() as conn:
            await store.end(conn, ends, now)
            return await store.left(conn, campaign)

    async def _cancel(self, delivery: DeliveryId, actor: str) -> None:
        if (await self._channels.show(delivery)).state is not DeliveryState.RESERVED:
            return
        try:
            await self._channels.cancel(delivery, Why.KILLED, actor=actor)
        except IllegalStep:  # it left in this moment, or is leaving
            return

    # within

    async def _held(self, conn: Conn, name: str, *, lock: bool = True) -> Campaign:
        found = await store.newest(conn, name, lock=lock)
        if found is None:
            raise UnknownCampaign(f"expected a campaign of '{name[:64]}', got none that was started")
        return found

    async def _turn(self, name: str, before: Stage, then: Stage, actor: str) -> Campaign:
        now = self._kernel.clock.now()
        async with self._kernel.db.transaction() as conn:
            held = await self._held(conn, name)
            if held.state is not before:
                raise CampaignStands(f"expected a campaign that is {before}, got one that is {held.state}")
            await store.turn(conn, held, then, now)
            await self._note(conn, held, "paused" if then is Stage.PAUSED else "resumed", actor)
        return replace(held, state=then, changed_at=now)

    async def _note(self, conn: Conn, campaign: Campaign, what: str, actor: str, **facts: int) -> None:
        told: dict[str, Json] = {"what": what, "placement": campaign.name, **facts}
        await self._audit.append(conn, [NewEntry(Tag.CAMPAIGN_CHANGED, {"campaign": campaign.campaign_id}, told, actor=actor)])  # fmt: skip


def _ended(run: Run, delivery: DeliveryId | None, choice: str, withheld: str | None, *, shown: bool) -> End:
    if shown:
        return End(run, Step.SEND, choice, delivery)
    return End(run, Step.WITHHOLD, withheld or Why.NOTHING_BETTER)


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: number for name, number in sorted(counts.items()) if number}
