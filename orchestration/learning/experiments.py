"""The door of experiments and rollouts: start, ramp, stop, look; and what is done with a person at a placement where one runs.

Enters: declarations, people. Leaves: treatments for decision, reports, steps. Every step is an entry of the log with its evidence: statistic, people, threshold. A share grows only
on evidence; a staff member may let it grow against it, with a reason. One experiment runs at a placement at a time.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from events.service import Events
from identity.service import Identity
from kernel.canonical import Json
from kernel.db import Conn, after_commit
from kernel.ids import PersonId
from kernel.kernel import Kernel
from kernel.looking import Looking
from orchestration.decision import reading_store
from orchestration.decision.models import ActiveModel, Treatment
from orchestration.decision.reading_store import Shown
from orchestration.decision.shelf import Shelf
from orchestration.learning import experiment_store as store
from orchestration.learning import metrics
from orchestration.learning import store as models
from orchestration.learning.assignment import Division, side_of
from orchestration.learning.errors import (
    ExperimentInvalid,
    ExperimentOver,
    ExperimentTaken,
    ModelBroken,
    UnknownExperiment,
    UnknownModel,
)
from orchestration.learning.experiment import Declared, check, next_step
from orchestration.learning.experiment_store import Kept, Step
from orchestration.learning.judging import Report, Subject, evidence, judge, may_go_on
from orchestration.learning.registry import Registry
from orchestration.learning.sequential import Group
from orchestration.learning.settings import LearningSettings
from orchestration.learning.watching import Stage, alike

_LOOK_AGAIN: Final = 0.5  # seconds: a step holds everywhere within one
_RULES: Final = "rules"


@dataclass(frozen=True, slots=True)
class Running:
    """An experiment that runs, as a process holds it."""

    declared: Declared
    division: Division
    step: Step

    def side(self, person: str, share: float) -> str | None:
        """The arm of a person id while this share takes part; None: she takes no part."""
        if self.declared.kind == "rollout":
            return self.declared.treatment.name if self.division.takes_part(person, share) else self.declared.control
        return self.division.arm(person) if self.division.takes_part(person, share) else None


@dataclass(frozen=True, slots=True)
class Standing:
    """An experiment with all its steps and, where it was looked at, what it says."""

    kept: Kept
    declared: Declared
    steps: tuple[Step, ...]
    report: Report | None = None

    @property
    def last(self) -> Step:
        """The step that holds."""
        return self.steps[-1]

    def to_json(self) -> dict[str, Json]:
        """As printed."""
        return {
            "name": self.kept.name, "placement": self.kept.placement, "kind": self.kept.kind, "digest": self.kept.digest,
            "state": self.last.state, "share": self.last.share, "started_at": self.kept.started_at.isoformat(),
            "primary": self.declared.primary, "arms": [arm.name for arm in self.declared.arms], "control": self.declared.control,
            "steps": [
                {"at": one.at.isoformat(), "state": one.state, "share": one.share, "reason": one.reason, "actor": one.actor, "evidence": dict(one.facts)}
                for one in self.steps
            ],
            "report": None if self.report is None else self.report.to_json(),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Moved:
    """What came of asking for a step: the new one, or None and why it holds."""

    step: Step | None
    held: str | None
    report: Report


class Experiments:
    """Stands at `Learning.experiments`; one per process and event loop."""

    def __init__(
        self, kernel: Kernel, audit: Audit, identity: Identity, events: Events, shelf: Shelf, registry: Registry,
        settings: LearningSettings,
    ) -> None:  # fmt: skip
        self._kernel = kernel
        self._audit = audit
        self._identity = identity
        self._events = events
        self._shelf = shelf
        self._registry = registry
        self.settings = settings
        self.metrics = metrics.load(settings.metrics_file)
        self._running: dict[str, Running] = {}
        self._looking = Looking(_LOOK_AGAIN)

    # for decision

    async def treatment(self, placement: str, person: PersonId) -> Treatment | None:
        """What is done with her here, or None where no experiment runs or she takes no part."""
        if self._looking.due:
            with self._looking.look():
                async with self._kernel.db.reading() as conn:
                    standing = await store.standing(conn)
                self._running = {one.declared.placement: one for one in map(self._held, standing)}
        found = self._running.get(placement)
        side = found.side(person, found.step.share) if found is not None else None
        if found is None or side is None:
            return None
        arm = found.declared.arm(side)
        return Treatment(
            experiment=found.declared.name, arm=side, active=await self._active(arm.ranker),
            variants=frozenset(arm.variants) if arm.variants else None, nothing=arm.share if arm.nothing else None,
        )  # fmt: skip

    async def _active(self, ranker: str | None) -> ActiveModel | None:
        if ranker is None:
            return None
        if ranker == _RULES:
            return ActiveModel(None, "no_model")
        try:
            return ActiveModel(await self._registry.model(ranker))
        except (ModelBroken, UnknownModel):  # the registry has logged it; rules rank, and the record says so
            return ActiveModel(None, "model_broken")

    def _held(self, one: tuple[Kept, Step]) -> Running:
        declared = check(dict(one[0].document))
        return Running(declared, self._division(declared), one[1])

    def _division(self, declared: Declared) -> Division:
        word = self._kernel.vault.pepper(f"experiment:{declared.name}", declared.name)
        return Division(word, tuple((arm.name, arm.share) for arm in declared.arms))

    async def _forget(self) -> None:
        self._looking.forget()

    # steps

    async def start(self, declared: Declared, *, actor: str, facts: Mapping[str, Json] | None = None) -> Step:
        """Start what is declared, at its first share. `facts`: evidence of its own, kept with the step.

        Raises:
            UnknownPlacement, UnknownMetric, UnknownModel, ModelBroken: it names what is not there. ExperimentInvalid: a variant that the placement does not offer.
            ExperimentTaken: the name was used, or another one runs at the placement.
        """
        await self.check(declared)
        async with self._kernel.db.transaction() as conn:
            return await self.begin(conn, declared, actor=actor, facts=facts)

    async def begin(
        self, conn: Conn, declared: Declared, *, actor: str, facts: Mapping[str, Json] | None = None
    ) -> Step:
        """Start what was checked, in the caller's transaction. `ExperimentTaken`."""
        await store.lock(conn)
        busy = [kept.name for kept, _ in await store.standing(conn) if kept.placement == declared.placement]
        if busy:
            raise ExperimentTaken(f"expected no other experiment at '{declared.placement}', got {busy[0]} running")
        kept = Kept(
            name=declared.name, placement=declared.placement, kind=declared.kind, document=declared.document(),
            digest=declared.digest, started_at=self._kernel.clock.now(), actor=actor,
        )  # fmt: skip
        if not await store.add(conn, kept):
            raise ExperimentTaken(f"expected a new name, got '{declared.name}', which was used")
        told: dict[str, Json] = {"declaration": declared.digest, "primary": declared.primary, **(facts or {})}
        # A rollout that begins with everybody has nobody to compare with: it is watched against those who came before.
        state = "watched" if declared.kind == "rollout" and declared.share >= 1 else "running"
        return await self.move(conn, declared, state, declared.share, "started", told, actor=actor)

    async def check(self, declared: Declared) -> None:
        """Whether everything that is named is there. Raises as `start` does."""
        self._shelf.forget()
        catalogue = (await self._shelf.current()).catalogue
        placement = catalogue.placement(declared.placement)
        for name in (declared.primary, *declared.guardrails, *declared.metrics):
            self.metrics.metric(name)
        known = {*(one.id for one in catalogue.offered(placement)), *placement.variants, *(rule.template for rule in placement.sources)}  # fmt: skip
        for arm in declared.arms:
            if unknown := [name for name in arm.variants if name not in known]:
                raise ExperimentInvalid(f"expected variants of '{placement.name}' in arm '{arm.name}', got {', '.join(unknown[:5])}")  # fmt: skip
            if arm.ranker is not None and arm.ranker != _RULES:
                async with self._kernel.db.reading() as conn:
                    row = await models.model(conn, arm.ranker)
                if row is None or row.placement != placement.name:
                    raise UnknownModel(f"expected a model registered for '{placement.name}', got another digest")
                await self._registry.model(arm.ranker)

    async def ramp(
        self, name: str, *, actor: str, to: float | None = None, force: bool = False, reason: str = ""
    ) -> Moved:
        """Let more people take part: the next step, or `to`. Held without evidence, unless it is forced with a reason.

        Raises:
            UnknownExperiment. ExperimentOver: it runs no more. ExperimentInvalid: a share that is not larger, or force without a reason.
        """
        standing = await self.status(name, look=True)
        report = standing.report
        assert report is not None  # asked for
        if standing.last.state not in store.RUNNING:
            raise ExperimentOver(f"expected an experiment that runs, got {standing.last.state}")
        share = to if to is not None else next_step(standing.last.share)
        if share is None:
            return Moved(None, "everybody takes part", report)
        if not standing.last.share < share <= 1:
            raise ExperimentInvalid(f"expected a share above {standing.last.share:g} and at most 1, got {share:g}")
        if force and not reason:
            raise ExperimentInvalid("expected a reason for going on against the evidence, got none")
        held = may_go_on(standing.declared, report, share)
        if held is not None and not force:
            return Moved(None, held, report)
        facts: dict[str, Json] = {
            **report.evidence(),
            **evidence(standing.declared, report, share).to_json(),
            "from": standing.last.share,
            "forced_against": held,
        }
        async with self._kernel.db.transaction() as conn:
            await store.lock(conn)
            now = (await store.steps(conn, name))[-1]
            if now != standing.last:  # somebody else was quicker
                return Moved(None, "moved meanwhile", report)
            full = standing.declared.kind == "rollout" and share >= 1
            if full:
                facts["control_groups"] = report.control_groups()
            step = await self.move(
                conn, standing.declared, "watched" if full else "running", share, reason or "evidence", facts, actor=actor,
            )  # fmt: skip
        return Moved(step, None, report)

    async def stop(
        self, name: str, *, actor: str, reason: str = "stopped", state: str = "stopped", facts: Mapping[str, Json] | None = None,
        also: Callable[[Conn], Awaitable[None]] | None = None,
    ) -> Step:  # fmt: skip
        """End it: from the commit on nobody is treated by it any more. `also`: what is done in the same commit.

        Raises:
            UnknownExperiment. ExperimentOver: it is over.
        """
        async with self._kernel.db.transaction() as conn:
            await store.lock(conn)
            standing = await self._standing(conn, name)
            if standing.last.state not in store.RUNNING:
                raise ExperimentOver(f"expected an experiment that runs, got {standing.last.state}")
            if also is not None:
                await also(conn)
            return await self.move(conn, standing.declared, state, 0.0, reason, facts or {}, actor=actor)

    async def move(
        self, conn: Conn, declared: Declared, state: str, share: float, reason: str, facts: Mapping[str, Json], *, actor: str
    ) -> Step:  # fmt: skip
        """A step in the caller's transaction, with its entry in the log."""
        step = Step(name=declared.name, at=self._kernel.clock.now(), state=state, share=share, reason=reason, facts=facts, actor=actor)  # fmt: skip
        await store.move(conn, step)
        told: dict[str, Json] = {"state": state, "share": share, "reason": reason, **facts}
        refs = {"experiment": declared.name, "placement": declared.placement}
        await self._audit.append(conn, [NewEntry(Tag.EXPERIMENT_CHANGED, refs, told, actor=actor)])
        after_commit(conn, self._forget)
        return step

    # looking

    async def every(self) -> list[Standing]:
        """All experiments with their steps, the newest first; none is looked at."""
        async with self._kernel.db.reading() as conn:
            return [await self._standing(conn, kept.name) for kept in await store.every(conn)]

    async def running(self) -> list[str]:
        """Names of those that run."""
        async with self._kernel.db.reading() as conn:
            return [kept.name for kept, _ in await store.standing(conn)]

    async def status(self, name: str, *, look: bool = True) -> Standing:
        """One experiment and what it says now. `UnknownExperiment`."""
        async with self._kernel.db.reading() as conn:
            standing = await self._standing(conn, name)
            if not look:
                return standing
            report = await self._look(conn, standing)
        return Standing(standing.kept, standing.declared, standing.steps, report)

    async def present(self, declared: Declared, days: float = 28.0) -> tuple[float, float]:
        """What the placement sees now: the share with the primary metric's outcome, and new people a day, over these days. (0, 0) where nobody came."""
        metric = self.metrics.metric(declared.primary)
        now = self._kernel.clock.now()
        begun = now - timedelta(days=days)
        async with self._kernel.db.reading() as conn:
            rows = await reading_store.compared(conn, declared.placement, begun)
            first: dict[PersonId, datetime] = {}
            for row in rows:
                first.setdefault(row.person, row.at)
            names = sorted({*metric.events, *metric.per})
            events = await self._events.of_people(conn, sorted(first), since=begun, names=names) if first else {}
        hits = sum(bool(metric.parts(events.get(one, ()), at)[0]) for one, at in first.items())
        come = (now - min(first.values())) / timedelta(days=1) if first else 0.0
        return hits / len(first) if first else 0.0, len(first) / max(1.0, come)

    async def _standing(self, conn: Conn, name: str) -> Standing:
        kept = await store.one(conn, name)
        if kept is None:
            raise UnknownExperiment(f"expected the name of an experiment, got '{name[:64]}'")
        return Standing(kept, check(dict(kept.document)), tuple(await store.steps(conn, name)))

    async def _look(self, conn: Conn, standing: Standing) -> Report:
        declared = standing.declared
        live = [step for step in standing.steps if step.state in store.RUNNING]
        begun = live[-1].at if declared.kind == "rollout" else live[0].at
        over = standing.last.at if standing.last.state not in store.RUNNING else None
        subjects = await self.subjects(conn, declared, live, begun, over)
        wanted = [self.metrics.metric(name) for name in (declared.primary, *declared.guardrails, *declared.metrics)]
        names = sorted({name for one in wanted for name in (*one.events, *one.per)})
        back = begun - timedelta(days=max(one.days for one in wanted))
        people = sorted({one.person for one in subjects})
        events = await self._events.of_people(conn, people, since=back, names=names) if people else {}
        now = over or self._kernel.clock.now()
        return judge(declared, self.metrics, subjects, events, begun=begun, now=now, share=live[-1].share)

    async def before_and_now(self, standing: Standing) -> dict[str, tuple[Group, Group]]:
        """Of a rollout that has reached everybody: by metric the people of now and the last ones of the old policy, looked at alike; empty groups where there were none."""
        declared = standing.declared
        live = [step for step in standing.steps if step.state in store.RUNNING]
        wanted = [self.metrics.metric(name) for name in (declared.primary, *declared.guardrails)]
        names = sorted({name for one in wanted for name in (*one.events, *one.per)})
        async with self._kernel.db.reading() as conn:
            new = await self.subjects(conn, declared, live, live[-1].at)
            begun = live[0].at
            # Old people of a rollout that began with everybody are those of as long a time before it.
            before = live[:-1] or [replace(live[0], at=begun - (self._kernel.clock.now() - begun), share=0.0)]
            old = await self.subjects(conn, declared, before, before[-1].at, live[-1].at)
            ours, theirs = (
                [one for one in found if one.side == side]
                for found, side in ((new, declared.treatment.name), (old, declared.control))
            )
            people = sorted({one.person for one in (*ours, *theirs)})
            events = await self._events.of_people(conn, people, since=before[-1].at, names=names) if people else {}
        now = Stage(ours, live[-1].at, self._kernel.clock.now())
        return alike(wanted, now, Stage(theirs, before[-1].at, live[-1].at), events)

    async def subjects(
        self, conn: Conn, declared: Declared, live: Sequence[Step], begun: datetime, over: datetime | None = None
    ) -> list[Subject]:
        """Who takes part since `begun`, by the id that each decision was made for; whoever merged over two arms is mixed."""
        running = Running(declared, self._division(declared), live[-1])
        rows = [
            row
            for row in await reading_store.compared(conn, declared.placement, begun)
            if over is None or row.at < over
        ]
        now = await self._identity.current(conn, sorted({row.person for row in rows})) if rows else {}
        first: dict[PersonId, Shown] = {}
        sides: dict[PersonId, list[str]] = {}
        for row in rows:
            if row.held and row.holdout != declared.name:  # in a comparison group that stands above this one
                continue
            side = running.side(row.person, _share_at(live, row.at))
            who = now.get(row.person)
            if side is None or who is None:
                continue
            first.setdefault(who, row)
            sides.setdefault(who, []).append(side)
        return [
            Subject(who, side_of(sides[who]), row.at, row.channel, row.variant, row.ranked_by)
            for who, row in first.items()
        ]


def _share_at(live: Sequence[Step], at: datetime) -> float:
    """The share that held at a moment."""
    return next((step.share for step in reversed(live) if step.at <= at), live[0].share)
