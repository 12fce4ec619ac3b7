"""How much of the machine the making of explanations may take: what the others leave, and a little always.

Enters: how long a piece of work took, and how busy the machine was meanwhile. Leaves: how long to rest. On a quiet machine it works without rest; when
decisions need the processors it steps back to its least share, and the queue holds what waits: that is the back-pressure. Lowest priority alone is not enough:
whoever runs at all fills caches and delays the next waking by milliseconds.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import psutil

_LONGEST: Final = 2.0  # seconds of rest at once: a machine that falls quiet is noticed by then


@dataclass(frozen=True, slots=True)
class Used:
    """Seconds of processor time until now: of all processors together, idle ones among them, and of this process."""

    total: float
    idle: float
    own: float


def used() -> Used:
    """What the operating system says."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    # Guests' time is within user time already.
    total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    return Used(total, idle, time.process_time())


def share(others: float, *, processors: int, room: float, least: float) -> float:
    """The share of one processor that may be worked: of all processors, `room` less what `others` use (shares of all), at least `least`, at most 1."""
    return min(1.0, max(least, (room - others) * processors))


def rest(worked: float, part: float) -> float:
    """Seconds to rest after so many of work, so that `part` of the time is work."""
    return min(_LONGEST, worked * (1.0 / part - 1.0))


class Pace:
    """Of one worker. Looks at the machine between two pieces of work."""

    def __init__(
        self, room: float, least: float, *, processors: int | None = None, look: Callable[[], Used] = used
    ) -> None:  # fmt: skip
        """`room`: the share of all processors up to which this worker fills the machine; `least`: of one processor, always."""
        self._room, self._least = room, least
        self._processors = processors or psutil.cpu_count() or 1
        self._look = look
        self._before = look()

    def rest(self, worked: float) -> float:
        """Seconds to rest after a piece of work of so many seconds."""
        now, before = self._look(), self._before
        self._before = now
        passed = now.total - before.total
        if passed <= 0:
            return 0.0
        others = max(0.0, 1.0 - (now.idle - before.idle + now.own - before.own) / passed)
        return rest(worked, share(others, processors=self._processors, room=self._room, least=self._least))
