"""Where decision gets its model from, and what experiments do with a person: needs that run upward, met by learning."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from kernel.ids import PersonId
from kernel.model import Model
from orchestration.decision.inputs import Arm, HoldoutDraw
from orchestration.decision.policies.finding import Learners


@dataclass(frozen=True, slots=True)
class ActiveModel:
    """The model that scores a placement now, or None and why: then rules rank, and the record says so."""

    model: Model | None
    fallback: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """What an experiment does with a person at a placement. `active` replaces what scores; `variants`: only these; `nothing`: her share of a comparison group."""

    experiment: str
    arm: str
    active: ActiveModel | None = None
    variants: frozenset[str] | None = None
    nothing: float | None = None

    def refusals(self, found: Iterable[Arm]) -> dict[str, str]:
        """Arms that are not for her here."""
        if self.variants is None:
            return {}
        return {
            arm.id: f"experiment:{self.experiment}"
            for arm in found
            if arm.variant not in self.variants and arm.family not in self.variants
        }

    def holdout(self, drawn: HoldoutDraw | None) -> HoldoutDraw | None:
        """The comparison group she is in: the placement's own comes first."""
        if self.nothing is None or (drawn is not None and drawn.member):
            return drawn
        return HoldoutDraw(name=self.experiment, share=self.nothing, member=True)


class Models(Protocol):
    """Finds models. Safe to call for every decision: it answers from memory and looks for news once a second."""

    @property
    def learners(self) -> Learners:
        """What was learned online, for the policies of placements."""
        ...

    async def active(self, placement: str) -> ActiveModel:
        """What scores this placement. Never raises for a missing or broken file: that is a fallback with a name."""
        ...

    async def treatment(self, placement: str, person: PersonId) -> Treatment | None:
        """What an experiment does with her here, or None. Answers from memory, as `active` does."""
        ...

    async def model(self, digest: str) -> Model:
        """The model of this digest, for replays. `UnknownModel` or `ModelBroken` when it cannot be had; never another one."""
        ...
