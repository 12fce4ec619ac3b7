"""Should this ranker rule? Its policy against the rules that rule without it, uniform, the best fixed arm and the current model.

Enters: a training set, the catalogue's declared order, the current model. Leaves: the gate's answer as kept with the model, and the verdict. The learner
may say "not worth it" (DESIGN 5.6): every comparison that can be made must have its lower end above zero.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import numpy as np

from kernel.canonical import Json
from orchestration.decision.catalogue import NOTHING, Catalogue, Placement
from orchestration.learning.evaluation import greedy
from orchestration.learning.gate import gate
from orchestration.learning.gbm import GbmModel
from orchestration.learning.logs import Floats, Log
from orchestration.learning.settings import LearningSettings

COMPARISONS = ("vs_rules", "vs_uniform", "vs_best_fixed", "vs_current")


def judge(
    log: Log, catalogue: Catalogue, placement: Placement, current: GbmModel | None, settings: LearningSettings
) -> dict[str, Json]:
    """The gate's answer with `vs_rules` and the `decision` over all comparisons."""
    worth, cost = economics(log.arms, catalogue, placement)
    # What is judged is what decision maximises: value x reward - cost, not the bare reward (decision.D12).
    useful = replace(log, reward=worth[log.arm] * log.reward - cost[log.arm])
    others = {"vs_rules": rules_policy(log, catalogue, placement)}
    if current is not None and (scores := model_scores(log, current)) is not None:
        others["vs_current"] = greedy(worth * scores - cost)
    answer = gate(useful, settings, others=others)
    asked = [cast("Mapping[str, Json]", one) for name in COMPARISONS if (one := answer.get(name)) is not None]
    answer["decision"] = "promote" if all(one["decision"] == "promote" for one in asked) else "hold"
    return answer


def economics(arms: tuple[str, ...], catalogue: Catalogue, placement: Placement) -> tuple[Floats, Floats]:
    """Worth of a unit of reward and cost of showing, per arm; an arm that the catalogue dropped counts as plain reward."""
    known = {one.id: one for one in catalogue.variants()}
    worth = [placement.nothing_value if arm == NOTHING else known[arm].value if arm in known else 1.0 for arm in arms]
    cost = [known[arm].cost if arm in known else 0.0 for arm in arms]
    return np.array(worth, dtype=np.float64), np.array(cost, dtype=np.float64)


def rules_policy(log: Log, catalogue: Catalogue, placement: Placement) -> Floats:
    """What the declared rules would do: the variant of highest value less cost, always."""
    shown = [catalogue.variant(name) for name in placement.variants if name in log.arms]
    best = max(shown, key=lambda one: one.value - one.cost, default=None)
    name = best.id if best is not None else NOTHING
    made = np.zeros((len(log), len(log.arms)))
    if name in log.arms:
        made[:, log.arms.index(name)] = 1.0
    return made


def columns(names: tuple[str, ...], arms: tuple[str, ...]) -> tuple[str, ...]:
    """The columns of a ranker: profile features, then one per arm."""
    return (*names, *(f"variant={arm}" for arm in arms))


def model_scores(log: Log, model: GbmModel) -> Floats | None:
    """A model's score of every arm for every row; None when it was made for other features."""
    known = {name: place for place, name in enumerate(log.feature_names)}
    wanted = [name for name in model.feature_names if not name.startswith("variant=")]
    if any(name not in known for name in wanted):
        return None
    made = np.empty((len(log), len(log.arms)))
    for place, arm in enumerate(log.arms):
        rows = np.column_stack([
            log.features[:, known[name]] if name in known else np.full(len(log), float(name == f"variant={arm}"))
            for name in model.feature_names
        ])  # fmt: skip
        made[:, place] = model.score(rows)
    return made


def shown_rows(log: Log) -> Floats:
    """Rows as they were: features and the arm that was shown."""
    return np.hstack([log.features, log.shown()])
