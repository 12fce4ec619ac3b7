"""Checks of learning: nobody in a training set who does not permit it, choices that fall as recorded, explanations that add up, a ranker that is worth its place.

Enters: training sets, models, the gate's answers. Leaves: `Found`. Additivity is a promise to every person who asks why, so it is grave; a ranker that
is held back is an answer ("not worth it"), so it warns.
"""

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import numpy as np

from consent import gate
from kernel.canonical import Json
from kernel.ids import PersonId
from orchestration.decision.catalogue import NOTHING
from orchestration.learning.draws import drawn
from orchestration.learning.proxies import held_back
from orchestration.pipeline.facts import Fact, Found, key, spread
from orchestration.pipeline.steps.learning import COMPARISONS, newest, newest_models, of_gate, placements

if TYPE_CHECKING:
    from orchestration.learning.store import Kept
    from orchestration.wiring import House

_LATELY = timedelta(days=7)
MOST_ERROR = 1e-9  # of base + contributions against the score; LightGBM's own is about 1e-14


async def only_the_permitted(house: "House") -> Found:
    """A sample of each training set: everyone in it permits personalisation now, and every probability is one."""
    now = house.kernel.clock.now()
    figures: dict[str, Fact] = {}
    bad = 0
    for placement, made in (await _sets(house)).items():
        purpose = (await house.decisions.shelf.current()).catalogue.placement(placement).personalize_under
        sample = [PersonId(one) for one in spread(sorted(set(made.people)))]
        async with house.kernel.db.reading() as conn:
            states = await house.consent.states(conn, sample)
        barred = {one for one in sample if not gate.permission(states[one], purpose, None, now).granted}
        # An example whose features were hidden by the filter says nothing about her; one with features does.
        seen = sum(
            bool(np.isfinite(row).any() and np.nansum(np.abs(row)) > 0)
            for person, row in zip(made.people, made.features, strict=True)
            if person in barred
        )
        odd = int(((made.propensity <= 0) | (made.propensity > 1)).sum())
        figures |= {
            key(placement, "rows"): len(made.people),
            key(placement, "people_asked"): len(sample),
            key(placement, "forbidden"): seen,
            key(placement, "impossible_probabilities"): odd,
        }
        bad += seen + odd
    return Found(bad == 0, figures)


async def nobody_inferred(house: "House") -> Found:
    """No feature of a training set is a sensitive attribute or tells one, but those that an officer accepted (spec explain.E7)."""
    figures: dict[str, Fact] = {}
    held = 0
    accepted = {(one.attribute, one.feature): one.reason for one in await house.learning.proxies.accepted()}
    for placement, made in (await _sets(house)).items():
        found = await house.learning.proxies.run(placement, made.people, made.names, made.features)
        back = held_back(found, accepted)
        direct = sorted(set(house.learning.proxies.direct) & set(made.names))
        figures |= {
            key(placement, "tried"): len(found),
            key(placement, "held_back"): len(back),
            key(placement, "direct"): len(direct),
        }
        figures |= {key(placement, "tells", one.attribute, one.subject): round(one.figure, 4) for one in back[:5]}
        held += len(back) + len(direct)
    return Found(held == 0, {"held_back": held, "accepted": len(accepted), **figures}, grave=False)


async def drawn_as_recorded(house: "House") -> Found:
    """The newest choices of a week at each placement fall as their recorded probabilities say; wrong once in a thousand."""
    figures: dict[str, Fact] = {}
    bad = 0
    since = house.kernel.clock.now() - _LATELY
    for placement in await placements(house):
        async with house.kernel.db.reading() as conn:
            found = await drawn(conn, house.learning.sealer, placement, since)
        figures |= {key(placement, "decisions"): found.decisions, key(placement, "p"): f"{found.whole.p:.3g}"}
        if found.whole.alarm:
            bad += 1
            worst = min(found.days, key=lambda day: found.days[day].p)
            figures[key(placement, "worst_day")] = f"{worst}, p {found.days[worst].p:.3g}"
    return Found(bad == 0, figures, grave=False)


async def additive(house: "House") -> Found:
    """Base and contributions of the newest model and of the one that rules sum to their scores, for a sample of rows and every arm."""
    figures: dict[str, Fact] = {}
    worst = 0.0
    sets = await _sets(house)
    last = {str(one["digest"]) for one in (await newest_models(house)).values()}
    for one in await house.learning.status():
        placement = str(one["placement"])
        made = sets.get(placement)
        if made is None or not (one["active"] or one["digest"] in last):
            continue
        model = await house.learning.model(str(one["digest"]))
        known = {name: place for place, name in enumerate(made.names)}
        chosen = made.features[:: max(1, len(made.people) // 100)][:100]
        arms = [name.removeprefix("variant=") for name in model.feature_names if name.startswith("variant=")]
        off = 0.0
        for place, row in enumerate(chosen):
            arm = arms[place % len(arms)] if arms else NOTHING
            full = np.array([
                row[known[name]] if name in known else float(name == f"variant={arm}") for name in model.feature_names
            ])  # fmt: skip
            base, parts = model.contributions(full)
            off = max(off, abs(math.fsum((base, *parts.tolist())) - float(model.score(full.reshape(1, -1))[0])))
        worst = max(worst, off)
        name = key(placement, "ruling" if one["active"] else "newest")
        figures |= {key(name, "rows"): len(chosen), key(name, "largest_error"): f"{off:.2g}"}
    return Found(worst <= MOST_ERROR, figures)


async def beats_the_others(house: "House") -> Found:
    """The newest ranker of each placement beats the rules, uniform, the best fixed arm and the model that ruled, by interval."""
    figures: dict[str, Fact] = {}
    held = 0
    for placement, judged in (await newest(house)).items():
        figures |= of_gate(placement, judged)
        asked = [cast("Mapping[str, Json]", judged[name]) for name in COMPARISONS if judged.get(name) is not None]
        held += any(cast("float", one["low"]) <= 0 for one in asked)
    return Found(held == 0, {"held": held, **figures}, grave=False)


async def supported(house: "House") -> Found:
    """The log speaks for the policies that were judged: enough effective rows, no row that carries the estimate (decision.D27)."""
    figures: dict[str, Fact] = {}
    refused = 0
    for placement, judged in (await newest(house)).items():
        reason = judged.get("reason")
        refused += bool(judged.get("refused"))
        figures[key(placement, "refused")] = str(reason) if reason else "no"
    return Found(refused == 0, {"refused": refused, **figures}, grave=False)


async def young_enough(house: "House") -> Found:
    """No model that rules is older than the alarm age."""
    old = await house.learning.aged()
    days = house.learning.settings.model_age_days
    return Found(not old, {"too_old": len(old), "alarm_days": days, **{f"n{i}": one for i, one in enumerate(old[:5])}}, grave=False)  # fmt: skip


async def _sets(house: "House") -> "dict[str, Kept]":
    """The newest training set of each placement, as its file holds it."""
    kept = {placement: await house.learning.kept_set(placement) for placement in await placements(house)}
    return {placement: one for placement, one in kept.items() if one is not None}
