"""The resident index: every identifier that somebody holds, in the memory of this process, as a keyed hash.

Enters: keys (the first 16 bytes of a blind index) with the people and records behind them, and drops of keys that changed.
Leaves: who holds a key, that nobody does, or ``None``: ask Postgres, which is the authority. An answer of Postgres is taken
back in only if nothing was dropped after it was asked, so an answer that a change overtook never stays.

48 bytes an identifier, in sorted arrays: 96 MB for a million people with two identifiers each. What changed since lies in
dictionaries until the next ``fill``. No words, and nothing that could not be read from Postgres again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kernel.ids import PersonId, RecordId

KEY_BYTES: Final = 16  # of a blind index: two of them meet once in 2^64 identifiers
Held = Mapping[PersonId, RecordId]
Words = NDArray[np.uint64]

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUE_OF: Final = np.zeros(256, np.uint64)
_VALUE_OF[np.frombuffer(_ALPHABET.encode(), np.uint8)] = np.arange(32, dtype=np.uint64)
_PAIRS: Final = tuple(a + b for a in _ALPHABET for b in _ALPHABET)
_NOBODY: Final[Held] = {}


class Resident:
    """Not thread-safe: belongs to one event loop. Empty and silent (``ready`` False) until ``fill``."""

    def __init__(self) -> None:
        self.ready = False
        self._drops = 0
        self._clear()

    def _clear(self) -> None:
        self._high = np.empty(0, np.uint64)
        self._rest = np.empty((0, 5), np.uint64)  # low half of the key, person, record
        self._several: dict[bytes, Held] = {}
        self._fresh: dict[bytes, tuple[int, Held]] = {}
        self._changed: dict[bytes, int] = {}

    @property
    def moment(self) -> int:
        """Take it before asking Postgres, and hand it to ``put`` or ``fill``."""
        return self._drops

    @property
    def size(self) -> int:
        """Identifiers it knows, those that changed since included."""
        return len(self._high) + len(self._several) + len(self._fresh) + len(self._changed)

    @property
    def loose(self) -> int:
        """How many lie outside the sorted arrays."""
        return len(self._fresh) + len(self._changed)

    @property
    def memory(self) -> int:
        """Bytes of the sorted arrays."""
        return self._high.nbytes + self._rest.nbytes

    def off(self) -> None:
        """Forget everything and answer nothing: the notices of changes may be incomplete."""
        self.ready = False
        self._drops += 1
        self._clear()

    def fill(self, arranged: "Arranged", *, since: int) -> None:
        """Take in all that Postgres holds, read from the moment ``since`` on; what was dropped after it must be asked for."""
        self._high, self._rest, self._several = arranged.high, arranged.rest, dict(arranged.several)
        self._fresh = {key: one for key, one in self._fresh.items() if one[0] > since}
        self._changed = {key: dropped for key, dropped in self._changed.items() if dropped > since}
        for key in [*self._changed, *self._fresh]:
            self._wipe(key)
        self.ready = True

    def get(self, key: bytes) -> Held | None:
        """The holders of a key, none when nobody is; None: ask Postgres."""
        if not self.ready:
            return None
        fresh = self._fresh.get(key)
        if fresh is not None:
            return fresh[1]
        if key in self._changed:
            return None
        place = self._place(key)
        if place >= 0:
            _, a, b, c, d = self._rest[place].tolist()
            return {_person(a, b): _record(c, d)}
        return self._several.get(key, _NOBODY)

    def drop(self, keys: Iterable[bytes]) -> None:
        """These changed: nothing of them stays in memory, and nobody is answered before Postgres was asked anew."""
        self._drops += 1
        for key in keys:
            self._fresh.pop(key, None)
            self._changed[key] = self._drops
            self._wipe(key)

    def put(self, key: bytes, held: Held, *, since: int) -> bool:
        """Remember what Postgres said to who asked at ``since``; not when the key was dropped after that, or is known."""
        dropped = self._changed.get(key)
        if not self.ready or dropped is None or since < dropped:
            return False
        del self._changed[key]
        self._fresh[key] = dropped, held
        return True

    def _place(self, key: bytes) -> int:
        high, low = _halves(key)
        place = int(np.searchsorted(self._high, np.uint64(high)))
        while place < len(self._high) and self._high[place] == high:  # two keys share 64 bits once in a lifetime
            if self._rest[place, 0] == low and self._rest[place, 1]:
                return place
            place += 1
        return -1

    def _wipe(self, key: bytes) -> None:
        self._several.pop(key, None)
        place = self._place(key)
        if place >= 0:
            self._rest[place] = (
                0  # the first half of the key stays, for the order; person, record and the other half are gone
            )


@dataclass(frozen=True, slots=True)
class Arranged:
    """Holders sorted by key; keys with several holders apart."""

    high: Words
    rest: Words
    several: Mapping[bytes, Held]


def arrange(keys: Words, people: Words, records: Words) -> Arranged:
    """``uint64[n, 2]`` each, one row a holder, in any order. Takes a second for two million: call it in a thread."""
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    rows = np.column_stack([keys, people, records])[order]
    same = np.zeros(len(rows) + 1, bool)
    same[1:-1] = (rows[1:, :2] == rows[:-1, :2]).all(axis=1)
    shared = same[1:] | same[:-1]
    several: dict[bytes, Held] = {}
    for key, low, *held in rows[shared].tolist():
        known = dict(several.get(name := _bytes(key, low), _NOBODY))
        known[_person(held[0], held[1])] = _record(held[2], held[3])
        several[name] = known
    return Arranged(rows[~shared, 0].copy(), rows[~shared, 1:].copy(), several)


def words_of(fixed: NDArray[np.void]) -> Words:
    """``uint64[n, 2]`` of 16 raw bytes each."""
    return np.ascontiguousarray(fixed).view(">u8").reshape(-1, 2).astype(np.uint64)


def ids_of(letters: NDArray[np.uint8]) -> Words:
    """``uint64[n, 2]`` of the 26 Crockford letters of each id, ``uint8[n, 26]``."""
    high, low = np.zeros(len(letters), np.uint64), np.zeros(len(letters), np.uint64)
    five, most = np.uint64(5), np.uint64(59)
    for column in range(26):
        high = (high << five) | (low >> most)
        low = (low << five) | _VALUE_OF[letters[:, column]]
    return np.column_stack([high, low])


def _halves(key: bytes) -> tuple[int, int]:
    return int.from_bytes(key[:8], "big"), int.from_bytes(key[8:KEY_BYTES], "big")


def _bytes(high: int, low: int) -> bytes:
    return high.to_bytes(8, "big") + low.to_bytes(8, "big")


def _person(high: int, low: int) -> PersonId:
    return PersonId(f"per_{_letters(high, low)}")


def _record(high: int, low: int) -> RecordId:
    return RecordId(f"rec_{_letters(high, low)}")


def _letters(high: int, low: int) -> str:
    bits = high << 64 | low
    return "".join([_PAIRS[bits >> shift & 1023] for shift in range(120, -1, -10)])
