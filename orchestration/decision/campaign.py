"""A campaign: one decision for everyone a placement may be meant for, the messages queued in the same commits, then dispatched.

Enters: a placement, people. Leaves: a `CampaignReport`, counted by arm, by channel and by reason withheld. Everyone gets a decision, also those who get nothing:
"why not" is answered from the record.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from channels.service import Channels
from kernel.errors import CandorError
from kernel.ids import PersonId
from orchestration.decision.request import Decision, DecisionRequest
from orchestration.decision.service import Decisions

CHUNK = 200
AT_ONCE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignReport:
    """What a run did. `withheld` counts the reasons of those who got nothing, `failed` the codes of accidents."""

    placement: str
    decisions: tuple[Decision, ...]
    arms: Mapping[str, int]
    channels: Mapping[str, int]
    withheld: Mapping[str, int]
    deliveries: Mapping[str, int]
    refused: Mapping[str, int]
    failed: Mapping[str, int]


async def run(
    decisions: Decisions,
    channels: Channels,
    placement: str,
    people: Sequence[PersonId],
    *,
    trigger: str,
    actor: str,
    send: bool = True,
    dry_run: bool = False,
    told: Callable[[int], None] = lambda _: None,
) -> CampaignReport:
    """Decide for each of `people` at `placement`; with `send`, queue and dispatch what was chosen; `dry_run` keeps nothing."""
    made: list[Decision] = []
    failed: Counter[str] = Counter()
    for start in range(0, len(people), CHUNK):
        part = people[start : start + CHUNK]
        requests = [
            DecisionRequest(
                person=person, placement=placement, trigger=trigger, send=send, dry_run=dry_run, actor=actor
            )
            for person in part
        ]
        for answer in await decisions.decide_many(requests, at_once=AT_ONCE):
            if isinstance(answer, Decision):
                made.append(answer)
            elif isinstance(answer, CandorError):
                failed[answer.code] += 1
            else:
                raise answer
        told(start + len(part))
    states, refused = await drain(channels) if send else ({}, {})
    return CampaignReport(
        placement=placement,
        decisions=tuple(made),
        arms=dict(sorted(Counter(one.variant or "nothing" for one in made).items())),
        channels=dict(sorted(Counter(one.channel or "none" for one in made).items())),
        withheld=dict(sorted(Counter(one.withheld for one in made if one.withheld).items())),
        deliveries=states,
        refused=refused,
        failed=dict(failed),
    )


async def drain(channels: Channels, limit: int = 200) -> tuple[dict[str, int], dict[str, int]]:
    """Dispatch until nothing is due; deliveries by resulting state, and the reasons of the noes."""
    states: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    while True:
        report = await channels.dispatch(limit)
        states.update(report.states)
        reasons.update(report.reasons)
        if report.total == 0:
            return dict(sorted(states.items())), dict(sorted(reasons.items()))
