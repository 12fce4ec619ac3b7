"""A few rows without Arrow, which takes longer to begin than a few rows take to read.

Enters: records as `records.linkage_columns` lays them out, or cleaned fields of a few rows.  Leaves: `Few`, a table that `cleaning.clean` reads like any other;
rows as the scorer compares them, as `comparisons.linkage_input` would give them; and what a row says in each blocking key, equal for two rows exactly where
`blocking.keys` gives them one code.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from identity.blocking import IDENTIFIER_KINDS, RECIPES, coded_atoms
from identity.cleaning import Cleaned
from identity.comparisons import column_of
from identity.kinds import Kinds
from identity.lexicon import name_family
from identity.records import Row as RecordRow
from identity.records import linkage_columns

if TYPE_CHECKING:
    from identity.conditions import Row, Value

Texts = dict[str, tuple[str, ...]]
_LOCAL = 4  # a shorter local part is a department's: blocking.keys


@dataclass(frozen=True, slots=True)
class Few:
    """Columns of text, as lists."""

    columns: Mapping[str, list[str | None]]
    num_rows: int

    def column(self, name: str) -> list[str | None]:
        """A column; one that nobody fills is empty."""
        return self.columns.get(name) or [None] * self.num_rows


def few(records: Iterable[RecordRow]) -> Few:
    """Records in the columns of a linkage table."""
    ids, columns, _ = linkage_columns(records)
    return Few(columns, len(ids))


def few_of(table: pa.Table, kinds: Kinds) -> "Few | pa.Table":
    """A few rows of an Arrow table; the table itself where a column is not text, for only Arrow says how such values are written."""
    used = [
        column.name
        for column in kinds.columns
        if column.kind not in {"ignore", "time"} and column.name in table.column_names
    ]
    held = {name: table.column(name) for name in used}
    if not all(pa.types.is_string(column.type) for column in held.values()):
        return table
    return Few({name: column.to_pylist() for name, column in held.items()}, table.num_rows)


def said(cleaned: Cleaned, rows: Iterable[int]) -> "list[Row]":
    """Rows as `Weights` compares them."""
    wanted = list(rows)
    found: list[dict[str, Value]] = [{} for _ in wanted]
    for name, field in cleaned.fields.items():
        column, values = column_of(name), field.coded.values
        for row, code in zip(found, field.coded.codes[wanted].tolist(), strict=True):
            if code >= 0:
                row[column] = values[code]
                if name == "first":
                    row["x_first_family"] = sorted(name_family(values[code]))
                elif name == "rest":
                    row["x_rest_words"] = list(values[code].split(" "))
    return list(found)


def key_texts(cleaned: Cleaned) -> list[Texts]:
    """What each row says in every key that it takes part in."""
    codes = {name: (coded.codes.tolist(), coded.values) for name, coded in coded_atoms(cleaned).items()}
    parts: list[dict[str, str]] = [
        {name: values[held[row]] for name, (held, values) in codes.items() if held[row] >= 0}
        for row in range(cleaned.rows)
    ]
    named = "first" in cleaned.fields and "last" in cleaned.fields
    own = [(f, f.coded.codes.tolist()) for f in cleaned.of(*IDENTIFIER_KINDS)]
    first, last = (_of(cleaned, one) for one in ("first", "last"))
    found: list[Texts] = []
    for row, atoms in enumerate(parts):
        texts: Texts = {}
        for field, held in own:
            value = field.coded.values[held[row]] if held[row] >= 0 else None
            if value is not None and not field.shared:
                texts[field.name] = (value,)
            if value is not None and field.kind == "email" and len(value.split("@")[0]) > _LOCAL:
                texts[f"{field.name} local"] = (value.split("@")[0],)
        if named and (a := first(row)) and (b := last(row)):
            atoms["names"] = "\0".join(sorted((a, b)))
            atoms["names1"] = "\0".join(sorted((a[:1], b[:1])))
        for recipe in RECIPES:
            said_ = tuple([atoms[one] for one in recipe if one in atoms])
            if len(said_) == len(recipe):
                texts["+".join(recipe)] = said_
        found.append(texts)
    return found


def shared_keys(cleaned: Cleaned, one: int, other: int) -> tuple[str, ...]:
    """The keys in which two rows say the same."""
    found = key_texts(cleaned)
    return tuple(name for name, texts in found[one].items() if found[other].get(name) == texts)


def _of(cleaned: Cleaned, name: str) -> Callable[[int], str | None]:
    if name not in cleaned.fields:
        return lambda _row: None
    codes: Sequence[int] = cleaned.fields[name].coded.codes.tolist()
    values = cleaned.fields[name].coded.values
    return lambda row: values[codes[row]] if codes[row] >= 0 else None
