"""From decisions to a ranker and what it is worth, a placement at a time.

Enters: logged decisions with what followed. Leaves: training sets, registered models, the gate's figures, kept by learning. A placement with too little to
learn from is told, not failed.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from kernel.canonical import Json
from orchestration.decision.errors import NoCatalogue
from orchestration.learning.errors import LeakFound, TooLittleToLearn
from orchestration.learning.weekly import weekly
from orchestration.pipeline.facts import Fact, Facts, key

if TYPE_CHECKING:
    from orchestration.wiring import House

COMPARISONS = ("vs_rules", "vs_uniform", "vs_best_fixed", "vs_current")


async def placements(house: "House") -> list[str]:
    """Placements that can be learned from; none without a catalogue."""
    try:
        return await house.learning.placements()
    except NoCatalogue:
        return []


async def training_set(house: "House") -> Facts:
    """Collect logged decisions with features as of then, and their outcomes; one set a placement, one count of rewards for all."""
    facts: dict[str, Fact] = {}
    names = await placements(house)
    run = await house.learning.rewards.recompute(actor="pipeline") if names else None
    for placement in names:
        made = await house.learning.training_set(placement, run=run)
        facts |= {key(placement, "rows"): len(made.people), key(placement, "digest"): made.digest}
    return facts


async def ranker(house: "House") -> Facts:
    """Train a ranker a placement; one that beats uniform and the model that rules now by intervals goes into a rollout, the first of a placement rules at once."""
    facts: dict[str, Fact] = {}
    for placement in await placements(house):
        try:
            made = await house.learning.train(placement, actor="pipeline", made=house.learning.prepared(placement))
        except (TooLittleToLearn, LeakFound) as why:
            facts[key(placement)] = why.message
            continue
        facts |= {
            key(placement, "model"): made.digest,
            key(placement, "promoted"): made.promoted,
            key(placement, "outcome"): made.outcome,
            key(placement, "rows"): made.rows,
        }
    return facts


async def evaluation(house: "House") -> Facts:
    """What the newest ranker of each placement is worth off-policy: doubly robust, with 95 % intervals, against every comparison."""
    facts: dict[str, Fact] = {}
    for placement, judged in (await newest(house)).items():
        facts |= of_gate(placement, judged)
    return facts


async def weekly_learning(house: "House") -> Facts:
    """The job of the week at every placement (decision.D46); a week that is done is told, not done again."""
    facts: dict[str, Fact] = {}
    for week in await weekly(house.learning, actor="pipeline") if await placements(house) else []:
        facts |= {
            key(week.placement, "week"): week.week,
            key(week.placement, "outcome"): week.outcome,
            key(week.placement, "rows"): week.rows,
            key(week.placement, "alarms"): len(week.alarms),
        }
        facts |= of_gate(week.placement, week.evaluation) if week.evaluation else {}
    return facts


async def newest_models(house: "House") -> dict[str, Mapping[str, Json]]:
    """What is registered of the model that was trained last, by placement."""
    models = sorted(await house.learning.status(), key=lambda model: str(model["trained_at"]))
    return dict(sorted({str(one["placement"]): one for one in models}.items()))


async def newest(house: "House") -> dict[str, Mapping[str, Json]]:
    """The gate's answer of the model that was trained last, by placement."""
    models = await newest_models(house)
    return {placement: cast("Mapping[str, Json]", one["evaluation"]) for placement, one in models.items()}


def of_gate(placement: str, judged: Mapping[str, Json]) -> dict[str, Fact]:
    """The figures of a gate's answer: the policy's value and its lead over each comparison, with intervals."""
    facts: dict[str, Fact] = {
        key(placement, "decision"): str(judged["decision"]),
        key(placement, "best_fixed"): str(judged["best_fixed"]),
    }
    for name in ("policy_value", *COMPARISONS):
        one = cast("Mapping[str, float] | None", judged.get(name))
        if one is not None:
            mean = one["value"] if name == "policy_value" else one["diff"]
            facts[key(placement, name)] = f"{mean:+.4g} [{one['low']:+.4g}, {one['high']:+.4g}]"
    return facts
