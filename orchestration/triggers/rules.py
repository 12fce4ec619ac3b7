"""The triggers file: what sets a message off, as data.

Enters: YAML text. Leaves: frozen `Rules` with a digest over their canonical form, or `TriggersInvalid`, which names every faulty line and, for an unknown key, the nearest
known one. Spec channels.A39: a trigger is an API call, an event rule, a segment entry or a schedule.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import BeforeValidator, Discriminator, Field, Tag, ValidationError, model_validator

from kernel.canonical import Json, digest
from kernel.errors import Problem
from kernel.yaml_text import read_yaml
from orchestration.decision.parts import Channel, Name, Part, listed, nearest
from orchestration.triggers.errors import TriggersInvalid, UnknownTrigger
from orchestration.triggers.lines import Lines
from orchestration.triggers.timing import Cron, Lasting, Quiet, Zone

Word = str | bool | int | float
EventName = Annotated[str, Field(min_length=1, max_length=200)]


class Bounds(Part):
    """Bounds on a number; `known` asks whether the property is there at all."""

    over: float | None = None
    under: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    known: bool | None = None

    def holds(self, value: Json) -> bool:
        """Whether the value meets every bound; what is no finite number meets none but `known`."""
        if self.known is not None and self.known != (value is not None):
            return False
        bounds = (self.over, self.under, self.at_least, self.at_most)
        if all(one is None for one in bounds):
            return True
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return False
        return (
            (self.over is None or value > self.over)
            and (self.under is None or value < self.under)
            and (self.at_least is None or value >= self.at_least)
            and (self.at_most is None or value <= self.at_most)
        )


def _several(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


def _bounds_or_words(value: object) -> str:
    return "(bounds)" if isinstance(value, dict | Bounds) else "(words)"


Wanted = Annotated[
    Annotated[Bounds, Tag("(bounds)")]
    | Annotated[tuple[Word, ...], BeforeValidator(_several), Field(min_length=1), Tag("(words)")],
    Discriminator(_bounds_or_words),
]


class Happens(Part):
    """An event by name, and what its properties must say: a word, one of several, or bounds. A dot leads inwards."""

    event: EventName
    where: Mapping[str, Wanted] = {}

    def fits(self, properties: Mapping[str, Json]) -> bool:
        """Whether properties say what they must."""
        return all(_says(_inward(properties, path), wanted) for path, wanted in self.where.items())


def _inward(properties: Mapping[str, Json], path: str) -> Json:
    if path in properties:
        return properties[path]
    found: Json = dict(properties)
    for step in path.split("."):
        if not isinstance(found, Mapping) or step not in found:
            return None
        found = found[step]
    return found


def _says(value: Json, wanted: Bounds | tuple[Word, ...]) -> bool:
    if isinstance(wanted, Bounds):
        return wanted.holds(value)
    # A truth value is no number here, although Python counts with it.
    return any(isinstance(value, bool) == isinstance(one, bool) and value == one for one in wanted)


def _stop(value: object) -> object:
    return {"event": value} if isinstance(value, str) else value


class OnEvent(Happens):
    """Something happens, and nothing of `unless` follows until `delay` is over.

    `counted_from`: the delay runs from the first or from the last such event that is still open (not followed by one of `unless`, not answered by an earlier run).
    """

    delay: Lasting = timedelta(0)
    counted_from: Literal["first", "last"] = "last"
    unless: Annotated[tuple[Annotated[Happens, BeforeValidator(_stop)], ...], BeforeValidator(listed)] = ()


class OnSegment(Part):
    """Somebody enters a segment and is still in it when `delay` is over. Who is in it when the trigger is published has not entered."""

    segment: Name
    delay: Lasting = timedelta(0)


class OnSchedule(Part):
    """The calendar: everyone, or everyone with a record of `source`, gets a decision; the placement's own rules say who is meant."""

    schedule: Cron
    zone: Zone = "UTC"
    source: Name | None = None


