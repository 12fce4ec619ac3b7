"""How a model that the gate promotes comes to rule: the first of a placement at once, every later one in the shadow first and then to a growing share of people (decision.D30, D46).

Enters: a registered model with the gate's answer. Leaves: a `Shadowed`, a word on whether it may be let out, and a rollout whose first step names statistic, rows and threshold.
`rollout` watches it from there; what has gone all the way rules for good, in one commit with the end of its watch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal, cast

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from kernel.canonical import Json
from kernel.db import Conn, after_commit
from orchestration.decision.policies.finding import Policies
from orchestration.learning import experiment_store, store
from orchestration.learning.errors import ModelBroken, NoRewardsYet
from orchestration.learning.experiment import Declared, check
from orchestration.learning.settings import LearningSettings
from orchestration.learning.shadow import Shadowed, shadow
from orchestration.learning.store import ModelRow, Promotion

if TYPE_CHECKING:
    from orchestration.learning.service import Learning

ACTOR: Final = "system:rollout"
ROLLED_OUT: Final = "rolled out and watched"
COMPARISONS: Final = ("vs_rules", "vs_uniform", "vs_best_fixed", "vs_current")
Outcome = Literal["promoted", "ramp", "shadow", "busy", "held"]
"""What becomes of a model that the gate promotes: it rules, a rollout of it begins, it does not leave the shadow, it waits for another experiment to end, it rules already."""
_RULES: Final = "rules"


@dataclass(frozen=True, slots=True)
class Way:
    """`declared` None: it rules at once. `held`: why it does not leave the shadow."""

    declared: Declared | None
    shadowed: Shadowed | None
    held: str | None


class Ramping:
    """Stands at `Learning.ramping`."""

    def __init__(self, learning: "Learning", audit: Audit, *, policy: str) -> None:
        self._learning = learning
        self._kernel = learning.kernel
        self._audit = audit
        self._policy = policy

    async def at_once(self, conn: Conn, placement: str) -> bool:
        """Whether a model that the gate promotes rules this placement without a rollout: by the settings, or as the first that ever does."""
        settings = self._learning.settings
        if settings.promotion == "direct":
            return True
        return settings.first_model == "direct" and not await store.promotions(conn, placement)

    async def shadow(self, placement: str, digest: str, *, days: float | None = None) -> Shadowed:
        """What the model would have chosen at the decisions of late. `UnknownModel`, `ModelBroken`."""
        learning, settings = self._learning, self._learning.settings
        since = self._kernel.clock.now() - timedelta(days=settings.shadow_days if days is None else days)
        async with self._kernel.db.reading() as conn:
            try:
                rewards = await learning.rewards.of(conn, await learning.rewards.newest(conn), placement)
            except NoRewardsYet:  # choices can be compared all the same
                rewards = {}
            return await shadow(
                conn, learning.sealer, learning, Policies(learning.learners, self._policy), placement=placement, digest=digest,
                since=since, rewards=rewards, most=settings.shadow_most if days is None else None,
            )  # fmt: skip

    async def prepare(self, row: ModelRow) -> Way:
        """The way of a registered model that the gate promotes: at once, or from the shadow into a rollout. Takes its time; changes nothing.

        Raises:
            UnknownMetric: settings name one that is not declared. ModelBroken: the model's file cannot be used.
        """
        async with self._kernel.db.reading() as conn:
            if await self.at_once(conn, row.placement):
                return Way(None, None, None)
        declared = await self.declared(row)
        shadowed = await self.shadow(row.placement, row.digest)
        return Way(declared, shadowed, held_by(shadowed, self._learning.settings, declared.done_without))

    async def go(self, conn: Conn, row: ModelRow, way: Way, *, actor: str, reason: str) -> Outcome:
        """Take the way, in the caller's transaction: each outcome is an entry of the log with the gate's figures and the shadow's."""
        learning = self._learning
        facts = gate_evidence(row)
        if (await store.active(conn)).get(row.placement) == row.digest:
            await learning.hold(conn, row, actor=actor, reason="it rules already", facts=facts)
            return "held"
        if way.declared is None or way.shadowed is None:
            await learning.rule(conn, row, actor=actor, reason=reason, facts=facts)
            return "promoted"
        facts["shadow"] = way.shadowed.to_json()
        if way.held is not None:
            await learning.hold(conn, row, actor=actor, reason=f"shadow: {way.held}", facts=facts)
            return "shadow"
        await experiment_store.lock(conn)
        if (other := await self.busy(conn, row.placement)) is not None:
            await learning.hold(conn, row, actor=actor, reason=f"another experiment runs: {other}", facts=facts)
            return "busy"
        await learning.experiments.begin(conn, way.declared, actor=actor, facts=facts)
        return "ramp"

    async def busy(self, conn: Conn, placement: str) -> str | None:
        """The experiment or rollout that runs at the placement."""
        found = [kept.name for kept, _ in await experiment_store.standing(conn) if kept.placement == placement]
        return found[0] if found else None

    async def declared(self, row: ModelRow) -> Declared:
        """The rollout of a model against what rules now, under a name of its own. Raises as `prepare` does."""
        settings = self._learning.settings
        async with self._kernel.db.reading() as conn:
            ruling = (await store.active(conn)).get(row.placement)
            base = f"{row.placement[:40]}.{row.digest.removeprefix('sha256:')[:12]}"
            taken = {one.name for one in await experiment_store.every(conn)}
        name = next(one for one in (base, *(f"{base}.{n}" for n in range(2, 1000))) if one not in taken)
        made = check({
            "name": name, "placement": row.placement, "kind": "rollout", "primary": settings.ramp_metric, "control": "old",
            "share": settings.ramp_share, "planned": settings.ramp_planned, "least_people": settings.ramp_people,
            "margin": settings.ramp_margin, "stake": settings.ramp_stake,
            "arms": [
                {"name": "new", "share": 0.5, "ranker": row.digest},
                {"name": "old", "share": 0.5, "ranker": await self._usable(ruling)},
            ],
        })  # fmt: skip
        await self._learning.experiments.check(made)
        return made

    async def _usable(self, ruling: str | None) -> str:
        """What people are shown now: the model that rules, or the rules where there is none or its file is broken."""
        try:
            return (await self._learning.model(ruling)).digest if ruling is not None else _RULES
        except ModelBroken:
            return _RULES

    # the end of a rollout

    async def rolled_out(self, conn: Conn, placement: str, digest: str, facts: Mapping[str, Json]) -> None:
        """What went all the way rules for good, from the caller's commit on: a model, or the rules."""
        row = await store.model(conn, digest)
        ruling = (await store.active(conn)).get(placement)
        if row is not None and ruling != digest:
            await self._learning.rule(conn, row, actor=ACTOR, reason=ROLLED_OUT, facts=facts)
        elif row is None and ruling is not None:  # the rules won
            at = self._kernel.clock.now()
            await store.promote(
                conn, Promotion(placement=placement, digest=None, actor=ACTOR, reason=ROLLED_OUT, at=at)
            )
            refs = {"placement": placement, "model": ruling}
            told: dict[str, Json] = {"back_to": _RULES, "reason": ROLLED_OUT}
            await self._audit.append(conn, [NewEntry(Tag.MODEL_ROLLED_BACK, refs, told, actor=ACTOR)])
            after_commit(conn, self._learning.news)

    async def back(self, conn: Conn, placement: str, *, actor: str, reason: str) -> str | None:
        """End a rollout that runs at the placement, in the caller's transaction: its name, or None where none runs."""
        await experiment_store.lock(conn)
        for kept, _ in await experiment_store.standing(conn):
            if kept.placement == placement and kept.kind == "rollout":
                declared = check(dict(kept.document))
                await self._learning.experiments.move(conn, declared, "rolled_back", 0.0, reason, {}, actor=actor)
                return kept.name
        return None


def gate_evidence(row: ModelRow) -> dict[str, Json]:
    """What the gate says of a model, as a step's evidence: each comparison's lower end, which had to be above the threshold, over so many rows."""
    asked = {
        name: cast("Mapping[str, Json]", one) for name in COMPARISONS if (one := row.evaluation.get(name)) is not None
    }
    return {
        "model": row.digest, "statistic": "lower end of the paired difference", "threshold": 0.0, "rows": row.rows,
        "gate": {name: {part: one.get(part) for part in ("diff", "low", "high")} for name, one in asked.items()},
    }  # fmt: skip


def held_by(shadowed: Shadowed, settings: LearningSettings, done_without: float) -> str | None:
    """Why a model is not let out of the shadow, or None."""
    if shadowed.served_same < shadowed.decisions:
        return "not_reproduced"
    if shadowed.milliseconds > settings.shadow_ms:
        return "too_slow"
    if shadowed.decisions and shadowed.done_without / shadowed.decisions > done_without:
        return "done_without"
    if shadowed.gain is not None and shadowed.gain.high < 0:
        return "would_earn_less"
    return None
