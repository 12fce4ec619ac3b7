"""What the wing counts for `/metrics`: decisions and what withheld them. Names of the catalogue and reason codes only."""

from kernel import metrics
from orchestration.decision.request import Decision

_decisions = metrics.counter(
    "candor_decisions_total",
    "Decisions that were kept; outcome: shown, nothing (it was better), withheld.",
    ["placement", "channel", "outcome"],
)
_withheld = metrics.counter(
    "candor_withheld_total", "Decisions at which every candidate was out, by the last reason.", ["reason"]
)
_attempts = metrics.counter("candor_decided_again_total", "Decisions made anew because something moved under them.")


def count(made: Decision) -> None:
    """Count a decision that was kept."""
    outcome = "shown" if made.variant is not None else "withheld" if made.withheld else "nothing"
    _decisions.labels(made.placement, made.channel or "none", outcome).inc()
    if made.withheld:
        _withheld.labels(made.withheld).inc()
    if made.attempts > 1:
        _attempts.inc(made.attempts - 1)
