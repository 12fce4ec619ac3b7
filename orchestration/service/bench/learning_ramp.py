"""How long a rollout takes and whom it lets through: 5 % of people buy, 2,000 new people come a day, and the shipped settings (decision.D21, D46).

Enters: seeded coins. Leaves: rows. Every day the rules that the server follows look at what came in: harm of the metric ends it, evidence takes a step; what a step asks for is `learning.stepping`'s.
"""

from typing import Final

import numpy as np

from orchestration.learning.experiment import Declared, check, next_step
from orchestration.learning.judging import STAGES
from orchestration.learning.planning import plan
from orchestration.learning.sequential import ALPHA, Group, look
from orchestration.learning.settings import LearningSettings
from orchestration.learning.stepping import shown
from orchestration.service.bench.learning_rows import Progress, Row, Section, generator, share

BASE: Final = 0.05
A_DAY: Final = 2_000
LONGEST: Final = 200  # days after which a rollout is let be
WEEKS: Final = 6.0
_LIFTS: Final = (0.1, 0.0, -0.15, -0.2, -0.5)


def _declared() -> Declared:
    settings = LearningSettings()
    return check({
        "name": "new", "placement": "bench", "kind": "rollout", "primary": settings.ramp_metric, "control": "old",
        "share": settings.ramp_share, "planned": settings.ramp_planned, "least_people": settings.ramp_people,
        "margin": settings.ramp_margin, "stake": settings.ramp_stake,
        "arms": [{"name": "new", "share": 0.5}, {"name": "old", "share": 0.5}],
    })  # fmt: skip


def walk(declared: Declared, lift: float, coins: np.random.Generator) -> tuple[str, float, float]:
    """How a rollout ends (everybody, rolled_back, waits), after how many days, and the largest share of people that it had."""
    at, seen = declared.share, np.zeros(4)
    alpha = ALPHA / (1 + len(declared.guardrails)) / STAGES
    for day in range(1, LONGEST + 1):
        treated = coins.binomial(A_DAY, at)
        seen += (treated, coins.binomial(treated, BASE * (1 + lift)), A_DAY - treated, coins.binomial(A_DAY - treated, BASE))  # fmt: skip
        new, old = (Group.of_share(int(seen[place]), int(seen[place + 1])) for place in (0, 2))
        if look(new, old, declared.planned, alpha=alpha, sides=1).worse:
            return "rolled_back", day, at
        following = next_step(at)
        if following is None:
            return "everybody", day, at
        if min(new.n, old.n) >= declared.least_people and shown(declared, following, new, old).enough:
            if following >= 1:
                return "everybody", day, following
            at, seen = following, np.zeros(4)
    return "waits", LONGEST, at


def ramp(full: bool, progress: Progress) -> list[Row]:
    """Days of a good model; who loses how much reaches whom."""
    declared, runs = _declared(), 400 if full else 40
    ends = {}
    for number, lift in enumerate(_LIFTS):
        coins = generator(21, number)
        ends[lift] = [walk(declared, lift, coins) for _ in range(runs)]
        progress(f"  {runs} rollouts of a model that brings {lift:+.0%}")
    days = {
        lift: float(np.median([one[1] for one in ends[lift] if one[0] == "everybody"] or [LONGEST])) for lift in _LIFTS
    }
    through = {lift: sum(one[0] == "everybody" for one in ends[lift]) for lift in _LIFTS}
    told = plan(declared, BASE, A_DAY).until
    world = f"{BASE:.0%} of people buy, {A_DAY:,} come a day"
    wide = sum(one[2] > 0.2 for one in ends[-0.5])
    return [
        Row("decision.D46", f"{world}: weeks until a model that brings 10 % more is with everybody, median", f"at most {WEEKS:g}", f"{days[0.1] / 7:.1f}, {share(through[0.1], runs)} there", days[0.1] <= 7 * WEEKS),
        Row("decision.D46", "weeks of a model that is no worse, median; as told before it starts", f"at most {WEEKS:g}", f"{days[0.0] / 7:.1f}, {share(through[0.0], runs)} there; told {(told or 0) / 7:.1f}", days[0.0] <= 7 * WEEKS),
        Row("decision.D21", f"a model that loses {declared.margin:.0%}, the margin, reaches everybody", "at most 5%", share(through[-0.2], runs), through[-0.2] <= 0.05 * runs or not full),
        Row("decision.D21", "a model that loses 15 %, less than the margin, reaches everybody (then it is watched)", "reported", share(through[-0.15], runs), ok=True),
        Row("decision.D21", "a model that loses half reaches more than a fifth of people; everybody", "at most 5%; 0", f"{share(wide, runs)}; {through[-0.5]}", (wide <= 0.05 * runs and through[-0.5] == 0) or not full),
    ]  # fmt: skip


SECTIONS: Final = (Section("ramp", "how long a rollout takes, and whom it lets through", run=ramp),)
