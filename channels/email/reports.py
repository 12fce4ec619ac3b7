"""SendGrid's event webhook, read: a JSON array of events into receipts.

Enters: the verified bytes of a post. Leaves: (delivery, receipt) pairs and counts of what is not one. Nothing of a person is kept from an
event: its address, IP and user agent end here, of the agent only the verdict stays, of a link only where it led without what follows the
path. Follows Twilio's Event Webhook Reference; spec channels.A6, A33, A34.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

import orjson

from channels.email.errors import NotEvents
from channels.email.table import TABLE
from channels.ledger import ENGAGED, Receipt
from channels.receiving import NewReceipt
from events.machine import HUMAN, Verdict, verdict
from kernel.canonical import Json, canonical
from kernel.ids import DeliveryId, is_id

_MACHINE_OPEN: Final = Verdict(
    machine=True, confidence=0.99
)  # the provider's own word: a privacy proxy loaded the pixel
_HARD: Final = "5."
_LINK_CHARS: Final = 500
_EPOCH: Final = range(1_000_000_000, 10_000_000_000)  # seconds, 2001 to 2286: anything else is another unit


@dataclass(slots=True)
class Post:
    """What one post says: receipts, and how many events were not one, by (event, reason)."""

    reports: list[tuple[DeliveryId, NewReceipt]] = field(default_factory=list)
    strange: Counter[tuple[str, str]] = field(default_factory=Counter)
    ignored: int = 0


def read(raw: bytes, *, own_host: str) -> Post:
    """The events of a post. `own_host`: links to it are ours (why, preferences, one-click). Raises NotEvents."""
    try:
        events = orjson.loads(raw)
    except orjson.JSONDecodeError:
        events = None
    if not isinstance(events, list):
        raise NotEvents("expected a JSON array of events, got something else")
    post = Post()
    for event in events:
        if not isinstance(event, dict):
            post.strange["other", "not_an_event"] += 1
            continue
        kind = event.get("event")
        receipt = TABLE.events.get(kind) if isinstance(kind, str) else None
        if receipt is None:
            if isinstance(kind, str) and kind in TABLE.ignored:
                post.ignored += 1
            else:
                post.strange["other", "unknown_event"] += 1
            continue
        delivery_id, at = event.get("delivery_id"), event.get("timestamp")
        if not isinstance(delivery_id, str) or not is_id(delivery_id, "dlv"):
            post.strange[receipt, "no_delivery_id"] += 1
        elif not isinstance(at, int) or at not in _EPOCH:
            post.strange[receipt, "no_time"] += 1
        else:
            when = datetime.fromtimestamp(at, UTC)
            post.reports.append((DeliveryId(delivery_id), _receipt(event, receipt, when, own_host)))
    return post


def _receipt(event: Mapping[str, Json], receipt: Receipt, at: datetime, own_host: str) -> NewReceipt:
    name = event_id(event)
    if receipt is Receipt.BOUNCED:
        return _bounce(event, name, at)
    if receipt is Receipt.DROPPED:
        drop = TABLE.drop(_text(event, "reason"))
        return NewReceipt(
            event_id=name, receipt=receipt, at=at, code=drop.code, suppress=drop.suppress, withdraw=drop.withdraw
        )
    if receipt in ENGAGED:
        machine = _verdict(event)
        link, of_content = _link(event, own_host) if receipt is Receipt.CLICKED else (None, True)
        return NewReceipt(
            event_id=name, receipt=receipt, at=at, machine=machine.machine, confidence=machine.confidence,
            link=link, of_content=of_content,
        )  # fmt: skip
    if receipt is Receipt.UNSUBSCRIBED:
        # SendGrid's own list is for everything; a group is one kind of message, as a purpose is.
        everywhere = event.get("event") == "unsubscribe"
        return NewReceipt(event_id=name, receipt=receipt, at=at, withdraw=True, everywhere=everywhere)
    return NewReceipt(event_id=name, receipt=receipt, at=at)


def _bounce(event: Mapping[str, Json], name: str, at: datetime) -> NewReceipt:
    """Hard: the address is no good. Blocked, or a status that is not 5.x.x: the address stays."""
    status = _text(event, "status")
    hard = event.get("type") != "blocked" and (not status or status.startswith(_HARD))
    code = status if _is_status(status) else ("bounced" if hard else "blocked")
    receipt = Receipt.BOUNCED if hard else Receipt.BLOCKED
    return NewReceipt(event_id=name, receipt=receipt, at=at, permanent=hard, code=code)


def event_id(event: Mapping[str, Json]) -> str:
    """SendGrid's name for the event; where it gives none the digest of its words, which a repeat has too. Not of the address: a digest is no cover for one."""
    named = event.get("sg_event_id")
    if isinstance(named, str) and 0 < len(named) <= 150 and named.isascii() and named.isprintable():
        return named
    told = {name: value for name, value in event.items() if name != "email"}
    return sha256(canonical(told)).hexdigest()


def _verdict(event: Mapping[str, Json]) -> Verdict:
    if event.get("sg_machine_open") is True:
        return _MACHINE_OPEN
    agent = _text(event, "useragent")
    return verdict(agent[:1000]) if agent else HUMAN


def _link(event: Mapping[str, Json], own_host: str) -> tuple[str | None, bool]:
    """Where a click led, up to the path; (None, False) for a page of ours, whose path is a key."""
    try:
        parts = urlsplit(_text(event, "url"))
        host = parts.hostname
    except ValueError:
        return None, True
    if host is None or parts.scheme not in {"http", "https"}:
        return None, True
    if host == own_host:
        return None, False
    return f"{parts.scheme}://{host}{parts.path}"[:_LINK_CHARS], True


def _is_status(status: str) -> bool:
    """An enhanced status code (RFC 3463): three numbers."""
    parts = status.split(".")
    return len(parts) == 3 and all(part.isascii() and part.isdigit() and len(part) <= 3 for part in parts)


def _text(event: Mapping[str, Json], name: str) -> str:
    value = event.get(name)
    return value if isinstance(value, str) else ""
