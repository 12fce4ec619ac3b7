"""Rewards as a table: what each kind of event is worth to the decision it is credited to (decision.D46).

Enters: YAML, or the numbers of a catalogue. Leaves: a `RewardTable` with a digest, and the reward of a decision from what was credited to it.
Exact and free of order: credits are whole millionths, sums are rounded once. One unit is named in the table; nothing here is money unless it says so.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Literal, Self, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kernel.canonical import Json, digest
from kernel.yaml_text import read_yaml
from orchestration.learning.errors import RewardsInvalid

SHIPPED: Final = Path(__file__).parent / "data" / "rewards.yaml"
MICRO: Final = 1_000_000  # a whole credit, in millionths
Kind = Literal["outcome", "answer", "exposure"]
Worth = Annotated[float, Field(allow_inf_nan=False, ge=-1000, le=1000)]


class RewardRow(BaseModel):
    """One kind of event; the words are explained at the head of the shipped table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: Annotated[str, Field(min_length=1, max_length=256)]
    reward: Worth
    kind: Kind = "outcome"
    once: bool = False
    alone: bool = False
    key: str | None = None
    answers: Mapping[str, Mapping[str, Worth]] = {}

    def worth(self, properties: Mapping[str, Json]) -> float:
        """What one event of this kind is worth, by what it says."""
        for name, by_word in self.answers.items():
            if (said := properties.get(name)) is not None and (found := by_word.get(_word(said))) is not None:
                return found
        return self.reward


class RewardTable(BaseModel):
    """The whole table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    unit: Annotated[str, Field(min_length=1, description="What one unit of reward is.")]
    rows: Annotated[tuple[RewardRow, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _once_each(self) -> Self:
        names = [row.event for row in self.rows]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"an event stands twice: {', '.join(doubled)}")
        if odd := [row.event for row in self.rows if row.alone and row.reward > 0]:
            raise ValueError(f"what counts only without engagement cannot be good: {', '.join(odd)}")
        return self

    @cached_property
    def by_event(self) -> Mapping[str, RewardRow]:
        """Rows by event name."""
        return {row.event: row for row in self.rows}

    @cached_property
    def digest(self) -> str:
        """`sha256:` of what the table says."""
        return digest(cast("Json", self.model_dump(mode="json")))

    def names(self, kind: Kind) -> frozenset[str]:
        """The events of one kind."""
        return frozenset(row.event for row in self.rows if row.kind == kind)

    def replaced(self, numbers: Mapping[str, float]) -> "RewardTable":
        """The table of a catalogue that declares its own numbers: those events and no others, and exposures, which only tell what was shown."""
        if not numbers:
            return self
        rows = [
            self.by_event[name].model_copy(update={"reward": worth, "alone": False})
            if name in self.by_event
            else RewardRow(event=name, reward=worth)
            for name, worth in numbers.items()
        ]
        return RewardTable(
            version=f"{self.version}+catalogue", unit=self.unit, rows=(*rows, *self._silent(frozenset(numbers)))
        )

    def single(self, outcome: str) -> "RewardTable":
        """The table of a placement that learns one outcome: it happened, or it did not."""
        known = self.by_event.get(outcome, RewardRow(event=outcome, reward=1.0))
        only = known.model_copy(update={"reward": 1.0, "once": True, "alone": False, "answers": {}})
        return RewardTable(
            version=f"{self.version}+single", unit=outcome, rows=(only, *self._silent(frozenset({outcome})))
        )

    def _silent(self, but: frozenset[str]) -> tuple[RewardRow, ...]:
        """Exposures that are worth nothing: they tell what was seen."""
        return tuple(
            row.model_copy(update={"reward": 0.0, "alone": False})
            for row in self.rows
            if row.kind == "exposure" and row.event not in but
        )


@dataclass(frozen=True, slots=True)
class Credited:
    """An event, and how much of it is this decision's: `credit` in millionths, `worth` in the table's unit."""

    event: str
    credit: int
    worth: float


@dataclass(frozen=True, slots=True)
class Counted:
    """The reward of one decision, and the millionths of each event that made it."""

    reward: float
    credits: Mapping[str, int]


def count(table: RewardTable, credited: Iterable[Credited]) -> Counted:
    """The reward of a decision: the same for the same credits in whatever order."""
    by_event: dict[str, list[Credited]] = {}
    for one in credited:
        if one.event in table.by_event:
            by_event.setdefault(one.event, []).append(one)
    parts: list[float] = []
    alone: list[float] = []
    shares: dict[str, int] = {}
    for name in sorted(by_event):
        row, ours = table.by_event[name], by_event[name]
        whole = sum(one.credit for one in ours)
        shares[name] = min(whole, MICRO) if row.once else whole
        worth = math.fsum(one.worth * one.credit for one in ours) / MICRO
        if row.once and whole > MICRO:  # several of them are one, of their mean worth
            worth *= MICRO / whole
        (alone if row.alone else parts).append(worth)
    if not any(worth > 0 for worth in parts):
        parts.extend(alone)
    return Counted(math.fsum(parts), shares)


def load(file: Path | None = None) -> RewardTable:
    """The table of `file`, or the shipped one.

    Raises:
        RewardsInvalid: names the place and the fault.
    """
    path = file or SHIPPED
    try:
        return parse(path.read_text(encoding="utf-8"), name=path.name)
    except OSError as fault:
        raise RewardsInvalid(f"expected a readable file {path.name}, got {fault.strerror}") from None


def parse(text: str, *, name: str = "rewards") -> RewardTable:
    """The table that a YAML text declares."""
    try:
        return RewardTable.model_validate(read_yaml(text))
    except yaml.YAMLError:
        raise RewardsInvalid(f"expected YAML in {name}, got text that is none") from None
    except ValidationError as fault:
        first = fault.errors(include_input=False)[0]
        place = "/".join(str(step) for step in first["loc"])
        raise RewardsInvalid(f"expected rewards in {name}, got at {place}: {first['msg']}") from None


def _word(said: Json) -> str:
    """A rating of 5, 5.0 and "5" is the same word."""
    if isinstance(said, float) and said.is_integer():
        said = int(said)
    return str(said).strip().lower()
