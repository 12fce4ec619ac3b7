"""Identifiers of things: a three-letter prefix, an underscore and a ULID.

What enters: a prefix. What leaves: ``per_01J…``, 26 Crockford characters that sort by time of making. Follows the ULID
specification (48 bits of Unix milliseconds, 80 random bits), with its monotonic rule inside one process.
"""

import re
import secrets
import threading
import time
from datetime import UTC, datetime
from typing import Final, Literal, NewType, overload

PersonId = NewType("PersonId", str)
RecordId = NewType("RecordId", str)
IdentifierId = NewType("IdentifierId", str)
ActId = NewType("ActId", str)
EventId = NewType("EventId", str)
DecisionId = NewType("DecisionId", str)
DeliveryId = NewType("DeliveryId", str)
EntryId = NewType("EntryId", str)
RequestId = NewType("RequestId", str)
KeyId = NewType("KeyId", str)
StaffId = NewType("StaffId", str)
GraphVersion = NewType("GraphVersion", int)

Prefix = Literal["per", "rec", "idn", "act", "evt", "dec", "dlv", "ent", "req", "key", "stf"]

_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = tuple(a + b for a in _CROCKFORD for b in _CROCKFORD)  # ten bits a step: twice as fast as five
_SHAPE: Final = re.compile(r"[a-z]{3}_[0-7][0-9A-HJKMNP-TV-Z]{25}")
_RANDOM_BITS: Final = 80


class _Monotonic:
    """The last 128 bits given out, so that ids of one process and one millisecond still sort by making."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> int:
        fresh = (time.time_ns() // 1_000_000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
        with self._lock:
            if fresh >> _RANDOM_BITS <= self._last >> _RANDOM_BITS:
                # Same millisecond, or the wall clock stepped back: count on from the last one. The step is random, so
                # that an id never lets a reader guess its neighbour.
                fresh = self._last + 1 + secrets.randbits(40)
            self._last = fresh
        return fresh


_monotonic = _Monotonic()


@overload
def new_id(prefix: Literal["per"]) -> PersonId: ...
@overload
def new_id(prefix: Literal["rec"]) -> RecordId: ...
@overload
def new_id(prefix: Literal["idn"]) -> IdentifierId: ...
@overload
def new_id(prefix: Literal["act"]) -> ActId: ...
@overload
def new_id(prefix: Literal["evt"]) -> EventId: ...
@overload
def new_id(prefix: Literal["dec"]) -> DecisionId: ...
@overload
def new_id(prefix: Literal["dlv"]) -> DeliveryId: ...
@overload
def new_id(prefix: Literal["ent"]) -> EntryId: ...
@overload
def new_id(prefix: Literal["req"]) -> RequestId: ...
@overload
def new_id(prefix: Literal["key"]) -> KeyId: ...
@overload
def new_id(prefix: Literal["stf"]) -> StaffId: ...
@overload
def new_id(prefix: str) -> str: ...
def new_id(prefix: str) -> str:
    """A new id, greater than every earlier one of this process. A prefix not listed in ``Prefix`` gives a plain str."""
    bits = _monotonic.next()
    pairs = _PAIRS
    return (
        f"{prefix}_"
        + pairs[bits >> 120 & 1023]
        + pairs[bits >> 110 & 1023]
        + pairs[bits >> 100 & 1023]
        + pairs[bits >> 90 & 1023]
        + pairs[bits >> 80 & 1023]
        + pairs[bits >> 70 & 1023]
        + pairs[bits >> 60 & 1023]
        + pairs[bits >> 50 & 1023]
        + pairs[bits >> 40 & 1023]
        + pairs[bits >> 30 & 1023]
        + pairs[bits >> 20 & 1023]
        + pairs[bits >> 10 & 1023]
        + pairs[bits & 1023]
    )


def earliest_id(prefix: str, at: datetime) -> str:
    """Less than every id of this prefix that was made at this moment or later, and greater than all that were made a millisecond before."""
    bits = max(0, int(at.timestamp() * 1000)) << _RANDOM_BITS
    return f"{prefix}_" + "".join(_PAIRS[bits >> shift & 1023] for shift in range(120, -1, -10))


def made_at(name: str) -> datetime:
    """The moment that an id was made at, to the millisecond, by the clock of whoever made it."""
    bits = 0
    for letter in name.rpartition("_")[2]:
        bits = bits << 5 | _CROCKFORD.index(letter)
    return datetime.fromtimestamp((bits >> _RANDOM_BITS) / 1000, tz=UTC)


def is_id(text: str, prefix: str | None = None) -> bool:
    """Whether ``text`` has the shape of an id (of that prefix); says nothing about its existence."""
    return _SHAPE.fullmatch(text) is not None and (prefix is None or text.startswith(f"{prefix}_"))
