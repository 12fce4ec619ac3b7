"""Finds which of many byte strings stand in a stretch of bytes, in one pass.

Enters: needles of four bytes or more. Leaves: which of them were found. The first two bytes of every place are looked up in a table, the few places
that remain are compared by four bytes, then whole; so a thousand needles cost little more than one.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import numpy as np

_LEAST: Final = 4
_STEP: Final = 1 << 22  # bytes at a time, so that the arrays stay small


class Needles:
    """What to look for. `find` may be called from several threads."""

    def __init__(self, needles: Sequence[bytes]) -> None:
        if any(len(one) < _LEAST for one in needles):
            msg = f"expected needles of at least {_LEAST} bytes, got a shorter one"
            raise ValueError(msg)
        self._by_start: dict[bytes, list[bytes]] = defaultdict(list)
        for one in dict.fromkeys(needles):
            self._by_start[one[:_LEAST]].append(one)
        self._longest = max((len(one) for one in needles), default=0)
        starts = np.frombuffer(b"".join(sorted(self._by_start)), dtype="<u4")
        self._starts = np.sort(starts)
        self._first = np.zeros(1 << 16, dtype=bool)
        self._first[starts & 0xFFFF] = True

    def find(self, hay: bytes) -> set[bytes]:
        """The needles that stand somewhere in `hay`."""
        found: set[bytes] = set()
        for begin in range(0, len(hay) if self._by_start else 0, _STEP):
            found |= self._find(hay[begin : begin + _STEP + self._longest])
        return found

    def _find(self, hay: bytes) -> set[bytes]:
        if len(hay) < _LEAST:
            return set()
        raw = np.frombuffer(hay, dtype=np.uint8)
        pairs = raw[:-1].astype(np.uint16) | raw[1:].astype(np.uint16) << 8
        places = np.flatnonzero(self._first[pairs[:-2]])
        whole = pairs[places].astype(np.uint32) | pairs[places + 2].astype(np.uint32) << 16
        return {
            one
            for place in places[np.isin(whole, self._starts)].tolist()
            for one in self._by_start[hay[place : place + _LEAST]]
            if hay.startswith(one, place)
        }
