"""Runs sections of a benchmark: all of them, or those that are named; those over files only with a folder of files.

Enters: sections, names. Leaves: a `Report` of rows. `learning` and `explain` are lists of such sections.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kernel.errors import InvalidInput
from orchestration.service.bench.learning_rows import Progress, Row, Section, begin


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was measured. `left_out`: sections over files without a folder of files. `seconds` by section."""

    ok: bool
    rows: tuple[Row, ...]
    left_out: tuple[str, ...]
    seconds: dict[str, float]


def measure(
    sections: Sequence[Section], only: Sequence[str], *, full: bool, told: Progress, shared: Path | None, seed: int = 0
) -> Report:
    """Measure. `full`: at the size that the bars are meant for; otherwise a small fraction that shows the way only. `seed`: of the coins.

    Raises:
        InvalidInput: a section that there is not.
    """
    known = [one.name for one in sections]
    if unknown := [name for name in only if name not in known]:
        raise InvalidInput(
            f"expected a section, got {', '.join(unknown)}", code="unknown_section", remedy=f"Known are {', '.join(known)}."
        )  # fmt: skip
    begin(seed)
    rows: list[Row] = []
    left_out: list[str] = []
    seconds: dict[str, float] = {}
    for one in sections:
        if only and one.name not in only:
            continue
        if one.run is None and (one.over_files is None or shared is None):
            left_out.append(one.name)
            continue
        told(f"{one.name}: {one.what}")
        begun = time.monotonic()
        if one.run is not None:
            rows += one.run(full, told)
        elif one.over_files is not None and shared is not None:
            rows += one.over_files(full, told, shared)
        seconds[one.name] = round(time.monotonic() - begun, 1)
    return Report(ok=all(row.ok for row in rows), rows=tuple(rows), left_out=tuple(left_out), seconds=seconds)
