"""Runs sections of a benchmark: all of them, or those that are named; those over files only with a folder of files.

Enters: sections, names. Leaves: a `Report` of rows. `learning` and `explain` are lists of such sections.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
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
    sections: Sequence[Section], only: Sequence[str], *, full: bool, told: Progress, shared: Path | None, seed: int = 0,
    jobs: int = 1,
) -> Report:  # fmt: skip
    """Measure. `full`: at the size that the bars are meant for; otherwise a small fraction that shows the way only. `seed`: of the coins. `jobs`: processes that compute side by side;
    what times something or runs engines is measured afterwards, alone. A section that fails is a bar that is missed: the others are measured all the same.

    Raises:
        InvalidInput: a section that there is not.
    """
    known = [one.name for one in sections]
    if unknown := [name for name in only if name not in known]:
        raise InvalidInput(
            f"expected a section, got {', '.join(unknown)}", code="unknown_section", remedy=f"Known are {', '.join(known)}."
        )  # fmt: skip
    wanted = [one for one in sections if not only or one.name in only]
    left_out = [one.name for one in wanted if one.run is None and (one.over_files is None or shared is None)]
    there = [one for one in wanted if one.name not in left_out]
    beside = [one for one in there if not one.alone] if jobs > 1 else []
    found: dict[str, tuple[list[Row], float]] = {}
    if len(beside) > 1:
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            # The longest first, so that none is left for the end.
            waiting = {
                pool.submit(_measured, one, full=full, told=told, shared=shared, seed=seed): one
                for one in sorted(beside, key=lambda one: -one.long)
            }
            for done in as_completed(waiting):
                section = waiting[done]
                try:
                    found[section.name] = done.result()
                except Exception as fault:  # noqa: BLE001  # broad: a process that died, or rows that cannot be handed over
                    found[section.name] = [_failed(section, fault)], 0.0
    for one in there:
        if one.name not in found:
            found[one.name] = _measured(one, full=full, told=told, shared=shared, seed=seed)
    rows = [row for one in there for row in found[one.name][0]]
    seconds = {one.name: found[one.name][1] for one in there}
    return Report(ok=all(row.ok for row in rows), rows=tuple(rows), left_out=tuple(left_out), seconds=seconds)


def _failed(section: Section, fault: Exception) -> Row:
    return Row(section.name, section.what, "measured", f"{type(fault).__name__}: {fault}", ok=False)


def _measured(
    section: Section, *, full: bool, told: Progress, shared: Path | None, seed: int
) -> tuple[list[Row], float]:
    """The rows of one section, told as they come, and its seconds."""
    begin(seed)
    told(f"{section.name}: {section.what}")
    begun = time.monotonic()
    try:
        if section.run is not None:
            rows = section.run(full, told)
        elif section.over_files is not None and shared is not None:
            rows = section.over_files(full, told, shared)
        else:
            rows = []
    except Exception as fault:  # noqa: BLE001  # broad: told of as a missed bar
        rows = [_failed(section, fault)]
    for row in rows:
        told(f"  {'ok    ' if row.ok else 'MISSED'} {row.id} {row.what}: {row.figure} (asked: {row.bar})")
    return rows, round(time.monotonic() - begun, 1)
