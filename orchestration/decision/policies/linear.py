"""What a linear learner sees of a person, in whole numbers, and ridge regression without a library of matrices.

Enters: features by name. Leaves: a row with a constant first. Values are folded by asinh, so that no feature outgrows the others, and stand on a grid of 2**-12: sums of their
products are exact in whole numbers, so that the order in which outcomes arrive changes nothing, and every machine solves the same system in the same order.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

GRID: Final = 4096
_MOST: Final = 8.0  # asinh of 1,490: what lies beyond is as far as that


def fixed(columns: Sequence[str], features: Mapping[str, float]) -> tuple[int, ...]:
    """The row in 4096ths; a constant one, then each column. What is not known is 0."""
    return (GRID, *(_fold(features.get(name, math.nan)) for name in columns))


def row(columns: Sequence[str], features: Mapping[str, float]) -> tuple[float, ...]:
    """The same as numbers."""
    return tuple(one / GRID for one in fixed(columns, features))


def outer(x: Sequence[int]) -> list[int]:
    """The products of a row with itself: the lower triangle by rows, in 4096ths squared."""
    return [x[i] * x[j] for i in range(len(x)) for j in range(i + 1)]


def solve(gram: Sequence[float], moment: Sequence[float], ridge: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Theta and the inverse (by rows) of the ridge regression whose lower triangle of products and sums of x times reward these are."""
    size = len(moment)
    low = [[0.0] * size for _ in range(size)]
    for i in range(size):
        for j in range(i + 1):
            held = gram[i * (i + 1) // 2 + j] + (ridge if i == j else 0.0)
            left = held - math.fsum(low[i][k] * low[j][k] for k in range(j))
            low[i][j] = math.sqrt(left) if i == j else left / low[j][j]
    inverse = [_through(low, [1.0 if at == place else 0.0 for at in range(size)]) for place in range(size)]
    theta = _through(low, list(moment))
    return tuple(theta), tuple(value for line in inverse for value in line)


def _through(low: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    size = len(right)
    half = [0.0] * size
    for i in range(size):
        half[i] = (right[i] - math.fsum(low[i][k] * half[k] for k in range(i))) / low[i][i]
    made = [0.0] * size
    for i in reversed(range(size)):
        made[i] = (half[i] - math.fsum(low[k][i] * made[k] for k in range(i + 1, size))) / low[i][i]
    return made


def _fold(value: float) -> int:
    if not math.isfinite(value):
        return 0
    return round(max(-_MOST, min(_MOST, math.asinh(value))) * GRID)
