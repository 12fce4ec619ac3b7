"""The book of rewards: versions of what every decision earned, and what a reader may see of them.

Enters: nothing but the wish to count. Leaves: a `RewardRun` with its digest, rewards as of a version, a summary by arm. Counting again on the same knowledge gives
the same digest; an open window is shown as open and teaches nothing yet.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from kernel.canonical import Json
from kernel.clock import Clock
from kernel.db import Conn, Database
from kernel.ids import DecisionId
from orchestration.decision.shelf import Shelf
from orchestration.learning import rewards_store as store
from orchestration.learning.counting import Counting, rewards_digest, window_of
from orchestration.learning.errors import NoRewardsYet
from orchestration.learning.rewards import MICRO, RewardTable
from orchestration.learning.rewards_store import Reward, RewardRun
from orchestration.learning.settings import LearningSettings


@dataclass(frozen=True, slots=True)
class ArmEarned:
    """What the decisions of one arm earned. `mean` is over those whose window is over; credits are whole events."""

    arm: str
    decisions: int
    seen: int
    open: int
    rewarded: int
    mean: float
    credits: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Earned:
    """A placement under one version."""

    placement: str
    run: RewardRun
    window_days: float
    unit: str
    arms: tuple[ArmEarned, ...]
    newest: tuple[Reward, ...]


class RewardBook:
    """One per process and event loop."""

    def __init__(
        self, db: Database, clock: Clock, audit: Audit, shelf: Shelf, counting: Counting, table: RewardTable,
        settings: LearningSettings,
    ) -> None:  # fmt: skip
        self._db = db
        self._clock = clock
        self._audit = audit
        self._shelf = shelf
        self._counting = counting
        self._settings = settings
        self.table = table

    async def recompute(self, *, as_of: datetime | None = None, actor: str = "system") -> RewardRun:
        """Count every decision of the last `reward_days` anew, by what was known `as_of` (now by default), as a new version."""
        catalogue = (await self._shelf.current()).catalogue
        now = self._clock.now()
        moment = min(as_of or now, now)
        since = moment - timedelta(days=self._settings.reward_days)
        rules: dict[str, Json] = {
            "table": self.table.replaced(catalogue.rewards).digest,
            "credit": self._settings.credit,
            "window_days": {
                one.name: window_of(one, self._settings) / timedelta(days=1) for one in catalogue.placements
            },
        }
        async with self._db.transaction() as conn:
            await store.lock(conn)
            last = await store.runs(conn)
            before = await store.of_version(conn, last[0].version) if last else {}
            made = await self._counting.count(conn, catalogue, self.table, since=since, as_of=moment)
            changed = [one for name, one in sorted(made.rewards.items()) if before.get(name) != one]
            digest = rewards_digest({**before, **made.rewards})
            run = await store.add_run(
                conn, as_of=moment, since=since, rules=rules, digest=digest, decisions=len(made.rewards),
                changed=len(changed), facts=made.facts, made_at=now,
            )  # fmt: skip
            await store.add(conn, run.version, changed)
            facts: dict[str, Json] = {
                "version": run.version, "digest": digest, "decisions": run.decisions, "changed": run.changed,
            }  # fmt: skip
            await self._audit.append(conn, [NewEntry(Tag.REWARDS_COUNTED, {}, facts, actor=actor)])
        return run

    async def newest(self, conn: Conn) -> RewardRun:
        """The version that counts now; `NoRewardsYet`."""
        found = await store.runs(conn)
        if not found:
            raise NoRewardsYet("expected a version of the rewards, got none")
        return found[0]

    async def of(self, conn: Conn, run: RewardRun, placement: str) -> dict[DecisionId, Reward]:
        """What a version says of a placement's decisions."""
        return await store.of_version(conn, run.version, placement=placement)

    async def earned(self, placement: str, *, show: int = 5) -> Earned:
        """A placement's rewards by arm, and its `show` newest decisions, under the newest version.

        Raises:
            UnknownPlacement: the catalogue has none of this name. NoRewardsYet: nothing was ever counted.
        """
        catalogue = (await self._shelf.current()).catalogue
        place = catalogue.placement(placement)
        async with self._db.reading() as conn:
            run = await self.newest(conn)
            rewards = await self.of(conn, run, placement)
        by_arm: dict[str, list[Reward]] = {}
        for one in rewards.values():
            by_arm.setdefault(one.arm, []).append(one)
        newest = sorted(rewards.values(), key=lambda one: (one.at, one.decision), reverse=True)
        return Earned(
            placement=placement,
            run=run,
            window_days=window_of(place, self._settings) / timedelta(days=1),
            unit=self.table.unit if place.reward is None else place.reward,
            arms=tuple(_arm(arm, ours, run.as_of) for arm, ours in sorted(by_arm.items())),
            newest=tuple(newest[:show]),
        )


def _arm(arm: str, ours: list[Reward], as_of: datetime) -> ArmEarned:
    closed = [one for one in ours if one.closes_at <= as_of]
    whole: dict[str, int] = {}
    for one in ours:
        for event, credit in one.credits.items():
            whole[event] = whole.get(event, 0) + credit
    return ArmEarned(
        arm=arm,
        decisions=len(ours),
        seen=sum(one.seen_at is not None for one in ours),
        open=len(ours) - len(closed),
        rewarded=sum(one.reward > 0 for one in ours),
        mean=math.fsum(one.reward for one in closed) / len(closed) if closed else 0.0,
        credits={event: credit / MICRO for event, credit in sorted(whole.items())},
    )
