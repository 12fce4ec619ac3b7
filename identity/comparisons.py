"""How two records are compared: one comparison a field, each with ordered levels, as Splink 5 settings in plain data.

Enters: cleaned fields.  Leaves: the Arrow table that Splink reads and, for every field, a `Comparison` with its levels
(first level that holds wins; the last holds always).  Every level carries a prior share among matches, which training
uses as pseudo-counts so that small data cannot drive it astray.  Nothing here imports Splink.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from identity.cleaning import Cleaned, Field
from identity.lexicon import name_family


@dataclass(frozen=True, slots=True)
class Level:
    """An SQL condition over `x_l` and `x_r`, the column whose rarity adjusts its weight, and its prior among matches."""

    label: str
    sql: str
    prior: float
    rarity: str | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Levels of one field; level i of n has Splink's gamma n-1-i, an absent value gamma -1."""

    name: str
    kind: str
    absent: str
    levels: tuple[Level, ...]


def column_of(field: str) -> str:
    """The name of a field's column in Splink's table: never a word of SQL."""
    return f"x_{field}"


def _fill(text: str, column: str) -> str:
    return text.replace("{l}", f"{column}_l").replace("{r}", f"{column}_r")


_SAME = "{l} = {r}"
# Counting edits costs a hundred times what Jaro's measure costs, which no text within so few edits falls below.
_EDIT1 = "case when jaro_similarity({l}, {r}) >= 0.75 then damerau_levenshtein({l}, {r}) <= 1 else false end"
_EDIT2 = "case when jaro_similarity({l}, {r}) >= 0.7 then damerau_levenshtein({l}, {r}) <= 2 else false end"


def _jw(least: float) -> str:
    return f"jaro_winkler_similarity({{l}}, {{r}}) >= {least}"


def _swapped(other: str) -> str:
    """First and last name in each other's place: one exactly, the other nearly or not given."""
    near = "coalesce(jaro_winkler_similarity({a}, {b}) >= 0.85, true)"
    one = f"({{l}} = {other}_r and {near.format(a='{r}', b=f'{other}_l')})"
    two = f"({{r}} = {other}_l and {near.format(a='{l}', b=f'{other}_r')})"
    return f"({one} or {two})"


def _first(name: str, fields: dict[str, Field]) -> list[tuple[str, str, float, bool]]:
    initial = "(length({l}) = 1 or length({r}) = 1) and {l}[1] = {r}[1]"
    levels = [("same", _SAME, 0.68, True), ("initial", initial, 0.03, False)]
    if name == "first":
        levels.append(("nickname", "list_has_any(x_first_family_l, x_first_family_r)", 0.06, False))
    levels.append(("near", _jw(0.9), 0.1, False))
    if name == "first" and "last" in fields:
        levels.append(("swapped", _swapped("x_last"), 0.02, False))
    return [*levels, ("alike", _jw(0.78), 0.05, False)]


def _last(_name: str, _fields: dict[str, Field]) -> list[tuple[str, str, float, bool]]:
    levels = [("same", _SAME, 0.76, True), ("near", _jw(0.9), 0.12, False)]
    return [*levels, ("alike", f"({_jw(0.8)} or starts_with({{l}}, {{r}}) or starts_with({{r}}, {{l}}))", 0.05, False)]


def _birth(_name: str, _fields: dict[str, Field]) -> list[tuple[str, str, float, bool]]:
    year, month, day = "{l}[:4] = {r}[:4]", "{l}[5:6] = {r}[5:6]", "{l}[7:8] = {r}[7:8]"
    return [
        ("same", _SAME, 0.795, True),
        ("one digit or two swapped", _EDIT1, 0.09, False),
        ("day and month swapped", f"{year} and {{l}}[5:6] = {{r}}[7:8] and {{l}}[7:8] = {{r}}[5:6]", 0.03, False),
        ("two parts of three", f"({year})::int + ({month})::int + ({day})::int >= 2", 0.04, False),
        ("same year", year, 0.02, False),
        ("two digits", _EDIT2, 0.02, False),
    ]


def _email(_name: str, _fields: dict[str, Field]) -> list[tuple[str, str, float, bool]]:
    # Likeness beyond two edits would only repeat the names that most local parts are made of.
    local = "split_part({l}, '@', 1) = split_part({r}, '@', 1)"
    return [
        ("same", _SAME, 0.62, True),
        ("same local part", local, 0.05, False),
        ("one edit", _long_edits(1), 0.06, False),
        ("two edits", _long_edits(2), 0.03, False),
    ]


def _long_edits(most: int) -> str:
    """So few edits between texts long enough that Jaro's measure of them stays high; what costs least is asked first."""
    counted = f"case when jaro_similarity({{l}}, {{r}}) >= 0.8 then damerau_levenshtein({{l}}, {{r}}) <= {most} else false end"
    return f"case when abs(length({{l}}) - length({{r}})) <= {most} then {counted} else false end"


def _digits(_name: str, _fields: dict[str, Field]) -> list[tuple[str, str, float, bool]]:
    return [("same", _SAME, 0.66, True), ("one edit", _EDIT1, 0.08, False), ("two edits", _EDIT2, 0.03, False)]


