"""Pictures of explanations as numbers: a waterfall from one level to another, lines over days. Templates draw them as SVG, each beside a table that says the same.

Enters: steps or series of a view. Leaves: coordinates in the picture's own units. Pure; nothing here knows what it draws.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

STEP: Final = 30  # height of a line of a waterfall
LEFT, RIGHT, WIDTH = 290, 672, 764  # labels stand before, figures behind
NARROW: Final = 340  # a phone: label and figure stand above each bar
TALL: Final = 46
_LEAST: Final = 2.0  # what is not nothing is seen
_LEVELS: Final = frozenset({"level"})


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of a waterfall: a level (no width) or what was added to it."""

    name: str
    kind: str
    value: float
    total: float
    x: float
    width: float
    y: float
    end: float
    """Where the total stands after it; the next line begins there."""


@dataclass(frozen=True, slots=True)
class Fall:
    """A waterfall on its sheet. `zero`: where nought stands, None where it is off the sheet."""

    width: float
    height: float
    bars: tuple[Bar, ...]
    zero: float | None


def fall(steps: Sequence[Mapping[str, Any]], *, narrow: bool = False) -> Fall:
    """A waterfall of steps: `{"kind": "level", "name", "value"}` sets the total, every other kind adds its `value` to it."""
    left, right, tall = (2.0, NARROW - 2.0, TALL) if narrow else (LEFT, RIGHT, STEP)
    totals = _totals(steps)
    low, high = min(totals, default=0.0), max(totals, default=0.0)
    air = (high - low) * 0.04 or abs(high) * 0.1 or 1.0
    low, high = low - air, high + air

    def at(value: float) -> float:
        return left + (right - left) * (value - low) / (high - low)

    before = low
    bars: list[Bar] = []
    for place, (step, after) in enumerate(zip(steps, totals, strict=True)):
        kind, value = str(step["kind"]), float(step["value"])
        start, end = at(before if kind not in _LEVELS else after), at(after)
        wide = 0.0 if kind in _LEVELS or value == 0 else max(abs(end - start), _LEAST)
        bars.append(Bar(str(step["name"]), kind, value, after, min(start, end), wide, place * tall, end))
        before = after
    zero = at(0.0) if low <= 0 <= high else None
    return Fall(NARROW if narrow else WIDTH, len(steps) * tall + 6, tuple(bars), zero)


def moving(steps: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The steps that a picture shows: levels, and what changes anything."""
    return [one for one in steps if one["kind"] in _LEVELS or one["value"]]


def _totals(steps: Sequence[Mapping[str, Any]]) -> list[float]:
    now, found = 0.0, []
    for step in steps:
        now = float(step["value"]) if step["kind"] in _LEVELS else now + float(step["value"])
        found.append(now)
    return found


@dataclass(frozen=True, slots=True)
class Series:
    """One line over days: its dots, and the path through them in parts where days are missing."""

    name: str
    dots: tuple[tuple[float, float], ...]
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lines:
    """Several series on one sheet. `top`: the value at its upper edge; `ticks`: where each label stands below."""

    width: float
    height: float
    top: float
    series: tuple[Series, ...]
    ticks: tuple[tuple[float, str], ...]


def lines(
    labels: Sequence[str], series: Mapping[str, Sequence[float | None]], *, width: float = 720, height: float = 180, top: float | None = None
) -> Lines:  # fmt: skip
    """Series over the same labels; None where nothing is known."""
    known = [one for values in series.values() for one in values if one is not None]
    most = top if top is not None else max(known, default=0.0) or 1.0
    step = width / max(len(labels) - 1, 1)
    middle = width / 2 if len(labels) == 1 else 0.0

    def place(index: int, value: float) -> tuple[float, float]:
        return round(middle + index * step, 1), round(height - height * min(value, most) / most, 1)

    made = []
    for name, values in series.items():
        runs: list[list[tuple[float, float]]] = [[]]
        for index, value in enumerate(values):
            if value is None:
                runs.append([])
            else:
                runs[-1].append(place(index, value))
        dots = tuple(dot for run in runs for dot in run)
        made.append(Series(name, dots, tuple(" ".join(f"{x},{y}" for x, y in run) for run in runs if len(run) > 1)))
    shown = sorted({0, len(labels) // 2, len(labels) - 1}) if labels else []
    ticks = tuple((round(middle + index * step, 1), labels[index]) for index in shown)
    return Lines(width, height, most, tuple(made), ticks)
