"""Everybody under the new policy against the last people of the old one, when there is nobody left to compare with at the same time (decision.D45).

Enters: both groups with the moments at which their stages began, what they did. Leaves: two groups a metric that were looked at alike. Outcomes take days: who came an hour ago has not bought yet
what those of last week bought meanwhile. So both are taken from as long a time of coming in, and each of the old is followed for as long as one of the new, the first comers with the first. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from events.log import Event
from kernel.ids import PersonId
from orchestration.learning.judging import Subject
from orchestration.learning.metrics import Measured, Metric
from orchestration.learning.sequential import Group


@dataclass(frozen=True, slots=True)
class Stage:
    """People who came in from `begun` on, until `over`, all under one policy."""

    people: Sequence[Subject]
    begun: datetime
    over: datetime


def alike(
    metrics: Sequence[Metric], now: Stage, then: Stage, events: Mapping[PersonId, Sequence[Event]]
) -> dict[str, tuple[Group, Group]]:
    """For each metric the new policy's group and the old one's."""
    span = min(now.over - now.begun, then.over - then.begun)
    new, old = (
        sorted(
            (one for one in stage.people if one.since <= stage.begun + span), key=lambda one: (one.since, one.person)
        )
        for stage in (now, then)
    )
    followed = [now.over - one.since for one in new]
    until = {
        one.person: one.since + followed[(2 * place + 1) * len(new) // (2 * len(old))]
        for place, one in enumerate(old)
        if new
    }
    seen = {
        one.person: [event for event in events.get(one.person, ()) if event.event_time <= until[one.person]]
        for one in old
        if new
    }
    return {metric.name: (_group(metric, new, events), _group(metric, old if new else [], seen)) for metric in metrics}


def _group(metric: Metric, people: Sequence[Subject], events: Mapping[PersonId, Sequence[Event]]) -> Group:
    both = [metric.parts(events.get(one.person, ()), one.since) for one in people]
    if not both:
        return Group(0, 0.0, 0.0)
    measured = Measured(np.array([one for one, _ in both], dtype=np.float64), np.array([two for _, two in both], dtype=np.float64))  # fmt: skip
    values = metric.sign * measured.values()
    return Group(len(values), float(values.sum()), float(np.square(values).sum()))
