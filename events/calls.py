"""The six calls of the Segment Spec as checked, immutable values (conventions 6.1; features V1, V2, V8).

What enters: one decoded JSON value as a client sent it. What leaves: a ``Call``, or a ``Problem`` with the JSON pointer
and reason of the first fault. Typed fields are checked; unknown top-level fields (``_metadata``, ``version``, …) are
tolerated, as Segment does. Plain functions instead of a model library: this runs for every event, thousands a second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal, cast, get_args

import orjson

from kernel.canonical import Json
from kernel.errors import Problem

CallType = Literal["identify", "track", "page", "screen", "group", "alias"]
TYPES: Final[tuple[str, ...]] = get_args(CallType)

MESSAGE_ID_MAX: Final = 100  # Segment's limit
GROUP_ID_MAX: Final = 500  # Segment's limit
ID_MAX: Final = 500  # userId, anonymousId, previousId: Segment gives none; an id longer than a group's is a mistake
NAME_MAX: Final = 256  # event and page names are columns and labels, not texts

_EMPTY: Final[Mapping[str, Json]] = {}


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes that an event must keep: whole event as JSON in bytes, and top-level properties or traits."""

    event_bytes: int = 32_768
    properties: int = 300


@dataclass(frozen=True, slots=True)
class Call:
    """One checked call. ``properties`` holds a track's, page's or screen's; ``traits`` an identify's or a group's."""

    type: CallType
    name: str
    message_id: str | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    group_id: str | None = None
    previous_id: str | None = None
    properties: Mapping[str, Json] = field(default_factory=dict)
    traits: Mapping[str, Json] = field(default_factory=dict)
    context: Mapping[str, Json] = field(default_factory=dict)
    timestamp: datetime | None = None
    original_timestamp: datetime | None = None
    sent_at: datetime | None = None


class Refused(Exception):
    """A field that cannot be taken, with its place."""

    def __init__(self, pointer: str, reason: str) -> None:
        super().__init__(reason)
        self.problem = Problem(pointer, reason)


def parse(
    raw: Json, *, kind: str | None = None, sent_at: datetime | None = None, limits: Limits | None = None
) -> Call | Problem:
    """One call, checked.

    Args:
        raw: the decoded JSON value; for an item of a batch its own ``type`` says which call it is.
        kind: the call named by the path (``/v1/track``); an item's own ``type``, when present, must agree.
        sent_at: ``sentAt`` of the batch around the item, used when the item has none.
        limits: sizes to keep; the spec's when absent.
    """
    bounds = limits or Limits()
    try:
        return _parse(_object(raw, ""), kind, sent_at, bounds)
    except Refused as refused:
        return refused.problem


def event_time(call: Call, received_at: datetime) -> datetime:
    """When it happened, by the receiver's clock: ``receivedAt - (sentAt - originalTimestamp)`` (V2).

    ``timestamp`` stands in for an absent ``originalTimestamp``, as client libraries use it. Without ``sentAt`` the
    sender's clock cannot be judged and its word is taken; likewise where the difference leads out of the calendar. Nothing
    happens after it was received.
    """
    original = call.original_timestamp or call.timestamp
    if original is None:
        return received_at
    try:
        moment = original if call.sent_at is None else received_at - (call.sent_at - original)
    except OverflowError:
        moment = original
    return min(moment, received_at)


def instant(text: str) -> datetime:
    """ISO 8601 to an aware UTC datetime; without an offset it is read as UTC, which is what the spec asks senders for.

    Raises:
        ValueError: not ISO 8601, or outside the years that Postgres and Python share.
    """
    moment = datetime.fromisoformat(text)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if not 1 < moment.year < 9999:
        msg = "expected a year from 2 to 9998"
        raise ValueError(msg)
    return moment


def _parse(raw: Mapping[str, Json], kind: str | None, sent_at: datetime | None, limits: Limits) -> Call:
    try:
        size = len(orjson.dumps(raw))
    except orjson.JSONEncodeError:
        raise Refused("", "expected plain JSON nested at most 250 deep, got something else") from None
    if size > limits.event_bytes:
        raise Refused("", f"expected at most {limits.event_bytes} bytes of JSON, got {size}")
    call_type = _type(raw, kind)
    context = _map(raw, "context")
    _check_context(context)
    _map(raw, "integrations")
    properties = traits = _EMPTY
    name: str = call_type
    group_id: str | None = None
    previous_id: str | None = None
    user_id = _id(raw, "userId")
    anonymous_id = _id(raw, "anonymousId")
    if call_type == "track":
        name = _required(_text(raw, "event", NAME_MAX), "/event", "the name of what happened")
        properties = _counted(raw, "properties", limits)
    elif call_type in {"page", "screen"}:
        name = _text(raw, "name", NAME_MAX) or call_type
        category = _text(raw, "category", NAME_MAX)
        properties = _counted(raw, "properties", limits)
        if category is not None and "category" not in properties:
            properties = {**properties, "category": category}
    elif call_type == "identify":
        traits = _counted(raw, "traits", limits)
        _check_contact(traits, "/traits")
    elif call_type == "group":
        group_id = _required(_id(raw, "groupId", GROUP_ID_MAX), "/groupId", "the id of the group")
        traits = _counted(raw, "traits", limits)
    else:
        previous_id = _required(_id(raw, "previousId"), "/previousId", "the id used before")
        _required(user_id, "/userId", "the id used from now on")
    if user_id is None and anonymous_id is None:
        raise Refused("/userId", "expected userId or anonymousId, got neither")
    return Call(
        type=call_type,
        name=name,
        message_id=_text(raw, "messageId", MESSAGE_ID_MAX),
        user_id=user_id,
        anonymous_id=anonymous_id,
        group_id=group_id,
        previous_id=previous_id,
        properties=properties,
        traits=traits,
        context=context,
        timestamp=_time(raw, "timestamp"),
        original_timestamp=_time(raw, "originalTimestamp"),
        sent_at=_time(raw, "sentAt") or sent_at,
    )


