"""Which sets of records `candor bench identity` links, where they are found, and what is asked of them.

Enters: the folder that the caller names. Leaves: `Wanted`, a set with the truth that linking never sees, and `Bar`s over what came out (spec identity I1-I10, I35, I36). Nobody's data is part of the
product: what is not in the folder is said to be absent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from orchestration.service.bench.figures import Bar

GENERATOR: Final = "gen_people.py"
HIDDEN: Final = ("cluster", "household", "tag")  # columns of made people that tell the truth
Measured = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A set: its files, the column that tells the truth (of its values the part that `pattern` finds), what else gives it away, and what is asked."""

    name: str
    files: tuple[str, ...]
    truth: str
    pattern: str = ""
    ignore: tuple[str, ...] = ()
    one_to_one: bool = False
    asked: tuple[tuple[str, float, bool], ...]  # figure, limit, whether it is the least that will do


LEAST, MOST = True, False
SETS: Final = (
    Wanted(
        name="fake_1000",
        files=("fake_1000.csv",),
        truth="cluster",
        ignore=("cluster",),
        asked=(("f1", 0.90, LEAST), ("labels_gain", 0.01, LEAST)),
    ),
    Wanted(
        name="febrl3",
        files=("dataset3.csv",),
        truth="rec_id",
        pattern=r"rec-(\d+)",
        asked=(("pair_f1", 0.995, LEAST), ("f1", 0.998, LEAST)),
    ),
    Wanted(
        name="febrl4",
        files=("dataset4a.csv", "dataset4b.csv"),
        truth="rec_id",
        pattern=r"rec-(\d+)",
        one_to_one=True,
        asked=(("f1", 0.999, LEAST),),
    ),
    Wanted(
        name="historical_50k",
        files=("historical_figures_with_errors_50k.parquet",),
        truth="cluster",
        ignore=("cluster",),
        asked=(("f1", 0.84, LEAST), ("bcubed", 0.86, LEAST), ("max_cluster", 30, MOST), ("labels_gain", 0.01, LEAST)),
    ),
)
_PEOPLE: Final = (
    ("f1", 0.945, LEAST),
    ("bcubed", 0.965, LEAST),
    ("impure", 0.006, MOST),
    ("twins", 0.02, MOST),
    ("namesakes", 0.02, MOST),
    ("households", 0.01, MOST),
)
_ALL: Final = (("threshold_gap", 0.01, MOST), ("calibration_error", 0.05, MOST), ("labels_gain", 0.0, LEAST))
_COST: Final = {
    100_000: (8.0, 0.6),
    300_000: (20.0, 1.0),
    1_000_000: (75.0, 2.5),
}  # rows: seconds with training, GiB
MILLION: Final = 1_000_000
SAVED_MODEL_SECONDS: Final = 45.0
DROP: Final = 0.01  # of F1, from the first size to a larger one


def people(rows: int, seed: int, file: Path) -> Wanted:
    """Made people of a size and a seed."""
    return Wanted(name=f"people {rows} seed {seed}", files=(str(file),), truth="cluster", ignore=HIDDEN, asked=_PEOPLE)


def made(file: Path) -> Wanted:
    """Made people in a file that the caller brings."""
    return Wanted(name=file.stem, files=(str(file),), truth="cluster", ignore=HIDDEN, asked=_PEOPLE)


def find(folder: Path, name: str) -> Path | None:
    """The file of this name in the folder or below it; the first by path."""
    return next(iter(sorted(folder.rglob(name))), None)


def bars(wanted: Wanted, got: Measured) -> list[Bar]:
    """What is asked of one set; a figure that was not measured is not judged."""
    own = {figure for figure, _, _ in wanted.asked}
    judged = [
        Bar(f"{wanted.name}: {figure}", limit, got[figure], least)
        for figure, limit, least in (*wanted.asked, *(one for one in _ALL if one[0] not in own))
        if got.get(figure) is not None
    ]
    cost = _COST.get(got["records"]) if wanted.asked == _PEOPLE else None
    if cost:
        judged.append(Bar(f"{wanted.name}: seconds, training included", cost[0], got["seconds"]))
        judged.append(Bar(f"{wanted.name}: peak GiB", cost[1], round(got["peak_mib"] / 1024, 3)))
    if got["records"] >= MILLION and "seconds_saved_model" in got:
        judged.append(Bar(f"{wanted.name}: seconds, saved model", SAVED_MODEL_SECONDS, got["seconds_saved_model"]))
    return judged


def drops(results: Sequence[tuple[int, int, Measured]]) -> list[Bar]:
    """How much of F1 a larger size loses, of (rows, seed, figures)."""
    if not results:
        return []
    first = results[0]
    return [
        Bar(f"people {rows}: F1 lost since {first[0]}", DROP, round(first[2]["f1"] - got["f1"], 6))
        for rows, seed, got in results
        if rows > first[0] and seed == first[1]
    ]
