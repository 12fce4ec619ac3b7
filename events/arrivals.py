"""From a checked call to an ``Arrival``: subject, times, verdict, keyed message hash, the words to seal.

What enters: one decoded item and the circumstances it came in. What leaves: an ``Arrival``, or a ``Reject`` with its pointer
and reason. Identifiers that identity refuses reject the item when they are its own ids, and are left out when they only
came along (a mistyped e-mail trait must not cost the event).
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Final, cast

import orjson

from consent.signals import hearing
from events import machine
from events.calls import Call, Limits, event_time, parse
from events.log import Arrival, CollectContext, Reject, Source
from events.subjects import identifiers, traits
from identity.errors import InvalidIdentifier
from identity.identifiers import Identifier
from kernel.canonical import Json
from kernel.errors import Problem
from kernel.ids import DecisionId, EventId, is_id, new_id
from kernel.vault import Vault

_VISITOR: Final = ("anonymousId", "previousId")
_OWN: Final = {"anonymous_id": "/anonymousId", "login_id": "/userId", "customer_id": "/userId"}


def arrive(
    item: Json, source: Source, context: CollectContext, received_at: datetime, *, vault: Vault, limits: Limits
) -> Arrival | Reject:
    """One item at the door. ``received_at`` is both its receipt and the time from which we know of it."""
    call = parse(item, kind=context.kind, sent_at=context.sent_at, limits=limits)
    if isinstance(call, Problem):
        return _fault(call.pointer, call.reason, item, source, context)
    found: list[Identifier] = []
    for kind, value in identifiers(call, user_kind=source.user_kind, browser=context.browser):
        try:
            found.append(Identifier(kind, value))
        except InvalidIdentifier:
            if value in {call.user_id, call.anonymous_id}:
                return _fault(_OWN.get(kind, "/userId"), f"expected a valid {kind}", item, source, context)
    if not found:
        reason = "expected anonymousId with a browser key" if context.browser else "expected an identifier"
        return _fault("/anonymousId", reason, item, source, context)
    told, kinds = traits(call) if not context.browser else ({}, {})
    event_id = new_id("evt")
    verdict = machine.verdict(_agent(call) or (context.user_agent if context.browser else None))
    return Arrival(
        event_id=event_id,
        source=source,
        type=call.type,
        name=call.name,
        event_time=event_time(call, received_at),
        known_time=received_at,
        received_at=received_at,
        identifiers=tuple(dict.fromkeys(found)),
        message=message_hash(vault, call.message_id or event_id),
        words=words(call.properties, call.traits, call.context, call.message_id, group=call.group_id),
        traits=told,
        kinds=kinds,
        told=bool(told),
        decision_id=decision_of(call.properties),
        machine=verdict.machine,
        confidence=verdict.confidence,
        refused=_declined(call.context, source),
        gpc=context.gpc,
        strings=_strings(call),
        actor=context.actor,
    )


def message_hash(vault: Vault, message_id: str | EventId) -> bytes:
    """What makes a repeat recognisable within its source, and orders events of one moment wherever they came from.

    Keyed, since client libraries put what they like into a messageId.
    """
    return vault.pepper("events/message", message_id)


def words(
    properties: Mapping[str, Json],
    told: Mapping[str, Json] | None = None,
    context: Mapping[str, Json] | None = None,
    message_id: str | None = None,
    *,
    group: str | None = None,
) -> bytes:
    """The JSON that is sealed: only the parts that say something."""
    parts = {"properties": properties, "traits": told, "context": context, "messageId": message_id, "groupId": group}
    return orjson.dumps({key: dict(part) if isinstance(part, Mapping) else part for key, part in parts.items() if part})


def read_words(sealed: bytes) -> dict[str, Mapping[str, Json]]:
    """The parts of opened words."""
    return cast("dict[str, Mapping[str, Json]]", orjson.loads(sealed))


def decision_of(properties: Mapping[str, Json]) -> DecisionId | None:
    """The decision that an event answers, when it names one."""
    named = properties.get("decision_id")
    return DecisionId(named) if isinstance(named, str) and is_id(named, "dec") else None


def _agent(call: Call) -> str | None:
    agent = call.context.get("userAgent")
    return agent if isinstance(agent, str) else None


def _declined(context: Json, source: Source) -> bool:
    """``context.consent.categoryPreferences`` says no to the source's purpose or to one above it (marketing.*)."""
    consent = context.get("consent") if isinstance(context, Mapping) else None
    choices = consent.get("categoryPreferences") if isinstance(consent, Mapping) else None
    if not isinstance(choices, Mapping):
        return False
    steps = source.purpose.split(".")
    return any(choices.get(".".join(steps[: count + 1])) is False for count in range(len(steps)))


def _strings(call: Call) -> hearing.Strings:
    """Consent strings beside the categories, ``context.consent.tcf`` and ``.gpp``; what is there and no text cannot be read."""
    consent = call.context.get("consent")
    if not isinstance(consent, Mapping):
        return hearing.NONE
    tcf, gpp = (
        (said if isinstance(said, str) else "") if (said := consent.get(name)) is not None else None
        for name in ("tcf", "gpp")
    )
    return hearing.Strings(tcf, gpp)


def _fault(pointer: str, reason: str, item: Json, source: Source, context: CollectContext) -> Reject:
    declined = _declined(item.get("context"), source) if isinstance(item, Mapping) else False
    return Reject(pointer, reason, item, _salvaged(item, source), context, refused=declined)


def _salvaged(item: Json, source: Source) -> tuple[Identifier, ...]:
    """Identifiers of an item that is no call, so that consent can be asked before anything of it is kept, and an erasure finds it.

    Whatever it names counts, also with a public key: here a name takes nothing from anybody, it only makes the answer stricter.
    """
    if not isinstance(item, Mapping):
        return ()
    named = [(source.user_kind, item.get("userId")), *(("anonymous_id", item.get(key)) for key in _VISITOR)]
    around = item.get("context")
    for told in (item.get("traits"), around.get("traits") if isinstance(around, Mapping) else None):
        if isinstance(told, Mapping):
            named += [(kind, told.get(kind)) for kind in ("email", "phone")]
    found: dict[Identifier, None] = {}
    for kind, value in named:
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if isinstance(text, str) and text.strip():
            with suppress(InvalidIdentifier):
                found[Identifier(kind, text.strip())] = None
    return tuple(found)
