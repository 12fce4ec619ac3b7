"""Counts what every decision earned: exposures, answers and outcomes joined to decisions, into a version that never changes.

Enters: decisions of a time, the events of their people as known by a moment, the tables of rewards. Leaves: a `Reward` for each decision and counts. What
arrives later changes nothing until somebody counts again (decision.D41). Events of machines are not looked at (features.V7). An event that names
no decision is used only where its source declared a purpose that serves the placement's.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from consent.service import Consent
from events.log import Event
from events.service import Events
from identity.service import Identity
from kernel.canonical import Json, digest
from kernel.db import Conn
from kernel.ids import DecisionId, PersonId
from orchestration.decision import lesson_store
from orchestration.decision import store as decided
from orchestration.decision.catalogue import NOTHING, Catalogue, Placement
from orchestration.decision.store import Brief
from orchestration.learning.attribution import Happening, Seen, Touch, share
from orchestration.learning.rewards import Credited, RewardTable, count
from orchestration.learning.rewards_store import Reward
from orchestration.learning.settings import LearningSettings

_CHUNK: Final = 2_000  # people at a time: bounded memory


@dataclass(frozen=True, slots=True)
class Judging:
    """How the decisions of one placement are judged: its table, its window, and the purposes whose events it may use."""

    table: RewardTable
    window: timedelta
    reach: frozenset[str]


@dataclass(frozen=True, slots=True)
class Count:
    """The rewards of a version before it has its number."""

    rewards: Mapping[DecisionId, Reward]
    facts: Mapping[str, Json]

    @property
    def digest(self) -> str:
        """`sha256:` over every reward in bits, in the order of decision ids."""
        return rewards_digest(self.rewards)


def rewards_digest(rewards: Mapping[DecisionId, Reward]) -> str:
    """See `Count.digest`."""
    return digest([
        [name, one.reward.hex(), one.table_of, None if one.seen_at is None else one.seen_at.isoformat(),
         [[event, credit] for event, credit in sorted(one.credits.items())]]
        for name, one in sorted(rewards.items())
    ])  # fmt: skip


def judging(
    catalogue: Catalogue, table: RewardTable, settings: LearningSettings, consent: Consent
) -> dict[str, Judging]:
    """How each placement of the catalogue is judged.

    All arms of a placement have one window, that of its slowest channel: an arm that is watched longer would earn more for it.
    """
    own = table.replaced(catalogue.rewards)
    made: dict[str, Judging] = {}
    for placement in catalogue.placements:
        made[placement.name] = Judging(
            table=own if placement.reward is None else table.single(placement.reward),
            window=window_of(placement, settings),
            reach=frozenset(consent.rules.purposes.lineage(placement.personalize_under)),
        )
    return made


def window_of(placement: Placement, settings: LearningSettings) -> timedelta:
    """How long after a choice of this placement an outcome may be its merit."""
    return timedelta(days=max(settings.window_days(channel) for channel in placement.channels))


class Counting:
    """Reads the rooms below."""

    def __init__(self, identity: Identity, consent: Consent, events: Events, settings: LearningSettings) -> None:
        self._identity = identity
        self._consent = consent
        self._events = events
        self._settings = settings

    async def count(
        self, conn: Conn, catalogue: Catalogue, table: RewardTable, *, since: datetime, as_of: datetime
    ) -> Count:
        """Every decision from `since` on that was made by `as_of`, judged by what was known by then."""
        rules = judging(catalogue, table, self._settings, self._consent)
        rows = [row for row in await decided.brief(conn, since, as_of) if row.placement in rules]
        now_is = await self._identity.current(conn, sorted({row.person for row in rows if row.person is not None}))
        theirs: dict[PersonId, list[Brief]] = {}
        for row in rows:
            if row.person is not None and row.person in now_is:
                theirs.setdefault(now_is[row.person], []).append(row)
        facts: Counter[str] = Counter()
        rewards: dict[DecisionId, Reward] = {}
        people = sorted(theirs)
        for start in range(0, len(people), _CHUNK):
            part = people[start : start + _CHUNK]
            events = await self._theirs(conn, part, theirs, rules, since=since, as_of=as_of)
            for person in part:
                made = judged(theirs[person], events.get(person, ()), rules, self._settings, facts)
                rewards.update({one.decision: one for one in made})
        facts["decisions"] = len(rewards)
        facts["open"] = sum(one.closes_at > as_of for one in rewards.values())
        facts["exposed"] = sum(one.seen_at is not None for one in rewards.values())
        facts["rewarded"] = sum(one.reward > 0 for one in rewards.values())
        return Count(rewards, {name: facts[name] for name in sorted(facts)})

    async def of_people(
        self, conn: Conn, catalogue: Catalogue, table: RewardTable, people: Sequence[PersonId], *, since: datetime,
        as_of: datetime,
    ) -> list[Reward]:  # fmt: skip
        """The same for the decisions of these living people alone: each reward is the one that `count` finds."""
        rules = judging(catalogue, table, self._settings, self._consent)
        owner = {old: person for person, names in (await self._identity.former(conn, people)).items() for old in names}
        theirs: dict[PersonId, list[Brief]] = {}
        for row in await lesson_store.brief_of(conn, sorted(owner), since, as_of):
            if row.person is not None and row.placement in rules:
                theirs.setdefault(owner[row.person], []).append(row)
        events = await self._theirs(conn, sorted(theirs), theirs, rules, since=since, as_of=as_of)
        return [
            one
            for person in sorted(theirs)
            for one in judged(theirs[person], events.get(person, ()), rules, self._settings)
        ]

    async def _theirs(
        self, conn: Conn, people: Sequence[PersonId], theirs: Mapping[PersonId, Sequence[Brief]],
        rules: Mapping[str, Judging], *, since: datetime, as_of: datetime,
    ) -> dict[PersonId, list[Event]]:  # fmt: skip
        """What each did, and what names a decision of hers, whoever it was collected about; each event once."""
        names = sorted({row.event for one in rules.values() for row in one.table.rows})
        did = await self._events.of_people(conn, people, until=as_of, known_by=as_of, since=since, names=names)
        owner = {row.id: person for person in people for row in theirs[person]}
        named = await self._events.outcomes_for(conn, list(owner))
        found: dict[PersonId, dict[str, Event]] = {
            person: {one.event_id: one for one in events if one.decision_id is None} for person, events in did.items()
        }
        for decision, events in named.items():
            found.setdefault(owner[decision], {}).update({
                one.event_id: one for one in events if one.event_time <= as_of and one.known_time <= as_of
            })  # fmt: skip
        return {person: list(events.values()) for person, events in found.items()}


def judged(
    rows: Sequence[Brief], events: Sequence[Event], rules: Mapping[str, Judging], settings: LearningSettings,
    facts: Counter[str] | None = None,
) -> list[Reward]:  # fmt: skip
    """The rewards of one person's decisions from her events. Pure, and free of the order of both."""
    told = facts if facts is not None else Counter[str]()
    people_did = [one for one in events if not one.machine]
    told["machine_events"] += len(events) - len(people_did)
    seen = _seen(rows, people_did, rules)
    reach = {row.id: _touch(row, seen.get(row.id), rules[row.placement]) for row in rows}
    touches = [reach[row.id] for row in rows if _counts(row)]
    placement_of = {row.id: row.placement for row in rows}
    credited: dict[DecisionId, list[Credited]] = {}
    for event in _distinct(people_did, rules):
        open_to = [
            touch
            for touch in touches
            if _may_use(event, rules[placement_of[touch.decision]], named=touch.decision == event.decision_id)
        ]
        shares = share(Happening(event.name, event.event_time, event.decision_id), open_to, settings.credit)
        told["credited" if shares else "without_decision"] += 1
        for decision, credit in shares.items():
            worth = rules[placement_of[decision]].table.by_event[event.name].worth(event.properties)
            credited.setdefault(decision, []).append(Credited(event.name, credit, worth))
    made = []
    for row in rows:
        judge = rules[row.placement]
        counted = count(judge.table, credited.get(row.id, ()))
        made.append(
            Reward(
                decision=row.id, placement=row.placement, arm=row.variant or NOTHING, channel=row.channel, at=row.at,
                seen_at=seen.get(row.id), closes_at=reach[row.id].until,
                reward=counted.reward, credits=counted.credits, table_of=judge.table.digest,
            )
        )  # fmt: skip
    return made


