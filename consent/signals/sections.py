"""Field tables of GPP sections: ``data/gpp.yaml`` read and checked.

Enters: the shipped file. Leaves: ``Section`` by name and by id. A new section of the IAB Tech Lab is a new table, not new code.
"""

import re
from functools import cache, cached_property
from pathlib import Path
from typing import Final, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from consent.errors import PurposesInvalid
from kernel.yaml_text import read_yaml

SHIPPED: Final = Path(__file__).parents[1] / "data" / "gpp.yaml"
_KIND: Final = re.compile(r"(int|ints|flags|letters)(\d+)|bool|time|(?:vendors|restrictions)(?:_fib)?|custom|usp|digit")
# How many bits a kind has; those that are not here tell it themselves.
_BITS: Final = {"int": 1, "ints": 2, "flags": 1, "letters": 6}
_PLAIN: Final = {"bool": 1, "time": 36}

Fields = dict[str, str]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Segment(_Strict):
    """A sub-section that may follow the core; ``type`` is the number it begins with, None: it has none."""

    type: int | None = None
    fields: Fields


class Section(_Strict):
    """One section of a GPP string."""

    name: str
    id: int
    core: tuple[Fields, ...] = ()
    letters: Fields = Field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    type_bits: int = 0
    segments: tuple[Segment, ...] = ()
    by_version: dict[int, dict[str, int]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _kinds(self) -> Self:
        tables = (*self.core, self.letters, *(one.fields for one in self.segments))
        for kind in {kind for fields in tables for kind in fields.values()}:
            if _KIND.fullmatch(kind) is None:
                raise ValueError(f"expected a known kind of field in {self.name}, got {kind}")
        if bool(self.core) == bool(self.letters):
            raise ValueError(f"expected either core or letters in {self.name}")
        return self

    def layouts(self, length: int) -> tuple[Fields, ...]:
        """How a core of so many bits may be read: of layouts of fixed width the longest that fits, else each in order."""
        if not self.fixed:
            return self.core
        fitting = [fields for fields in self.core if _width(fields) <= length]
        return (fitting[-1] if fitting else self.core[0],)

    @cached_property
    def fixed(self) -> bool:
        """Whether every field has a known width, so that little can be left over."""
        return all(_width(fields) for fields in self.core)


class _File(_Strict):
    version: str
    sections: tuple[Section, ...]


def kind_of(kind: str) -> tuple[str, int]:
    """``ints12`` is ints and 12."""
    found = _KIND.fullmatch(kind)
    if found is None or found[2] is None:
        return kind, 0
    return found[1], int(found[2])


@cache
def by_name() -> dict[str, Section]:
    """Every section.

    Raises:
        PurposesInvalid: the file does not hold together.
    """
    try:
        read = _File.model_validate(read_yaml(SHIPPED.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError) as fault:
        raise PurposesInvalid(f"expected tables of sections in {SHIPPED.name}, got {fault}") from None
    return {section.name: section for section in read.sections}


@cache
def by_id() -> dict[int, Section]:
    """The same, by the number that stands in the header."""
    return {section.id: section for section in by_name().values()}


def _width(fields: Fields) -> int:
    """Bits of these fields; 0 when they are not all of known width."""
    widths = []
    for kind in fields.values():
        name, number = kind_of(kind)
        if name not in _BITS and name not in _PLAIN:
            return 0
        widths.append(_BITS[name] * number if name in _BITS else _PLAIN[name])
    return sum(widths)
