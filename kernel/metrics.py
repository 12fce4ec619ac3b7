"""Figures for ``/metrics``, and the budget of a request: how long each of its stages took.

What enters: counts and times, named by code's own constants, never a person's word or id. What leaves: Prometheus text; for one
request the milliseconds of its stages. Names are ``candor_…`` in base units; a label has few values, all known to whoever runs Candor
(spec console.C23). Figures are of this process: Prometheus adds up processes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from time import perf_counter as _now
from types import TracebackType
from typing import Final, Self

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from kernel.log import get_logger

__all__ = ["CONTENT_TYPE", "Counter", "Gauge", "Histogram", "counter", "described", "gauge", "histogram", "render", "stage", "timed"]  # fmt: skip

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
STAGES: Final = ("capture", "profile", "decide", "render")
BUDGET_SECONDS: Final = {"capture": 0.05, "profile": 0.03, "decide": 0.08, "render": 0.04, "total": 0.2}  # features.V10
ALARM_SECONDS: Final = 0.5  # features.V10
# Around the budgets, where the answer to "does it hold" lies.
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.08, 0.1, 0.2, 0.5, 1.0, 2.5)
_FORBIDDEN: Final = frozenset(
    {"person", "identifier", "decision", "delivery", "record", "email", "visitor", "actor", "key"}
)

_registry: Final = CollectorRegistry()
_described: Final[dict[str, "Described"]] = {}
_log = get_logger("kernel.metrics")


@dataclass(frozen=True, slots=True)
class Described:
    """One metric as the documents list it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    words: str


def counter(name: str, words: str, labels: Sequence[str] = ()) -> Counter:
    """A count that only grows; its name ends in ``_total``."""
    _note(name, "counter", labels, words, suffix="_total")
    return Counter(name, words, labels, registry=_registry)


def gauge(name: str, words: str, labels: Sequence[str] = ()) -> Gauge:
    """A figure of this moment."""
    _note(name, "gauge", labels, words)
    return Gauge(name, words, labels, registry=_registry)


def histogram(name: str, words: str, labels: Sequence[str] = (), *, buckets: Sequence[float] = _BUCKETS) -> Histogram:
    """Times in seconds, or other amounts in base units, by bucket."""
    _note(name, "histogram", labels, words)
    return Histogram(name, words, labels, registry=_registry, buckets=buckets)


def described() -> list[Described]:
    """Every metric of the modules that are loaded, by name."""
    return sorted(_described.values(), key=lambda one: one.name)


def render() -> bytes:
    """Everything as Prometheus text, of the type ``CONTENT_TYPE``."""
    return generate_latest(_registry)


def _note(name: str, kind: str, labels: Sequence[str], words: str, *, suffix: str = "") -> None:
    if not name.startswith("candor_") or not name.endswith(suffix):
        msg = f"expected a name candor_…{suffix}, got '{name}'"
        raise ValueError(msg)
    if _FORBIDDEN.intersection(labels):
        msg = f"expected labels that name nobody in '{name}', got {', '.join(labels)}"
        raise ValueError(msg)
    _described[name] = Described(name, kind, tuple(labels), words)


ProcessCollector(namespace="candor", registry=_registry)
_stages = histogram(
    "candor_stage_seconds",
    "Time of a request in each stage of its budget; total: of requests that have any.",
    ["stage"],
)
_alarms = counter("candor_budget_alarms_total", "Requests with a budget that took over 500 ms.")
_children: Final = {name: _stages.labels(name) for name in (*STAGES, "total")}


@dataclass(slots=True)
class Timings:
    """Seconds by stage of one request, as they are known so far."""

    began: float
    route: str = ""
    stages: dict[str, float] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """Seconds since the request came."""
        return _now() - self.began

    def header(self) -> str:
        """As the value of ``Server-Timing``."""
        parts = [f"{name};dur={self.stages[name] * 1000:.1f}" for name in STAGES if name in self.stages]
        return ", ".join([*parts, f"total;dur={self.total * 1000:.1f}"])


_timings: ContextVar[Timings | None] = ContextVar("timings", default=None)
_open: ContextVar["stage | None"] = ContextVar("stage", default=None)


@contextmanager
def timed(*, request_id: str = "") -> Iterator[Timings]:
    """One request, whose ``route`` may be named later. What its stages take is added up; at the end a request with any stage counts into ``total``, and over 500 ms raises the alarm."""
    held = Timings(_now())
    token = _timings.set(held)
    try:
        yield held
    finally:
        _timings.reset(token)
        if held.stages:
            took = held.total
            _children["total"].observe(took)
            if took > ALARM_SECONDS:
                _alarms.inc()
                spent = {f"{name}_ms": round(seconds * 1000, 1) for name, seconds in held.stages.items()}
                _log.warning(
                    "budget_exceeded", request_id=request_id, route=held.route, ms=round(took * 1000, 1), **spent
                )


class stage:  # noqa: N801 - used as a verb: `with stage("profile"):`
    """Time spent in one stage of the budget. A stage inside another is not counted twice: the outer one stands still meanwhile."""

    __slots__ = ("_began", "_inner", "_name", "_token")

    def __init__(self, name: str) -> None:
        """``name`` is one of ``STAGES``."""
        if name not in BUDGET_SECONDS:
            msg = f"expected one of the stages {', '.join(STAGES)}, got '{name}'"
            raise ValueError(msg)
        self._name = name
        self._inner = 0.0
        self._began = 0.0
        self._token: Token[stage | None] | None = None

    def __enter__(self) -> Self:
        self._token = _open.set(self)
        self._began = _now()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        took = _now() - self._began
        if self._token is not None:
            outer = self._token.old_value
            _open.reset(self._token)
            if isinstance(outer, stage):
                outer._inner += took  # noqa: SLF001 - of this very class
        own = max(0.0, took - self._inner)
        _children[self._name].observe(own)
        held = _timings.get()
        if held is not None:
            held.stages[self._name] = held.stages.get(self._name, 0.0) + own
