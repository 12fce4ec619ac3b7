"""What an experiment is judged by, declared as data (decision.D44).

Enters: YAML, the events of a person and the moment from which they count. Leaves: one number a person and metric, or none where the metric says nothing of her.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Literal, Self

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from events.log import Event
from events.sessions import sessions
from kernel.yaml_text import read_yaml
from orchestration.learning.errors import MetricsInvalid, UnknownMetric
from orchestration.learning.logs import Floats

SHIPPED: Final = Path(__file__).parent / "data" / "metrics.yaml"
_GREATEST: Final = 1e100
Names = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=256)], ...], Field(min_length=1)]


class Metric(BaseModel):
    """One metric; the words are explained at the head of the shipped file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    kind: Literal["share", "count", "sum", "mean", "hours_to", "absent"]
    events: Names
    per: tuple[str, ...] = ()
    per_visit: bool = False
    of: str | None = None
    days: Annotated[float, Field(gt=0, le=400)] = 14.0
    better: Literal["up", "down"] = "up"

    @model_validator(mode="after")
    def _has_property(self) -> Self:
        if (self.kind in {"sum", "mean"}) != (self.of is not None):
            msg = f"expected `of` for kind sum or mean and for no other, in metric '{self.name}'"
            raise ValueError(msg)
        if self.per_visit and self.kind not in {"count", "mean"}:
            msg = f"expected `per_visit` for kind count or mean and for no other, in metric '{self.name}'"
            raise ValueError(msg)
        return self

    @property
    def sign(self) -> float:
        """What turns a difference into one that is good when it is positive."""
        return 1.0 if self.better == "up" else -1.0

    def parts(self, events: Sequence[Event], since: datetime) -> tuple[float, float]:
        """A person's number and what it is divided by; a metric that is no ratio is divided by one. Machines' events count for nobody."""
        until = since + timedelta(days=self.days)
        mine = [one for one in events if since <= one.event_time < until and not one.machine]
        hits = [one for one in mine if one.name in self.events]
        if self.kind == "share":
            return float(bool(hits)), 1.0
        if self.kind == "absent":
            return float(not hits), 1.0
        if self.kind == "count":
            return float(len(hits)), self._visits(mine) if self.per_visit else 1.0
        if self.kind == "hours_to":
            first = min((one.event_time for one in hits), default=None)
            return ((first - since).total_seconds() / 3600, 1.0) if first is not None else (0.0, 0.0)
        total = sum(amount(one.properties.get(self.of or "")) for one in hits)
        if self.kind == "sum":
            return total, 1.0
        if self.per_visit:
            return total, self._visits(mine)
        return total, float(sum(one.name in self.per for one in mine) if self.per else len(hits))

    def _visits(self, mine: Sequence[Event]) -> float:
        """How many visits the events that this metric names make, whatever else was read of her."""
        return float(len(sessions(one for one in mine if one.name in self.events or one.name in self.per)))


class Metrics(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    metrics: Annotated[tuple[Metric, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _once_each(self) -> Self:
        names = [one.name for one in self.metrics]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            msg = f"expected every metric once, got again: {', '.join(doubled)}"
            raise ValueError(msg)
        return self

    @cached_property
    def _named(self) -> Mapping[str, Metric]:
        return {one.name: one for one in self.metrics}

    def metric(self, name: str) -> Metric:
        """The metric of this name; `UnknownMetric`."""
        if name not in self._named:
            raise UnknownMetric(f"expected a declared metric, got '{name[:64]}'; known: {', '.join(self._named)}")
        return self._named[name]


def load(path: Path | None) -> Metrics:
    """The file that settings name, or the shipped one.

    Raises:
        MetricsInvalid: not YAML, unknown or missing keys.
    """
    try:
        return Metrics.model_validate(read_yaml((path or SHIPPED).read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as fault:
        raise MetricsInvalid(f"expected a YAML file of metrics, got {type(fault).__name__}") from None
    except ValidationError as fault:
        first = fault.errors(include_url=False, include_input=False)[0]
        place = "/".join(str(step) for step in first["loc"])
        raise MetricsInvalid(f"expected valid metrics, got at {place}: {first['msg']}") from None


@dataclass(frozen=True, slots=True)
class Measured:
    """Numbers of a metric for people in one order: `number / base` each; `base` 0 where the metric says nothing of her."""

    number: Floats
    base: Floats

    @property
    def ratio(self) -> bool:
        """It is no plain mean over people."""
        return bool((self.base != 1.0).any())

    def values(self) -> Floats:
        """One value a person whose mean over a group moves as the group's metric does; for a ratio its linearised form (Deng et al. 2018)."""
        if not self.ratio:
            return self.number
        base, total = float(self.base.mean()), float(self.base.sum())
        if total <= 0:
            return np.zeros_like(self.number)
        rate = float(self.number.sum()) / total
        return rate + (self.number - rate * self.base) / base


def amount(value: object) -> float:
    """A property as a number; what is none (words, "nan", beyond all bounds) adds nothing, so that one event cannot spoil a group's."""
    try:
        told = float(value) if isinstance(value, bool | int | float | str) else 0.0
    except (ValueError, OverflowError):
        return 0.0
    return told if abs(told) <= _GREATEST else 0.0  # written so that NaN is none
