"""Every stored column: its category, what it is for, on which basis, until when (consent.K1): ``data/columns.yaml`` read and checked.

Enters: the shipped file. Leaves: a ``Column`` each. A test holds it against the schemas of both databases, so that a column nobody thought about cannot land.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from consent.errors import RetentionInvalid
from consent.purposes import Basis
from consent.schedule import Schedule
from kernel.yaml_text import read_yaml

SHIPPED: Final = Path(__file__).parent / "data" / "columns.yaml"
_Text = Annotated[str, Field(min_length=3)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Category(_Strict):
    """A kind of data: key of the fideslang taxonomy, and what it is here."""

    data: _Text
    what: _Text


class Use(_Strict):
    """What columns are for. ``declared``: the basis stands in the row, as its source declared it."""

    purpose: _Text
    basis: Basis | Literal["declared"]
    because: _Text


class Until(_Strict):
    """Until when: a kind of the retention schedule, or what ends it, in words."""

    kind: str | None = None
    until: str | None = None


class _Table(_Strict):
    use: str
    rule: str
    columns: dict[str, tuple[str, ...]]


class _File(_Strict):
    version: str
    categories: dict[str, Category]
    uses: dict[str, Use]
    rules: dict[str, Until]
    tables: dict[str, _Table]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table ``schema.name``. ``until`` is a kind of the schedule with its days, or words."""

    table: str
    column: str
    category: str
    data: str
    purpose: str
    basis: str
    until: str


def load(schedule: Schedule) -> list[Column]:
    """Every column, by table.

    Raises:
        RetentionInvalid: the file does not hold together: a word that it does not define, a column twice, a kind without a rule in the schedule.
    """
    try:
        held = _File.model_validate(read_yaml(SHIPPED.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError) as fault:
        raise RetentionInvalid(f"expected a list of columns in {SHIPPED.name}, got {fault}") from None
    found = list(_columns(held, schedule))
    if len({(one.table, one.column) for one in found}) != len(found):
        raise RetentionInvalid(f"expected every column once in {SHIPPED.name}, got one twice")
    return found


def _columns(held: _File, schedule: Schedule) -> Iterator[Column]:
    ends = {name: _until(name, rule, schedule) for name, rule in held.rules.items()}
    for name, table in held.tables.items():
        if table.use not in held.uses or table.rule not in ends or not table.columns.keys() <= held.categories.keys():
            raise RetentionInvalid(f"expected a use, a rule and categories that are defined for {name}, got others")
        use = held.uses[table.use]
        for category, columns in table.columns.items():
            for column in columns:
                yield Column(
                    name, column, category, held.categories[category].data, use.purpose, use.basis, ends[table.rule]
                )


def _until(name: str, rule: Until, schedule: Schedule) -> str:
    if rule.kind is None:
        if not rule.until:
            raise RetentionInvalid(f"expected a kind or words for the rule {name}, got neither")
        return rule.until
    days = [one.keep_days for one in schedule.rules if one.kind == rule.kind]
    if not days:
        raise RetentionInvalid(f"expected a kind of the retention schedule for the rule {name}, got {rule.kind}")
    return f"{rule.kind}: {max(days)} days"
