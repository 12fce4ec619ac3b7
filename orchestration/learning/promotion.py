"""Should this ranker rule? Its policy against the rules that rule without it, uniform, the best fixed arm and the current model.

Enters: a training set, the catalogue's declared order, the current model. Leaves: the gate's answer as kept with the model, and the verdict. The learner
may say "not worth it" (DESIGN 5.6): every comparison that can be made must have its lower end above zero.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast

import numpy as np

from kernel.canonical import Json
from orchestration.decision.catalogue import NOTHING, Catalogue, Placement
from orchestration.learning.evaluation import greedy
from orchestration.learning.figures import calibration, drift, importance, moments, normalisation, variants
from orchestration.learning.gate import Other, answer, rounds
from orchestration.learning.gbm import GbmModel
from orchestration.learning.leaks import refuse
from orchestration.learning.logs import Floats, Log
from orchestration.learning.positions import Examination, estimated, undone
from orchestration.learning.ranker import train
from orchestration.learning.ranks import ordering
from orchestration.learning.settings import LearningSettings
from orchestration.learning.training import TrainingSet
from orchestration.learning.tuning import tuned
from orchestration.learning.weights import both, inverse, recent

COMPARISONS = ("vs_rules", "vs_uniform", "vs_best_fixed", "vs_current")


@dataclass(frozen=True, slots=True)
class Current:
    """The model that rules now, and since when: decisions before that may have taught it."""

    model: GbmModel
    trained_at: datetime


def judge(
    made: TrainingSet, catalogue: Catalogue, placement: Placement, current: Current | None, settings: LearningSettings
) -> dict[str, Json]:
    """The gate's answer with `vs_rules`, `vs_current` and the `decision` over all comparisons, and figures to draw.

    The current model is compared on decisions that it cannot have learned from, where there are enough of them; on all of them otherwise, which
    is in its favour.
    """
    log = made.log
    worth, cost = economics(log.arms, catalogue, placement)
    # What is judged is what decision maximises: value x reward - cost, not the bare reward (decision.D12).
    useful = replace(log, reward=worth[log.arm] * log.reward - cost[log.arm])
    others = {"vs_rules": Other(rules_policy(log, catalogue, placement))}
    if current is not None and (scores := model_scores(log, current.model)) is not None:
        fresh = np.array([at > current.trained_at for at in made.times], dtype=bool)
        enough = int(fresh.sum()) >= settings.least_rows
        others["vs_current"] = Other(greedy(worth * scores - cost), fresh if enough else None)
    weight, debias = inverse(log.propensity, settings.weight_clip)
    counts = recent(made.times, settings.half_life_days)
    fits = rounds(useful, settings, both(weight, counts))
    found = answer(useful, fits, others, counts)
    asked = [cast("Mapping[str, Json]", one) for name in COMPARISONS if (one := found.get(name)) is not None]
    found["decision"] = "promote" if all(one["decision"] == "promote" for one in asked) else "hold"
    shown = fits[0].values[np.arange(len(log)), log.arm]
    found["calibration"] = calibration(shown, useful.reward)
    found["debias"] = debias.to_json()
    if (order := ordering(log, fits[0].values)) is not None:
        found["ordering"] = order.to_json()
    return found


def fitted(
    examples: TrainingSet, catalogue: Catalogue, current: Current | None, settings: LearningSettings
) -> tuple[bytes, str, dict[str, Json]]:
    """Train on all examples and judge by cross-fits: the model's file, its digest, the gate's answer with every figure.

    Raises:
        LeakFound: a feature knows the answer.
    """
    log = examples.log
    refuse(log, settings)
    reward, weight, examination = seen_alike(examples, settings)
    settings, compared = tuned(shown_rows(log), reward, settings, weight)
    model, content = train(
        shown_rows(log), reward, feature_names=columns(log.feature_names, log.arms),
        feature_set=examples.feature_set, settings=settings, weight=weight,
        normalisation=normalisation(log, examples.times, settings.feature_days),
        scored=lambda said: moments(said, examples.times, settings.feature_days),
    )  # fmt: skip
    judged = judge(examples, catalogue, catalogue.placement(examples.placement), current, settings)
    judged["tuning"] = compared
    if examination is not None:
        judged["positions"] = examination.to_json()
    judged["importance"] = dict(importance(model))
    if examples.times:
        judged["learned_from"] = {"first": min(examples.times).isoformat(), "last": max(examples.times).isoformat()}
    if current is not None:
        now = dict(model.normalisation)
        if (said := model_scores(log, current.model)) is not None:
            # How what rules scores the people of today, against how it scored those it learned from.
            shown = said[np.arange(len(log)), log.arm]
            now |= moments(shown, examples.times, settings.feature_days)
            unseen = np.array([at > current.trained_at for at in examples.times], dtype=bool)
            judged["variants"] = variants(log, shown, unseen, settings.weak_rows)
        judged["drift"] = dict(drift(current.model.normalisation, now))
    return content, model.digest, judged


def seen_alike(examples: TrainingSet, settings: LearningSettings) -> tuple[Floats, Floats | None, Examination | None]:
    """Rewards and weights to train with: unlikely choices weigh more, old ones less, and what stood further down is taken as if it had been looked at alike."""
    log = examples.log
    weight = both(inverse(log.propensity, settings.weight_clip)[0], recent(examples.times, settings.half_life_days))
    # Which arm stood where was drawn with the logged probabilities, so that weighing by them makes places comparable.
    known = examples.position if len(examples.position) else np.zeros(len(log), dtype=np.int64)
    examination = estimated(known, log.reward > 0, log.propensity)
    if examination is None:
        return log.reward, weight, None
    return *undone(log.reward, known, examination, weight), examination


def economics(arms: tuple[str, ...], catalogue: Catalogue, placement: Placement) -> tuple[Floats, Floats]:
    """Worth of a unit of reward and cost of showing, per arm; an arm that the catalogue dropped counts as plain reward."""
    known = {one.id: one for one in catalogue.variants()}
    worth = [placement.nothing_value if arm == NOTHING else known[arm].value if arm in known else 1.0 for arm in arms]
    cost = [known[arm].cost if arm in known else 0.0 for arm in arms]
    return np.array(worth, dtype=np.float64), np.array(cost, dtype=np.float64)


def rules_policy(log: Log, catalogue: Catalogue, placement: Placement) -> Floats:
    """What the declared rules would do: the variant of highest value less cost, always."""
    offered = [*catalogue.offered(placement), *(catalogue.variant(rule.template) for rule in placement.sources)]
    shown = [one for one in offered if one.id in log.arms]
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
