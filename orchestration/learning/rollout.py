"""What watches experiments and rollouts: harm stops them within seconds, evidence lets a rollout grow, silence does not (decision.D21, D22, D45).

Enters: a round, every few seconds in the serving process, or whenever somebody asks. Leaves: steps with their evidence. A rollout that has reached everybody is watched for
`watch_hours` against the figures of the old policy's last people; then its model rules for good. A breach alerts a named route.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

import httpx

from kernel.canonical import Json
from kernel.db import Conn
from kernel.errors import CandorError
from kernel.kernel import Kernel
from kernel.log import get_logger
from orchestration.learning.errors import ExperimentOver
from orchestration.learning.experiment import Declared, next_step
from orchestration.learning.experiments import Experiments, Standing
from orchestration.learning.judging import Report, may_go_on
from orchestration.learning.ramping import ACTOR
from orchestration.learning.sequential import ALPHA, Group, look
from orchestration.learning.settings import LearningSettings

WATCHED: Final = "watched without a breach"
_SHARE_OF_TIME: Final = 0.2  # a round may take this much of the watcher's time; a longer one makes it wait longer
_ALERT_SECONDS: Final = 5.0

_log = get_logger("learning.rollout")


Rule = Callable[[Conn, str, str, Mapping[str, Json]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Round:
    """What one round did with one experiment: `moved` to a state, or `held` for a reason."""

    name: str
    moved: str | None
    share: float
    reason: str


class Rollouts:
    """Stands at `Learning.rollouts`. `rule`: lets a model rule a placement for good, in the transaction that ends its watch, on this evidence."""

    def __init__(self, kernel: Kernel, experiments: Experiments, settings: LearningSettings, rule: Rule) -> None:
        self._kernel = kernel
        self._experiments = experiments
        self._settings = settings
        self._rule = rule

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until `stop`."""
        while not stop.is_set():
            begun = time.monotonic()
            try:
                await self.round()
            except CandorError as fault:
                _log.error("watching_paused", code=fault.code, remedy=fault.remedy)
            took = time.monotonic() - begun
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), max(self._settings.watch_seconds, took / _SHARE_OF_TIME))

    async def round(self) -> list[Round]:
        """Look at everything that runs, once."""
        return [await self._one(name) for name in await self._experiments.running()]

    async def _one(self, name: str) -> Round:
        standing = await self._experiments.status(name)
        report = standing.report
        assert report is not None  # looked at
        try:
            return await self._judged(standing, report)
        except ExperimentOver:  # somebody stopped it meanwhile
            return Round(name, None, 0.0, "over")

    async def _judged(self, standing: Standing, report: Report) -> Round:
        declared, last = standing.declared, standing.last
        if report.verdict == "harm":
            return await self._back(standing, report.reason, report.evidence())
        if declared.kind != "rollout":
            return Round(declared.name, None, last.share, report.reason)
        if last.share >= 1:  # watched
            return await self._watched(standing, report)
        if (silent := await self._silent(standing, report)) is not None:
            return silent
        if (why := may_go_on(declared, report, next_step(last.share) or 1.0)) is not None:
            return Round(declared.name, None, last.share, why)
        moved = await self._experiments.ramp(declared.name, actor=ACTOR)
        return Round(declared.name, moved.step.state if moved.step else None, moved.step.share if moved.step else last.share, moved.held or "evidence")  # fmt: skip

    async def _watched(self, standing: Standing, report: Report) -> Round:
        """Everybody is under the new policy: there is nobody left to compare with but those of before."""
        declared, last = standing.declared, standing.last
        if (worse := breach(declared, await self._experiments.before_and_now(standing))) is not None:
            return await self._back(standing, worse, report.evidence())
        if (silent := await self._silent(standing, report)) is not None:
            return silent
        if self._kernel.clock.now() - last.at < timedelta(hours=self._settings.watch_hours):
            return Round(declared.name, None, last.share, "watched")
        if report.people.get(declared.treatment.name, 0) < declared.least_people:  # whoever saw nobody has not watched
            return Round(declared.name, None, last.share, "watched: too_few_people")
        facts, digest = report.evidence(), declared.treatment.ranker
        also = partial(self._ruled, declared.placement, digest, facts) if digest is not None else None
        await self._experiments.stop(declared.name, actor=ACTOR, reason=WATCHED, state="done", facts=facts, also=also)
        return Round(declared.name, "done", 1.0, WATCHED)

    async def _ruled(self, placement: str, digest: str, facts: Mapping[str, Json], conn: Conn) -> None:
        await self._rule(conn, placement, digest, facts)

    async def _silent(self, standing: Standing, report: Report) -> Round | None:
        """Nothing is heard of many people: nobody knows what happens, so nothing goes on, and after a while it goes back."""
        declared = standing.declared
        watched = [declared.treatment] if standing.last.share >= 1 else declared.arms
        enough = min(report.people.get(arm.name, 0) for arm in watched) >= declared.least_people
        heard = any((one.treated or one.control) and one.metric.kind != "absent" for one in report.readings)
        if not enough or heard:
            return None
        if report.days * 24 >= self._settings.silence_hours:
            return await self._back(standing, "telemetry_lost", report.evidence())
        return Round(declared.name, None, standing.last.share, "telemetry_lost")

    async def _back(self, standing: Standing, reason: str, facts: Mapping[str, Json]) -> Round:
        declared = standing.declared
        route = self._settings.alert_route
        step = await self._experiments.stop(
            declared.name, actor=ACTOR, reason=reason, state="rolled_back", facts={**facts, "alerted": route}
        )
        await self._alert(declared.name, declared.placement, reason)
        return Round(declared.name, step.state, 0.0, reason)

    async def _alert(self, name: str, placement: str, reason: str) -> None:
        """Tell the route that settings name. The rollback has happened; an alert that cannot be delivered is an error of its own in the log."""
        route, url = self._settings.alert_route, self._settings.alert_url
        _log.error("rolled_back", route=route, name=name, placement=placement, reason=reason)
        if url is None:
            return
        told = {"route": route, "experiment": name, "placement": placement, "reason": reason}
        try:
            async with httpx.AsyncClient(timeout=_ALERT_SECONDS) as client:
                (await client.post(url, json=told)).raise_for_status()
        except httpx.HTTPError as fault:
            _log.error("alert_not_delivered", route=route, error_type=type(fault).__name__)


def breach(declared: Declared, groups: Mapping[str, tuple[Group, Group]]) -> str | None:
    """Which metric is worse now than it was for the old policy's last people, or None. `groups`: both, looked at alike, so that more is better."""
    guarded = (declared.primary, *declared.guardrails)
    for name in guarded:
        now, then = groups[name]
        if look(now, then, declared.planned, alpha=ALPHA / len(guarded) / 5, sides=1).worse:
            return f"worse than before: {name}"
    return None
