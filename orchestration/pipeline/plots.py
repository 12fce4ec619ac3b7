"""Pictures of a walk as PNG: small, plain, with their figures written on them. Matplotlib only, without a display.

Enters: plain numbers and names of columns. Leaves: PNG bytes. Nobody's words and nobody's id: levels of a model, counts, shares. The same numbers give the
same bytes, since no time and no version is written into them.
"""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK: Final = "#1f2933"
MAIN: Final = "#2f6f9f"
AGAINST: Final = "#b5533c"
FAINT: Final = "#c9d3dc"
_SIZE: Final = (6.4, 3.6)  # inches at 100 dots: 640 x 360 pixels at least, some 20 kB
_MOST: Final = 20  # bars that can be read


def cluster_sizes(people: Mapping[int, int]) -> bytes:
    """People by how many records they have; both axes readable over five orders of magnitude."""
    figure, axes = _drawing("Records a person", "records", "people")
    sizes = sorted(people)
    axes.bar([str(size) for size in sizes][:_MOST], [people[size] for size in sizes][:_MOST], color=MAIN)
    axes.set_yscale("log")
    for place, size in enumerate(sizes[:_MOST]):
        axes.annotate(f"{people[size]:,}", (place, people[size]), ha="center", va="bottom", fontsize=7, color=INK)
    axes.margins(y=0.15)
    return _png(figure)


def match_weights(weights: Sequence[float], threshold: float = 0.0) -> bytes:
    """How many pairs of records were found at each match weight (log2 odds)."""
    figure, axes = _drawing("Match weights of the edges", "match weight, log2 odds", "pairs")
    axes.hist(list(weights), bins=40, color=MAIN)
    axes.axvline(threshold, color=AGAINST, linewidth=1)
    if weights:
        axes.set_yscale("log")
    return _png(figure)


def level_weights(levels: Mapping[str, Mapping[str, float]]) -> bytes:
    """What each level of each field is worth, log2(m/u): to the right it speaks for one person, to the left against."""
    rows = [(f"{field}: {level}", weight) for field, of in levels.items() for level, weight in of.items()]
    rows = rows[:60]
    figure, axes = _drawing("What agreement is worth", "log2(m/u)", "", height=max(2.4, 0.19 * len(rows) + 0.9))
    names = [name[:44] for name, _ in rows][::-1]
    values = [weight for _, weight in rows][::-1]
    axes.barh(range(len(rows)), values, color=[MAIN if value >= 0 else AGAINST for value in values])
    axes.set_yticks(range(len(rows)), names, fontsize=6.5)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.margins(y=0.01)
    return _png(figure)


def importance(shares: Mapping[str, float], title: str) -> bytes:
    """Share of the splits' gain by column, the greatest on top."""
    rows = sorted(shares.items(), key=lambda one: (-one[1], one[0]))[:_MOST][::-1]
    figure, axes = _drawing(f"What the ranker of {title} looks at", "share of gain", "", height=max(2.4, 0.24 * len(rows) + 0.9))  # fmt: skip
    axes.barh([name[:36] for name, _ in rows], [share for _, share in rows], color=MAIN)
    axes.tick_params(axis="y", labelsize=7)
    return _png(figure)


def calibration(bins: Sequence[Mapping[str, float]], error: float, title: str) -> bytes:
    """What was foretold against what came, by bins of equal size; on the line they are the same."""
    figure, axes = _drawing(f"Calibration of {title}: expected error {error:.4f}", "foretold reward", "observed reward")
    said = [one["predicted"] for one in bins]
    was = [one["observed"] for one in bins]
    ends = [min([*said, *was], default=0.0), max([*said, *was], default=1.0)]
    axes.plot(ends, ends, color=FAINT, linewidth=1.2)
    axes.plot(said, was, color=MAIN, marker="o", markersize=4, linewidth=1.2)
    return _png(figure)


def intervals(rows: Sequence[tuple[str, float, float, float]], title: str) -> bytes:
    """Leads over other policies with their 95 % intervals; right of nought is better."""
    figure, axes = _drawing(f"Lead of the ranker of {title}, 95 % intervals", "reward a decision", "", height=0.5 * len(rows) + 1.2)  # fmt: skip
    for place, (_, mean, low, high) in enumerate(rows):
        color = MAIN if low > 0 else AGAINST
        axes.plot([low, high], [place, place], color=color, linewidth=2)
        axes.plot([mean], [place], color=color, marker="o", markersize=5)
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows], fontsize=8)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.margins(y=0.2)
    axes.invert_yaxis()
    return _png(figure)


def _drawing(title: str, across: str, up: str, *, height: float = _SIZE[1]) -> "tuple[Figure, Axes]":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_SIZE[0], height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    axes.set_xlabel(across, fontsize=8)
    axes.set_ylabel(up, fontsize=8)
    axes.tick_params(labelsize=8, colors=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _png(figure: "Figure") -> bytes:
    made = io.BytesIO()
    figure.savefig(made, format="png", metadata={"Software": None})
    return made.getvalue()
