"""The conditions of a comparison's levels, which are SQL in the model, as Python functions of two rows.

Enters: DuckDB's own reading of a condition (`linkage.readings`).  Leaves: a short tree of plain lists, which is kept with a run's parameters, and from
it a function of two rows.  Three-valued as SQL is: None is NULL.  What this module does not know it refuses when it is built, never when it is
asked.  Text is measured as DuckDB measures it: likeness by bytes, length and parts by characters.
"""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final, cast

from rapidfuzz.distance import DamerauLevenshtein, Jaro

from kernel.errors import InvalidInput

Value = str | int | float | bool | list[str] | None
Row = Mapping[str, Value]
Condition = Callable[[Row, Row], Value]
Tree = list[Any]  # ["l", column] · ["r", column] · ["is", constant] · [operation, tree, ...]

_COMPARED: Final = {
    "COMPARE_EQUAL": "=",
    "COMPARE_NOTEQUAL": "<>",
    "COMPARE_GREATERTHANOREQUALTO": ">=",
    "COMPARE_GREATERTHAN": ">",
    "COMPARE_LESSTHANOREQUALTO": "<=",
    "COMPARE_LESSTHAN": "<",
}
_OPERATED: Final = {
    "OPERATOR_IS_NULL": "null",
    "OPERATOR_IS_NOT_NULL": "given",
    "OPERATOR_NOT": "not",
    "OPERATOR_COALESCE": "coalesce",
    "ARRAY_EXTRACT": "at",
    "ARRAY_SLICE": "slice",
}
_SPELT: Final = {"len": "length", "substr": "substring", "list_has_any": "meets", "list_intersect": "common"}
_WHOLE: Final = frozenset({"INTEGER", "INT", "BIGINT", "SMALLINT", "TINYINT"})


def tree(reading: Mapping[str, Any]) -> Tree:
    """DuckDB's reading of an expression, shortened.

    Raises:
        InvalidInput: a construct that has no counterpart here.
    """
    sort, kind = reading["class"], reading["type"]
    if sort == "COLUMN_REF":
        column = str(reading["column_names"][-1])
        if column[-2:] in {"_l", "_r"}:
            return [column[-1], column[:-2]]
    elif sort == "CONSTANT":
        return ["is", _constant(reading["literal"])]
    elif sort == "COMPARISON":
        return [_COMPARED[kind], tree(reading["left"]), tree(reading["right"])]
    elif sort == "CONJUNCTION":
        word = "and" if kind == "CONJUNCTION_AND" else "or"
        return [word, *(tree(one) for one in reading["children"])]
    elif sort == "CASE":
        checks = [tree(check[part]) for check in reading["case_checks"] for part in ("when_expr", "then_expr")]
        return ["case", *checks, tree(reading["else_expr"])]
    elif sort == "CAST" and reading["type_expr"]["type_name"].upper() in _WHOLE:
        return ["whole", tree(reading["child"])]
    elif sort == "OPERATOR" and kind in _OPERATED:
        return [_OPERATED[kind], *(tree(one) for one in reading["children"])]
    elif sort == "FUNCTION":
        name = str(reading["function_name"]).lower()
        name = _SPELT.get(name, name)
        if name == "list_value" and not reading["arguments"]:
            return ["is", None]  # an open end of a slice
        if name in _FUNCTIONS or name == "common":
            return [name, *(tree(one["expression"]) for one in reading["arguments"])]
    raise _unknown(f"{sort} {kind} {reading.get('function_name', '')}".strip())


def _constant(literal: Mapping[str, Any]) -> Value:
    kind, text = literal["kind"], literal.get("text")
    if kind == "BOOLEAN":
        return bool(text == "true")
    if kind == "INTEGER":
        return int(cast("str", text))
    if kind in {"NUMERIC", "DECIMAL", "FLOAT"}:
        return float(cast("str", text))
    if kind == "STRING":
        return str(text)
    raise _unknown(f"a constant of kind {kind}")


def _unknown(what: str) -> InvalidInput:
    return InvalidInput(
        f"condition of a level: expected one that can be asked of two rows, got {what}",
        remedy="Write the level with the operations that identity/conditions.py names, or add one there with its test.",
        code="identity.unknown_condition",
    )


def compiled(shape: Sequence[Any]) -> Condition:
    """The function of a tree; it answers as DuckDB does."""
    word, *rest = shape
    if word == "l":
        column = str(rest[0])
        return lambda a, _b: a.get(column)
    if word == "r":
        column = str(rest[0])
        return lambda _a, b: b.get(column)
    if word == "is":
        constant = cast("Value", rest[0])
        return lambda _a, _b: constant
    parts = [compiled(one) for one in rest]
    if word in _SHAPED:
        return _SHAPED[word](parts)
    if word not in _FUNCTIONS:
        raise _unknown(str(word))
    return _strict(_FUNCTIONS[word], parts)


def _strict(act: Callable[..., Value], parts: Sequence[Condition]) -> Condition:
    """NULL when any argument is."""
    if len(parts) == 1:
        (only,) = parts

        def one(a: Row, b: Row) -> Value:
            x = only(a, b)
            return None if x is None else act(x)

        return one
    if len(parts) == 2:
        first, second = parts

        def two(a: Row, b: Row) -> Value:
            x, y = first(a, b), second(a, b)
            return None if x is None or y is None else act(x, y)

        return two

    def many(a: Row, b: Row) -> Value:
        given = [part(a, b) for part in parts]
        return None if None in given else act(*given)

    return many


