"""What learns: policies that learn online by arm, with how often and how lately they learned; models, what the gate and the shadow said of them, what the weeks came to.

Enters: nothing. Leaves: counts, estimates, intervals; never a person.
"""

from typing import TYPE_CHECKING, Any, Final, cast

from kernel.canonical import Json
from orchestration.learning import learned_store, rewards_store
from orchestration.service.console.guard import AtDesk
from orchestration.service.console.pages import View, page
from orchestration.service.console.words import READERS

if TYPE_CHECKING:
    from orchestration.learning.rewards_store import WeeklyRow

SEERS: Final = READERS["learners"]
_WEEKS: Final = 20
_COMPARED: Final = ("vs_rules", "vs_uniform", "vs_best_fixed", "vs_current")


@page("/learners", "learners.html", *SEERS)
async def learners(desk: AtDesk) -> View:
    """Learners and models."""
    learning, now = desk.house.learning, desk.house.kernel.clock.now()
    async with desk.house.kernel.db.reading() as conn:
        kept = await learned_store.told(conn)
        weeks = await rewards_store.weeks(conn, _WEEKS)
    found: list[Json] = []
    for one in await learning.learners.status():
        told = kept.get(one.placement)
        made_at = told.made_at if told is not None and one.state is not None else None
        found.append({
            "placement": one.placement, "policy": one.policy, "parameters": dict(one.parameters), "state": one.state,
            "made_at": one.made_at, "age_seconds": (now - made_at).total_seconds() if made_at else None,
            "states": told.states if told else 0, "lessons": told.lessons if told else 0,
            "arms": [{"arm": arm.arm, "n": arm.n, "estimate": arm.estimate, "low": arm.low, "high": arm.high} for arm in one.arms],
        })  # fmt: skip
    return {
        "learners": found,
        "models": [_model(cast("dict[str, Any]", one)) for one in await learning.status()],
        "weeks": [_week(one) for one in weeks],
        "faults": list(await learning.faults()),
    }


def _model(one: dict[str, Any]) -> dict[str, Json]:
    judged = cast("dict[str, Any]", one["evaluation"])
    return {
        "placement": one["placement"], "digest": one["digest"], "rows": one["rows"], "trained_at": one["trained_at"], "active": one["active"],
        "decision": judged.get("decision"), "ece": (judged.get("calibration") or {}).get("ece"),
        "against": [
            {"name": name, "diff": it["diff"], "low": it["low"], "high": it["high"]} for name in _COMPARED if (it := judged.get(name))
        ],
    }  # fmt: skip


def _week(one: "WeeklyRow") -> dict[str, Json]:
    shadow = one.facts.get("shadow")
    return {
        "placement": one.placement, "week": one.week, "stage": one.stage, "outcome": one.outcome, "model": one.model,
        "rollout": one.facts.get("rollout"), "why": one.facts.get("not_out") or one.facts.get("why"),
        "shadow": shadow if isinstance(shadow, dict) else None,
    }  # fmt: skip
