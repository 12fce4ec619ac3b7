"""Cursors: where a list was left off, as a text that only we read.

Enters: the sort key of the last thing on a page. Leaves: an opaque cursor, and the key again. A page begins after a key and never at a number, so that
whatever is added meanwhile neither repeats nor skips a line (spec console.C7). A cursor is no secret and grants nothing: it is checked as any input is.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import orjson

from kernel.errors import InvalidInput

DEFAULT: Final = 50
MOST: Final = 100  # things on one page
_LONGEST: Final = 400  # characters of a cursor: two ids and a time are a third of it

T = TypeVar("T")


class BadCursor(InvalidInput):
    """A cursor that is not of this list."""

    code = "bad_cursor"
    remedy = "Take the cursor from the page before (`next`, or the Link header), or leave it out to begin anew."


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some things of a list, and the cursor of those that follow; None at the end."""

    items: Sequence[T]
    next: str | None


def write(*key: str) -> str:
    """The cursor of a sort key."""
    return base64.urlsafe_b64encode(orjson.dumps(list(key))).decode().rstrip("=")


def read(cursor: str, parts: int) -> tuple[str, ...]:
    """The sort key of a cursor.

    Raises:
        BadCursor: not a cursor, or one of another list.
    """
    key: object = None
    if len(cursor) <= _LONGEST:
        with suppress(ValueError, binascii.Error):  # orjson's error is a ValueError
            key = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    if not isinstance(key, list) or len(key) != parts or not all(isinstance(part, str) for part in key):
        raise BadCursor(f"expected a cursor of this list, got {len(cursor)} other characters")
    return tuple(key)


def cut(found: Sequence[T], limit: int, key: Callable[[T], tuple[str, ...]]) -> Page[T]:
    """A page of at most ``limit`` things, made of one more than that where there are more."""
    kept = found[:limit]
    return Page(kept, write(*key(kept[-1])) if len(found) > limit and kept else None)
