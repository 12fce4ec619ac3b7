"""When to look again at what may be a little old: the catalogue, the models that rule.

What enters: how old it may be, in seconds. What leaves: whether the caller has to look. One looks at a time; the others go on with what is there meanwhile. Where that look
takes longer than the thing may be old, one more begins: a busy process does not ask the same of Postgres once for every request that waits.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Looking:
    """Of one thing in one event loop."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._at = -math.inf
        self._busy = 0
        self._begun = -math.inf
        self._forgotten = 0

    @property
    def due(self) -> bool:
        """Whether to look now: it is too old, and nobody is looking or the last who began has taken too long."""
        now = time.monotonic()
        if now - self._at < self._seconds:
            return False
        return self._busy == 0 or self._at == -math.inf or now - self._begun >= self._seconds

    @contextmanager
    def look(self) -> Iterator[None]:
        """Around the look. What it found is as old as its beginning; after an accident, or when it was told to forget meanwhile, it is still due."""
        began = self._begun = time.monotonic()
        forgotten = self._forgotten
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
        if forgotten == self._forgotten:
            self._at = began

    def forget(self) -> None:
        """Something changed: due at once, for everybody."""
        self._at = -math.inf
        self._forgotten += 1
