"""What each column of a table of person records holds.

Enters: an Arrow table and the caller's wishes.  Leaves: `Kinds`, one kind a column, with the reason for it.  A kind is
read from the column's name first and must survive a look at the values; columns with names that say nothing are judged
by their values alone.  The order of rows plays no part.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from identity.column_names import said, spell
from identity.column_values import Look, look_at
from kernel.errors import InvalidInput

KINDS = (
    "first_name", "last_name", "full_name", "birth_date", "birth_year", "birth_month", "birth_day", "email", "phone",
    "street", "city", "postcode", "place", "country", "gender", "national_id", "login_id", "device_id", "customer_id",
    "category", "text", "time", "ignore",
)  # fmt: skip
UNIQUE_BY_NATURE = frozenset({"login_id"})  # one account is one person; other identifiers are mistyped or re-issued

_ROW_ID = re.compile(r"((unique|record|rec|row|line|entry|source)\b.?)?(id|key|uuid|guid|no|nr|number)")


@dataclass(frozen=True, slots=True)
class Column:
    """One column: what it holds, why we think so, and whether the caller declared it unique or shared."""

    name: str
    kind: str
    why: str
    unique: bool = False
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Overrides:
    """The caller's wishes: the record id, columns to ignore, kinds, unique and shared columns."""

    record_id: str | None = None
    ignore: Sequence[str] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    unique: Sequence[str] = ()
    shared: Sequence[str] = ()

    def named(self) -> list[str]:
        """Every column the caller spoke of."""
        return [*([self.record_id] if self.record_id else []), *self.ignore, *self.kinds, *self.unique, *self.shared]


@dataclass(frozen=True, slots=True)
class Kinds:
    """The kinds of a table's columns, in the table's order."""

    columns: tuple[Column, ...]
    record_id: str | None = None

    def of(self, *kinds: str) -> list[Column]:
        """Columns of these kinds, in order."""
        return [c for c in self.columns if c.kind in kinds]

    def lines(self) -> list[str]:
        """A printable table of what was found."""
        width = max((len(c.name) for c in self.columns), default=0)
        marks = {c.name: " unique" * c.unique + " shared" * c.shared for c in self.columns}
        return [f"{c.name:<{width}}  {c.kind:<12} {c.why}{marks[c.name]}" for c in self.columns]


def infer(table: pa.Table, overrides: Overrides | None = None) -> Kinds:
    """Kinds of every column; InvalidInput when the caller names an unknown column or kind."""
    wishes = overrides or Overrides()
    _refuse_unknown(table, wishes)
    looks = {name: look_at(name, table.column(name)) for name in table.column_names}
    found = {name: _judge(look) for name, look in looks.items()}
    for item in table.schema:  # a table of our own making says what it holds
        declared = (item.metadata or {}).get(b"kind", b"").decode()
        if declared in KINDS and looks[item.name].filled:
            found[item.name] = (declared, "declared")
    _join_birth_parts(looks, found)
    _demote_lone_birth_parts(found)
    _widen_lone_names(looks, found)
    for name in wishes.ignore:
        found[name] = ("ignore", "asked")
    for name, kind in wishes.kinds.items():
        found[name] = (kind, "asked")
    record_id = wishes.record_id or next(
        (n for n in table.column_names if found[n][1] == "record id" and _all_different(table.column(n))), None
    )
    if record_id is not None:
        found[record_id] = ("ignore", "record id")
    columns = tuple(
        Column(
            name=name,
            kind=kind,
            why=why,
            unique=kind != "ignore"
            and (name in wishes.unique or (kind in UNIQUE_BY_NATURE and name not in wishes.shared)),
            shared=name in wishes.shared,
        )
        for name, (kind, why) in found.items()
    )
    return Kinds(columns=columns, record_id=record_id)


def _all_different(column: pa.ChunkedArray) -> bool:
    return bool(column.null_count == 0 and pc.count_distinct(column).as_py() == len(column))


def _refuse_unknown(table: pa.Table, wishes: Overrides) -> None:
    known = set(table.column_names)
    for name in wishes.named():
        if name not in known:
            raise InvalidInput(
                f"column {name!r}: expected one of the table's columns {sorted(known)}, got an unknown name",
                remedy="Correct the column's name in --id, --ignore, --map, --unique or --shared.",
                code="identity.unknown_column",
            )
    for name, kind in wishes.kinds.items():
        if kind not in KINDS:
            raise InvalidInput(
                f"kind of column {name!r}: expected one of {', '.join(KINDS)}, got {kind!r}",
                remedy="Choose a kind from the list.",
                code="identity.unknown_kind",
            )


def _judge(look: Look) -> tuple[str, str]:
    if not look.filled:
        return "ignore", "empty"
    if look.distinct == look.rows and _ROW_ID.fullmatch(spell(look.name)):
        return "ignore", "record id"
    hint = said(look.name)
    if hint and _plausible(hint, look):
        return hint, "name"
    if look.distinct == 1:
        return "ignore", "one value"
    return _by_values(look)


