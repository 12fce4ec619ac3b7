"""What a measurement says: how times are spread, how many requests were answered, what went wrong.

Enters: seconds. Leaves: milliseconds, rounded to what can be believed. Percentiles are observed values (nearest rank), never interpolated.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Spread:
    """A set of times, in milliseconds."""

    n: int
    mean: float
    p50: float
    p90: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class Figures:
    """One load: `latency` runs from the moment a request was due, so that one that had to wait for its turn pays for the wait.

    `rps` is what was answered without error, over the time from the first due moment to the last answer. `late` is how long after its due moment a
    request left the generator: where it is large, the machine and not the server was slow. `errors` counts by kind.
    """

    asked: int
    answered: int
    errors: Mapping[str, int]
    seconds: float
    rps: float
    latency: Spread
    late: Spread


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU milliseconds a request: of the serving process, of Postgres and the hot store, of the helper that explains meanwhile."""

    server_ms: float
    engines_ms: float
    beside_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Bar:
    """What is asked of a figure, and whether it holds: `got` has to be at most `limit`, or at least (`least`)."""

    what: str
    limit: float
    got: float
    least: bool = False
    ok: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ok", self.got >= self.limit if self.least else self.got <= self.limit)


def spread(seconds: Sequence[float]) -> Spread:
    """The spread of these times; all zero for none."""
    if not seconds:
        return Spread(0, 0.0, 0.0, 0.0, 0.0, 0.0)
    ordered = sorted(seconds)
    return Spread(
        n=len(ordered),
        mean=_ms(math.fsum(ordered) / len(ordered)),
        p50=_ms(_rank(ordered, 0.5)),
        p90=_ms(_rank(ordered, 0.9)),
        p99=_ms(_rank(ordered, 0.99)),
        max=_ms(ordered[-1]),
    )


def _rank(ordered: Sequence[float], share: float) -> float:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
