"""What deciding and learning are held to (spec decision), measured on seeded simulators with a known truth and on files that the caller names.

Enters: names of sections, or none for all. Leaves: a `Report` of rows. Every section is a plain function; whoever adds one adds a line to `SECTIONS`.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kernel.errors import InvalidInput
from orchestration.service.bench import (
    learning_arbitration,
    learning_experiments,
    learning_features,
    learning_gate,
    learning_learners,
    learning_live,
    learning_ope,
    learning_policies,
    learning_ranker,
    learning_rollout,
    learning_week,
)
from orchestration.service.bench.learning_rows import Progress, Row, Section, begin

SECTIONS: Final = (
    Section("off_policy", "estimators against an exact truth", run=learning_ope.off_policy),
    Section("refusals", "what may not be said, and paired differences", run=learning_gate.refusals),
    Section("honesty", "the gate where personalisation helps and where it does not", run=learning_gate.honesty),
    Section("sequential", "experiments that are looked at all the time", run=learning_experiments.sequential),
    Section("mismatch", "people who are not divided as declared", run=learning_experiments.mismatch),
    Section("assignment", "who is in which arm", run=learning_experiments.assignment),
    Section("metrics", "many metrics, adjusted differences, what cannot be seen", run=learning_experiments.metrics),
    Section("rollout", "a rollout that harms; promotions whose lift was foretold", run=learning_rollout.rollout),
    Section("hillstrom", "the gate and uplift on a real campaign", over_files=learning_gate.hillstrom),
    *learning_policies.SECTIONS,
    *learning_learners.SECTIONS,
    Section("costs", "what a message costs, and who gets none", run=learning_arbitration.costs),
    Section("pages", "the share of a category on a page", run=learning_arbitration.page),
    Section("forbidden", "any state at all: nothing forbidden, one reason each, replays", run=learning_arbitration.forbidden),
    *learning_live.SECTIONS,
    *learning_features.SECTIONS,
    *learning_ranker.SECTIONS,
    *learning_week.SECTIONS,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was measured. `left_out`: sections over files without a folder of files. `seconds` by section."""

    ok: bool
    rows: tuple[Row, ...]
    left_out: tuple[str, ...]
    seconds: dict[str, float]


def run(
    only: Sequence[str], *, full: bool, told: Progress, shared: Path | None, seed: int = 0,
    sections: Sequence[Section] = SECTIONS,
) -> Report:  # fmt: skip
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