def _type(raw: Mapping[str, Json], kind: str | None) -> CallType:
    own = raw.get("type")
    if own is None and kind is not None:
        own = kind
    if not isinstance(own, str) or own not in TYPES:
        got = "nothing" if own is None else type(own).__name__ if not isinstance(own, str) else "another word"
        raise Refused("/type", f"expected one of {', '.join(TYPES)}, got {got}")
    if kind is not None and own != kind:
        raise Refused("/type", f"expected {kind} as named by the path, got {own}")
    return cast("CallType", own)


def _object(value: Json, pointer: str) -> Mapping[str, Json]:
    if not isinstance(value, Mapping):
        raise Refused(pointer, f"expected an object, got {_kind(value)}")
    return value


def _map(raw: Mapping[str, Json], key: str, at: str = "") -> Mapping[str, Json]:
    value = raw.get(key)
    return _EMPTY if value is None else _object(value, f"{at}/{key}")


def _counted(raw: Mapping[str, Json], key: str, limits: Limits) -> Mapping[str, Json]:
    value = _map(raw, key)
    if len(value) > limits.properties:
        raise Refused(f"/{key}", f"expected at most {limits.properties} entries, got {len(value)}")
    return value


def _text(raw: Mapping[str, Json], key: str, most: int, at: str = "") -> str | None:
    """A text field; absent, null and blank are all absent."""
    value = raw.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise Refused(f"{at}/{key}", f"expected text, got {_kind(value)}")
    return _plain(value, f"{at}/{key}", most)


def _id(raw: Mapping[str, Json], key: str, most: int = ID_MAX) -> str | None:
    """An id: text, or a whole number, which several client libraries send."""
    value = raw.get(key)
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise Refused(f"/{key}", f"expected text or a whole number, got {_kind(value)}")
    return _plain(value, f"/{key}", most)


def _plain(value: str, pointer: str, most: int) -> str | None:
    text = value.strip()
    if len(text) > most:
        raise Refused(pointer, f"expected at most {most} characters, got {len(text)}")
    if "\x00" in text:
        raise Refused(pointer, "expected text without NUL characters")
    return text or None


def _required(value: str | None, pointer: str, what: str) -> str:
    if value is None:
        raise Refused(pointer, f"expected {what}, got nothing")
    return value


def _time(raw: Mapping[str, Json], key: str) -> datetime | None:
    value = raw.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise Refused(f"/{key}", f"expected an ISO 8601 time as text, got {_kind(value)}")
    try:
        return instant(value)
    except (ValueError, OverflowError):
        raise Refused(f"/{key}", "expected an ISO 8601 time, got other text") from None


def _check_contact(traits: Mapping[str, Json], at: str) -> None:
    """``email`` and ``phone`` become identifiers, so their type matters; every other trait is the sender's business."""
    for key in ("email", "phone"):
        value = traits.get(key)
        if value is not None and not isinstance(value, str):
            raise Refused(f"{at}/{key}", f"expected text, got {_kind(value)}")


def _check_context(context: Mapping[str, Json]) -> None:
    """The parts of ``context`` that are read here have the types of the spec."""
    if not context:
        return
    _check_contact(_map(context, "traits", "/context"), "/context/traits")
    _text(_map(context, "device", "/context"), "id", ID_MAX, "/context/device")
    _text(context, "userAgent", 2_000, "/context")
    externals = context.get("externalIds")
    if externals is not None:
        if not isinstance(externals, Sequence) or isinstance(externals, str):
            raise Refused("/context/externalIds", f"expected a list, got {_kind(externals)}")
        for place, item in enumerate(externals):
            entry = _object(item, f"/context/externalIds/{place}")
            for key in ("id", "type"):
                _text(entry, key, ID_MAX, f"/context/externalIds/{place}")
    choices = _map(_map(context, "consent", "/context"), "categoryPreferences", "/context/consent")
    for key, value in choices.items():
        if not isinstance(value, bool):
            raise Refused(
                f"/context/consent/categoryPreferences/{escape(key)}", f"expected true or false, got {_kind(value)}"
            )


def escape(key: str) -> str:
    """A key as a step of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def _kind(value: Json) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "an object" if isinstance(value, Mapping) else "a list"
