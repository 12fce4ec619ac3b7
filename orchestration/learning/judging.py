"""What an experiment says at a look: who is where, every metric with an interval that holds at every look, and the verdict (decision.D13-D24, D44).

Enters: the declaration, people in the order in which they came with their arm, what they did. Leaves: a `Report`. Pure. Harm may be called at any look; a win only of the
primary metric, after fourteen days, over whole weeks; neither where people are not divided as declared.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from events.log import Event
from kernel.canonical import Json
from kernel.ids import PersonId
from orchestration.learning.assignment import MIXED
from orchestration.learning.experiment import Declared
from orchestration.learning.lift import wilson
from orchestration.learning.many import cuped, discoveries, e_value
from orchestration.learning.metrics import Measured, Metric, Metrics
from orchestration.learning.sequential import ALPHA, Group, Look, look, smallest_seen
from orchestration.learning.srm import Mismatch, Suspect, Watch, attribute
from orchestration.learning.stepping import Shown, shown
from orchestration.learning.variety import Variety, variety

Verdict = Literal["running", "win", "harm", "mismatch"]
_WEEK = timedelta(days=7)
_BATCHES = 100
STAGES = 5  # of a rollout: each step is a comparison of its own


@dataclass(frozen=True, slots=True)
class Subject:
    """Somebody who takes part: where she counts, since when, and of what her first decision was made."""

    person: PersonId
    side: str
    since: datetime
    channel: str | None
    variant: str | None
    ranked_by: str = "none"


@dataclass(frozen=True, slots=True)
class Reading:
    """One metric. `treated` and `control` are the groups' own figures; the look's difference is good when positive for `better: up`."""

    metric: Metric
    treated: float
    control: float
    look: Look
    mde: float
    called: bool
    harm: bool
    adjusted: Mapping[str, Json] | None
    groups: tuple[Group, Group]

    def to_json(self) -> dict[str, Json]:
        """As printed and logged."""
        return {
            "metric": self.metric.name, "better": self.metric.better, "treated_value": self.treated, "control_value": self.control,
            "relative": self.look.difference / abs(self.control) if self.control else None,
            **{name: _finite(value) for name, value in self.look.to_json().items()}, "mde": _finite(self.mde), "called": self.called, "harm": self.harm,
            "adjusted": None if self.adjusted is None else dict(self.adjusted),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Report:
    """One look at an experiment. `mixed`: people known under ids of different arms, counted in none."""

    people: Mapping[str, int]
    mixed: int
    days: float
    mismatch: Mismatch
    suspects: tuple[Suspect, ...]
    readings: tuple[Reading, ...]
    variety: tuple[float, float] | None
    verdict: Verdict
    reason: str
    begun: datetime

    @property
    def primary(self) -> Reading:
        """The metric that decides."""
        return self.readings[0]

    def to_json(self) -> dict[str, Json]:
        """As printed and logged."""
        return {
            "people": dict(self.people), "mixed": self.mixed, "days": round(self.days, 3), "since": self.begun.isoformat(),
            "sample_ratio": self.mismatch.to_json(),
            "suspects": [{"by": one.by, "value": one.value, "count": one.n, "off": one.off, "p": one.p} for one in self.suspects],
            "metrics": [one.to_json() for one in self.readings],
            "variety": None if self.variety is None else list(self.variety),
            "verdict": self.verdict, "reason": self.reason,
        }  # fmt: skip

    def evidence(self) -> dict[str, Json]:
        """What stands behind a step, for the log: statistic, people, threshold."""
        found = self.primary
        return {
            "metric": found.metric.name, "z": found.look.z, "threshold": _finite(found.look.boundary),
            "treated": found.look.n[0], "control": found.look.n[1], "difference": found.look.difference,
            "low": _finite(found.look.low), "high": _finite(found.look.high),
            "sample_ratio_p": self.mismatch.p, "verdict": self.verdict,
        }  # fmt: skip

    def control_groups(self) -> dict[str, Json]:
        """People, sum and sum of squares of the control for each metric: what a rollout that has reached everybody is held against."""
        return {one.metric.name: [one.groups[1].n, one.groups[1].total, one.groups[1].squares] for one in self.readings}


def judge(
    declared: Declared, metrics: Metrics, subjects: Sequence[Subject], events: Mapping[PersonId, Sequence[Event]], *,
    begun: datetime, now: datetime, share: float,
) -> Report:  # fmt: skip
    """Look now. `begun`: when this comparison began; `share`: of people in it, or under the new policy of a rollout."""
    counted = sorted((one for one in subjects if one.side != MIXED), key=lambda one: (one.since, one.person))
    chances = _chances(declared, share)
    names = [arm.name for arm in declared.arms]
    mismatch = _watch(names, chances, counted)
    suspects = tuple(attribute(_parts(names, counted), chances)) if mismatch.alarm else ()
    pair = [one for one in counted if one.side in {declared.treatment.name, declared.control}]
    treated = np.array([one.side == declared.treatment.name for one in pair], dtype=np.bool_)
    wanted = [metrics.metric(name) for name in (declared.primary, *declared.guardrails, *declared.metrics)]
    guarded = 1 + len(declared.guardrails)
    readings = [
        _read(metric, pair, treated, events, declared, harmful=guarded if place < guarded else None)
        for place, metric in enumerate(wanted)
    ]
    further = readings[guarded:]
    for place, called in enumerate(discoveries([e_value(one.look.z, one.look.time) for one in further])):
        readings[guarded + place] = replace(further[place], called=called)
    days = (now - begun) / timedelta(days=1)
    weeks = begun + _WEEK * math.floor((now - begun) / _WEEK)
    won = days >= declared.min_days and _won(wanted[0], pair, treated, events, declared, until=weeks)
    readings[0] = replace(readings[0], called=won)
    shown_ = _variety(declared, pair)
    verdict, reason = _verdict(declared, mismatch, readings, shown_, won=won)
    if verdict in {"running", "win"} and _done_without(declared, pair):
        verdict, reason = "harm", "worse: latency"
    return Report(
        people={name: sum(one.side == name for one in counted) for name in names},
        mixed=len(subjects) - len(counted), days=days, mismatch=mismatch, suspects=suspects, readings=tuple(readings),
        variety=None if shown_ is None else (shown_.treated, shown_.control), verdict=verdict, reason=reason, begun=begun,
    )  # fmt: skip


def may_go_on(declared: Declared, report: Report, share: float = 1.0) -> str | None:
    """Why `share` of people may not take part yet, or None. Evidence, not time: whoever knows nothing holds (decision.D21)."""
    if report.verdict in {"mismatch", "harm"}:
        return report.reason
    found = report.primary
    if min(found.look.n) < declared.least_people:
        return f"too_few_people: {min(found.look.n)} of {declared.least_people} in the smaller arm"
    seen = evidence(declared, report, share)
    if not math.isfinite(seen.lost):
        return "too_few_outcomes"
    if report.variety is not None and report.variety[1] == 0:
        return "nothing_shown"
    if seen.worse:
        return "shown_to_be_worse"
    return None if seen.enough else f"not_shown_to_lose_less_than {seen.allowed:.0%}"


def evidence(declared: Declared, report: Report, share: float) -> Shown:
    """What the primary metric shows for a step to this share."""
    found = report.primary
    groups = (Group(one.n, found.metric.sign * one.total, one.squares) for one in found.groups)
    return shown(declared, share, *groups)


def _chances(declared: Declared, share: float) -> list[float]:
    if declared.kind == "rollout":
        return [share, 1 - share]
    return [arm.share for arm in declared.arms]


def _watch(names: Sequence[str], chances: Sequence[float], subjects: Sequence[Subject]) -> Mismatch:
    """People in the order in which they came, a hundred looks."""
    watch = Watch(len(names))
    if min(chances) <= 0:  # everybody is on one side: nothing is divided
        return watch.result()
    place = {name: index for index, name in enumerate(names)}
    for part in np.array_split(np.array([place[one.side] for one in subjects], dtype=np.int64), _BATCHES):
        if len(part):
            watch.add(np.bincount(part, minlength=len(names)), chances)
    return watch.result()


def _parts(names: Sequence[str], subjects: Sequence[Subject]) -> dict[tuple[str, str], list[int]]:
    found: dict[tuple[str, str], list[int]] = {}
    for one in subjects:
        for key in (("channel", one.channel or "none"), ("day", f"{one.since:%Y-%m-%d}")):
            found.setdefault(key, [0] * len(names))[names.index(one.side)] += 1
    return found


def _measured(metric: Metric, pair: Sequence[Subject], events: Mapping[PersonId, Sequence[Event]], back: timedelta = timedelta(0)) -> Measured:  # fmt: skip
    both = [metric.parts(events.get(one.person, ()), one.since - back) for one in pair]
    number = np.array([one for one, _ in both], dtype=np.float64)
    return Measured(number, np.array([two for _, two in both], dtype=np.float64))


def _read(
    metric: Metric, pair: Sequence[Subject], treated: NDArray[np.bool_], events: Mapping[PersonId, Sequence[Event]],
    declared: Declared, *, harmful: int | None,
) -> Reading:  # fmt: skip
    """`harmful`: of how many metrics any may call harm; None: this one may not."""
    measured = _measured(metric, pair, events)
    values = measured.values()
    one, two = _group(values[treated]), _group(values[~treated])
    seen = look(one, two, declared.planned)
    harm = False
    if harmful is not None:
        alpha = ALPHA / harmful / (STAGES if declared.kind == "rollout" else 1)
        sign = metric.sign
        worse = look(_group(sign * values[treated]), _group(sign * values[~treated]), declared.planned, alpha=alpha, sides=1)  # fmt: skip
        harm = worse.worse
    both = _group(values)
    mde = smallest_seen(both.variance, one.n, two.n)
    return Reading(
        metric, _own(measured, treated), _own(measured, ~treated), seen, mde, called=False, harm=harm,
        adjusted=_adjusted(metric, pair, treated, events, values, declared), groups=(one, two),
    )  # fmt: skip


def _adjusted(
    metric: Metric, pair: Sequence[Subject], treated: NDArray[np.bool_], events: Mapping[PersonId, Sequence[Event]],
    values: NDArray[np.float64], declared: Declared,
) -> dict[str, Json] | None:  # fmt: skip
    """The difference less what people did before; None where that says nothing."""
    if len(pair) < 20:
        return None
    before = _measured(metric, pair, events, timedelta(days=metric.days)).values()
    made = cuped(values, before)
    if made.reduction <= 0:
        return None
    found = look(_group(made.values[treated]), _group(made.values[~treated]), declared.planned)
    return {"difference": found.difference, "low": _finite(found.low), "high": _finite(found.high), "variance_taken_out": made.reduction}  # fmt: skip


def _won(
    metric: Metric, pair: Sequence[Subject], treated: NDArray[np.bool_], events: Mapping[PersonId, Sequence[Event]],
    declared: Declared, *, until: datetime,
) -> bool:  # fmt: skip
    """Whether the primary metric is better over whole weeks."""
    inside = np.array([one.since < until for one in pair], dtype=np.bool_)
    whole = [one for one, held in zip(pair, inside, strict=True) if held]
    values = metric.sign * _measured(metric, whole, events).values()
    side = treated[inside]
    return look(_group(values[side]), _group(values[~side]), declared.planned).better


def _variety(declared: Declared, pair: Sequence[Subject]) -> Variety | None:
    """What each side is shown; None where arms differ in that by declaration."""
    if declared.diversity == 0 or any(arm.variants or arm.nothing for arm in declared.arms):
        return None
    sides = ([one.variant for one in pair if one.side == name and one.variant] for name in (declared.treatment.name, declared.control))  # fmt: skip
    return variety(*sides, keep=declared.diversity, planned=declared.planned)


def _done_without(declared: Declared, pair: Sequence[Subject]) -> bool:
    """The treatment's model is done without too often: it was too slow, or could not be had (its decisions were ranked by rules in its place)."""
    if declared.treatment.ranker is None or not declared.treatment.ranker.startswith("sha256:"):
        return False
    ranked = [one.ranked_by for one in pair if one.side == declared.treatment.name and one.ranked_by != "none"]
    without = sum(one != "ranker" for one in ranked)
    return len(ranked) >= declared.least_people and wilson(without, len(ranked))[0] > declared.done_without


def _verdict(
    declared: Declared, mismatch: Mismatch, readings: Sequence[Reading], shown_: Variety | None, *, won: bool
) -> tuple[Verdict, str]:  # fmt: skip
    if mismatch.alarm:
        return "mismatch", "sample_ratio_mismatch"
    if worse := [one.metric.name for one in readings if one.harm]:
        return "harm", f"worse: {', '.join(worse)}"
    enough = min(readings[0].look.n) >= declared.least_people
    if shown_ is not None and enough and shown_.less:
        return "harm", "worse: diversity"
    if won:
        return "win", f"better: {readings[0].metric.name}"
    return "running", "not_decided"


def _own(measured: Measured, side: NDArray[np.bool_]) -> float:
    base = float(measured.base[side].sum())
    return float(measured.number[side].sum()) / base if base else 0.0


def _group(values: NDArray[np.float64]) -> Group:
    return Group(len(values), float(values.sum()), float(np.square(values).sum()))


def _finite(value: Json) -> Json:
    return value if not isinstance(value, float) or math.isfinite(value) else None
