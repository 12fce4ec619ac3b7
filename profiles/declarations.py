"""Features and segments as they are declared: the form of ``features.yaml``, checked, with a digest.

What enters: YAML. What leaves: ``Declared``. A feature takes something of a trait, of events, of the moment, or of the graph; a
segment is a list of conditions on features, all of which hold. The digest is that of the declaration's canonical JSON: two
files that say the same have the same digest, and a model names the digest its columns came from.
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Literal, Self, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kernel.canonical import Json, digest
from kernel.clock import zones
from kernel.yaml_text import read_yaml
from profiles.errors import DeclarationInvalid

SHIPPED: Final = Path(__file__).parent / "data" / "features.yaml"
Take = Literal[
    "numeric", "boolean", "category",
    "count", "days_since", "days_since_first", "recency", "sum", "mean", "decayed", "faded", "rate", "top_rate", "affinity", "latest",
    "last", "distinct", "embedding", "hour", "weekday", "sure",
]  # fmt: skip
_MATCH: Final = frozenset({"where", "window_days", "session"})
_BOUNDS: Final = frozenset({"least", "most"})
_OPEN: Final[Mapping[str, tuple[frozenset[str], frozenset[str]]]] = {  # take -> what it needs, what it may have besides
    "numeric": (frozenset({"trait"}), _BOUNDS),
    "boolean": (frozenset({"trait"}), frozenset()),
    "category": (frozenset({"trait", "values"}), frozenset()),
    "count": (frozenset({"event"}), _MATCH),
    "days_since": (frozenset({"event"}), _MATCH),
    "days_since_first": (frozenset({"event"}), _MATCH),
    "recency": (frozenset({"event", "half_life_days"}), _MATCH),
    "sum": (frozenset({"event", "property"}), _MATCH | _BOUNDS),
    "mean": (frozenset({"event", "property"}), _MATCH | _BOUNDS),
    "decayed": (frozenset({"event", "half_life_days"}), _MATCH),
    "faded": (frozenset({"event", "fade"}), _MATCH),
    "rate": (frozenset({"event", "of"}), _MATCH),
    "top_rate": (frozenset({"event", "of", "property"}), _MATCH),
    "affinity": (frozenset({"events", "property", "value", "fade"}), frozenset({"window_days", "session"})),
    "latest": (frozenset({"event", "property", "values"}), _MATCH),
    "last": (frozenset({"event", "property"}), _MATCH | _BOUNDS),
    "distinct": (frozenset({"event", "property"}), _MATCH),
    "embedding": (frozenset({"events", "property", "dimensions", "fade"}), frozenset({"window_days", "session"})),
    "hour": (frozenset({"zone"}), frozenset()),
    "weekday": (frozenset({"zone"}), frozenset()),
    "sure": (frozenset(), frozenset()),
}
_DEFAULTED: Final = frozenset({"fade", "zone"})  # the settings or the calendar say them when the file does not
ANY: Final = "*"
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class Weighed(BaseModel):
    """A kind of event that speaks for or against something, and how loudly."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: str
    weight: Annotated[float, Field(allow_inf_nan=False)] = 1.0
    where: dict[str, str | int | float | bool] = {}


class Feature(BaseModel):
    """One column. ``where``: properties that an event must have with exactly this value; ``event: "*"`` is any event.

    ``property`` names a property, or with a dot a place in the event's context (``context.device.type``). ``least``, ``most``: what a number may be; one beyond is
    not believed (somebody sends cents where euros were agreed), and counted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    take: Take
    trait: str | None = None
    values: tuple[str, ...] = ()
    event: str | None = None
    events: tuple[Weighed, ...] = ()
    of: str | None = None
    property: str | None = None
    value: str | None = None
    where: dict[str, str | int | float | bool] = {}
    window_days: Annotated[float, Field(gt=0)] | None = None
    half_life_days: Annotated[float, Field(gt=0)] | None = None
    fade: Annotated[float, Field(gt=0, le=1)] | None = None
    session: bool = False
    zone: str | None = None
    least: Annotated[float, Field(allow_inf_nan=False)] | None = None
    most: Annotated[float, Field(allow_inf_nan=False)] | None = None
    dimensions: Annotated[int, Field(ge=1, le=64)] | None = None

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns that it makes: one of its own name, or one a dimension."""
        if self.dimensions is None:
            return (self.name,)
        return tuple(f"{self.name}_{place}" for place in range(self.dimensions))

    def believable(self, value: float) -> bool:
        """Whether a number lies within the declared bounds."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        """What each kind needs is there, and nothing that means nothing to it."""
        needed, allowed = _OPEN[self.take]
        given = {name for name in Feature.model_fields if name not in {"name", "take"} and _said(getattr(self, name))}
        faults = sorted(needed - given - _DEFAULTED) + sorted(given - needed - allowed)
        if len({v.strip().lower() for v in self.values}) != len(self.values):
            faults.append("values (twice the same)")
        if self.least is not None and self.most is not None and self.least > self.most:
            faults.append("least (above most)")
        if self.zone is not None and self.zone not in zones():
            faults.append("zone (no such time zone)")
        if faults:
            raise ValueError(f"{self.take} and {', '.join(faults)} do not go together")
        return self


def _said(value: object) -> bool:
    """Whether a field says something; a bound of nought does."""
    return value is not None and value is not False and value not in ((), {}, "")


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
        names = [column for f in self.features for column in f.columns]
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
        # Without defaults, so that a kind of feature that is added later changes no digest of a file that does not use it.
        return digest(cast("Json", self.model_dump(mode="json", exclude_defaults=True)))

    def faded(self, fade: float) -> "Declared":
        """The same with ``fade`` where a feature that fades does not say how fast."""
        features = [
            one.model_copy(update={"fade": fade}) if "fade" in _OPEN[one.take][0] and one.fade is None else one
            for one in self.features
        ]
        return self.model_copy(update={"features": tuple(features)})


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
        return Declared.model_validate(read_yaml(text))
    except yaml.YAMLError:
        raise DeclarationInvalid(f"expected YAML in {name}, got text that is none") from None
    except ValidationError as fault:
        first = fault.errors(include_input=False)[0]
        place = "/".join(str(step) for step in first["loc"])
        raise DeclarationInvalid(f"expected features in {name}, got at {place}: {first['msg']}") from None
