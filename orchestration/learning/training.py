"""The training set of a placement: what was known of the person when the choice was made, which arm, which probability, which reward.

Enters: imported decisions and our own, with their outcomes. Leaves: a `TrainingSet` and a Parquet file with pseudonymous ids and numbers only. Features
of our own decisions are those that were served, bit for bit; those of imported ones are computed by the same code as of their
moment, through the consent filter (features.F44, F45). Decisions with one possible outcome (holdout, withheld) teach nothing and are left out.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np

from consent import gate
from consent.service import Consent
from events.service import Events
from identity.service import Identity
from kernel.canonical import Json, canonical
from kernel.db import Conn
from kernel.ids import DecisionId, PersonId
from orchestration.decision import store as decided
from orchestration.decision.catalogue import NOTHING, Catalogue, Placement
from orchestration.decision.sealed import Opened, Sealer
from orchestration.decision.store import Row
from orchestration.decision.variants import name_parts
from orchestration.learning import store
from orchestration.learning.logs import Floats, Log, Whole
from orchestration.learning.positions import shown_at, whole
from orchestration.learning.rewards_store import Reward
from orchestration.learning.store import Logged
from profiles.consent_filter import see
from profiles.service import Profiles

_CHUNK = 2000  # people at a time: bounded memory


@dataclass(frozen=True, slots=True)
class Example:
    """One decision with its outcome."""

    person: PersonId
    at: datetime
    arm: str
    propensity: float
    reward: float
    features: tuple[float, ...]
    position: int = 0
    """Where it stood on the page, from one; nought: nobody said."""


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Examples as columns. `log.features` is `float64[n, k]` in the order of the feature set; `left_out` counts decisions by why they are not in; `position` is
    where each stood on its page, nought where nobody said.
    """

    placement: str
    feature_set: str
    people: tuple[PersonId, ...]
    log: Log
    times: tuple[datetime, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    position: Whole = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def digest(self) -> str:
        """`sha256:` over every cell in bits, the same for the same examples in the same order."""
        word = hashlib.sha256(canonical({"placement": self.placement, "feature_set": self.feature_set,
                                         "arms": list(self.log.arms), "people": list(self.people)}))  # fmt: skip
        for column in (self.log.arm, self.log.reward, self.log.propensity, self.log.features):
            word.update(np.ascontiguousarray(column).tobytes())
        if self.position.any():
            word.update(np.ascontiguousarray(self.position).tobytes())
        return f"sha256:{word.hexdigest()}"

    def columns(self) -> dict[str, object]:
        """As written to Parquet."""
        made: dict[str, object] = {
            "person_id": list(self.people),
            "arm": [self.log.arms[place] for place in self.log.arm],
            "propensity": self.log.propensity,
            "reward": self.log.reward,
            **({"position": self.position} if self.position.any() else {}),
        }
        return made | {name: self.log.features[:, place] for place, name in enumerate(self.log.feature_names)}


def arrange(placement: str, feature_set: str, names: tuple[str, ...], examples: Sequence[Example]) -> TrainingSet:
    """Examples as columns, in one order whatever the order of reading."""
    ordered = sorted(examples, key=lambda one: (one.at, one.person, one.arm))
    arms = tuple(sorted({one.arm for one in ordered}))
    place = {arm: index for index, arm in enumerate(arms)}
    features: Floats = np.array([one.features for one in ordered], dtype=np.float64).reshape(len(ordered), len(names))
    return TrainingSet(
        placement,
        feature_set,
        tuple(one.person for one in ordered),
        Log(
            arms,
            np.array([place[one.arm] for one in ordered], dtype=np.int64),
            np.array([one.reward for one in ordered], dtype=np.float64),
            np.array([one.propensity for one in ordered], dtype=np.float64),
            features,
            names,
        ),
        tuple(one.at for one in ordered),
        position=np.array([one.position for one in ordered], dtype=np.int64),
    )


class Assembler:
    """Reads the rooms below into examples."""

    def __init__(
        self, identity: Identity, consent: Consent, events: Events, profiles: Profiles, sealer: Sealer
    ) -> None:
        self._identity = identity
        self._consent = consent
        self._events = events
        self._profiles = profiles
        self._sealer = sealer

    async def assemble(
        self, conn: Conn, catalogue: Catalogue, name: str, *, now: datetime, rewards: Mapping[DecisionId, Reward],
        as_of: datetime,
    ) -> TrainingSet:  # fmt: skip
        """Every example of a placement whose attribution window was over `as_of`, with its counted reward."""
        placement = catalogue.placement(name)
        left_out: Counter[str] = Counter()
        imported = await self._imported(conn, catalogue, placement, now, left_out)
        own = await self._own(conn, placement, now, rewards, as_of, left_out)
        features = self._profiles.features
        made = arrange(name, features.digest, features.names, [*imported, *own])
        return replace(made, left_out={why: left_out[why] for why in sorted(left_out)})

    async def _imported(
        self, conn: Conn, catalogue: Catalogue, placement: Placement, now: datetime, left_out: Counter[str]
    ) -> list[Example]:
        rows = await store.logged(conn, placement.name)
        if not rows:
            return []
        arms = arm_names(catalogue, placement)
        subjects = await self._identity.subjects(conn, list(dict.fromkeys(row.subject for row in rows)))
        theirs: dict[PersonId, list[Logged]] = {}
        for row in rows:
            people = subjects[row.subject].people if row.subject in subjects else ()
            if len(people) == 1:  # an identifier that several people carry says nothing about either
                theirs.setdefault(people[0], []).append(row)
            else:
                left_out["of_nobody_sure"] += 1
        examples: list[Example] = []
        people_in_order = sorted(theirs)
        for start in range(0, len(people_in_order), _CHUNK):
            part = people_in_order[start : start + _CHUNK]
            states = await self._consent.states(conn, part)
            may = [p for p in part if gate.permission(states[p], placement.personalize_under, None, now).granted]
            left_out["not_permitted"] += sum(len(theirs[p]) for p in part) - sum(len(theirs[p]) for p in may)
            raw = await self._profiles.raw(conn, may)
            for person in may:
                if person not in raw:
                    continue
                for row in theirs[person]:
                    seen = see(raw[person], states[person], placement.personalize_under, row.at, known_at=now)
                    examples.append(
                        Example(
                            person=person,
                            at=row.at,
                            arm=arms.get(row.arm, row.arm),
                            propensity=row.propensity,
                            reward=reward_of_outcomes(row.outcomes, placement, catalogue.rewards),
                            features=tuple(self._profiles.features.row(seen, row.at).tolist()),
                            position=whole(row.outcomes.get("position")),
                        )
                    )
        return examples

    async def _own(
        self, conn: Conn, placement: Placement, now: datetime, rewards: Mapping[DecisionId, Reward], as_of: datetime,
        left_out: Counter[str],
    ) -> list[Example]:  # fmt: skip
        rows: list[Row] = []
        for row in await decided.history(conn, placement.name, None, now):
            why = _unfit(row, rewards.get(row.id), as_of, self._profiles.features.digest)
            if why is None:
                rows.append(row)
            else:
                left_out[why] += 1
        examples: list[Example] = []
        for start in range(0, len(rows), _CHUNK):
            opened = await self._sealer.open_many(rows[start : start + _CHUNK])
            told = await self._events.outcomes_for(conn, [one.row.id for one in opened])
            people = sorted({one.row.person for one in opened if one.row.person is not None})
            live = await self._identity.current(
                conn, people
            )  # whom a merge made somebody else is asked as who she is now
            states = await self._consent.states(conn, sorted(set(live.values())))
            may = {p for p, who in live.items()
                   if gate.permission(states[who], placement.personalize_under, None, now).granted}  # fmt: skip
            for one in opened:
                if one.row.person not in may:  # who took the permission back is not learned from again
                    left_out["not_permitted"] += 1
                elif one.inputs.attempt > 1:
                    # Decided anew after a race with one arm out: which arms are out depends on the first draw, so the
                    # recorded probability is that of the second draw alone and would mislead every estimate.
                    left_out["decided_again"] += 1
                else:
                    examples.append(
                        replace(
                            _example(one, rewards[one.row.id].reward),
                            person=live[one.row.person],
                            position=shown_at(told.get(one.row.id, ()), as_of),
                        )
                    )
        return examples


def _unfit(row: Row, reward: Reward | None, as_of: datetime, feature_set: str) -> str | None:
    """Why a decision teaches nothing (yet), or None."""
    if row.propensity >= 1.0:
        return "no_choice"
    if row.feature_set != feature_set:
        return "other_features"
    if reward is None:
        return "not_counted"
    return "window_open" if reward.closes_at > as_of else None


def _example(one: Opened, reward: float) -> Example:
    """What is learned is a variant, on whatever channel; of items, which come and go, the template that said them. Its probability is that of all its channels and items together."""
    assert one.row.person is not None
    arm, propensity = one.row.variant or NOTHING, one.row.propensity
    if one.row.variant is not None:
        arm = name_parts(arm)[0]
        said = {each.id for each in one.inputs.arms if name_parts(each.variant)[0] == arm}
        propensity = min(1.0, math.fsum(p for name, p in one.probabilities() if name in said))
    return Example(
        person=one.row.person,
        at=one.row.at,
        arm=arm,
        propensity=propensity,
        reward=reward,
        features=one.inputs.features,
    )


def arm_names(catalogue: Catalogue, placement: Placement) -> dict[str, str]:
    """Names in imported logs to variant ids of this placement."""
    names = dict.fromkeys((*placement.nothing_logged_as, NOTHING), NOTHING)
    for variant in catalogue.offered(placement):
        names |= dict.fromkeys((*variant.logged_as, variant.id), variant.id)
    return names


def reward_of_outcomes(outcomes: Mapping[str, Json], placement: Placement, rewards: Mapping[str, float]) -> float:
    """The reward of an imported decision: the placement's one outcome, or the rewards table over all of them."""
    if placement.reward is not None:
        return _number(outcomes.get(placement.reward))
    return sum(worth * _number(outcomes.get(name)) for name, worth in rewards.items())


def _number(value: Json) -> float:
    return float(value) if isinstance(value, bool | int | float) else 0.0
