"""The retention schedule: how long each kind of thing is kept, as data.

What enters: ``data/retention.yaml`` or a file of one's own in its form, the purpose tree. What leaves: a ``Schedule`` whose rules name kinds and purposes
that exist, each at most once; its digest names it in the log.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from consent.errors import RetentionInvalid
from consent.purposes import PurposeTree
from kernel.canonical import digest
from kernel.yaml_text import read_yaml

SHIPPED: Final = Path(__file__).parent / "data" / "retention.yaml"


class Rule(BaseModel):
    """One line of the schedule."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Annotated[str, Field(pattern=r"^[a-z][a-z_]*$")]
    keep_days: Annotated[int, Field(ge=1)]
    because: Annotated[str, Field(min_length=10)]
    purpose: str | None = None


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class Schedule:
    """All rules, checked."""

    version: str
    rules: tuple[Rule, ...]

    @cached_property
    def digest(self) -> str:
        """Names the schedule."""
        return digest([self.version, [rule.model_dump() for rule in self.rules]])

    def purposes(self, rule: Rule, tree: PurposeTree) -> tuple[str, ...]:
        """What the rule is for: its purpose, or every purpose that no other rule of its kind names."""
        if rule.purpose is not None:
            return (rule.purpose,)
        others = {other.purpose for other in self.rules if other.kind == rule.kind}
        return tuple(key for key in tree.by_key if key not in others)

    def check(self, kinds: Iterable[str], tree: PurposeTree) -> None:
        """Whether it fits the house.

        Raises:
            RetentionInvalid: a kind that no room keeps, a purpose that is not in the tree, two rules for the same.
        """
        known = set(kinds)
        if strange := sorted({rule.kind for rule in self.rules} - known):
            raise RetentionInvalid(f"expected kinds among {', '.join(sorted(known))}, got {', '.join(strange)}")
        if strange := sorted({rule.purpose for rule in self.rules if rule.purpose} - set(tree.by_key)):
            raise RetentionInvalid(f"expected purposes of the tree, got {', '.join(strange)}")
        if twice := _twice([(rule.kind, rule.purpose or "") for rule in self.rules]):
            raise RetentionInvalid(f"expected one rule for each kind and purpose, got two for {', '.join(twice)}")


def load(path: Path | None = None) -> Schedule:
    """The schedule in a file, the shipped one without.

    Raises:
        RetentionInvalid: the file cannot be read as one; the message names the place.
    """
    file = path or SHIPPED
    try:
        held = _File.model_validate(read_yaml(file.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as fault:
        raise RetentionInvalid(f"expected a YAML file at {file.name}, got {type(fault).__name__}") from None
    except ValidationError as fault:
        first = fault.errors(include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise RetentionInvalid(f"expected a retention schedule in {file.name}, got a fault at {where}: {first['msg']}") from None  # fmt: skip
    return Schedule(held.version, held.rules)


def _twice(names: Sequence[tuple[str, str]]) -> list[str]:
    return sorted({"/".join(filter(None, name)) for name in names if names.count(name) > 1})
