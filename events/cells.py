"""One cell of a file as a value: numbers, words, truths and times, each with a plain word on what was expected.

What enters: a cell and the type that the map names (``auto`` when it names none). What leaves: a JSON value, or a
``CellFault`` with the column and the reason; never the cell's words.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from events.calls import instant
from events.mapping import Column
from kernel.canonical import Json

Scalar = str | int | float | bool

_TRUE: Final = frozenset({"true", "t", "yes", "y", "1", "on"})
_FALSE: Final = frozenset({"false", "f", "no", "n", "0", "off"})
_SAFE_DIGITS: Final = 15  # more digits are a code, not an amount, and would not survive a float


class CellFault(Exception):
    """A cell that cannot be used; travels no further than the row it belongs to."""

    def __init__(self, column: Column | None, reason: str) -> None:
        super().__init__(reason)
        self.column, self.reason = column, reason


def typed(cell: Json, kind: str, form: str | None, column: Column) -> Json:
    """The cell under a ``ValueType`` of the map; ``form`` is the time format."""
    match kind:
        case "auto":
            return _guess(cell) if isinstance(cell, str) else cell
        case "text":
            return cell if isinstance(cell, str) else str(cell)
        case "number" | "integer":
            return _numeric(cell, column, whole=kind == "integer")
        case "boolean":
            word = str(cell).lower()
            if word not in _TRUE | _FALSE:
                raise CellFault(column, "expected true or false (or yes, no, 1, 0), got another word")
            return word in _TRUE
        case _:
            return time(str(cell), form, column).isoformat()


@lru_cache(maxsize=65_536)
def _guess(text: str) -> str | int | float:
    """A number when it is written as one; codes with leading zeros and long digit strings stay text."""
    plain = text.removeprefix("-")
    if not plain or not (plain[0].isdigit() or plain[0] == ".") or len(plain) > _SAFE_DIGITS + 2 or not plain.isascii():
        return text
    if plain.isdigit():
        return int(text) if len(plain) <= _SAFE_DIGITS and (plain[0] != "0" or plain == "0") else text
    whole, dot, rest = plain.partition(".")
    if dot and rest.isdigit() and (whole.isdigit() or not whole) and (len(whole) < 2 or whole[0] != "0"):
        return float(text)
    return text


def _numeric(cell: Json, column: Column, *, whole: bool) -> int | float:
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        number: float = cell
    else:
        try:
            number = float(str(cell))
        except ValueError:
            raise CellFault(column, "expected a number, got other text") from None
    if number != number or abs(number) == float("inf"):  # noqa: PLR0124 -- NaN differs from itself
        raise CellFault(column, "expected a finite number")
    if number == int(number) and (whole or isinstance(cell, int)):
        return int(number)
    if whole:
        raise CellFault(column, "expected a whole number, got a fraction")
    return number


def time(text: str, form: str | None, column: Column | None) -> datetime:
    """A time by strptime format, ``unix`` or ``unix_ms``, else ISO 8601; aware UTC."""
    try:
        return _moment_of(text, form)
    except (ValueError, OverflowError, OSError):
        raise CellFault(column, f"expected a time written as {form or 'ISO 8601'}, got other text") from None


@lru_cache(maxsize=65_536)  # strptime takes 6 µs and files repeat their days
def _moment_of(text: str, form: str | None) -> datetime:
    if form is None:
        return instant(text)
    if form in {"unix", "unix_ms"}:
        return instant(datetime.fromtimestamp(float(text) / (1_000 if form == "unix_ms" else 1), UTC).isoformat())
    return instant(datetime.strptime(text, form).isoformat())  # noqa: DTZ007 -- instant() reads naive as UTC


def scalar(value: Json, column: Column) -> Scalar:
    """A trait holds one value."""
    if isinstance(value, str | int | float | bool):
        return value
    raise CellFault(column, "expected one value, got a list or an object")
