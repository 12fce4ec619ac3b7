"""The access package: what is held of a person, why, from where, for whom, how long, and what was decided on it (consent.D8; GDPR Art. 15, 11 CCR 7024).

What enters: the rooms' answers, the rules, the retention schedule, who receives data. What leaves: a ``Package``, whose JSON schema is written to
``docs/compliance/access-package.schema.json`` and tested. Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from consent import gate, reasons
from consent.gate import ConsentState
from consent.lifecycle import Request, Right
from consent.rights.gathering import Gathered, count
from consent.schedule import Schedule

FORM: Final = "candor.access/1"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class About(_Part):
    """The request, and whether every room answered."""

    id: str
    right: str
    person: str
    regime: str
    controller: str
    received_at: datetime
    made_at: datetime
    complete: bool
    rights: tuple[str, ...]


class Unreachable(_Part):
    """A room that did not answer; the request stays open until it has."""

    room: str
    because: str


class Possible(_Part):
    """Something that may be hers and may be somebody else's: it is named, not shown."""

    what: str
    source: str | None
    sure: float | None
    count: int
    note: str


class Origin(_Part):
    """Where things came from, and on which ground."""

    source: str
    purpose: str
    basis: str
    also_for: tuple[str, ...]
    records: int
    events: int
    first: datetime
    last: datetime


class Use(_Part):
    """What data may be used for, and what holds today."""

    purpose: str
    title: str
    description: str
    categories: tuple[str, ...]
    basis: str
    answer: str
    reason: str
    in_words: str
    by_channel: dict[str, str]
    decides_by_machine: bool


class Recipient(_Part):
    """Who else got something."""

    name: str
    kind: Literal["processor", "provider", "recipient"]
    receives: tuple[str, ...]
    for_what: str


class Kept(_Part):
    """How long a kind of thing is kept."""

    kind: str
    purpose: str | None
    days: int
    because: str


class Decided(_Part):
    """What was decided about her by machine, and why."""

    decision: str
    at: datetime
    placement: str
    chosen: str | None
    channel: str | None
    nothing_because: str | None
    why: JsonValue


