"""The decision section of the settings tree. Defaults are those of spec decision.D46 and D6."""

from pydantic import Field

from kernel.settings import Section
from orchestration.decision.policies.rules import Plain


class DecisionSettings(Section):
    """How much is explored, how long a process may trust what it read, how commits are grouped."""

    epsilon_web: float = Field(default=0.2, ge=0, le=1, description="Share of web choices that explore.")
    epsilon_email: float = Field(default=0.05, ge=0, le=1, description="Share of e-mail choices that explore.")
    epsilon_push: float = Field(default=0.05, ge=0, le=1, description="Share of push choices that explore.")
    policy: Plain = Field(
        default="epsilon_greedy", description="Policy of a placement that names none, with that policy's defaults."
    )
    eps_min: float = Field(
        default=0.01,
        gt=0,
        le=0.2,
        description="Every eligible arm keeps at least this over the number of arms, so that every choice can be "
        "evaluated later.",
    )
    model_ms: float = Field(
        default=20.0,
        gt=0,
        description="Processor time that a model may take to score one decision, milliseconds; a slower one is done without, by name.",
    )
    attempts: int = Field(
        default=5, ge=1, le=20, description="Decisions made afresh after a fence conflict before withholding."
    )
    catalogue_seconds: float = Field(
        default=1.0, ge=0, le=60, description="A process looks for a newer catalogue or model this often."
    )
    sources_purpose: str = Field(
        default="marketing.personalize",
        description="The purpose under which people are counted for what sources list; who does not permit it is not counted.",
    )
    list_length: int = Field(default=50, ge=1, le=200, description="Items that a source lists for one key, at most.")
    least_people: int = Field(
        default=3, ge=1, description="What fewer different people did than this is in no list: it would tell of them."
    )
    most_seeds: int = Field(
        default=20_000,
        ge=1,
        description="Items that similar items and bundles are listed for, those of most people first.",
    )
    trending_half_life_days: float = Field(
        default=7.0, gt=0, description="After this many days a deed counts half as much for what is trending."
    )
    most_arms: int = Field(
        default=50, ge=1, le=200, description="Items that sources bring forward for one decision, at most."
    )
    group_items: int = Field(default=64, ge=1, le=1000, description="Decisions committed together, at most.")
    group_wait_ms: float = Field(
        default=0.0,
        ge=0,
        le=100,
        description="Longest wait for company before a commit, milliseconds. With none a lone decision commits at once, and what "
        "comes meanwhile forms the next group.",
    )

    def epsilon(self, channel: str) -> float:
        """The exploration share of a channel that names none itself; an unknown channel explores like e-mail."""
        return {"web": self.epsilon_web, "push": self.epsilon_push}.get(channel, self.epsilon_email)