class OnCall(Part):
    """Somebody calls: POST /v1/triggers/NAME, or `candor trigger fire NAME`."""

    api: Literal[True]
    delay: Lasting = timedelta(0)

    @model_validator(mode="before")
    @classmethod
    def _word(cls, value: object) -> object:
        """`when: api` says it all."""
        return {"api": True} if value == "api" else value


def _kind(value: object) -> str | None:
    if isinstance(value, OnCall) or value == "api":
        return "(api)"
    keys = set(value) if isinstance(value, dict) else set(getattr(type(value), "model_fields", ()))
    found = [name for name in ("event", "segment", "schedule", "api") if name in keys]
    return f"({found[0]})" if found else None


When = Annotated[
    Annotated[OnEvent, Tag("(event)")]
    | Annotated[OnSegment, Tag("(segment)")]
    | Annotated[OnSchedule, Tag("(schedule)")]
    | Annotated[OnCall, Tag("(api)")],
    Discriminator(
        _kind, custom_error_type="kind", custom_error_message="expected one of event, segment, schedule and api"
    ),
]
Kind = Literal["event", "segment", "schedule", "api"]
KINDS: Final[Mapping[type[Part], Kind]] = {
    OnEvent: "event",
    OnSegment: "segment",
    OnSchedule: "schedule",
    OnCall: "api",
}
_ONCE: Final = timedelta(days=1)


class Rule(Part):
    """One trigger. `placement` says what may be sent; whether and what is decided like any other decision."""

    name: Name
    placement: Name
    when: When
    channels: Annotated[tuple[Channel, ...], BeforeValidator(listed)] = ()
    once_per: Lasting | None = Field(
        default=None,
        description="At most one run of a person is decided in this time. A day for events and segments, no limit for calls and schedules.",
    )
    quiet: Quiet | None = None
    give_up_after: Lasting = Field(
        default=timedelta(hours=6), description="What could not be decided for so long after it was due is called off."
    )

    @property
    def kind(self) -> Kind:
        """What it waits for."""
        return KINDS[type(self.when)]

    @property
    def window(self) -> timedelta | None:
        """The time in which one person's runs are decided at most once."""
        if self.once_per is not None:
            return self.once_per or None
        return _ONCE if isinstance(self.when, OnEvent | OnSegment) else None

    @property
    def delay(self) -> timedelta:
        """From what happens to the decision."""
        return timedelta(0) if isinstance(self.when, OnSchedule) else self.when.delay

    def due(self, at: datetime) -> datetime:
        """When what happened at a moment is to be decided."""
        due = at + self.delay
        return due if self.quiet is None else self.quiet.after(due)

    def deadline(self, due: datetime) -> datetime:
        """Until when something due is still decided; a deadline that falls into quiet hours begins anew at their end."""
        last = due + self.give_up_after
        held = last if self.quiet is None else self.quiet.after(last)
        return last if held == last else held + self.give_up_after


class Rules(Part):
    """The whole file."""

    version: Literal[1] = 1
    triggers: tuple[Rule, ...] = ()

    @model_validator(mode="after")
    def _once(self) -> "Rules":
        counts = Counter(one.name for one in self.triggers)
        if doubled := sorted(name for name, count in counts.items() if count > 1):
            msg = f"expected every trigger's name once, got again: {', '.join(doubled[:5])}"
            raise ValueError(msg)
        return self

    @cached_property
    def by_name(self) -> Mapping[str, Rule]:
        """The triggers by name."""
        return {one.name: one for one in self.triggers}

    @cached_property
    def by_event(self) -> Mapping[str, tuple[Rule, ...]]:
        """The triggers that an event of this name may set off."""
        found: dict[str, tuple[Rule, ...]] = {}
        for one in self.triggers:
            if isinstance(one.when, OnEvent):
                found[one.when.event] = (*found.get(one.when.event, ()), one)
        return found

    def rule(self, name: str) -> Rule:
        """The trigger with this name.

        Raises:
            UnknownTrigger: none has it; the message offers the nearest name.
        """
        found = self.by_name.get(name)
        if found is None:
            raise UnknownTrigger(f"expected a published trigger, got '{name[:64]}'{nearest(name, list(self.by_name))}")
        return found

    def document(self) -> dict[str, Json]:
        """The canonical form: every default written out."""
        plain: dict[str, Json] = self.model_dump(mode="json", by_alias=True)
        return plain

    @property
    def digest(self) -> str:
        """`sha256:` of the canonical form."""
        return digest(self.document())