def _and(parts: Sequence[Condition]) -> Condition:
    def every(a: Row, b: Row) -> Value:
        unknown = False
        for part in parts:
            found = part(a, b)
            if found is None:
                unknown = True
            elif not found:
                return False
        return None if unknown else True

    return every


def _or(parts: Sequence[Condition]) -> Condition:
    def some(a: Row, b: Row) -> Value:
        unknown = False
        for part in parts:
            found = part(a, b)
            if found is None:
                unknown = True
            elif found:
                return True
        return None if unknown else False

    return some


def _case(parts: Sequence[Condition]) -> Condition:
    checks, otherwise = list(zip(parts[:-1:2], parts[1:-1:2], strict=True)), parts[-1]

    def chosen(a: Row, b: Row) -> Value:
        for when, then in checks:
            if when(a, b):
                return then(a, b)
        return otherwise(a, b)

    return chosen


def _coalesce(parts: Sequence[Condition]) -> Condition:
    def given(a: Row, b: Row) -> Value:
        return next((found for part in parts if (found := part(a, b)) is not None), None)

    return given


def _slice(parts: Sequence[Condition]) -> Condition:
    held, begin, end = parts

    def cut(a: Row, b: Row) -> Value:
        text = held(a, b)
        if not isinstance(text, str):
            return None
        first, last = begin(a, b), end(a, b)
        return text[int(first) - 1 if isinstance(first, int) else 0 : int(last) if isinstance(last, int) else None]

    return cut


def _common(parts: Sequence[Condition]) -> Condition:
    held, other = parts

    def shared(a: Row, b: Row) -> Value:
        one, two = held(a, b), other(a, b)
        if not isinstance(one, list):
            return None
        return sorted(set(one).intersection(two)) if isinstance(two, list) else []  # DuckDB has it so

    return shared


_SHAPED: Final[Mapping[str, Callable[[Sequence[Condition]], Condition]]] = {
    "and": _and,
    "or": _or,
    "case": _case,
    "coalesce": _coalesce,
    "slice": _slice,
    "common": _common,
    "null": lambda parts: lambda a, b: parts[0](a, b) is None,
    "given": lambda parts: lambda a, b: parts[0](a, b) is not None,
}


def jaro(a: str, b: str) -> float:
    """Jaro's likeness of the bytes; of two empty texts none, as DuckDB has it."""
    return Jaro.similarity(a.encode(), b.encode()) if a and b else 0.0


def jaro_winkler(a: str, b: str) -> float:
    """Winkler's likeness: the first four bytes count for more.

    DuckDB's machine code rounds once where Python rounds twice.  The last bit matters only at a bound, and bounds are round numbers: there
    it is computed exactly and rounded once.
    """
    if not a or not b:
        return 0.0
    x, y = a.encode(), b.encode()
    plain = Jaro.similarity(x, y)
    if plain <= 0.7:
        return plain
    same = 0
    for one, other in zip(x[:4], y[:4], strict=False):
        if one != other:
            break
        same += 1
    more = plain + same * 0.1 * (1.0 - plain)
    thousandths = more * 1000.0
    if abs(thousandths - round(thousandths)) > 1e-9:
        return more
    return float(Fraction(plain) + Fraction(same * 0.1) * Fraction(1.0 - plain))


def _left(text: str, count: int) -> str:
    return text[:count]


def _right(text: str, count: int) -> str:
    return text[-count:] if count else ""


def _at(held: str | list[str], place: int) -> Value:
    if isinstance(held, list):
        return held[place - 1] if 0 < place <= len(held) else None
    return held[place - 1 : place] if place > 0 else ""


def _substring(text: str, start: int, count: int | None = None) -> str:
    return text[start - 1 : None if count is None else start - 1 + count]


def _part(text: str, by: str, place: int) -> str:
    parts = text.split(by)
    return parts[place - 1] if 0 < place <= len(parts) else ""


_FUNCTIONS: Final[Mapping[str, Callable[..., Value]]] = {
    "=": lambda x, y: x == y,
    "<>": lambda x, y: x != y,
    ">=": lambda x, y: x >= y,
    ">": lambda x, y: x > y,
    "<=": lambda x, y: x <= y,
    "<": lambda x, y: x < y,
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "not": lambda x: not x,
    "whole": int,
    "abs": abs,
    "length": len,
    "greatest": max,
    "least": min,
    "left": _left,
    "right": _right,
    "at": _at,
    "substring": _substring,
    "split_part": _part,
    "contains": lambda held, one: one in held,
    "starts_with": lambda text, head: text.startswith(head),
    "ends_with": lambda text, tail: text.endswith(tail),
    "lower": lambda text: text.lower(),
    "jaro_similarity": jaro,
    "jaro_winkler_similarity": jaro_winkler,
    "damerau_levenshtein": lambda a, b: DamerauLevenshtein.distance(a.encode(), b.encode()),
    "meets": lambda one, other: not set(one).isdisjoint(other),
}
