"""What fades with time, in whole numbers: halved every half-life, and equal in bits whatever the order, the machine or the way it was counted (features.F47).

What enters: moments with an amount, as they come or all at once. What leaves: a counter that may be added to, taken from, joined with another, written down and
asked. Its sums are integers, so adding is the same in every order and taking away is exact; the one rounding is that of the final division, which Python rounds
correctly. No libm is asked: powers of two come from integer square roots, so that two machines agree.

The form is forward decay (Cormode et al. 2009, "Forward Decay", section 3): a moment that lies n + x half-lives (0 <= x < 1) after the epoch weighs 2^(n + x) for ever; a question
at a moment divides by that moment's own weight. Weights of one n share a sum.
"""

import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final, Self

from profiles.errors import OutOfTime

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO: Final = timedelta(microseconds=1)
_DAY_MICROS: Final = 86_400_000_000
_BITS: Final = 62
"""Fraction bits of a weight: more than a double keeps, so that what is rounded is rounded once."""
_STEP_BITS: Final = 11
_STEPS: Final = 3
_PLACES: Final = _STEP_BITS * _STEPS
"""Parts of a half-life that are told apart: 2^-33 of it, which moves a weight by less than 10^-10 of itself."""
_GONE: Final = 1_100
"""Half-lives after which a weight is below the smallest double: such sums are not looked at, whoever counted them."""


def half_life(days: float) -> int:
    """Half-lives are whole microseconds, at least one."""
    return max(1, round(days * _DAY_MICROS))


def weight(moment: datetime, half_life_micros: int) -> tuple[int, int]:
    """(n, w): the moment weighs w x 2^n, w in [2^62, 2^63)."""
    since = (moment - _EPOCH) // _MICRO
    whole, rest = divmod(since, half_life_micros)
    return whole, _power((rest << _PLACES) // half_life_micros)


class Fading:
    """A counter that fades. Sums by number of half-lives since the epoch; an empty sum is left out, so that equal counters have equal bytes."""

    __slots__ = ("half_life", "sums")

    def __init__(self, half_life_micros: int, sums: Mapping[int, int] | None = None) -> None:
        self.half_life = half_life_micros
        self.sums: dict[int, int] = dict(sums or {})

    @classmethod
    def of(cls, days: float, moments: Iterable[datetime] = ()) -> Self:
        """The counter of these moments, one each."""
        made = cls(half_life(days))
        for moment in moments:
            made.add(moment)
        return made

    def add(self, moment: datetime, amount: int = 1) -> None:
        """Something happened; below zero takes away what was added before."""
        place, worth = weight(moment, self.half_life)
        left = self.sums.get(place, 0) + worth * amount
        if left:
            self.sums[place] = left
        else:
            self.sums.pop(place, None)

    def take(self, moment: datetime, amount: int = 1) -> None:
        """What was added is undone (a correction, an erasure): the counter is the one that never had it."""
        self.add(moment, -amount)

    def join(self, other: "Fading") -> "Fading":
        """Two counters as one: two parts of a log, or two people who are one."""
        if other.half_life != self.half_life:
            raise OutOfTime("expected counters that fade alike, got two half-lives")
        made = Fading(self.half_life, self.sums)
        for place, part in other.sums.items():
            if left := made.sums.get(place, 0) + part:
                made.sums[place] = left
            else:
                made.sums.pop(place, None)
        return made

    def at(self, moment: datetime) -> float:
        """What is left at a moment, correctly rounded. Everything that was added must have happened by then.

        Raises:
            OutOfTime: something was added that lies a half-life or more after the moment.
        """
        if not self.sums:
            return 0.0
        place, worth = weight(moment, self.half_life)
        if max(self.sums) > place:
            raise OutOfTime("expected a moment that the counter reaches, got an earlier one")
        kept = {n: part for n, part in self.sums.items() if place - n <= _GONE}
        if not kept:
            return 0.0
        first = min(kept)
        return sum(part << (n - first) for n, part in kept.items()) / (worth << (place - first))

    def pack(self) -> bytes:
        """Its bytes; equal counters have equal ones."""
        return json.dumps(
            [self.half_life, [[place, str(self.sums[place])] for place in sorted(self.sums)]], separators=(",", ":")
        ).encode()

    @classmethod
    def unpack(cls, words: bytes) -> Self:
        """What ``pack`` wrote."""
        micros, sums = json.loads(words)
        return cls(int(micros), {int(place): int(part) for place, part in sums})


def faded(moment: datetime, at: datetime, days: float) -> float:
    """What one thing that happened at ``moment`` still weighs: in (0, 1], by the same powers as a counter."""
    micros = half_life(days)
    then, now = weight(moment, micros), weight(at, micros)
    apart = now[0] - then[0]
    return 0.0 if apart > _GONE else then[1] / (now[1] << apart)


def _power(part: int) -> int:
    """2^(part / 2^33) in 62 fraction bits, rounded down at each of two multiplications."""
    mask = (1 << _STEP_BITS) - 1
    made = _table(0)[part >> (2 * _STEP_BITS)]
    made = made * _table(1)[(part >> _STEP_BITS) & mask] >> _BITS
    return made * _table(2)[part & mask] >> _BITS


@cache
def _table(step: int) -> tuple[int, ...]:
    """2^(k / 2^(11 (step + 1))) for k from 0 to 2047, in 62 fraction bits."""
    spare = 40  # bits more than are kept, so that what the products lose does not reach them
    root = 2 << (_BITS + spare)
    for _ in range(_STEP_BITS * (step + 1)):
        root = math.isqrt(root << (_BITS + spare))
    held, made = 1 << (_BITS + spare), []
    for _ in range(1 << _STEP_BITS):
        made.append(held >> spare)
        held = held * root >> (_BITS + spare)
    return tuple(made)
