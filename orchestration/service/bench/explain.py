"""What explanations are held to (spec explain), measured on a real campaign's ranker and on the decisions of the demo world.

Enters: names of sections, or none for all. Leaves: a `Report` of rows. Every section is a plain function; whoever adds one adds a line to `SECTIONS`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from orchestration.service.bench import (
    explain_audit,
    explain_claims,
    explain_contrast,
    explain_demo,
    explain_hillstrom,
    explain_speed,
)
from orchestration.service.bench.learning_rows import Progress, Section
from orchestration.service.bench.sections import Report, measure

SECTIONS: Final = (
    *explain_hillstrom.SECTIONS,
    *explain_contrast.SECTIONS,
    *explain_demo.SECTIONS,
    *explain_claims.SECTIONS,
    *explain_speed.SECTIONS,
    *explain_audit.SECTIONS,
)


def run(
    only: Sequence[str], *, full: bool, told: Progress, shared: Path | None, seed: int = 0,
    sections: Sequence[Section] = SECTIONS,
) -> Report:  # fmt: skip
    """Measure, as `sections.measure` says."""
    return measure(sections, only, full=full, told=told, shared=shared, seed=seed)
