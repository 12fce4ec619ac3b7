"""What is done with runs that are due: claim, judge, settle, decide, end.

Enters: due runs. Leaves: decisions through the ordinary way (permission, caps, suppression, receipt; a trigger opens no door of its own), and runs that say how they ended and why.

A run passes three transactions. *Claim* gives it a lease. *Settle* locks it and its person's turn, reads the log anew and either ends it, puts it off, or fixes that it is its turn,
together with the id that its decision shall have. Then the decision commits under that id, in decision's own commit with its delivery. *End* writes what became of it. Killed
anywhere, the run is claimed again when its lease is over: a decision that is kept under its id is the answer, and one that is not was never made.
"""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from consent.gate import permission
from consent.service import Consent
from events.log import Event
from events.service import Events
from identity.service import Identity
from kernel.canonical import Json
from kernel.db import Conn
from kernel.errors import CandorError, Conflict, Unavailable
from kernel.ids import DeliveryId, PersonId, new_id
from kernel.kernel import Kernel
from kernel.log import get_logger
from orchestration.decision.catalogue import Placement
from orchestration.decision.errors import AlreadyDecided
from orchestration.decision.gather import QUEUED
from orchestration.decision.request import DecisionRequest
from orchestration.decision.service import Decisions
from orchestration.triggers import figures, store
from orchestration.triggers.rules import OnEvent, OnSegment, Rule
from orchestration.triggers.runs import Run, State, Step, Why
from orchestration.triggers.settings import TriggersSettings
from orchestration.triggers.shelf import Shelf, Shelved
from orchestration.triggers.verdict import CallOff, Fire, PutOff, Seen, Verdict, judge, since
from profiles.consent_filter import serves
from profiles.service import Profiles

