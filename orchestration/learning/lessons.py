"""Lessons: what each decision teaches, one voice a person, summed so that the order of arrival changes nothing.

Enters: decisions with their rewards so far. Leaves: sums by arm and time in whole numbers, and the state that a policy acts on. Pure.

Rewards are millionths. A person is one voice for an arm in a stretch of time (an epoch), however often she came: her decisions are averaged; and who decided more often
than people do is not listened to at all (decision.D42). Sums fade by the age of their epoch, not by the order of outcomes, so that they can be counted again from the lessons.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Final

from kernel.ids import DecisionId, PersonId
from orchestration.decision.policies.learned import ArmState, Learned
from orchestration.decision.policies.linear import GRID, outer, solve
from orchestration.learning.rewards import MICRO

WEEK: Final = 604_800
_PARTS: Final = 8  # epochs in a half-life: sums fade in steps of a twelfth
_GONE: Final = 1e-6  # what weighs less is left out
RIDGE: Final = 1.0
BREAK: Final = 4.0  # standard errors between before and after: chance gives that once in tens of thousands of looks
_ENOUGH: Final = 30  # decisions before and after


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One decision. `epoch`: where its stretch of time begins, seconds since 1970. `context`: the person's row, for linear learners."""

    decision: DecisionId
    placement: str
    person: PersonId
    arm: str
    at: datetime
    epoch: int
    reward: int
    context: tuple[int, ...] = ()


def reworded(lesson: Lesson, reward: int) -> Lesson:
    """The same lesson with what the decision is known to have earned now."""
    return replace(lesson, reward=reward)


@dataclass(frozen=True, slots=True)
class Sums:
    """Voices, their rewards in millionths, the squares of these in millionths; for linear learners products of rows, and rows times rewards."""

    n: int = 0
    reward: int = 0
    squares: int = 0
    gram: tuple[int, ...] = ()
    moment: tuple[int, ...] = ()

    def plus(self, other: "Sums", sign: int = 1) -> "Sums":
        """Sum or difference."""
        return Sums(
            self.n + sign * other.n,
            self.reward + sign * other.reward,
            self.squares + sign * other.squares,
            _added(self.gram, other.gram, sign),
            _added(self.moment, other.moment, sign),
        )

    @property
    def empty(self) -> bool:
        """Nothing is in it."""
        return not (self.n or self.reward or self.squares or any(self.gram) or any(self.moment))


