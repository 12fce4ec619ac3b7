"""Where decision gets its model from: a need that runs upward, met by learning."""

from dataclasses import dataclass
from typing import Protocol

from kernel.model import Model
from orchestration.decision.policies.finding import Learners


@dataclass(frozen=True, slots=True)
class ActiveModel:
    """The model that scores a placement now, or None and why: then rules rank, and the record says so."""

    model: Model | None
    fallback: str | None = None


class Models(Protocol):
    """Finds models. Safe to call for every decision: it answers from memory and looks for news once a second."""

    @property
    def learners(self) -> Learners:
        """What was learned online, for the policies of placements."""
        ...

    async def active(self, placement: str) -> ActiveModel:
        """What scores this placement. Never raises for a missing or broken file: that is a fallback with a name."""
        ...

    async def model(self, digest: str) -> Model:
        """The model of this digest, for replays. `UnknownModel` or `ModelBroken` when it cannot be had; never another one."""
        ...
