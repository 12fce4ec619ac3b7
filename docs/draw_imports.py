"""Draw docs/imports.svg: every import between rooms and between orchestration's wings, counted from the code itself.

Run `python docs/draw_imports.py` from the project's folder. Downward arrows are drawn on the right in grey, upward ones (there should be none) on
the left in red. `--check` draws nothing and exits 1 when an upward import or a circle exists.
"""

import sys
from collections import Counter
from pathlib import Path

import grimp

ROOMS = ("kernel", "audit", "identity", "consent", "events", "profiles", "channels", "explain")
WINGS = ("decision", "learning", "triggers", "settings", "wiring", "pipeline", "demo", "service")
FLOORS = [("kernel",), ("audit",), ("identity",), ("consent",), ("events",), ("profiles",), ("channels", "explain")]
FLOORS += [(f"orchestration.{wing}",) for wing in WINGS]
LEVEL = {name: level for level, floor in enumerate(FLOORS) for name in floor}
WIDTH, ROW, BOX, TOP = 980, 62, 200, 70


def place(module: str) -> str | None:
    """The room or wing a module belongs to."""
    parts = module.split(".")
    name = ".".join(parts[:2]) if parts[0] == "orchestration" else parts[0]
    return name if name in LEVEL else None


def measure() -> Counter[tuple[str, str]]:
    """How many imports lead from one place to another."""
    graph = grimp.build_graph(*ROOMS, "orchestration", include_external_packages=False)
    arrows: Counter[tuple[str, str]] = Counter()
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            start, end = place(module), place(imported)
            if start and end and start != end:
                arrows[start, end] += 1
    return arrows


def circles(arrows: Counter[tuple[str, str]]) -> list[tuple[str, str]]:
    """Pairs of places that import each other."""
    return sorted((a, b) for a, b in arrows if a < b and (b, a) in arrows)


def centre(name: str) -> tuple[float, float]:
    level = LEVEL[name]
    floor = FLOORS[level]
    x = WIDTH / 2 + (floor.index(name) - (len(floor) - 1) / 2) * (BOX + 20)
    return x, TOP + (len(FLOORS) - 1 - level) * ROW


def draw(arrows: Counter[tuple[str, str]]) -> str:
    """The picture as SVG text."""
    height = TOP + len(FLOORS) * ROW + 20
    up = [(a, b) for a, b in arrows if LEVEL[a] <= LEVEL[b]]
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" font-size="13">',
        "<title>Imports between the rooms of Candor</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fbfaf7"/>',
        f'<text x="24" y="30" font-size="17" fill="#1d2733">Imports between rooms and wings: {sum(arrows.values())} in all, '
        f"{sum(arrows[p] for p in up)} upward, {len(circles(arrows))} circles</text>",
    ]
    for (start, end), count in sorted(arrows.items()):
        (x1, y1), (x2, y2) = centre(start), centre(end)
        upward = LEVEL[start] <= LEVEL[end]
        bend = (BOX / 2 + 26 + 21 * abs(LEVEL[start] - LEVEL[end])) * (-1 if upward else 1)
        side = BOX / 2 * (-1 if upward else 1)
        colour = "#c0392b" if upward else "#5b7083"
        sx, ex = x1 + side, x2 + side
        mid = max(sx, ex) + bend - side if not upward else min(sx, ex) + bend - side
        out.append(
            f'<path d="M{sx:.0f} {y1 + 6:.0f} C{mid:.0f} {y1 + 6:.0f} {mid:.0f} {y2 - 6:.0f} {ex:.0f} {y2 - 6:.0f}" fill="none" '
            f'stroke="{colour}" stroke-opacity=".55" stroke-width="{min(1 + count / 12, 4):.1f}"><title>{start} → {end}: {count}</title></path>'
            f'<circle cx="{ex:.0f}" cy="{y2 - 6:.0f}" r="2.6" fill="{colour}"/>'
        )
    for name in LEVEL:
        x, y = centre(name)
        inner = name.startswith("orchestration.")
        out.append(
            f'<rect x="{x - BOX / 2:.0f}" y="{y - 18:.0f}" width="{BOX}" height="36" rx="7" fill="{"#e8eef4" if inner else "#fff"}" stroke="#1d2733"/>'
            f'<text x="{x:.0f}" y="{y + 5:.0f}" text-anchor="middle" fill="#1d2733">{name.replace("orchestration.", "orchestration/")}</text>'
        )
    return "\n".join([*out, "</svg>", ""])


def main() -> int:
    arrows = measure()
    upward = {pair: n for pair, n in arrows.items() if LEVEL[pair[0]] <= LEVEL[pair[1]]}
    print(
        f"{sum(arrows.values())} imports between places, {sum(upward.values())} upward, {len(circles(arrows))} circles"
    )
    for (start, end), count in upward.items():
        print(f"  upward: {start} -> {end} ({count})")
    if "--check" not in sys.argv:
        (Path(__file__).parent / "imports.svg").write_text(draw(arrows), encoding="utf-8")
    return 1 if upward or circles(arrows) else 0


if __name__ == "__main__":
    sys.exit(main())
