"""Amounts that sum to a number to the last bit: what floating point lost on the way is put back where it is least seen.

Enters: amounts, and the number that they make. Leaves: amounts whose `math.fsum` is that number.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Final

_SEEN: Final = 1e-9  # an amount may be off by this share of itself


def closed(amounts: Sequence[float], total: float) -> tuple[list[float], float]:
    """The amounts with one of them corrected, and what is left to be said beside them (0.0 nearly always). The caller judges how large `total` may miss."""
    made = list(amounts)
    if math.fsum(made) == total:
        return made, 0.0
    missing = Fraction(total) - sum((Fraction(one) for one in made), Fraction())
    for place in sorted(
        range(len(made)), key=lambda at: abs(made[at])
    ):  # the smallest that hides it has the finest grid
        if abs(missing) <= _SEEN * abs(Fraction(made[place])):
            kept, made[place] = made[place], float(Fraction(made[place]) + missing)
            if math.fsum(made) == total:
                return made, 0.0
            made[place] = kept
    return made, float(missing)