_LONGEST_PAUSE: Final = 600.0
_log = get_logger("triggers")


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What a trigger would do: sent, withheld or called_off, why, when, and how probable the choice is."""

    outcome: str
    reason: str
    due_at: datetime | None
    propensity: float | None


class Working:
    """One per process and event loop; any number of processes."""

    def __init__(
        self, kernel: Kernel, identity: Identity, consent: Consent, events: Events, profiles: Profiles,
        decisions: Decisions, shelf: Shelf, settings: TriggersSettings,
    ) -> None:  # fmt: skip
        self._kernel = kernel
        self._identity = identity
        self._consent = consent
        self._events = events
        self._profiles = profiles
        self._decisions = decisions
        self._shelf = shelf
        self._settings = settings

    async def work(self, limit: int, *, only: str | None = None) -> list[Run]:
        """Bring due runs forward, `limit` at most or `only` this one; as they stand afterwards."""
        async with self._kernel.db.transaction() as conn:
            shelved = await self._shelf.current(conn)
            now = self._kernel.clock.now()
            lease = now + timedelta(seconds=self._settings.lease_seconds)
            claimed = await store.claim(conn, now, lease, limit, sorted(shelved.paused), only)
        gate = asyncio.Semaphore(self._settings.at_once)

        async def one(run: Run) -> Run | None:
            async with gate:
                return await self._turn(run, shelved)

        ends = await asyncio.gather(*(one(run) for run in claimed), return_exceptions=True)
        done: list[Run] = []
        for end in ends:
            if isinstance(end, BaseException):
                raise end  # the others are done; this one's lease will tell
            if end is not None:
                done.append(end)
        return done

    async def _turn(self, run: Run, shelved: Shelved) -> Run | None:
        """One claimed run to its next rest. None: another worker has it by now."""
        rule = shelved.rules.by_name.get(run.trigger)
        try:
            if run.settled_at is not None and (kept := await self._kept(run)) is not None:
                return kept
            settled = await self._settle(run, rule)
            if settled is None or rule is None or settled.state is not State.DECIDING:
                return settled
            # Whoever takes longer than the lease has been overtaken, and must not decide any more.
            async with asyncio.timeout(self._settings.lease_seconds):
                return await self._decide(settled, rule)
        except TimeoutError:
            return None
        except (Unavailable, Conflict) as fault:
            return await self._again(run, fault)
        except CandorError as fault:
            return await self._end(run, Step.FAIL, fault.code)

    # judging

    async def _settle(self, run: Run, rule: Rule | None) -> Run | None:
        """The verdict, as it stands when it is written; `deciding` when it is this run's turn."""
        async with self._kernel.db.transaction() as conn:
            held = await store.hold(conn, run)
            if held is None:
                return None
            now = self._kernel.clock.now()
            live = (await self._identity.current(conn, [held.person])).get(held.person) if held.person else None
            if rule is None or live is None:
                return await self._step(conn, held, CallOff(Why.GONE if rule is None else Why.ERASED), now)
            await store.lock_turn(conn, held.trigger, live)
            verdict = await self._verdict(conn, held, rule, live, now)
            if isinstance(verdict, Fire):
                return await store.settle(conn, held, live, held.decision_id or new_id("dec"), now)
            return await self._step(conn, held, verdict, now)

    async def rehearse(self, rule: Rule, person: PersonId, *, actor: str) -> Rehearsed:
        """What would be done for a live person if the trigger were set off for her now. Writes nothing."""
        now = self._kernel.clock.now()
        tried = Run(
            run_id="", trigger=rule.name, kind=rule.kind, person=person, at=now, due_at=rule.due(now), state=State.DECIDING,
            reason=Why.DUE, generation=0, attempts=0, settled_at=None, decision_id=None, delivery_id=None, event_id=None,
            actor=actor, made_at=now, changed_at=now,
        )  # fmt: skip
        async with self._kernel.db.reading() as conn:
            verdict = await self._verdict(conn, tried, rule, person, now)
        if isinstance(verdict, CallOff):
            return Rehearsed("called_off", verdict.why, None, None)
        request = replace(await self._request(tried, rule), dry_run=True)
        made = await self._decisions.decide(request)
        due = verdict.due if isinstance(verdict, PutOff) else now
        if made.nothing:
            return Rehearsed("withheld", made.withheld or Why.NOTHING_BETTER, due, made.propensity)
        return Rehearsed("sent", made.choice, due, made.propensity)

    async def _verdict(self, conn: Conn, run: Run, rule: Rule, live: PersonId, now: datetime) -> Verdict:
        names = (await self._identity.former(conn, [live]))[live]
        spent = await store.spent(conn, run, names)
        seen = await self._seen(conn, rule, rule.when, live, now) if isinstance(rule.when, OnEvent) else ()
        verdict = judge(rule, run.at, now, seen=seen, spent=spent)
        if isinstance(verdict, Fire) and isinstance(rule.when, OnSegment):
            purpose = (await self._placement(rule)).personalize_under
            hot = (await self._profiles.hot_many([live], purpose, fresh=True)).get(live)
            if hot is None or not hot.permitted or rule.when.segment not in hot.segments:
                return CallOff(Why.LEFT_SEGMENT)
        return verdict

    async def _seen(self, conn: Conn, rule: Rule, when: OnEvent, live: PersonId, now: datetime) -> list[Seen]:
        """What the log says of her, whoever she was when it happened."""
        names = list(dict.fromkeys([when.event, *(one.event for one in when.unless)]))
        found = await self._events.of_people(conn, [live], since=since(rule, now), names=names)
        place = await self._placement(rule)
        purposes = sorted({place.purpose_on(channel) for channel in _channels(rule, place)})
        state = (await self._consent.states(conn, [live]))[live]
        # When to write is a choice that rests on what she did: where she agrees to personal choices, what may serve them may set it off.
        personal = [place.personalize_under] if permission(state, place.personalize_under, None, now).granted else []
        lines = self._consent.rules.purposes
        reach = frozenset(one for purpose in (*purposes, *personal) for one in lines.lineage(purpose))
        missing = f"not_collected_for:{','.join(purposes)}"
        return [_seen(when, event, reach, missing) for event in found[live]]

    async def _placement(self, rule: Rule) -> Placement:
        return (await self._decisions.shelf.current()).catalogue.placement(rule.placement)

    # deciding

    async def _request(self, run: Run, rule: Rule) -> DecisionRequest:
        context: dict[str, Json] = {"run": run.run_id}
        if run.event_id is not None:
            context["event"] = run.event_id
        return DecisionRequest(
            person=run.person, placement=rule.placement, channels=_channels(rule, await self._placement(rule)),
            trigger=rule.name, send=True, decision_id=run.decision_id, context=context, actor=run.actor,
        )  # fmt: skip

    async def _decide(self, run: Run, rule: Rule) -> Run | None:
        try:
            made = await self._decisions.decide(await self._request(run, rule))
        except AlreadyDecided:
            return await self._kept(run)
        return await self._decided(run, made.delivery_id, made.choice, made.withheld)

    async def _kept(self, run: Run) -> Run | None:
        """End a run by the decision that is kept under its id. None: there is none."""
        row = await self._decisions.find(run.decision_id) if run.decision_id is not None else None
        if row is None:
            return None
        delivery = DeliveryId(row.delivery_id) if row.delivery_id is not None else None
        return await self._decided(run, delivery, row.choice, row.withheld)

    async def _decided(self, run: Run, delivery: DeliveryId | None, choice: str, withheld: str | None) -> Run | None:
        if delivery is not None:
            return await self._end(run, Step.SEND, choice, delivery_id=delivery)
        return await self._end(run, Step.WITHHOLD, withheld or Why.NOTHING_BETTER)

    # ending

    async def _step(self, conn: Conn, run: Run, verdict: CallOff | PutOff, now: datetime) -> Run | None:
        if isinstance(verdict, PutOff):
            return await store.move(conn, run, Step.PUT_OFF, verdict.why, now, due_at=verdict.due)
        ended = await store.move(conn, run, Step.CALL_OFF, verdict.why, now)
        if ended is not None:
            figures.count(ended)
        return ended

    async def _end(self, run: Run, step: Step, reason: str, *, delivery_id: DeliveryId | None = None) -> Run | None:
        async with self._kernel.db.transaction() as conn:
            ended = await store.move(conn, run, step, reason, self._kernel.clock.now(), delivery_id=delivery_id)
        if ended is not None:
            figures.count(ended)
        return ended

    async def _again(self, run: Run, fault: CandorError) -> Run | None:
        """A part of the house is down, or somebody was faster: later, unless that was said too often."""
        if run.attempts + 1 >= self._settings.max_attempts:
            return await self._end(run, Step.FAIL, Why.TOO_MANY_ATTEMPTS)
        _log.warning("run_put_off", run=run.run_id, code=fault.code)
        now = self._kernel.clock.now()
        pause = timedelta(seconds=min(_LONGEST_PAUSE, self._settings.retry_seconds * 2**run.attempts))
        async with self._kernel.db.transaction() as conn:
            return await store.move(
                conn, run, Step.PUT_OFF, f"{Why.TRY_AGAIN}:{fault.code}", now, due_at=now + pause, tried=True
            )


def _channels(rule: Rule, place: Placement) -> frozenset[str]:
    """The channels with a queue that this trigger may use."""
    return frozenset(rule.channels or place.channels) & frozenset(place.channels) & QUEUED


def _seen(when: OnEvent, event: Event, reach: frozenset[str], missing: str) -> Seen:
    starts, stops = event.name == when.event, any(event.name == one.event and one.fits(event.properties) for one in when.unless)  # fmt: skip
    against: str | None = None
    if event.machine:
        against = Why.MACHINE
    elif not serves(event.purposes, reach):
        against = missing
    elif not when.fits(event.properties):
        against = Why.NO_MATCH
    at = min(event.event_time, event.received_at)
    return Seen(event.name, at, starts=starts, stops=stops, against=against if starts else None)