def parse(text: str) -> Rules:
    """The triggers that `text` declares.

    Raises:
        TriggersInvalid: not YAML, unknown keys, missing or impossible values; one problem per place, each with its line.
    """
    try:
        lines = Lines.of(text)
        raw = read_yaml(text)
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "an unknown line"
        raise TriggersInvalid(f"expected YAML, got something else at {where}") from None
    if not isinstance(raw, dict):
        raise TriggersInvalid("expected a mapping with the key triggers, got something else")
    problems = [Problem(f"line {line}", f"key '{name}' stands here twice") for line, name in lines.doubled()]
    try:
        rules = Rules.model_validate(raw)
    except ValidationError as fault:
        problems += [_problem(one, lines) for one in fault.errors(include_url=False, include_input=False)]
        raise _invalid(problems) from None
    if problems:
        raise _invalid(problems)
    return rules


def misnamed(
    rules: Rules, placements: Mapping[str, frozenset[str]], segments: frozenset[str]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Names that the rules take from elsewhere and that are not there: the place in the file, and what is wrong.

    `placements`: those of the catalogue, each with its channels that have a queue; `segments`: those of the features file.
    """
    for number, one in enumerate(rules.triggers):
        at: tuple[str | int, ...] = ("triggers", number)
        if one.placement not in placements:
            known = nearest(one.placement, list(placements))
            yield (*at, "placement"), f"expected a placement of the catalogue, got '{one.placement}'{known}"
        elif not (frozenset(one.channels) or placements[one.placement]) & placements[one.placement]:
            yield (*at, "placement"), f"expected a placement with email or push to send by, got '{one.placement}'"
        if isinstance(one.when, OnSegment) and one.when.segment not in segments:
            known = nearest(one.when.segment, sorted(segments))
            yield (*at, "when", "segment"), f"expected a segment of the features file, got '{one.when.segment}'{known}"


def refuse(text: str, faults: Iterable[tuple[tuple[str | int, ...], str]]) -> None:
    """Nothing, where there are no faults.

    Raises:
        TriggersInvalid: the faults with their lines in `text`.
    """
    lines = Lines.of(text)
    if problems := [Problem(_where(place, lines), words) for place, words in faults]:
        raise _invalid(problems)


def _invalid(problems: list[Problem]) -> TriggersInvalid:
    shown = "; ".join(f"{one.pointer}: {one.reason}" for one in problems[:5])
    more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
    return TriggersInvalid(f"expected a valid triggers file, got {shown}{more}", problems=problems)


_KNOWN: Final = sorted({
    name for part in (Rules, Rule, OnEvent, OnSegment, OnSchedule, OnCall, Bounds) for name in part.model_fields
} | {"from", "until"})  # fmt: skip


def _where(place: tuple[str | int, ...], lines: Lines) -> str:
    steps = [str(step) for step in place if not str(step).startswith("(")]
    return f"line {lines.line(place)} (/{'/'.join(steps)})"


def _problem(error: Any, lines: Lines) -> Problem:
    place: tuple[str | int, ...] = error["loc"]
    if error["type"] == "extra_forbidden":
        name = str(place[-1])
        return Problem(_where(place, lines), f"unknown key '{name}'{nearest(name, _KNOWN)}")
    return Problem(_where(place, lines), str(error["msg"]).removeprefix("Value error, "))
