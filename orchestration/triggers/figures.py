"""What the wing counts for `/metrics`. Names of triggers and outcomes only."""

from kernel import metrics
from orchestration.triggers.runs import Run

_ended = metrics.counter(
    "candor_trigger_runs_total", "Runs of triggers that ended; outcome: sent, withheld, called_off, failed.", ["trigger", "outcome"]
)  # fmt: skip


def count(run: Run) -> None:
    """Count a run that ended."""
    _ended.labels(run.trigger, run.state).inc()
