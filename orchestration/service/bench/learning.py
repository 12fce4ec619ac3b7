"""What deciding and learning are held to (spec decision), measured on seeded simulators with a known truth and on files that the caller names.

Enters: names of sections, or none for all. Leaves: a `Report` of rows. Every section is a plain function; whoever adds one adds a line to `SECTIONS`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from orchestration.service.bench import (
    learning_arbitration,
    learning_caps,
    learning_experiments,
    learning_features,
    learning_gate,
    learning_learners,
    learning_live,
    learning_ope,
    learning_policies,
    learning_ramp,
    learning_ranker,
    learning_rollout,
    learning_week,
)
from orchestration.service.bench.learning_rows import Progress, Section
from orchestration.service.bench.sections import Report, measure

SECTIONS: Final = (
    Section("off_policy", "estimators against an exact truth", run=learning_ope.off_policy, long=2),
    Section("refusals", "what may not be said, and paired differences", run=learning_gate.refusals),
    Section("honesty", "the gate where personalisation helps and where it does not", run=learning_gate.honesty, long=3),
    Section("sequential", "experiments that are looked at all the time", run=learning_experiments.sequential),
    Section("mismatch", "people who are not divided as declared", run=learning_experiments.mismatch),
    Section("assignment", "who is in which arm", run=learning_experiments.assignment),
    Section("metrics", "many metrics, adjusted differences, what cannot be seen", run=learning_experiments.metrics),
    Section("rollout", "a rollout that harms; promotions whose lift was foretold", run=learning_rollout.rollout, alone=True),
    *learning_ramp.SECTIONS,
    Section("hillstrom", "the gate and uplift on a real campaign", over_files=learning_gate.hillstrom),
    *learning_policies.SECTIONS,
    *learning_learners.SECTIONS,
    Section("costs", "what a message costs, and who gets none", run=learning_arbitration.costs),
    Section("pages", "the share of a category on a page", run=learning_arbitration.page),
    Section("forbidden", "any state at all: nothing forbidden, one reason each, replays", run=learning_arbitration.forbidden, long=1),
    *learning_caps.SECTIONS,
    *learning_live.SECTIONS,
    *learning_features.SECTIONS,
    *learning_ranker.SECTIONS,
    *learning_week.SECTIONS,
)  # fmt: skip


def run(
    only: Sequence[str], *, full: bool, told: Progress, shared: Path | None, seed: int = 0,
    sections: Sequence[Section] = SECTIONS, jobs: int = 1,
) -> Report:  # fmt: skip
    """Measure, as `sections.measure` says."""
    return measure(sections, only, full=full, told=told, shared=shared, seed=seed, jobs=jobs)