def epoch_of(at: datetime, half_life: int | None) -> int:
    """The beginning of the stretch of time a decision belongs to: a week, or an eighth of the half-life where that is shorter, never below a minute."""
    length = WEEK if half_life is None else max(60, min(WEEK, half_life // _PARTS))
    seconds = int(at.timestamp())
    return seconds - seconds % length


def voice(lessons: Sequence[Lesson], *, voices: int, most: int) -> dict[str, Sums]:
    """What one person says of each arm in one epoch: at most `voices` for an arm; nothing at all when she made more than `most` decisions."""
    if len(lessons) > most:
        return {}
    by_arm: dict[str, list[Lesson]] = {}
    for one in lessons:
        by_arm.setdefault(one.arm, []).append(one)
    return {arm: _averaged(ours, min(len(ours), voices)) for arm, ours in by_arm.items()}


def _averaged(ours: Sequence[Lesson], n: int) -> Sums:
    count = len(ours)
    gram: tuple[int, ...] = ()
    moment: tuple[int, ...] = ()
    size = max((len(one.context) for one in ours), default=0)
    if size:
        rows = [one for one in ours if len(one.context) == size]
        gram = tuple(sum(column) * n // count for column in zip(*(outer(one.context) for one in rows), strict=True))
        moment = tuple(
            sum(x * one.reward for x, one in zip(column, rows, strict=True)) * n // count
            for column in zip(*(one.context for one in rows), strict=True)
        )
    return Sums(
        n,
        sum(one.reward for one in ours) * n // count,
        sum(one.reward * one.reward // MICRO for one in ours) * n // count,
        gram,
        moment,
    )


def changes(
    before: Iterable[Lesson], after: Iterable[Lesson], *, voices: int, most: int
) -> dict[tuple[str, str, int], Sums]:
    """What becomes of the sums, by placement, arm and epoch, when these lessons of whole voices (person and epoch) become those."""
    found: dict[tuple[str, str, int], Sums] = {}
    for lessons, sign in ((before, -1), (after, 1)):
        groups: dict[tuple[str, PersonId, int], list[Lesson]] = {}
        for one in lessons:
            groups.setdefault((one.placement, one.person, one.epoch), []).append(one)
        for (placement, _, epoch), ours in groups.items():
            for arm, sums in voice(ours, voices=voices, most=most).items():
                key = (placement, arm, epoch)
                found[key] = found.get(key, Sums()).plus(sums, sign)
    return {key: sums for key, sums in found.items() if not sums.empty}


def state_of(
    tallies: Mapping[tuple[str, int], Sums], *, half_life: int | None, columns: tuple[str, ...] = ()
) -> Learned:
    """The state that follows from sums by arm and epoch; without a digest. Ages count from the newest epoch: no clock is asked.

    Where something is forgotten at all, what an arm earned before a break in its record is forgotten at once, of every arm: the others may have changed unseen.
    """
    if not tallies:
        return Learned(columns=columns)
    newest = max(epoch for _, epoch in tallies)
    since = broken(tallies) if half_life is not None else 0
    parts: dict[str, list[tuple[float, Sums]]] = {}
    for (arm, epoch), sums in sorted(tallies.items()):
        if epoch < since:
            continue
        weight = 1.0 if half_life is None else math.exp2((epoch - newest) / half_life)
        if weight >= _GONE:
            parts.setdefault(arm, []).append((weight, sums))
    return Learned(arms={arm: _faded(held, columns) for arm, held in parts.items()}, columns=columns)


def broken(tallies: Mapping[tuple[str, int], Sums]) -> int:
    """The epoch from which on no arm's mean reward is surely another than before; 0 when none ever was.

    The surest break goes first, then what came after it is looked at again.
    """
    by_arm: dict[str, list[tuple[int, Sums]]] = {}
    for (arm, epoch), sums in sorted(tallies.items(), key=lambda one: one[0][1]):
        by_arm.setdefault(arm, []).append((epoch, sums))
    since = 0
    while True:
        found = max((_break(record, since) for record in by_arm.values()), default=(0.0, 0))
        if found[0] < BREAK:
            return since
        since = found[1]


def _break(record: Sequence[tuple[int, Sums]], since: int) -> tuple[float, int]:
    """The epoch at which one arm's mean changed most surely, and how many standard errors it changed by."""
    later = [(epoch, sums) for epoch, sums in record if epoch >= since]
    n, reward = sum(sums.n for _, sums in later), sum(sums.reward for _, sums in later)
    squares = sum(sums.squares for _, sums in later)
    if n < 2 * _ENOUGH:
        return 0.0, since
    variance = squares / n / MICRO - (reward / n / MICRO) ** 2
    surest = (0.0, since)
    before_n, before_reward = 0, 0
    for (_, sums), (epoch, _) in pairwise(later):
        before_n += sums.n
        before_reward += sums.reward
        after_n = n - before_n
        if before_n >= _ENOUGH and after_n >= _ENOUGH and variance > 0:
            gap = abs(before_reward / before_n - (reward - before_reward) / after_n) / MICRO
            surest = max(surest, (gap / math.sqrt(variance * (1 / before_n + 1 / after_n)), epoch))
    return surest


def _faded(held: Sequence[tuple[float, Sums]], columns: tuple[str, ...]) -> ArmState:
    theta: tuple[float, ...] = ()
    inverse: tuple[float, ...] = ()
    size = len(columns) + 1
    linear = [(weight, sums) for weight, sums in held if columns and len(sums.moment) == size]
    if linear:
        products = size * (size + 1) // 2
        gram = [
            math.fsum(weight * (sums.gram[at] / (GRID * GRID)) for weight, sums in linear) for at in range(products)
        ]
        moment = [
            math.fsum(weight * (sums.moment[at] / (GRID * MICRO)) for weight, sums in linear) for at in range(size)
        ]
        theta, inverse = solve(gram, moment, RIDGE)
    return ArmState(
        n=math.fsum(weight * sums.n for weight, sums in held),
        reward=math.fsum(weight * (sums.reward / MICRO) for weight, sums in held),
        squares=math.fsum(weight * (sums.squares / MICRO) for weight, sums in held),
        theta=theta,
        inverse=inverse,
    )


def _added(left: tuple[int, ...], right: tuple[int, ...], sign: int) -> tuple[int, ...]:
    """Rows of other lengths (the placement learned from other features then) are kept apart: the longer one counts."""
    if not right:
        return left
    if not left:
        return tuple(sign * one for one in right)
    if len(left) != len(right):
        return max(left, tuple(sign * one for one in right), key=len)
    return tuple(a + sign * b for a, b in zip(left, right, strict=True))