def _counts(row: Brief) -> bool:
    """A choice that could only fall on nothing (holdout, no permission) was no touch: what happens then is nobody's merit."""
    return row.variant is not None or row.propensity < 1.0


def _seen(rows: Sequence[Brief], events: Sequence[Event], rules: Mapping[str, Judging]) -> dict[DecisionId, datetime]:
    """When each decision was first reported as seen."""
    placement_of = {row.id: row.placement for row in rows}
    found: dict[DecisionId, datetime] = {}
    for event in events:
        decision = event.decision_id
        if decision is None or decision not in placement_of:
            continue
        row = rules[placement_of[decision]].table.by_event.get(event.name)
        if row is not None and row.kind == "exposure":
            found[decision] = min(found.get(decision, event.event_time), event.event_time)
    return found


def _touch(row: Brief, seen_at: datetime | None, judge: Judging) -> Touch:
    since = max(seen_at or row.at, row.at)
    if row.variant is None:
        seen = Seen.NOTHING
    elif seen_at is not None:
        seen = Seen.REPORTED
    else:  # what the ledger was to deliver and did not is known not to have been seen
        seen = Seen.NOTHING if row.delivery_id is not None else Seen.ASSUMED
    return Touch(row.id, row.at, since, since + judge.window, seen)


def _may_use(event: Event, judge: Judging, *, named: bool) -> bool:
    row = judge.table.by_event.get(event.name)
    if row is None:
        return False
    if named:
        return True
    return row.kind == "outcome" and any(purpose in judge.reach for purpose in event.purposes)


def _distinct(events: Sequence[Event], rules: Mapping[str, Judging]) -> list[Event]:
    """One event of those that say the same thing happened, the first known; in one order."""
    keys = {row.event: row.key for judge in rules.values() for row in judge.table.rows if row.key is not None}
    ordered = sorted(events, key=lambda one: (one.event_time, one.event_id))
    kept: dict[tuple[str, str], Event] = {}
    for event in ordered:
        key = keys.get(event.name)
        said = event.properties.get(key) if key is not None else None
        name = f"={said}" if isinstance(said, str | int) and not isinstance(said, bool) else event.event_id
        held = kept.get((event.name, name))
        # Of two tellings of one order the one that names its decision knows more.
        if held is None or (held.decision_id is None and event.decision_id is not None):
            kept[event.name, name] = event
    return list(kept.values())
