"""The weekly job: collect and debias, count rewards, train, beat the current model by interval, register, go into the shadow, begin a rollout, report (decision.D39, D46).

Enters: the learning room, once a week or whenever somebody asks. Leaves: one `Week` a placement. Killed at any moment it goes on where it stood: the steps are deterministic
up to the registered model, and a promotion or a rollout's first step commits together with the note that it was made. A week that is done is not done again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, cast

from kernel.canonical import Json
from kernel.db import Conn
from orchestration.learning import rewards_store
from orchestration.learning.errors import LeakFound, TooLittleToLearn
from orchestration.learning.figures import SCORE
from orchestration.learning.ramping import gate_evidence
from orchestration.learning.rewards_store import RewardRun, WeeklyRow
from orchestration.learning.service import BETTER, Learning
from orchestration.learning.store import ModelRow, model

Outcome = Literal["promoted", "ramp", "shadow", "busy", "held", "overtaken", "too_little", "leak"]
_HELD: Final = "weekly job: not better than every comparison by interval"


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """What the job of one week did at one placement. `fresh`: done now, not by an earlier run of this week."""

    placement: str
    week: str
    outcome: str
    model: str | None
    rewards_version: int | None
    rows: int
    evaluation: Mapping[str, Json]
    alarms: tuple[str, ...]
    fresh: bool


def week_of(at: datetime) -> str:
    """The ISO week of a moment in UTC, as 2026-W07."""
    year, week, _ = at.isocalendar()
    return f"{year}-W{week:02}"


async def weekly(
    learning: Learning, *, actor: str = "schedule", placements: Sequence[str] | None = None, again: bool = False
) -> list[Week]:
    """The job of this week at every placement that can be learned from, or at those named. `again`: also where it is done.

    Raises:
        CandorError: a placement that there is not, engines that do not answer. What earlier placements did stays.
    """
    job = _Job(learning, actor)
    names = list(placements) if placements is not None else await learning.placements()
    return [await job.run(name, again=again) for name in names]


class _Job:
    def __init__(self, learning: Learning, actor: str) -> None:
        self._learning = learning
        self._kernel = learning.kernel
        self._actor = actor
        self._counted: RewardRun | None = None

    async def run(self, placement: str, *, again: bool) -> Week:
        now = self._kernel.clock.now()
        week = week_of(now)
        async with self._kernel.db.transaction() as conn:
            at = await rewards_store.begin_week(conn, placement, week, now)
            known = await model(conn, at.model) if at.model is not None else None
            if at.stage == "done" and again:
                await rewards_store.move_week(conn, placement, week, stage="begun", at=now)
        if at.stage == "done" and not again:
            return await self._told(at, known, fresh=False)
        if at.stage == "registered" and known is not None:
            return await self._finish(at, known)
        return await self._begin(at)

    async def _begin(self, at: WeeklyRow) -> Week:
        learning = self._learning
        if self._counted is None:
            self._counted = await learning.rewards.recompute(actor=self._actor)
        counted = self._counted
        made = await learning.training_set(at.placement, run=counted)
        left: dict[str, Json] = {"left_out": dict(made.left_out), "rows": len(made.people)}
        async with self._kernel.db.reading() as conn:
            ruling = (await learning.ruling(conn)).get(at.placement)
        try:
            row = await learning.fit(at.placement, made)
        except TooLittleToLearn as little:
            return await self._done(at, None, "too_little", {**left, "why": little.message}, counted.version)
        except LeakFound as leak:
            return await self._done(at, None, "leak", {**left, "why": leak.message}, counted.version)
        async with self._kernel.db.transaction() as conn:
            now = await rewards_store.begin_week(conn, at.placement, at.week, self._kernel.clock.now())
            if now.stage == "done":  # another process was quicker: its word stands
                known = await model(conn, now.model) if now.model is not None else None
                return await self._told(now, known, fresh=False)
            await learning.register(conn, row, actor=self._actor)
            await self._move(conn, at, "registered", row, facts={**left, "against": ruling}, version=counted.version)
        async with self._kernel.db.reading() as conn:
            kept = await model(conn, row.digest)
        assert kept is not None
        return await self._finish(at, kept)

    async def _finish(self, at: WeeklyRow, row: ModelRow) -> Week:
        """Promote, begin a rollout or hold, in one commit with the note of it."""
        good = row.evaluation.get("decision") == "promote"
        way = await self._learning.ramping.prepare(row) if good else None
        async with self._kernel.db.transaction() as conn:
            now = await rewards_store.begin_week(conn, at.placement, at.week, self._kernel.clock.now())
            if now.stage == "done":  # another process was quicker
                return await self._told(now, row, fresh=False)
            outcome = await self._verdict(conn, now, row)
            if outcome is None and way is not None:
                outcome = await self._learning.ramping.go(
                    conn, row, way, actor=self._actor, reason=f"weekly job, {BETTER}"
                )
            else:
                await self._learning.hold(conn, row, actor=self._actor, reason=_HELD, facts=gate_evidence(row))
            facts: dict[str, Json] = {"shadow": way.shadowed.to_json()} if way and way.shadowed else {}
            if way is not None and way.declared is not None:
                facts["rollout"] = way.declared.name if outcome == "ramp" else None
                facts["not_out"] = (
                    way.held if outcome == "shadow" else await self._learning.ramping.busy(conn, at.placement)
                )
            await self._move(conn, now, "done", row, outcome=outcome, facts=facts)
        return await self._report(at, fresh=True)

    async def _verdict(self, conn: Conn, at: WeeklyRow, row: ModelRow) -> Outcome | None:
        """Why it stays where it is, or None: it goes its way."""
        if row.evaluation.get("decision") != "promote":
            return "held"
        ruling = (await self._learning.ruling(conn)).get(at.placement)
        if ruling == row.digest:  # the same bytes rule already
            return "held"
        # Judged against a model that rules no longer: its evidence is about another comparison.
        return None if ruling == at.facts.get("against") else "overtaken"

    async def _done(self, at: WeeklyRow, row: ModelRow | None, outcome: Outcome, facts: Mapping[str, Json], version: int) -> Week:  # fmt: skip
        async with self._kernel.db.transaction() as conn:
            await self._move(conn, at, "done", row, outcome=outcome, facts=facts, version=version)
        return await self._report(at, fresh=True)

    async def _move(
        self, conn: Conn, at: WeeklyRow, stage: str, row: ModelRow | None, *, outcome: Outcome | None = None,
        facts: Mapping[str, Json] | None = None, version: int | None = None,
    ) -> None:  # fmt: skip
        await rewards_store.move_week(
            conn, at.placement, at.week, stage=stage, at=self._kernel.clock.now(), version=version,
            model=row.digest if row is not None else None, outcome=outcome, facts=facts,
        )  # fmt: skip

    async def _report(self, at: WeeklyRow, *, fresh: bool) -> Week:
        async with self._kernel.db.transaction() as conn:
            now = await rewards_store.begin_week(conn, at.placement, at.week, at.begun_at)
            row = await model(conn, now.model) if now.model is not None else None
        return await self._told(now, row, fresh=fresh)

    async def _told(self, at: WeeklyRow, row: ModelRow | None, *, fresh: bool) -> Week:
        aged = [one for one in await self._learning.aged() if one.startswith(f"placement {at.placement} ")]
        rows = at.facts.get("rows", 0)
        return Week(
            placement=at.placement, week=at.week, outcome=at.outcome or "", model=at.model, rewards_version=at.version,
            rows=rows if isinstance(rows, int) else 0, evaluation=row.evaluation if row is not None else {},
            alarms=(*aged, *refused(at), *kept_in(at), *drifted(row, self._learning.settings.drift_alarm), *weak(row)), fresh=fresh,
        )  # fmt: skip


def drifted(row: ModelRow | None, limit: float) -> list[str]:
    """Features whose mean moved further than the limit since the current model was trained, the furthest first."""
    moved = cast("Mapping[str, float]", row.evaluation.get("drift", {})) if row is not None else {}
    far = sorted(((value, name) for name, value in moved.items() if value > limit), reverse=True)
    return [
        f"{'the score of the model that rules' if name == SCORE else f'feature {name}'} moved by {value:.2f} standard deviations"
        for value, name in far
    ]


def weak(row: ModelRow | None) -> list[str]:
    """Variants that brought less than the model that rules predicted of them."""
    told = cast("Sequence[Mapping[str, Json]]", row.evaluation.get("variants", ())) if row is not None else ()
    return [
        f"variant {one['variant']} brought {one['observed']:.4g} where {one['predicted']:.4g} was predicted, over {one['decisions']} decisions: "
        "review it"
        for one in told
        if one["weak"]
    ]


def kept_in(at: WeeklyRow) -> list[str]:
    """That a better model is not let out, and why."""
    if at.outcome == "shadow":
        return [f"a better model does not leave the shadow: {at.facts.get('not_out')}"]
    if at.outcome == "busy":
        return [
            f"a better model waits: {at.facts.get('not_out')} runs here; stop it, or let the model rule by candor learn promote"
        ]
    return []


def refused(at: WeeklyRow) -> list[str]:
    """That no model was made, since a feature knows the answer."""
    return [f"no model was made: {at.facts.get('why', '')}"] if at.outcome == "leak" else []
