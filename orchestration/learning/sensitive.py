"""What no choice may rest on: sensitive attributes as data, and which features are made of one (spec explain.E7, DSA Art. 26(3)).

Enters: a YAML file, declared features. Leaves: `Sensitive`. Names only; whether an innocent name tells an attribute is found by `proxies`.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kernel.yaml_text import read_yaml
from orchestration.learning.errors import SensitiveInvalid
from profiles.declarations import Declared

SHIPPED: Final = Path(__file__).parent / "data" / "sensitive.yaml"


class Attribute(BaseModel):
    """One attribute; `called`: patterns of the names under which it comes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    because: Annotated[str, Field(min_length=3)]
    called: Annotated[tuple[str, ...], Field(min_length=1)]

    def means(self, name: str) -> bool:
        """Whether something of this name is the attribute itself."""
        last = name.rpartition(".")[2].lower()
        return any(fnmatchcase(last, pattern) for pattern in self.called)


class Sensitive(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    attributes: tuple[Attribute, ...]

    def of(self, name: str) -> Attribute | None:
        """The attribute that something of this name is; None of most names."""
        return next((one for one in self.attributes if one.means(name)), None)

    def features(self, declared: Declared) -> dict[str, str]:
        """Columns that are made of an attribute, with its name: by the trait, the property or their own name."""
        found: dict[str, str] = {}
        for one in declared.features:
            told = next((hit for name in (one.name, one.trait, one.property) if name and (hit := self.of(name))), None)
            if told is not None:
                found |= dict.fromkeys(one.columns, told.name)
        return found

    def traits(self, names: Sequence[str]) -> dict[str, str]:
        """Those of these traits that hold an attribute, with its name."""
        return {name: hit.name for name in names if (hit := self.of(name)) is not None}


def load(path: Path | None) -> Sensitive:
    """The file that settings name, or the shipped one.

    Raises:
        SensitiveInvalid: not YAML, unknown or missing keys.
    """
    try:
        return Sensitive.model_validate(read_yaml((path or SHIPPED).read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as fault:
        raise SensitiveInvalid(f"expected a YAML file of attributes, got {type(fault).__name__}") from None
    except ValidationError as fault:
        first = fault.errors(include_url=False, include_input=False)[0]
        place = "/".join(str(step) for step in first["loc"])
        raise SensitiveInvalid(f"expected valid attributes, got at {place}: {first['msg']}") from None
