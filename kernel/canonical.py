"""Canonical bytes of a JSON value, by RFC 8785 (JSON Canonicalization Scheme), and their digest.

What enters: a ``Json`` value. What leaves: the one byte string that every conforming implementation makes of it, or its
``sha256:<hex>``. Whole numbers beyond 2**53, NaN and infinities have no canonical form and are refused.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import cast

import orjson
import rfc8785
from typing_extensions import TypeAliasType

from kernel.errors import InvalidInput

Json = TypeAliasType("Json", "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None")


class NotCanonical(InvalidInput):
    """The value has no canonical JSON form."""

    code = "not_canonical"
    remedy = "Use text for big or exact numbers and for dates; use only null, booleans, numbers, text, lists, objects."


def canonical(value: Json) -> bytes:
    """The RFC 8785 bytes of ``value``.

    Raises:
        NotCanonical: a type that JSON lacks, a key that is not text, a number that RFC 8785 cannot write.
    """
    unusual: list[bool] = []
    try:
        plain = _quick(value)
    except TypeError:  # something else among it than what JSON's own reader makes; that tells where it is, too
        plain = _plain(value, "", unusual)
    if not unusual:
        # With ASCII keys, sorted compact JSON is the canonical form, each fraction as the library below writes it, and this writer is 20 times
        # faster. Whole numbers beyond 2**53 and lone surrogates make it refuse: then the library says what is wrong.
        with suppress(orjson.JSONEncodeError):
            return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER)
    return _by_library(_plain(value, "", unusual, _same))


def _by_library(plain: object) -> bytes:
    try:
        return cast("bytes", rfc8785.dumps(plain))
    except rfc8785.CanonicalizationError as fault:
        # The library's text may quote the value, which may be personal: say the kind of fault only.
        msg = f"expected a value with a canonical JSON form, got one that RFC 8785 refuses ({type(fault).__name__})"
        raise NotCanonical(msg) from None


def canonical_of_code(value: Mapping[str, Json], *, strange: Collection[str] = ()) -> bytes:
    """`canonical`, ten times as fast, for an object that our own code put together.

    The caller vouches that it holds plain dicts with ASCII keys, lists, texts, whole numbers and no fractions; members named in `strange` hold
    what others sent and take the slow way.
    """
    made: dict[str, object] = dict(value)
    for name in strange:
        if made.get(name):
            made[name] = orjson.Fragment(canonical(value[name]))
    try:
        return orjson.dumps(made, option=orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER)
    except orjson.JSONEncodeError:
        return canonical(value)  # which says what is wrong


def canonical_rows_of_code(rows: Sequence[Mapping[str, Json]]) -> bytes:
    """The same for a list of such objects."""
    try:
        return orjson.dumps(rows, option=orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER)
    except orjson.JSONEncodeError:
        return canonical(rows)  # which says what is wrong


def digest(value: Json) -> str:
    """``sha256:`` and the hex SHA-256 of the canonical bytes."""
    return digest_of(canonical(value))


def digest_of(words: bytes) -> str:
    """The same of bytes that are canonical already."""
    return f"sha256:{hashlib.sha256(words).hexdigest()}"


_LAST_PLAIN = -6
_LEAST, _MOST = 1e-4, 1e15
"""Between these both writers give the shortest digits without an exponent, so the fast one may write it."""


def _written(value: float) -> object:
    number = float(value)  # of a library's own fraction, too
    if _LEAST <= abs(number) < _MOST:
        return int(number) if number.is_integer() else number
    if 0 < abs(number) < _LEAST:
        return orjson.Fragment(_small(number))
    return orjson.Fragment(_by_library(number)) if number else 0


def _small(number: float) -> str:
    """A fraction nearer to zero than `_LEAST` as ECMAScript writes it: no exponent down to a millionth, below it one without padding."""
    mantissa, _, power = repr(number).partition("e")
    exponent = int(power)
    if exponent < _LAST_PLAIN:
        return f"{mantissa}e{exponent}"
    sign = "-" if number < 0 else ""
    return f"{sign}0.{'0' * (-exponent - 1)}{mantissa.removeprefix('-').replace('.', '')}"


def _same(value: float) -> object:
    return value


_LEAVES = frozenset({str, int, bool, type(None)})


def _quick(value: object) -> object:
    """As `_plain` says, of what is made of plain dicts with ASCII keys, lists, texts and numbers alone.

    Raises:
        TypeError: it is not.
    """
    kind = type(value)
    if kind is dict:
        held = cast("dict[str, object]", value)
        if not "".join(held).isascii():  # a key that is no text raises here
            raise TypeError
        return dict(zip(held, _quick_each(held.values()), strict=True))
    if kind is list:
        return _quick_each(cast("list[object]", value))
    return _quick_each([value])[0]


def _quick_each(values: Iterable[object]) -> list[object]:
    """The same of each of them, in a loop that calls nothing for a leaf: an explanation has two thousand."""
    made: list[object] = []
    for value in values:
        kind = type(value)
        if kind in _LEAVES:
            made.append(value)
        elif kind is float:
            number = cast("float", value)
            made.append(number if _LEAST <= abs(number) < _MOST and number % 1.0 else _written(number))
        elif kind is dict or kind is list:
            made.append(_quick(value))
        else:
            raise TypeError
    return made


def _plain(value: object, pointer: str, unusual: list[bool], fraction: Callable[[float], object] = _written) -> object:
    """The same value in plain dicts and lists, every mapping and sequence accepted, what `fraction` makes of fractions; `unusual` is filled when
    only the full rules of RFC 8785 will do, as for keys beyond ASCII.
    """
    kind = type(value)
    if kind in _LEAVES:
        return value
    if kind is float:
        return fraction(cast("float", value))
    if kind is list:
        return [
            _plain(item, f"{pointer}/{place}", unusual, fraction)
            for place, item in enumerate(cast("list[object]", value))
        ]
    if isinstance(value, Mapping):
        made: dict[str, object] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                msg = f"expected text as an object key at '{pointer}', got {type(key).__name__}"
                raise NotCanonical(msg)
            if not key.isascii():
                unusual.append(True)
            made[str(key)] = item if type(item) in _LEAVES else _plain(item, pointer + "/*", unusual, fraction)
        return made
    if isinstance(value, str):  # an enum's member, for one
        return str(value)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [_plain(item, f"{pointer}/{place}", unusual, fraction) for place, item in enumerate(value)]
    if isinstance(value, float):
        return fraction(value)
    if isinstance(value, int):
        unusual.append(True)
        return value
    msg = f"expected a JSON value at '{pointer}', got {type(value).__name__}"
    raise NotCanonical(msg)
