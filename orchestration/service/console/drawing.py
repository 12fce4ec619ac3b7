"""Pictures as numbers: where a bar ends, where a node stands. Templates draw them as SVG, each beside a table that says the same.

Enters: figures of a view. Leaves: coordinates in the picture's own units. Pure; nothing here knows what it draws.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

ROW: Final = 34  # height of a line of the lineage picture: a target of 24 px and some air
MOST_NODES: Final = 500  # beyond it a picture shows nothing that the list does not


@dataclass(frozen=True, slots=True)
class Column:
    """One column of two stacked parts, from the floor up."""

    label: str
    x: float
    width: float
    lower: float
    upper: float
    lower_y: float
    upper_y: float


@dataclass(frozen=True, slots=True)
class Node:
    """Something that stands somewhere. `side` is where its label goes: left, right or middle."""

    key: str
    label: str
    x: float
    y: float
    side: str = "middle"


@dataclass(frozen=True, slots=True)
class Line:
    """From a node to another. `weight` 0 to 1 is how strong it is drawn; `broken`: a doubt."""

    x1: float
    y1: float
    x2: float
    y2: float
    weight: float = 1.0
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """Nodes and lines on a sheet."""

    width: float
    height: float
    nodes: tuple[Node, ...]
    lines: tuple[Line, ...]


def part(value: float, whole: float) -> float:
    """How much of 100 a bar fills; what is not nothing is seen."""
    return 0.0 if whole <= 0 or value <= 0 else max(0.6, min(100.0, 100 * value / whole))


def largest(rows: Sequence[Mapping[str, Any]], name: str) -> float:
    """The greatest size of a figure among the rows."""
    return max((abs(float(row[name])) for row in rows), default=0.0)


def columns(
    rows: Sequence[Mapping[str, Any]], lower: str, upper: str, *, width: float = 720, height: float = 160
) -> list[Column]:
    """Stacked columns across a sheet."""
    top = max((int(row[lower]) + int(row[upper]) for row in rows), default=0) or 1
    step = width / max(len(rows), 1)
    wide = min(step * 0.72, 44)
    made = []
    for place, row in enumerate(rows):
        low, high = height * int(row[lower]) / top, height * int(row[upper]) / top
        x = step * place + (step - wide) / 2
        made.append(Column(str(row["day"]), x, wide, low, high, height - low, height - low - high))
    return made


def interval(low: float, value: float, high: float, *, width: float = 240) -> tuple[float, float, float, float]:
    """Where low, value, high and zero stand on a scale that holds them all."""
    reach = max(abs(low), abs(high), abs(value), 1e-9) * 1.15
    return (*(width * (one + reach) / (2 * reach) for one in (low, value, high)), width / 2)  # type: ignore[return-value]


def bits(m: float, u: float) -> float:
    """What a level is worth: log2 of how much likelier it is of one person than of strangers."""
    return math.log2(m / u)


def waterfall(terms: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each height with the sum so far, and where its bar lies on a scale of 100 that holds them all and zero."""
    totals = [0.0]
    for term in terms:
        totals.append(totals[-1] + float(term["weight"]))
    low, high = min(totals), max(totals)
    scale = 100 / (high - low or 1.0)
    return [
        {
            **term,
            "total": after,
            "x": (min(before, after) - low) * scale,
            "width": max(abs(after - before) * scale, 0.6) if after != before else 0.0,
            "zero": -low * scale,
        }
        for term, before, after in zip(terms, totals, totals[1:], strict=False)
    ]


def circle(
    records: Sequence[Mapping[str, Any]], edges: Sequence[Mapping[str, Any]], doubts: Sequence[Mapping[str, Any]]
) -> Picture:
    """Records on a ring, the edges between them as strong as their weight; a doubt is broken and may lead off the ring."""
    ring = max(80.0, len(records) * 40 / (2 * math.pi))
    across, down = ring + 110, ring + 40  # room for the labels
    nodes = {}
    for place, record in enumerate(records):
        turn = 2 * math.pi * place / max(len(records), 1) - math.pi / 2
        x, y = across + ring * math.cos(turn), down + ring * math.sin(turn)
        if len(records) == 1:
            x, y = across, down
        side = "middle" if abs(math.cos(turn)) < 0.3 else "right" if math.cos(turn) > 0 else "left"
        nodes[str(record["id"])] = Node(str(record["id"]), str(record["source"]), x, y, side)
    most = max((float(edge["weight"]) for edge in edges), default=1.0) or 1.0
    lines = [
        _between(nodes[str(edge["a"])], nodes[str(edge["b"])], max(0.12, float(edge["weight"]) / most), broken=False)
        for edge in edges
        if str(edge["a"]) in nodes and str(edge["b"]) in nodes
    ]
    for pair in doubts:
        ends = [nodes[str(pair[end])] for end in ("a", "b") if str(pair[end]) in nodes]
        if len(ends) == 2:
            lines.append(_between(ends[0], ends[1], 0.4, broken=True))
        elif ends:
            away = (ends[0].x + (ends[0].x - across) * 0.42, ends[0].y + (ends[0].y - down) * 0.42)
            lines.append(Line(ends[0].x, ends[0].y, *away, weight=0.4, broken=True))
    return Picture(2 * across, 2 * down, tuple(nodes.values()), tuple(lines))


def lineage(entries: Sequence[Mapping[str, Any]]) -> Picture:
    """Acts on the left in the order of time, what they name on the right; a line where an act names a thing."""
    shown = entries[:MOST_NODES]
    named: dict[str, int] = {}
    for entry in shown:
        for one in entry["things"]:
            named.setdefault(str(one), len(named))
    height = ROW * max(len(shown), len(named), 1) + 12
    acts = {
        str(entry["entry_id"]): Node(str(entry["entry_id"]), str(entry["tag"]), 200, 24 + ROW * place, "left")
        for place, entry in enumerate(shown)
    }
    gap = (height - 12) / max(len(named), 1)
    things = {name: Node(name, name, 460, 6 + gap * (place + 0.5), "right") for name, place in named.items()}
    lines = [
        _between(acts[str(entry["entry_id"])], things[str(one)], 0.3, broken=False)
        for entry in shown
        for one in entry["things"]
    ]
    return Picture(660, height, (*acts.values(), *things.values()), tuple(lines))


def _between(a: Node, b: Node, weight: float, *, broken: bool) -> Line:
    return Line(a.x, a.y, b.x, b.y, weight, broken)
