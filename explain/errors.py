"""What can go wrong in explain. Codes are stable; messages carry ids and figures, never a value."""

from collections.abc import Sequence

from kernel.errors import IntegrityError, NotFound, Unavailable


class NotAdditive(IntegrityError):
    """The parts do not add up to the score that was used. An explanation that does not add up is not shown."""

    def __init__(self, gap: float) -> None:
        super().__init__(
            f"expected base and contributions to add up to the raw score within 1e-9, got a gap of {gap:.3g}",
            remedy="Run `candor learn status` and check that the model file is the one its digest names.",
            code="explain.not_additive",
        )


class Unfaithful(IntegrityError):
    """Two independent computations of the same attribution disagree, or the record's score is not the model's."""

    def __init__(self, what: str, gap: float) -> None:
        super().__init__(
            f"expected {what} to agree within 1e-9, got a difference of {gap:.3g}",
            remedy="Keep the model file and the decision as they are and run `candor replay` on the decision.",
            code="explain.unfaithful",
        )


class WrongRow(IntegrityError):
    """The recorded features are not the model's columns."""

    def __init__(self, expected: int, got: int) -> None:
        super().__init__(
            f"expected the model's {expected} features in its order, got {got} recorded ones that differ",
            remedy="The decision was recorded with another feature set than its model; run `candor replay` on it.",
            code="explain.wrong_row",
        )


class Altered(IntegrityError):
    """A stored explanation is not the one its digest names."""

    code = "explain.altered"
    remedy = "Keep the row as it is and run `candor audit verify`: the log names the digest that was made."


class NotSignificant(NotFound):
    """The placement is not switched to significant_decision, so there is no notice, answer or review."""

    code = "explain.not_significant"
    remedy = "Read why it was decided so: GET /v1/decisions/{id}/why. A placement is switched by significant_decision in the catalogue."


class NotWired(Unavailable):
    """No source of decisions was registered, so there is nothing to explain from."""

    code = "explain.not_wired"
    remedy = "Open the house by orchestration/wiring.py, which registers decisions and models."


class UnknownCandidate(NotFound):
    """The decision did not look at such a candidate."""

    def __init__(self, known: Sequence[str]) -> None:
        super().__init__(
            f"expected a candidate of this decision, got another; it has: {', '.join(known[:12]).replace('@', ' @ ') or 'none'}",
            remedy="Name one of its candidates (variant @ channel, without the spaces), or `nothing`.",
            code="explain.unknown_candidate",
        )


class NothingToContrast(NotFound):
    """The person was erased, and what was decided about her with her."""

    code = "explain.nothing_to_contrast"
    remedy = "None: what was behind the decision is gone for everybody."