def _plausible(hint: str, look: Look) -> bool:
    """Whether the values allow what the name says."""
    if hint == "email":
        return look.email > 0.3
    if hint == "birth_date":
        return look.date > 0.5
    if hint == "birth_year":
        return look.year > 0.7
    if hint == "birth_month":
        return look.month > 0.9
    if hint == "birth_day":
        return look.day > 0.9
    if hint in {"first_name", "last_name", "full_name"}:
        return look.letters > 0.6
    if hint == "phone":
        return look.digits > 4
    if hint == "time":
        return look.date > 0.5 or look.number > 0.5
    if hint == "customer_id" and look.rows > 20 and look.distinct == look.rows:
        return False  # nobody is in it twice: it numbers the rows
    if hint in {"login_id", "customer_id", "national_id"}:
        # A row number under an identifier's name is still a row number.
        return not (look.counts_rows and look.distinct == look.rows)
    if hint == "gender":
        return look.distinct <= 20
    return True


def _by_values(look: Look) -> tuple[str, str]:
    if look.email > 0.6:
        return "email", "values"
    if look.date > 0.8:
        return ("birth_date", "values") if look.birth_like else ("time", "values")
    if look.gender > 0.9 and look.distinct <= 8:
        return "gender", "values"
    if look.phone > 0.9 and 7 <= look.digits <= 15 and not look.counts_rows and (look.number < 0.5 or look.digits > 8):
        return "phone", "values"
    if (
        look.rows > 20
        and look.distinct >= 0.999 * look.filled
        and look.filled >= 0.98 * look.rows
        and look.chunks < 1.5
    ):
        return "ignore", "record id"
    if look.phone > 0.8 and look.distinct > 0.02 * look.filled:
        return "phone", "values"
    if look.hexadecimal > 0.9:
        return "device_id", "values"
    if (
        look.letters > 0.7
        and look.words > 1.5
        and max(look.first_in_given, look.last_in_given) > 0.3
        and look.distinct > 20
    ):
        return "full_name", "values"
    if (
        look.letters > 0.7
        and look.words < 1.5
        and max(look.first_in_given, look.in_family) > 0.25
        and look.distinct > 20
    ):
        return ("first_name", "values") if look.first_in_given >= look.in_family else ("last_name", "values")
    if look.street > 0.5:
        return "street", "values"
    if look.distinct <= max(20, 0.01 * look.filled):
        return "category", "values"
    if look.digits > 3 and look.words < 1.5 and look.number < 0.5:
        return "customer_id", "values"
    if look.number > 0.9:
        return ("postcode", "values") if look.same_length > 0.8 and 4 <= look.length <= 6 else ("ignore", "numbers")
    return "text", "values"


def _join_birth_parts(looks: dict[str, Look], found: dict[str, tuple[str, str]]) -> None:
    """Three unnamed integer columns that together look like day, month and year are a split birth date."""
    if any(kind in {"birth_date", "birth_year"} for kind, _ in found.values()):
        return
    free = [n for n, (kind, why) in found.items() if why in {"values", "numbers"} and looks[n].number > 0.9]
    year = next((n for n in free if looks[n].year > 0.9 and looks[n].distinct > 15), None)
    month = next((n for n in free if looks[n].month > 0.95 and looks[n].distinct >= 10), None)
    day = next((n for n in free if looks[n].month < 0.7 and looks[n].day > 0.95 and looks[n].distinct >= 25), None)
    if year and month and day:
        found[year], found[month], found[day] = (
            ("birth_year", "values"),
            ("birth_month", "values"),
            ("birth_day", "values"),
        )


def _demote_lone_birth_parts(found: dict[str, tuple[str, str]]) -> None:
    """A month or a day without a year says too little to be a birth date."""
    kinds = {kind for kind, _ in found.values()}
    if "birth_year" not in kinds:
        for name, (kind, why) in list(found.items()):
            if kind in {"birth_month", "birth_day"}:
                found[name] = ("category", why)


def _widen_lone_names(looks: dict[str, Look], found: dict[str, tuple[str, str]]) -> None:
    """A table's only column of names ("Nombre", "Nom") holds whole names where most of them are of several words."""
    named = [name for name, (kind, why) in found.items() if kind in {"first_name", "last_name"} and why != "declared"]
    kinds = {kind for kind, _ in found.values()}
    if len(named) == 1 and "full_name" not in kinds and looks[named[0]].words > 1.7:
        found[named[0]] = ("full_name", found[named[0]][1])


def as_json(kinds: Kinds) -> dict[str, Any]:
    """The kinds as plain data, for a saved model."""
    return {
        "record_id": kinds.record_id,
        "columns": [
            {"name": c.name, "kind": c.kind, "why": c.why, "unique": c.unique, "shared": c.shared}
            for c in kinds.columns
        ],
    }
