"""The front door of triggers: publish rules, set them off, carry them out, tell what became of them.

Enters: a triggers file, events (through `Events.on_happened`), calls, time. Leaves: at most one decision for each thing that set a trigger off, made by the ordinary `Decisions`.
What it never does: send, ask for permission in another way than any decision does, decide twice for one cause, or keep a word of a person.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from audit.service import Audit
from channels.service import Channels
from consent.service import Consent
from events.service import Events
from identity.service import Identity
from kernel.canonical import Json
from kernel.db import Conn
from kernel.errors import CandorError
from kernel.ids import PersonId, new_id
from kernel.kernel import Kernel
from kernel.log import get_logger
from orchestration.decision.gather import QUEUED
from orchestration.decision.request import DecisionRequest
from orchestration.decision.service import Decisions
from orchestration.triggers import store
from orchestration.triggers.arming import Arming
from orchestration.triggers.campaigns import Campaigns
from orchestration.triggers.errors import NotCallable, TriggerPaused, UnknownRun
from orchestration.triggers.following import Following
from orchestration.triggers.holding import Holding, Keeping
from orchestration.triggers.rules import OnCall, Rule, Rules, misnamed, parse, refuse
from orchestration.triggers.runs import NewRun, Run, State, StepTaken
from orchestration.triggers.settings import TriggersSettings
from orchestration.triggers.shelf import Publication, Shelf
from orchestration.triggers.working import Rehearsed, Working
from profiles.service import Profiles

_log = get_logger("triggers")


@dataclass(frozen=True, slots=True)
class Listed:
    """A trigger that rules, whether it rests, and its runs by state."""

    rule: Rule
    paused: bool
    runs: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Fired:
    """The run of a call. `repeated`: the key was told before, and this is what became of it."""

    run: Run
    repeated: bool


class Triggers:
    """One per process and event loop."""

    name = "triggers"

    def __init__(
        self, kernel: Kernel, audit: Audit, identity: Identity, consent: Consent, events: Events, profiles: Profiles,
        decisions: Decisions, channels: Channels, settings: TriggersSettings | None = None,
    ) -> None:  # fmt: skip
        self.settings = settings or TriggersSettings()
        self._kernel = kernel
        self._identity = identity
        self._profiles = profiles
        self._decisions = decisions
        self.shelf = Shelf(kernel, audit, self.settings)
        self.happened = Arming(kernel, identity, self.shelf).happened
        self._following = Following(kernel, identity, events, profiles, decisions, self.settings)
        self._working = Working(kernel, identity, consent, events, profiles, decisions, self.shelf, self.settings)
        self.campaigns = Campaigns(kernel, audit, identity, decisions, channels, self.settings)
        self._holding = Holding()
        self.keeping = Keeping()

    # rules

    async def check(self, text: str) -> Rules:
        """The triggers of a file, held against the catalogue and the segments that rule.

        Raises:
            TriggersInvalid: every fault with its line. NoCatalogue.
        """
        rules = parse(text)
        refuse(text, await self._misnamed(rules))
        return rules

    async def faults(self) -> list[str]:
        """What is wrong with the triggers that rule, since a catalogue or a features file changed under them; nothing when all can do their work."""
        async with self._kernel.db.reading() as conn:
            rules = (await self.shelf.current(conn)).rules
        found = await self._misnamed(rules) if rules.triggers else []
        return [f"{rules.triggers[int(place[1])].name}: {words}" for place, words in found]

    async def _misnamed(self, rules: Rules) -> list[tuple[tuple[str | int, ...], str]]:
        catalogue = (await self._decisions.shelf.current()).catalogue
        placements = {one.name: frozenset(one.channels) & QUEUED for one in catalogue.placements}
        segments = frozenset(one.name for one in self._profiles.features.declared.segments)
        return list(misnamed(rules, placements, segments))

    async def publish(self, text: str, *, actor: str) -> Publication:
        """Check a file and let it rule. Raises as `check`."""
        rules = await self.check(text)
        async with self._kernel.db.transaction() as conn:
            return await self.shelf.publish(conn, rules, actor=actor)

    async def pause(self, trigger: str, *, actor: str) -> bool:
        """Let a trigger rest; False when it does already. `UnknownTrigger`."""
        self.shelf.forget()
        async with self._kernel.db.transaction() as conn:
            return await self.shelf.pause(conn, trigger, actor=actor)

    async def resume(self, trigger: str, *, actor: str) -> bool:
        """Let it go on; False when it does not rest. `UnknownTrigger`."""
        self.shelf.forget()
        async with self._kernel.db.transaction() as conn:
            return await self.shelf.resume(conn, trigger, actor=actor)

    async def listed(self) -> list[Listed]:
        """Every trigger that rules."""
        self.shelf.forget()
        async with self._kernel.db.reading() as conn:
            shelved = await self.shelf.current(conn)
            counts = await store.counts(conn)
        return [Listed(one, one.name in shelved.paused, counts.get(one.name, {})) for one in shelved.rules.triggers]

    # setting off

    async def fire(self, trigger: str, request: DecisionRequest, *, key: str | None = None) -> Fired:
        """Set off a trigger whose `when` is api, for whom the request is about; what is due at once is decided before the answer.

        `key`: the caller's own name for the cause; told again, it changes nothing and the first run is the answer.

        Raises:
            UnknownTrigger, NotCallable, TriggerPaused; NotFound, Conflict, InvalidInput: as `Decisions.whom`.
        """
        async with self._kernel.db.reading() as conn:
            shelved = await self.shelf.current(conn)
        rule = shelved.rules.rule(trigger)
        if not isinstance(rule.when, OnCall):
            raise NotCallable(f"expected a trigger that is called, got one that waits for {rule.kind}")
        if trigger in shelved.paused:
            raise TriggerPaused("expected a trigger that is not paused, got one that is")
        person = await self._decisions.whom(request)
        now = self._kernel.clock.now()
        # Callers name causes by their own numbers, which may be words of people.
        name = new_id("key") if key is None else self._kernel.vault.pepper("triggers/key", key).hex()
        new = NewRun(trigger=trigger, kind="api", key=name, person=person, at=now, due_at=rule.due(now))
        async with self._kernel.db.transaction() as conn:
            fresh = await store.add(conn, [new], actor=request.actor, now=now)
            run = await store.by_key(conn, trigger, name)
        assert run is not None
        if fresh and run.due_at <= now:
            await self._working.work(1, only=run.run_id)
            run = await self.run(run.run_id)
        return Fired(run, repeated=not fresh)

    async def rehearse(self, trigger: str, request: DecisionRequest) -> Rehearsed:
        """What the trigger would do if it were set off now for whom the request is about; nothing is written. Raises as `fire`, but for kinds."""
        async with self._kernel.db.reading() as conn:
            rule = (await self.shelf.current(conn)).rules.rule(trigger)
        return await self._working.rehearse(rule, await self._decisions.whom(request), actor=request.actor)

    # carrying out

    async def work(self, limit: int | None = None) -> list[Run]:
        """Set off what time sets off, and bring due runs forward; as they stand afterwards."""
        async with self._kernel.db.reading() as conn:
            shelved = await self.shelf.current(conn)
        await self._following.follow(shelved)
        return await self._working.work(limit or self.settings.claim_batch)

    async def run_worker(self, stop: asyncio.Event) -> None:
        """`work` until `stop`; what is being decided then is finished. A part of the house that is down is tried again later."""
        while not stop.is_set():
            moved = 0
            try:
                moved = len(await self.work()) + await self.campaigns.work_all()
            except CandorError as fault:
                _log.error("triggers_paused", code=fault.code, remedy=fault.remedy)
            if not moved:
                try:
                    await asyncio.wait_for(stop.wait(), self.settings.poll_seconds)
                except TimeoutError:
                    continue

    # looking

    async def run(self, run_id: str) -> Run:
        """One run. `UnknownRun`."""
        async with self._kernel.db.reading() as conn:
            found = await store.get(conn, run_id)
        if found is None:
            raise UnknownRun("expected the id of a run (trg_…), got one that no run has")
        return found

    async def history(self, run_id: str) -> list[StepTaken]:
        """Every step of a run, with its reason."""
        async with self._kernel.db.reading() as conn:
            return await store.steps(conn, run_id)

    async def runs(self, trigger: str | None = None, *, state: State | None = None, person: str | None = None, limit: int = 50) -> list[Run]:  # fmt: skip
        """The newest runs. `person`: per_… or kind:value; `NotFound` when that is nobody."""
        async with self._kernel.db.reading() as conn:
            names = None
            if person is not None:
                live = await self._identity.lookup(conn, person)
                names = (await self._identity.former(conn, [live]))[live]
            return await store.newest(conn, trigger, state, names, limit)

    async def waiting(self) -> tuple[Mapping[str, int], float]:
        """Open runs by trigger, and for how many seconds the oldest due one has waited: for `/metrics`."""
        async with self._kernel.db.reading() as conn:
            return await store.waiting(conn, self._now())

    def _now(self) -> datetime:
        return self._kernel.clock.now()

    # holder of personal data, counter of impact

    async def export(self, conn: Conn, person: PersonId) -> Json:
        """What was set off for her and what became of it."""
        return await self._holding.export(conn, person)

    async def erase(self, conn: Conn, person: PersonId) -> int:
        """Remove her runs."""
        return await self._holding.erase(conn, person)

    async def count(self, conn: Conn, people: Sequence[PersonId]) -> Mapping[str, int]:
        """Runs that wait for these people."""
        return await self._holding.count(conn, people)
