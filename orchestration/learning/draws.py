"""Are choices drawn as their records say? The logged probabilities of late against what was chosen, day by day (decision.D5, D17).

Enters: a placement, a moment. Leaves: `Drawn`. Every decision has probabilities of its own, so the test is the one of an adaptive allocation (`srm`): wrong once in a thousand looks at a placement,
however often it is looked at. Decisions made anew after a race are left out, as they are from training: their recorded probability does not describe the whole walk.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from kernel.db import Conn
from orchestration.decision import store as decided
from orchestration.decision.sealed import Opened, Sealer
from orchestration.learning.srm import Mismatch, Watch

MOST = 2_000
_CHUNK = 500
_ARMS = 19  # told apart; all others are one


@dataclass(frozen=True, slots=True)
class Drawn:
    """`days`: of each day its own look, for telling when it began; `whole` is the one that calls."""

    decisions: int
    whole: Mismatch
    days: Mapping[str, Mismatch]


async def drawn(conn: Conn, sealer: Sealer, placement: str, since: datetime, most: int = MOST) -> Drawn:
    """The newest choices of a placement since a moment."""
    rows = [row for row in await decided.history(conn, placement, since, None) if row.propensity < 1.0][-most:]
    opened: list[Opened] = []
    for start in range(0, len(rows), _CHUNK):
        opened += await sealer.open_many(rows[start : start + _CHUNK])
    return judged(
        [(one.row.at, one.row.choice, dict(one.probabilities())) for one in opened if one.inputs.attempt == 1]
    )


def judged(choices: Sequence[tuple[datetime, str, Mapping[str, float]]]) -> Drawn:
    """Choices with their moment and the probability of every arm. Pure."""
    total: Counter[str] = Counter()
    for _, _, chances in choices:
        total.update(chances)
    # By what they were expected to get, which no draw decides: the test stays right when the others are one arm.
    place = {arm: index for index, (arm, _) in enumerate(total.most_common(_ARMS))}
    count = len(place) + (len(total) > _ARMS)
    if count < 2:
        return Drawn(len(choices), Watch(2).result(), {})
    days: dict[str, Watch] = defaultdict(lambda: Watch(count))
    whole = Watch(count)
    by_day: dict[str, list[tuple[str, Mapping[str, float]]]] = defaultdict(list)
    for at, choice, chances in choices:
        by_day[f"{at:%Y-%m-%d}"].append((choice, chances))
    for day, part in sorted(by_day.items()):
        chosen = np.array([place.get(choice, _ARMS) for choice, _ in part], dtype=np.int64)
        table = np.zeros((len(part), count))
        for line, (_, chances) in enumerate(part):
            for arm, chance in chances.items():
                table[line, place.get(arm, _ARMS)] += chance
        days[day].add_each(chosen, table)
        whole.add_each(chosen, table)
    return Drawn(len(choices), whole.result(), {day: watch.result() for day, watch in days.items()})
