"""An experiment as declared: who is compared with whom, by what one metric, how large it is meant to be, what must not suffer (decision.D44).

Enters: YAML text. Leaves: a frozen `Declared`, or `ExperimentInvalid` that names every faulty place. Nothing of it changes once it has started, except the share of people.
"""

from typing import Annotated, Final, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kernel.canonical import Json, digest
from kernel.errors import Problem
from kernel.yaml_text import read_yaml
from orchestration.learning.errors import ExperimentInvalid

STEPS: Final = (0.01, 0.05, 0.2, 0.5, 1.0)
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}$")]
Share = Annotated[float, Field(gt=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Arm(_Part):
    """What is done with the people of one arm. Without a word it is what is done with everybody else."""

    name: Name
    share: Share
    variants: tuple[str, ...] = Field(default=(), description="Only these variants of the placement; none: all of them.")  # fmt: skip
    ranker: str | None = Field(
        default=None, pattern=r"^(rules|sha256:[0-9a-f]{64})$", description="The digest of a registered model, or rules."
    )  # fmt: skip
    nothing: bool = Field(default=False, description="They get nothing: a holdout.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.nothing and (self.variants or self.ranker):
            msg = f"expected arm '{self.name}' to get nothing or something, got both"
            raise ValueError(msg)
        return self


class Declared(_Part):
    """The whole file. The first arm is the treatment of which the report speaks, `control` the one it is compared with."""

    name: Name
    placement: Name
    primary: str = Field(description="The one metric that decides.")
    arms: Annotated[tuple[Arm, ...], Field(min_length=2, max_length=10)]
    control: Name
    kind: Literal["experiment", "rollout"] = Field(
        default="experiment",
        description="experiment: a growing share of people takes part, divided by the arms' shares. rollout: a growing share of people gets the first arm.",
    )
    share: Share = Field(default=1.0, description="Share of people at the start.")
    planned: Annotated[int, Field(ge=100, le=100_000_000)] = Field(
        default=20_000, description="People in each arm when it is as large as meant."
    )
    metrics: tuple[str, ...] = Field(default=(), description="Further metrics that are told; false discoveries are held to 5 %.")  # fmt: skip
    guardrails: tuple[str, ...] = Field(
        default=("unsubscribed", "complained"), max_length=5, description="Metrics that must not get worse."
    )
    diversity: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.8, description="The variety of what the treatment shows is at least this share of the control's; 0: whatever."
    )  # fmt: skip
    done_without: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.01, description="The treatment's model may be too slow, or not to be had, for at most this share of decisions."
    )  # fmt: skip
    margin: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.2, description="Before everybody takes part, the treatment must be shown to lose less than this share of the control's metric."
    )  # fmt: skip
    stake: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.1,
        description="Before a step to a share of people, a loss of this over that share must be ruled out (of everything at most, of margin at least): so much of everybody's metric a step may put at risk.",
    )
    min_days: Annotated[int, Field(ge=14)] = Field(default=14, description="No win is called before so many days, in whole weeks.")  # fmt: skip
    least_people: Annotated[int, Field(ge=20)] = Field(default=200, description="People in each arm before a step further.")  # fmt: skip

    @model_validator(mode="after")
    def _meets(self) -> Self:
        names = [one.name for one in self.arms]
        if len(set(names)) != len(names):
            msg = "expected every arm once"
            raise ValueError(msg)
        if self.control not in names or self.control == names[0]:
            msg = f"expected control to be an arm other than the first, got '{self.control}'"
            raise ValueError(msg)
        if abs(sum(one.share for one in self.arms) - 1) > 1e-9:
            msg = "expected the arms' shares to sum to 1"
            raise ValueError(msg)
        if self.kind == "rollout" and len(names) != 2:
            msg = "expected two arms in a rollout"
            raise ValueError(msg)
        if self.primary in self.guardrails or self.primary in self.metrics:
            msg = "expected the primary metric once, got it among the others too"
            raise ValueError(msg)
        return self

    @property
    def treatment(self) -> Arm:
        """The arm of which the report speaks."""
        return self.arms[0]

    def arm(self, name: str) -> Arm:
        """An arm by name."""
        return next(one for one in self.arms if one.name == name)

    def document(self) -> dict[str, Json]:
        """The canonical form."""
        made: dict[str, Json] = self.model_dump(mode="json")
        return made

    @property
    def digest(self) -> str:
        """`sha256:` of the canonical form."""
        return digest(self.document())


def parse(text: str) -> Declared:
    """The experiment that a YAML text declares.

    Raises:
        ExperimentInvalid: not YAML, unknown keys, missing or impossible values; one problem per place.
    """
    try:
        raw = read_yaml(text)
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "an unknown line"
        raise ExperimentInvalid(f"expected YAML, got something else at {where}") from None
    return check(raw)


def check(raw: object) -> Declared:
    """The same from what was read already."""
    try:
        return Declared.model_validate(raw)
    except ValidationError as fault:
        problems = [
            Problem("/" + "/".join(str(step) for step in one["loc"]), str(one["msg"]).removeprefix("Value error, "))
            for one in fault.errors(include_url=False, include_input=False)
        ]
        shown = "; ".join(f"{one.pointer}: {one.reason}" for one in problems[:5])
        raise ExperimentInvalid(f"expected a valid experiment, got {shown}", problems=problems) from None


def next_step(share: float) -> float | None:
    """The share that follows on the way 1, 5, 20, 50, 100 per cent; None at the end."""
    return next((step for step in STEPS if step > share + 1e-12), None)