class Package(_Part):
    """The whole. ``holdings`` is every room's own words; the parts above it say what they mean."""

    format: Literal["candor.access/1"]
    request: About
    sources: tuple[Origin, ...]
    purposes: tuple[Use, ...]
    recipients: tuple[Recipient, ...]
    retention: tuple[Kept, ...]
    categories: dict[str, dict[str, int]]
    decisions: tuple[Decided, ...]
    consents: tuple[dict[str, JsonValue], ...]
    possible_not_verified: tuple[Possible, ...]
    unreachable: tuple[Unreachable, ...]
    holdings: dict[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matter:
    """What a package is made of."""

    request: Request
    controller: str
    made_at: datetime
    gathered: Gathered
    state: ConsentState
    schedule: Schedule
    recipients: Sequence[Recipient]
    possible: Sequence[Possible]


_RIGHTS: Final = (
    "to have wrong data corrected", "to have data erased", "to have its use restricted", "to object to its use", "to take a copy along",
    "to withdraw what you agreed to", "to complain to a supervisory authority",
)  # fmt: skip


def make(matter: Matter) -> Package:
    """The package that the request's right calls for: everything, or kinds of things only, or what machines decided."""
    held = matter.gathered.holdings
    right = matter.request.right
    whole = right in {Right.ACCESS, Right.PORTABILITY}
    decided = whole or right is Right.ADMT_ACCESS
    uses = _uses(matter)
    return Package(
        format="candor.access/1",
        request=About(
            id=matter.request.id,
            right=right,
            person=matter.request.person,
            regime=matter.request.regime,
            controller=matter.controller,
            received_at=matter.request.received_at,
            made_at=matter.made_at,
            complete=not matter.gathered.unreachable,
            rights=_RIGHTS,
        ),
        sources=_origins(held),
        purposes=tuple(use for use in uses if right is not Right.ADMT_ACCESS or use.decides_by_machine),
        recipients=(*matter.recipients, *_providers(held)),
        retention=tuple(
            Kept(kind=rule.kind, purpose=rule.purpose, days=rule.keep_days, because=rule.because)
            for rule in matter.schedule.rules
        ),
        categories={room: count(part) for room, part in held.items()},
        decisions=_decisions(held) if decided else (),
        consents=tuple(_list(held.get("consent"), "acts")) if whole else (),
        possible_not_verified=(*matter.possible, *_left_out(matter.gathered.left_out)),
        unreachable=tuple(Unreachable(room=room, because=code) for room, code in matter.gathered.unreachable.items()),
        holdings={room: _value(part) for room, part in held.items() if whole or (decided and room == "profiles")},
    )


def _left_out(counts: Mapping[str, int]) -> tuple[Possible, ...]:
    return tuple(
        Possible(what=room, source=None, sure=None, count=n, note="rests on a record that may be somebody else's")
        for room, n in sorted(counts.items())
        if room != "identity"
    )


def _origins(held: Mapping[str, JsonValue] | Mapping[str, object]) -> tuple[Origin, ...]:
    found: dict[tuple[str, str, str, tuple[str, ...]], list[tuple[str, datetime]]] = {}
    for room, name, at in (("identity", "records", "observed_at"), ("events", "events", "event_time")):
        for item in _list(held.get(room), name):
            also = item.get("also_for") or ()
            key = (str(item["source"]), str(item["purpose"]), str(item["basis"]),
                   tuple(str(one) for one in also) if isinstance(also, list | tuple) else ())  # fmt: skip
            found.setdefault(key, []).append((name, datetime.fromisoformat(str(item[at]))))
    return tuple(
        Origin(
            source=source,
            purpose=purpose,
            basis=basis,
            also_for=also,
            records=sum(name == "records" for name, _ in items),
            events=sum(name == "events" for name, _ in items),
            first=min(at for _, at in items),
            last=max(at for _, at in items),
        )
        for (source, purpose, basis, also), items in sorted(found.items())
    )


def _uses(matter: Matter) -> list[Use]:
    rules, at = matter.state.rules, matter.made_at
    found = []
    for purpose in rules.purposes.by_key.values():
        answer = gate.permission(matter.state, purpose.key, None, at)
        by_channel = {
            channel: gate.permission(matter.state, purpose.key, channel, at).answer.value
            for channel in purpose.channels
        }
        found.append(
            Use(
                purpose=purpose.key, title=purpose.title, description=purpose.description, categories=purpose.categories,
                basis=purpose.basis_in(rules.jurisdiction), answer=answer.answer.value, reason=str(answer.reason),
                in_words=reasons.text(answer.reason), by_channel=by_channel, decides_by_machine=purpose.automated,
            )
        )  # fmt: skip
    return found


def _providers(held: Mapping[str, JsonValue] | Mapping[str, object]) -> tuple[Recipient, ...]:
    """Who carried her messages."""
    used = sorted(
        {
            (str(one["sent_by"]), str(one["channel"]))
            for one in _list(held.get("channels"), "deliveries")
            if one.get("sent_by")
        }
    )
    return tuple(
        Recipient(name=name, kind="provider", receives=(f"your {channel} contact and the message",), for_what=f"carrying messages by {channel}")
        for name, channel in used
    )  # fmt: skip


def _decisions(held: Mapping[str, JsonValue] | Mapping[str, object]) -> tuple[Decided, ...]:
    why = {str(one["decision"]): _value(one.get("why")) for one in _list(held.get("explain"), None)}
    return tuple(
        Decided(
            decision=str(one["decision"]),
            at=datetime.fromisoformat(str(one["at"])),
            placement=str(one["placement"]),
            chosen=_text(one.get("chosen")),
            channel=_text(one.get("channel")),
            nothing_because=_text(one.get("nothing_because")),
            why=why.get(str(one["decision"])),
        )
        for one in _list(held.get("decision"), None)
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _list(part: object, name: str | None) -> Iterable[dict[str, JsonValue]]:
    items = part.get(name) if isinstance(part, Mapping) and name is not None else part
    if not isinstance(items, list | tuple):
        return []
    return [{key: _value(value) for key, value in item.items()} for item in items if isinstance(item, Mapping)]


def _value(part: object) -> JsonValue:
    """As JSON has it: tuples are lists, mappings are objects."""
    if isinstance(part, Mapping):
        return {str(key): _value(value) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return [_value(value) for value in part]
    if part is None or isinstance(part, bool | int | float | str):
        return part
    raise TypeError(f"expected a JSON value in an export, got {type(part).__name__}")
