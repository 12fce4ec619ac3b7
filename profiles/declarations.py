"""Features and segments as they are declared: the form of ``features.yaml``, checked, with a digest.

What enters: YAML. What leaves: ``Declared``. A feature takes something of a trait, of events of one name, or of the graph; a
segment is a list of conditions on features, all of which hold. The digest is that of the declaration's canonical JSON: two
files that say the same have the same digest, and a model names the digest its columns came from.
"""

from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Literal, Self, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kernel.canonical import Json, digest
from profiles.errors import DeclarationInvalid

SHIPPED: Final = Path(__file__).parent / "data" / "features.yaml"
Take = Literal["numeric", "boolean", "category", "count", "days_since", "sum", "decayed", "sure"]
_OF_TRAITS: Final = frozenset({"numeric", "boolean", "category"})
_OF_EVENTS: Final = frozenset({"count", "days_since", "sum", "decayed"})
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class Feature(BaseModel):
    """One column. ``where``: properties that an event must have with exactly this value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    take: Take
    trait: str | None = None
    values: tuple[str, ...] = ()
    event: str | None = None
    property: str | None = None
    where: dict[str, str | int | float | bool] = {}
    window_days: Annotated[float, Field(gt=0)] | None = None
    half_life_days: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        """What each kind needs is there, and nothing that means nothing to it."""
        faults = [
            (self.trait is None) == (self.take in _OF_TRAITS) and "trait",
            (self.event is None) == (self.take in _OF_EVENTS) and "event",
            bool(self.values) != (self.take == "category") and "values",
            (self.property is not None) != (self.take == "sum") and "property",
            (self.half_life_days is not None) != (self.take == "decayed") and "half_life_days",
            self.take not in _OF_EVENTS
            and (self.window_days is not None or bool(self.where))
            and "window_days or where",
            len({v.strip().lower() for v in self.values}) != len(self.values) and "values (twice the same)",
        ]
        if wrong := [fault for fault in faults if fault]:
            raise ValueError(f"{self.take} and {', '.join(map(str, wrong))} do not go together")
        return self


class Condition(BaseModel):
    """A bound on one feature; NaN meets none of them but ``known: false``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    feature: str
    over: float | None = None
    under: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    equals: float | None = None
    known: bool | None = None

    def holds(self, value: float) -> bool:
        """Whether the value meets every bound."""
        return (
            (self.over is None or value > self.over)
            and (self.under is None or value < self.under)
            and (self.at_least is None or value >= self.at_least)
            and (self.at_most is None or value <= self.at_most)
            and (self.equals is None or value == self.equals)
            and (self.known is None or self.known == (value == value))  # noqa: PLR0124 - NaN is what differs from itself
        )


class Segment(BaseModel):
    """Everyone whose features meet all conditions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    all: Annotated[tuple[Condition, ...], Field(min_length=1)]


class Declared(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    features: Annotated[tuple[Feature, ...], Field(min_length=1)]
    segments: tuple[Segment, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [f.name for f in self.features]
        if len(set(names)) != len(names):
            raise ValueError("a feature's name stands twice")
        if len({s.name for s in self.segments}) != len(self.segments):
            raise ValueError("a segment's name stands twice")
        if strange := {c.feature for s in self.segments for c in s.all} - set(names):
            raise ValueError(f"a segment asks for features that are not declared: {', '.join(sorted(strange))}")
        return self

    @cached_property
    def digest(self) -> str:
        """``sha256:`` of what is declared."""
        return digest(cast("Json", self.model_dump(mode="json")))


def load(file: Path | None = None) -> Declared:
    """The declarations of ``file``, or the shipped ones.

    Raises:
        DeclarationInvalid: names the place and the fault.
    """
    path = file or SHIPPED
    try:
        return parse(path.read_text(encoding="utf-8"), name=path.name)
    except OSError as fault:
        raise DeclarationInvalid(f"expected a readable file {path.name}, got {fault.strerror}") from None


def parse(text: str, *, name: str = "features") -> Declared:
    """The declarations in a YAML text."""
    try:
        return Declared.model_validate(yaml.safe_load(text))
    except yaml.YAMLError:
        raise DeclarationInvalid(f"expected YAML in {name}, got text that is none") from None
    except ValidationError as fault:
        first = fault.errors(include_input=False)[0]
        place = "/".join(str(step) for step in first["loc"])
        raise DeclarationInvalid(f"expected features in {name}, got at {place}: {first['msg']}") from None
