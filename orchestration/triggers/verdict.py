"""What is to be done with a run whose time has come. Pure: the same log gives the same answer, however often and wherever it is asked.

Enters: the rule, now, and for event rules what the event log says of the live person. Leaves: `Fire`, `PutOff` or `CallOff`, with the reason. A run is an alarm clock and
nothing else: what happened is read from the log when it rings, so merges, late events and a log that was read twice need no bookkeeping.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from orchestration.triggers.rules import OnEvent, Rule
from orchestration.triggers.runs import Why

_A_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Fire:
    """It is its turn: decide."""


@dataclass(frozen=True, slots=True)
class PutOff:
    """Look again at `due`."""

    due: datetime
    why: str


@dataclass(frozen=True, slots=True)
class CallOff:
    """No decision, and why."""

    why: str


Verdict = Fire | PutOff | CallOff


@dataclass(frozen=True, slots=True)
class Seen:
    """An event of the live person. `starts`: it is what the rule waits for; `stops`: it is one of `unless`.

    `against` says why a start may not set anything off (its properties, what people were told it is for); None when it may.
    """

    name: str
    at: datetime
    starts: bool = False
    stops: bool = False
    against: str | None = None


def since(rule: Rule, now: datetime) -> datetime:
    """How far back the log matters: what is older was due too long ago."""
    held = _A_DAY + rule.give_up_after if rule.quiet is not None else timedelta(0)
    return now - rule.delay - rule.give_up_after - held


def judge(rule: Rule, at: datetime, now: datetime, *, seen: Sequence[Seen] = (), spent: datetime | None = None) -> Verdict:  # fmt: skip
    """The verdict on a run of what happened `at`.

    `seen`: for event rules, the person's events from `since`. `spent`: when her last turn of this trigger was settled.
    """
    if spent is not None and rule.window is not None and now < spent + rule.window:
        return CallOff(Why.ONCE_PER)
    base = at
    if isinstance(rule.when, OnEvent):
        found = _base(rule.when, seen, spent)
        if isinstance(found, CallOff):
            late = found.why == Why.NOTHING_LEFT and now > rule.deadline(rule.due(at))
            return CallOff(Why.TOO_LATE) if late else found
        base = found
    return _timed(rule, base, now)


def _base(when: OnEvent, seen: Sequence[Seen], spent: datetime | None) -> datetime | CallOff:
    """From when the delay runs; or why nothing is left to wait for."""
    stopped = max((one for one in seen if one.stops), key=lambda one: one.at, default=None)
    starts = [one for one in seen if one.starts and (spent is None or one.at > spent)]
    good = [one for one in starts if one.against is None]
    live = [one.at for one in good if stopped is None or one.at > stopped.at]
    if live:
        return min(live) if when.counted_from == "first" else max(live)
    if good and stopped is not None:
        return CallOff(f"happened:{stopped.name}")
    if starts:
        newest = max(starts, key=lambda one: one.at)
        return CallOff(newest.against or Why.NO_MATCH)
    return CallOff(Why.ONCE_PER if spent is not None else Why.NOTHING_LEFT)


def _timed(rule: Rule, base: datetime, now: datetime) -> Verdict:
    due = rule.due(base)
    if now < due:
        return PutOff(due, Why.QUIET_HOURS if due > base + rule.delay else Why.NOT_DUE)
    if now > rule.deadline(due):
        return CallOff(Why.TOO_LATE)
    held = now if rule.quiet is None else rule.quiet.after(now)
    return PutOff(held, Why.QUIET_HOURS) if held > now else Fire()
