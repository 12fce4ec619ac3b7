"""Learning online: what happened teaches the policies of placements within a second.

Enters: news of people, in the transaction that keeps it; decisions as they are kept. Leaves: lessons, sums by arm, and states that are never changed, which decisions name by digest. Postgres holds
all of it; a process that is killed goes on where the last transaction ended. A reward is the one that counting finds, so a repeat, another order of arrival
or another process changes nothing. What machines did is never learned from, nor whoever did not permit it.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from consent import gate
from consent.service import Consent
from events.log import Arrival, NewEvent
from identity.service import Identity
from kernel.canonical import Json, digest_of
from kernel.db import Conn, after_commit
from kernel.errors import CandorError
from kernel.ids import DecisionId, PersonId, RecordId
from kernel.kernel import Kernel
from kernel.log import get_logger
from orchestration.decision import lesson_store
from orchestration.decision import store as decided
from orchestration.decision.errors import NoCatalogue
from orchestration.decision.lesson_store import Choice
from orchestration.decision.policies.learned import Learned, from_bytes, to_bytes
from orchestration.decision.policies.linear import fixed
from orchestration.decision.policies.rules import LibraryRule, LinearRule, Rule, digest_of_rule, learns, ruled
from orchestration.decision.policy import EpsilonGreedy, policy_digest
from orchestration.decision.sealed import Opened, Sealer
from orchestration.decision.shelf import Shelf
from orchestration.learning import lessons as teaching
from orchestration.learning import online_store as store
from orchestration.learning import unlearning
from orchestration.learning.certainty import interval
from orchestration.learning.counting import Counting, judging
from orchestration.learning.following import Following
from orchestration.learning.lessons import Lesson, epoch_of, state_of
from orchestration.learning.library import LibraryLearner
from orchestration.learning.online_store import StateRow
from orchestration.learning.rewards import MICRO, RewardTable
from orchestration.learning.settings import LearningSettings
from orchestration.learning.states import States
from orchestration.learning.unlearning import Plan

_MOST_HEARD: Final = 200  # people learned about in one go
_HALF_LIVES: Final = 21  # beyond, what happened weighs less than a millionth
_HOUR: Final = 3_600.0
_GREEDY: Final = policy_digest(EpsilonGreedy())

_log = get_logger("learning.online")


@dataclass(frozen=True, slots=True)
class ArmKnown:
    """What is known of an arm: decisions (a person counts once in a while), mean reward with its 95 % interval."""

    arm: str
    n: float
    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LearnerStatus:
    """A placement that learns. `state` None: nothing was learned yet."""

    placement: str
    policy: str
    parameters: Mapping[str, Json]
    state: str | None
    made_at: str | None
    arms: tuple[ArmKnown, ...]


class Online:
    """One per process and event loop. Is the `Learners` that decision asks."""

    def __init__(
        self, kernel: Kernel, identity: Identity, consent: Consent, shelf: Shelf, counting: Counting, sealer: Sealer,
        table: RewardTable, settings: LearningSettings, *, default: str,
    ) -> None:  # fmt: skip
        self._kernel = kernel
        self._identity = identity
        self._consent = consent
        self._shelf = shelf
        self._counting = counting
        self._sealer = sealer
        self._table = table
        self._settings = settings
        self._default = ruled(default)
        self._library = LibraryLearner()
        self.following = Following(_GREEDY)
        self.states = States(kernel, settings.online_seconds)
        self._let_go_at = float("-inf")
        self._listening: frozenset[str] | None = None

    # what decision asks

    async def newest(self, placement: str, rule: Rule) -> Learned:
        """What is known now (protocol `decision.policies.finding.Learners`)."""
        return await self.states.newest(placement, rule)

    async def state(self, digest: str) -> Learned:
        """The state of a digest; `UnknownState`, `StateBroken`."""
        return await self.states.state(digest)

    # hearing

    async def happened(self, conn: Conn, stored: Sequence[tuple[RecordId, Arrival]]) -> None:
        """Stands at `Events.on_happened`: remember whom something happened to, in the transaction that keeps it."""
        told = [(str(record), event.name) for record, event in stored if not event.machine]
        if told:
            await store.hear(conn, [one[0] for one in told], [one[1] for one in told])

    async def noted(self, conn: Conn, events: Sequence[NewEvent]) -> None:
        """Stands at `Events.on_noted`: the same for events of our own."""
        told = [(str(one.record_id or one.person), one.name) for one in events if not one.machine]
        if told:
            await store.hear(conn, [one[0] for one in told], [one[1] for one in told])

    # learning

    async def run(self, stop: asyncio.Event) -> None:
        """`learn` until `stop`. A part of the house that is down is tried again later."""
        while not stop.is_set():
            moved = 0
            try:
                moved = await self.learn()
            except CandorError as fault:
                _log.error("learning_paused", code=fault.code, remedy=fault.remedy)
                self.following.waits = False  # whatever waits, a rest comes first
            if (
                moved < _MOST_HEARD and not self.following.waits
            ):  # more may be waiting; otherwise a little rest leaves the machine to decisions
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), self._settings.online_seconds)

    async def learn(self) -> int:
        """Learn from what is new; how many lessons changed. Nothing when no placement learns, or another process is at it."""
        plan = await self._plan()
        self.following.begin(plan.rules)
        if not plan.rules and self._listening == frozenset():
            return 0
        async with self._kernel.db.transaction() as conn:
            if not await store.lock(conn):
                return 0
            await self._listen(conn, plan)
            if not plan.rules:
                return 0
            await self._let_go(conn)
            await self._change_rules(conn, plan)
            wanted = {one.decision: one for one in await self._followed(conn, plan)}
            wanted.update({one.decision: one for one in await self._heard(conn, plan)})
            moved = await self._taught(conn, list(wanted.values()))
            await self._publish(conn, plan, {one.placement for one in wanted.values()} if moved else set())
        if moved:
            self.states.forget_newest()
        return moved

    async def _plan(self) -> Plan:
        try:
            catalogue = (await self._shelf.current()).catalogue
        except NoCatalogue:
            return Plan(None, {})
        rules = {one.name: (one, one.policy or self._default) for one in catalogue.placements}
        return Plan(catalogue, {name: held for name, held in rules.items() if learns(held[1])})

    async def _listen(self, conn: Conn, plan: Plan) -> None:
        """Hear what the tables of rewards of learning placements name."""
        names: frozenset[str] = frozenset()
        if plan.catalogue is not None and plan.rules:
            judges = judging(plan.catalogue, self._table, self._settings, self._consent)
            names = frozenset(row.event for name in plan.rules for row in judges[name].table.rows)
        if names != await store.listens(conn):
            await store.listen(conn, names)
        self._listening = names

    async def _change_rules(self, conn: Conn, plan: Plan) -> None:
        """Where another rule came: what was learned from other features is none of these, and a library begins anew with every lesson that is kept."""
        for name, held in (await store.newest_states(conn)).items():
            rule = plan.rules[name][1] if name in plan.rules else None
            if rule is None or held.policy == digest_of_rule(rule):
                continue
            content = await store.content(conn, held.digest)
            if content is not None and from_bytes(content).columns != rule.columns:
                await store.forget_rows(conn, name)
            if isinstance(rule, LibraryRule):
                await store.unteach(conn, name)

    async def _let_go(self, conn: Conn) -> None:
        """Once an hour: lessons of decisions that are not counted any more."""
        if time.monotonic() - self._let_go_at >= _HOUR:
            self._let_go_at = time.monotonic()
            await store.let_go(conn, self._kernel.clock.now() - timedelta(days=self._settings.reward_days + 1))

    async def _followed(self, conn: Conn, plan: Plan) -> list[Lesson]:
        """Lessons of decisions that are new; nothing came of them yet."""
        now = self._kernel.clock.now()
        # Never from before what is counted: those lessons were let go, and would be learned a second time.
        rows = await self.following.fresh(
            conn, sorted(plan.rules), least=now - timedelta(days=self._settings.reward_days), now=now
        )
        return await self._lessons(conn, plan, rows, {})

    async def _heard(self, conn: Conn, plan: Plan) -> list[Lesson]:
        """Lessons of the decisions of people whom something happened to, with what their decisions earned so far."""
        subjects = await store.take(conn, _MOST_HEARD)
        if not subjects or plan.catalogue is None:
            return []
        people = {PersonId(one) for one in subjects if one.startswith("per_")}
        held = await self._identity.subjects(conn, [RecordId(one) for one in subjects if one.startswith("rec_")])
        people |= {person for subject in held.values() for person in subject.people}
        live = await self._identity.current(conn, sorted(people))
        now = self._kernel.clock.now()
        since = now - timedelta(days=self._settings.reward_days)
        rewards = await self._counting.of_people(
            conn, plan.catalogue, self._table, sorted(set(live.values())), since=since, as_of=now
        )
        earned = {one.decision: round(one.reward * MICRO) for one in rewards if one.placement in plan.rules}
        rows = [row for row in await lesson_store.named(conn, sorted(earned)) if row.policy != _GREEDY]
        return await self._lessons(conn, plan, rows, earned)

    async def _lessons(
        self, conn: Conn, plan: Plan, rows: Sequence[Choice], earned: Mapping[DecisionId, int]
    ) -> list[Lesson]:
        """What these decisions teach, of people who permit it."""
        if not rows:
            return []
        now = self._kernel.clock.now()
        live = await self._identity.current(conn, sorted({row.person for row in rows}))
        states = await self._consent.states(conn, sorted(set(live.values())))
        found: list[Lesson] = []
        contexts = await self._contexts(conn, plan, rows)
        for row in rows:
            placement, rule = plan.rules[row.placement]
            who = live.get(row.person)
            if who is None or not gate.permission(states[who], placement.personalize_under, None, now).granted:
                continue
            found.append(
                Lesson(
                    decision=row.id, placement=row.placement, person=who, arm=row.choice, at=row.at,
                    epoch=epoch_of(row.at, rule.half_life), reward=earned.get(row.id, 0),
                    context=contexts.get(row.id, ()),
                )
            )  # fmt: skip
        return found

    async def _contexts(self, conn: Conn, plan: Plan, rows: Sequence[Choice]) -> dict[DecisionId, tuple[int, ...]]:
        """The person's row at each choice, for placements that learn from one."""
        linear = [row.id for row in rows if isinstance(plan.rules[row.placement][1], LinearRule)]
        return {
            one.row.id: fixed(plan.rules[one.row.placement][1].columns, features_of(one))
            for one in await self._opened(conn, linear)
        }

    async def _opened(self, conn: Conn, decisions: Sequence[DecisionId]) -> list[Opened]:
        rows = [row for one in decisions if (row := await decided.get(conn, one)) is not None]
        return await self._sealer.open_many(rows) if rows else []

    async def _taught(self, conn: Conn, wanted: Sequence[Lesson]) -> int:
        """Change lessons and sums; how many lessons were new or earned something else."""
        known = await store.known(conn, [one.decision for one in wanted])
        fresh = [one for one in wanted if one.decision not in known]
        most = self._settings.most_decisions
        # A lesson keeps its person and its epoch: what was summed under them is taken back under them.
        moved = [
            teaching.reworded(known[one.decision], one.reward)
            for one in wanted
            if one.decision in known and known[one.decision].reward != one.reward
        ]
        if not fresh and not moved:
            return 0
        before = await store.voices(
            conn, {(one.placement, one.person, one.epoch) for one in (*fresh, *moved)}, most + 1
        )
        after = {one.decision: one for one in (*before, *fresh, *moved)}
        limits = {"voices": self._settings.voices, "most": most}
        await store.put(conn, [*fresh, *moved])
        await store.tally(conn, teaching.changes(before, after.values(), **limits))
        return len(fresh) + len(moved)

    async def _publish(self, conn: Conn, plan: Plan, moved: set[str]) -> None:
        """Keep the states that changed, and those of rules that changed."""
        newest = await store.newest_states(conn)
        for name, (_, rule) in sorted(plan.rules.items()):
            policy = digest_of_rule(rule)
            held = newest.get(name)
            before = held if held is not None and held.policy == policy else None
            model: bytes | None = None
            if isinstance(rule, LibraryRule):
                model = await self._learned_by_library(conn, name, rule, before)
            if name not in moved and before is not None and model is None:
                continue
            now = self._kernel.clock.now()
            since = 0 if rule.half_life is None else int(now.timestamp()) - _HALF_LIVES * rule.half_life
            state = state_of(
                await store.tallies(conn, name, since), half_life=rule.half_life, columns=rule.columns
            )  # fmt: skip
            if not state.arms or (isinstance(rule, LibraryRule) and model is None):
                continue
            content = to_bytes(state, model=model)
            digest = digest_of(content)
            if before is None or before.digest != digest:
                await store.add_state(conn, name, policy, digest, content, now)
            if model is not None:
                self._library.kept(name, digest)

    async def _learned_by_library(
        self, conn: Conn, placement: str, rule: LibraryRule, before: StateRow | None
    ) -> bytes | None:
        """The library's model after what it has not learned yet; None when there is nothing new."""
        now = self._kernel.clock.now()
        due = await store.untaught(conn, placement, now - timedelta(seconds=rule.wait), _MOST_HEARD)
        if not due:
            return None
        said = await store.taught_voices(conn, due)
        fit: list[Lesson] = []
        for one in due:
            if (key := (one.arm, one.person, one.epoch)) not in said:
                said.add(key)
                fit.append(one)
        content = await store.content(conn, before.digest) if before is not None else None
        opened = await self._opened(conn, [one.decision for one in fit])
        model = await asyncio.to_thread(self._library.learn, placement, rule, before, content, opened, fit)
        await store.teach(conn, [one.decision for one in due], now)
        return model

    # looking and forgetting

    async def status(self) -> list[LearnerStatus]:
        """Every placement that learns: what it knows of each arm, the most shown first."""
        plan = await self._plan()
        self.states.forget_newest()
        found: list[LearnerStatus] = []
        for name, (_, rule) in sorted(plan.rules.items()):
            state = await self.newest(name, rule)
            arms = [
                ArmKnown(arm, state.arm(arm).n, state.estimate(arm), *interval(state, arm))
                for arm in sorted(state.arms, key=lambda arm: (-state.arm(arm).n, arm))
            ]
            made_at = self.states.made_at(name)
            at = made_at.isoformat() if made_at is not None and state.digest is not None else None
            found.append(LearnerStatus(name, rule.name, rule.parameters, state.digest, at, tuple(arms)))
        return found

    async def faults(self) -> list[str]:
        """Placements whose state cannot be used, each with its remedy, for `candor doctor`."""
        found: list[str] = []
        for name, (_, rule) in sorted((await self._plan()).rules.items()):
            try:
                await self.newest(name, rule)
            except CandorError as fault:
                found.append(f"placement {name} is decided greedily by the ranking: {fault}")
        return found

    async def forget(
        self, conn: Conn, people: Sequence[PersonId], subjects: Sequence[str], decisions: Sequence[DecisionId] = ()
    ) -> int:
        """Take lessons about these people, and of these decisions, out of what was learned: lessons and sums; the next state is without them. `subjects`: their records.

        `unlearning.forget` says how.
        """
        await store.wait_for_lock(conn)
        gone = await unlearning.forget(conn, people, subjects, decisions, plan=self._plan, settings=self._settings, now=self._kernel.clock.now())  # fmt: skip
        after_commit(conn, self._look_again)
        return gone

    async def _look_again(self) -> None:
        self.states.forget_newest()


def features_of(opened: Opened) -> dict[str, float]:
    """What was known of the person at the choice, by feature."""
    return dict(zip(opened.inputs.feature_names, opened.inputs.features, strict=True))
