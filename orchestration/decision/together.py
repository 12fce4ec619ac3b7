"""One decision on several inputs at once, for the levers of an explanation: what they share is worked out once.

Enters: a record, inputs that differ from its own by one change each, its model and policy. Leaves: for each of them what would be chosen, equal in every bit to what
`engine.decide` chooses on it. A row that is in the record with its score is not scored again, nor is any other row scored twice.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernel.model import Model
from orchestration.decision.catalogue import NOTHING
from orchestration.decision.eligibility import verdicts
from orchestration.decision.engine import drawn
from orchestration.decision.inputs import Arm, Inputs
from orchestration.decision.policy import Policy
from orchestration.decision.ranking import Ranking, rank, rows, scored, unfilled
from orchestration.decision.record import Record

_RANKER: Final = "ranker"
_MANY: Final = (
    1000  # rows; fewer are scored where they are asked for, as those of a decision are: a thread would cost as much
)
Table = NDArray[np.float64]


class Pick(NamedTuple):
    """What would be chosen: its name, the arm (None: nothing), and with which probability."""

    choice: str
    arm: Arm | None
    propensity: float


NOBODY: Final = Pick(NOTHING, None, 1.0)
"""Where nothing may be chosen."""


async def picks(record: Record, states: Sequence[Inputs], model: Model | None, policy: Policy) -> list[Pick]:
    """What is chosen on each of `states`, with the seed, the model and the policy of the record."""
    eligible = [[arm for arm, lost in verdicts(state) if lost is None] for state in states]
    tables = [
        rows(model.feature_names, state, arms) if arms and model is not None and unfilled(model, state) is None else None
        for state, arms in zip(states, eligible, strict=True)
    ]  # fmt: skip
    scores = await _scores(record, [one for one in tables if one is not None], model) if model is not None else {}
    return [
        _pick(state, record.seed, arms, _ranking(state, arms, model, table, scores), policy) if arms else NOBODY
        for state, arms, table in zip(states, eligible, tables, strict=True)
    ]


def _pick(state: Inputs, seed: str, arms: Sequence[Arm], ranking: Ranking, policy: Policy) -> Pick:
    made = drawn(state, seed, arms, ranking, policy)
    arm = arms[made.picked] if made.picked < len(arms) else None
    return Pick(made.names[made.picked], arm, made.vector[made.picked])


def _ranking(
    state: Inputs, arms: Sequence[Arm], model: Model | None, table: Table | None, scores: dict[bytes, float]
) -> Ranking:
    if model is None or table is None:
        return rank(state, arms, model)  # by rules
    return scored(state, arms, [scores[row] for row in _lines(table)], model.feature_names)


async def _scores(record: Record, tables: Sequence[Table], model: Model) -> dict[bytes, float]:
    """The score of every row, by its bytes. Rows of one table share what is known of the person, which is what a model is quickest at: each table is asked for by itself."""
    found = _recorded(record, model)
    missing = list(_missing(tables, set(found)))
    asked = [np.frombuffer(b"".join(lines), dtype=np.float64).reshape(len(lines), -1) for lines in missing]
    # Many rows take a library milliseconds, in which it lets go of the interpreter: whoever decides meanwhile does not wait for it.
    many = sum(len(lines) for lines in missing) > _MANY
    for lines, table in zip(missing, asked, strict=True):
        made = await asyncio.to_thread(model.score, table) if many else model.score(table)
        found.update(zip(lines, made.tolist(), strict=True))
    return found


def _missing(tables: Sequence[Table], known: set[bytes]) -> Iterator[list[bytes]]:
    """By table, the rows that nobody knows yet."""
    for table in tables:
        lines = list(dict.fromkeys(line for line in _lines(table) if line not in known))
        known.update(lines)
        if lines:
            yield lines


def _recorded(record: Record, model: Model) -> dict[bytes, float]:
    """The rows that the decision itself scored: the model gives the same row the same bits, in whichever company."""
    made = record.outcome
    if made.ranked_by != _RANKER or record.inputs.versions.model != model.digest:
        return {}
    told = [(one.arm, one.score) for one in made.judged if one.arm is not None and one.score is not None]
    table = rows(model.feature_names, record.inputs, [arm for arm, _ in told])
    return dict(zip(_lines(table), [score for _, score in told], strict=False))  # the last row is of sending nothing


def _lines(table: Table) -> list[bytes]:
    """The rows of a table as bytes."""
    words, width = table.tobytes(), table.shape[1] * table.itemsize
    return [words[begin : begin + width] for begin in range(0, len(words), width)]
