"""A model in the shadow of the one that rules: what it would have chosen at every decision of late, and what that would have earned (decision.D30).

Enters: a placement, a registered model, a moment. Leaves: a `Shadowed`. Every kept decision is decided again in memory, with its own inputs, seed and policy, first by the model that ruled
(the bytes must be those that were kept: nobody was touched), then by the other. Whatever the other raises is counted, not passed on. The expected gain is the paired difference by importance weights, refused where overlap is thin.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import DecisionId
from kernel.model import Model
from orchestration.decision import store as decided
from orchestration.decision.engine import Outcome, decide
from orchestration.decision.errors import ModelFailed
from orchestration.decision.models import Models
from orchestration.decision.policies.finding import Policies
from orchestration.decision.policy import Policy
from orchestration.decision.record import Record
from orchestration.decision.sealed import Opened, Sealer
from orchestration.decision.steady import Guarded
from orchestration.learning.errors import ModelBroken, UnknownModel, UnknownState
from orchestration.learning.evaluation import Estimate, Support, skewed_mean_of
from orchestration.learning.rewards_store import Reward

_CHUNK = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadowed:
    """`served_same`: decisions whose bytes the ruling model makes again. `otherwise`: choices (now, in the shadow) that differ, most frequent first. `gain`: per decision.

    `done_without`: decisions that the model could not rank (it raised, or gave no number). `skipped`: decisions whose own model or learner is not to be had any more.
    """

    placement: str
    model: str
    decisions: int
    served_same: int
    disagreed: int
    otherwise: Mapping[tuple[str, str], int]
    milliseconds: float
    support: Support
    gain: Estimate | None
    rewarded: int
    done_without: int = 0
    skipped: int = 0

    def to_json(self) -> dict[str, Json]:
        """As printed."""
        reason = self.support.refusal if self.rewarded else "no counted reward"
        return {
            "placement": self.placement, "model": self.model, "decisions": self.decisions, "served_same": self.served_same,
            "disagreed": self.disagreed, "share": self.disagreed / self.decisions if self.decisions else None,
            "otherwise": [{"served": one, "shadow": two, "decisions": count} for (one, two), count in self.otherwise.items()],
            "milliseconds": round(self.milliseconds, 3), "ess": self.support.ess, "overlap": self.support.overlap,
            "rewarded": self.rewarded, "done_without": self.done_without, "skipped": self.skipped, "refused": self.gain is None, "reason": reason if self.gain is None else None,
            "gain": None if self.gain is None else self.gain.to_json(),
        }  # fmt: skip


async def shadow(
    conn: Conn, sealer: Sealer, models: Models, policies: Policies, *, placement: str, digest: str, since: datetime,
    rewards: Mapping[DecisionId, Reward], most: int | None = None,
) -> Shadowed:  # fmt: skip
    """Every decision of the placement since a moment, or the newest `most` of them, by the model of this digest. `UnknownModel`, `ModelBroken`."""
    model = Guarded(await models.model(digest))
    rows = [row for row in await decided.history(conn, placement, since, None) if row.propensity < 1.0]
    rows = rows[-most:] if most is not None else rows
    same, spent, failed, skipped = 0, 0.0, 0, 0
    pairs: list[tuple[Opened, Outcome, Outcome]] = []
    for start in range(0, len(rows), _CHUNK):
        for one in await sealer.open_many(rows[start : start + _CHUNK]):
            try:
                ruling, policy = await _then(one, models, policies)
            except (UnknownModel, ModelBroken, UnknownState):
                skipped += 1
                continue
            was = decide(one.inputs, one.seed, model=ruling, policy=policy)
            again = Record(decision_id=one.row.id, seed=one.seed, inputs=one.inputs, outcome=was)
            same += again.digest == one.row.record
            changed = replace(one.inputs, versions=replace(one.inputs.versions, model=digest), fallback=None)
            begun = time.thread_time()  # processor time: a busy machine is no slow model
            try:
                would = decide(changed, one.seed, model=model, policy=policy)
            except ModelFailed:
                failed += 1
                continue
            finally:
                spent += time.thread_time() - begun
            failed += would.ranked_by == "rules"
            pairs.append((one, was, would))
    seen = len(rows) - skipped
    differ = Counter((was.choice, would.choice) for _, was, would in pairs if was.choice != would.choice)
    told = [(one, would, rewards[one.row.id].reward) for one, _, would in pairs if one.row.id in rewards]
    support, gain = _gain(told)
    return Shadowed(
        placement=placement, model=digest, decisions=seen, served_same=same, disagreed=differ.total(),
        otherwise=dict(differ.most_common(20)), milliseconds=1000 * spent / max(1, seen), support=support, gain=gain,
        rewarded=len(told), done_without=failed, skipped=skipped,
    )  # fmt: skip


async def _then(one: Opened, models: Models, policies: Policies) -> tuple[Model | None, Policy]:
    """What decided then. Raises where it is not to be had any more."""
    ruling = one.inputs.versions.model
    return await models.model(ruling) if ruling else None, await policies.recorded(one.inputs.policy)


def _gain(told: Sequence[tuple[Opened, Outcome, float]]) -> tuple[Support, Estimate | None]:
    """What the shadow would have earned more, self-normalised and paired."""
    if not told:
        return Support(0, 0.0, 0.0, 0.0), None
    weight = np.array([_chance(would, one.row.choice) / one.row.propensity for one, would, _ in told])
    reward = np.array([earned for _, _, earned in told])
    total, squares = float(weight.sum()), float(np.square(weight).sum())
    if total <= 0:
        return Support(len(told), 0.0, 0.0, 0.0), None
    found = Support(len(told), total**2 / squares, float(weight.max()) / total, min(1.0, total / len(told)))
    if found.refusal is not None:
        return found, None
    value, served = float((weight * reward).sum()) / total, float(reward.mean())
    return found, skewed_mean_of(value - served + weight * (reward - value) / float(weight.mean()) - (reward - served))


def _chance(made: Outcome, choice: str) -> float:
    return next((one.propensity for one in made.judged if one.id == choice), 0.0)
