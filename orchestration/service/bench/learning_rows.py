"""What a section of `candor bench learning` hands back, and how it is called.

Enters: whether the full size is asked for, a place to tell progress, and for sections over files the folder that holds them. Leaves: one `Row` a bar.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from kernel.errors import NotFound

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Row:
    """One bar and how it was met: the line of the spec, what is measured, what is asked, what came out, whether that will do."""

    id: str
    what: str
    bar: str
    figure: str
    ok: bool


Run = Callable[[bool, Progress], list[Row]]
RunFiles = Callable[[bool, Progress, Path], list[Row]]


@dataclass(frozen=True, slots=True)
class Section:
    """Bars that are measured together. `over_files` instead of `run` where a folder with other people's data is needed.

    `alone`: it times something, or runs engines; others are measured side by side, those that take `long` first.
    """

    name: str
    what: str
    run: Run | None = None
    over_files: RunFiles | None = None
    alone: bool = False
    long: int = 0


_DEPTH: Final = 3
_seed = [0]


def begin(seed: int) -> None:
    """Another seed gives other coins in every section; 0 gives the figures that are published."""
    _seed[0] = seed


def generator(*words: int) -> np.random.Generator:
    """Coins of one place in one section: the same for the same seed and words."""
    return np.random.default_rng([*words, _seed[0]])


def find(folder: Path, name: str) -> Path:
    """The file of this name in the folder or a few folders below it.

    Raises:
        NotFound: there is none.
    """
    for depth in range(_DEPTH + 1):
        for path in sorted(folder.glob("*/" * depth + name)):
            return path
    raise NotFound(
        f"expected {name} in {folder.name} or below, got no such file",
        code="no_such_file",
        remedy="Name the folder that holds it with --shared, or leave sections over files out.",
    )


def share(hits: int, of: int) -> str:
    """`97.5 %, 195 of 200`."""
    return f"{hits / of:.2%}, {hits} of {of}" if of else "none"