def _postcode(_name: str, _fields: dict[str, Field]) -> list[tuple[str, str, float, bool]]:
    area = "left({l}, greatest(length({l}) - 3, 2)) = left({r}, greatest(length({r}) - 3, 2))"
    return [("same", _SAME, 0.65, True), ("one edit", _EDIT1, 0.08, False), ("same area", area, 0.07, False)]


def _words(_name: str, _fields: dict[str, Field]) -> list[tuple[str, str, float, bool]]:
    inside = "(contains({l}, {r}) or contains({r}, {l}))"
    return [
        ("same", _SAME, 0.62, True),
        ("near", _jw(0.92), 0.12, False),
        ("one within the other", inside, 0.05, False),
        ("alike", _jw(0.8), 0.04, False),
    ]


def _code(_name: str, _fields: dict[str, Field]) -> list[tuple[str, str, float, bool]]:
    return [("same", _SAME, 0.7, True)]


def _rest(_name: str, _fields: dict[str, Field]) -> list[tuple[str, str, float, bool]]:
    common = "len(list_intersect(x_rest_words_l, x_rest_words_r))"
    return [
        ("same", _SAME, 0.4, True),
        ("two words", f"{common} >= 2", 0.1, False),
        ("one word", f"{common} >= 1", 0.2, False),
    ]


_LEVELS: dict[str, Callable[[str, dict[str, Field]], list[tuple[str, str, float, bool]]]] = {
    "first_name": _first, "last_name": _last, "birth_date": _birth, "email": _email, "phone": _digits, "national_id": _digits,
    "postcode": _postcode, "street": _words, "city": _words, "place": _words, "text": _words, "rest": _rest,
    "login_id": _code, "device_id": _code, "customer_id": _code, "gender": _code, "category": _code, "country": _code,
}  # fmt: skip


NAMING = frozenset({"first_name", "last_name", "full_name", "rest", "birth_date", "street"})
OWN = frozenset({"email", "national_id", "login_id"})  # of which people have their own, as a rule
UNNAMED = "same, and nothing names both"
_UNNAMED_PRIOR, _UNNAMED_SHARE, _UNNAMED_ROWS = (
    0.1,
    0.05,
    20,
)  # of rows that bear the value, from which the level is worth having

_TOLD_BY_POSTCODE = frozenset({"city", "place", "country"})


def comparisons(cleaned: Cleaned) -> tuple[Comparison, ...]:
    """One comparison for every cleaned field."""
    made = []
    for name, field in cleaned.fields.items():
        if field.kind not in _LEVELS:
            continue
        rows = _LEVELS[field.kind](name, cleaned.fields)
        levels = [
            Level(label, _fill(sql, column_of(name)), prior, column_of(name) if rare else None)
            for label, sql, prior, rare in rows
        ]
        if field.kind in OWN and (unnamed := _unnamed(field, cleaned)):
            levels.insert(0, Level(UNNAMED, _fill(f"{_SAME} and {unnamed}", column_of(name)), _UNNAMED_PRIOR))
        levels.append(Level("different", "ELSE", max(0.005, 1 - sum(x.prior for x in levels))))
        made.append(Comparison(name, field.kind, _absent(name, field, cleaned), tuple(levels)))
    return tuple(made)


def _unnamed(field: Field, cleaned: Cleaned) -> str | None:
    """That no field which names people is given on both sides; None where rows that bear the field are named, or nobody is."""
    naming = [one for one in cleaned.fields.values() if one.kind in NAMING]
    bearing = field.coded.codes >= 0
    named = np.zeros(cleaned.rows, bool)
    for one in naming:
        named |= one.coded.codes >= 0
    bare = int((bearing & ~named).sum())
    if not naming or bare < max(_UNNAMED_ROWS, _UNNAMED_SHARE * bearing.sum()):
        return None
    columns = [column_of(one.name) for one in naming]
    return " and ".join(f"({column}_l is null or {column}_r is null)" for column in columns)


def _absent(name: str, field: Field, cleaned: Cleaned) -> str:
    """When a field says nothing: one side empty, or a place that the postcode has already told."""
    if name == "last" and "first" in cleaned.fields:  # swapped names are told by the first name
        return _fill(f"({{l}} is null or {{r}} is null or coalesce({_swapped('x_first')}, false))", column_of(name))
    told = " or x_postcode_l = x_postcode_r" if field.kind in _TOLD_BY_POSTCODE and "postcode" in cleaned.fields else ""
    return _fill(f"({{l}} is null or {{r}} is null{told})", column_of(name))


def linkage_input(cleaned: Cleaned) -> pa.Table:
    """The table that Splink compares: `row` and one column a field, names also as lists of their full forms or words."""
    columns: dict[str, pa.Array] = {"row": pa.array(np.arange(cleaned.rows, dtype=np.int64))}
    for name, field in cleaned.fields.items():
        if field.kind not in _LEVELS:
            continue
        columns[column_of(name)] = field.coded.texts()
    if "first" in cleaned.fields:
        columns["x_first_family"] = _listed(cleaned.fields["first"], lambda v: sorted(name_family(v)))
    if "rest" in cleaned.fields:
        columns["x_rest_words"] = _listed(cleaned.fields["rest"], lambda v: v.split(" "))
    return pa.table(columns)


def _listed(field: Field, change: Callable[[str], list[str]]) -> pa.Array:
    codes = field.coded.codes
    lists = pa.array([change(v) for v in field.coded.values], pa.list_(pa.string()))
    return lists.take(pa.array(codes, mask=codes < 0))
