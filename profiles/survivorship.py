"""Which value of a trait survives when a person's records differ: declared, total, the same in any order (features.V13).

What enters: candidates of one trait. What leaves: the one that holds. Only values that the consent filter let through are
candidates, so that a value a purpose may not see never decides for it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from kernel.yaml_text import read_yaml
from profiles.errors import DeclarationInvalid
from profiles.trait import Trait

SHIPPED: Final = Path(__file__).parent / "data" / "survivorship.yaml"
Rule = Literal["most_recent", "most_frequent", "most_trusted"]


class TraitRule(BaseModel):
    """The rule of one trait; ``sources`` in the order of trust."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: Rule
    sources: tuple[str, ...] = ()

    def keep(self, candidates: Sequence[Trait]) -> Trait:
        """The survivor of one or more candidates."""
        if self.rule == "most_frequent":
            counts = Counter(_same(c) for c in candidates)
            most = max(counts.values())
            candidates = [c for c in candidates if counts[_same(c)] == most]
        elif self.rule == "most_trusted":
            trust = {source: place for place, source in enumerate(self.sources)}
            best = min(trust.get(c.source, len(trust)) for c in candidates)
            candidates = [c for c in candidates if trust.get(c.source, len(trust)) == best]
        return max(candidates, key=_recent)


class Survivorship(BaseModel):
    """The rules of all traits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    default: Rule
    traits: Mapping[str, TraitRule] = {}

    @field_validator("traits", mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        """A rule may be written as its name alone."""
        if isinstance(given, dict):
            return {name: {"rule": rule} if isinstance(rule, str) else rule for name, rule in given.items()}
        return given

    @cached_property
    def _default(self) -> TraitRule:
        return TraitRule(rule=self.default)

    def survivors(self, candidates: Sequence[Trait]) -> dict[str, Trait]:
        """One trait a name."""
        by_name: dict[str, list[Trait]] = {}
        for candidate in candidates:
            by_name.setdefault(candidate.name, []).append(candidate)
        return {name: self.traits.get(name, self._default).keep(of_name) for name, of_name in by_name.items()}


def load(file: Path | None = None) -> Survivorship:
    """The rules of ``file``, or the shipped ones.

    Raises:
        DeclarationInvalid: unreadable, or a rule that there is not.
    """
    path = file or SHIPPED
    try:
        return Survivorship.model_validate(read_yaml(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as fault:
        raise DeclarationInvalid(f"expected readable YAML in {path.name}, got {type(fault).__name__}") from None
    except ValidationError as fault:
        first = fault.errors(include_input=False)[0]
        place = "/".join(str(step) for step in first["loc"])
        raise DeclarationInvalid(
            f"expected survivorship rules in {path.name}, got at {place}: {first['msg']}"
        ) from None


def _same(trait: Trait) -> tuple[str, str]:
    return type(trait.value).__name__, str(trait.value)


def _recent(trait: Trait) -> tuple[datetime, str]:
    return trait.observed_at, trait.record_id
