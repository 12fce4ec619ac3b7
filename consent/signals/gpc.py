"""Privacy signals of a browser: Global Privacy Control (W3C draft, w3c/gpc).

What enters: request headers, or another site's support resource. What leaves: whether the signal is on, and what such a
site says of its support. Only the exact value ``1`` is the signal; its absence is no preference and never a consent.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from kernel.canonical import Json

HEADER: Final = "sec-gpc"
RESOURCE: Final = "/.well-known/gpc.json"
# An ISO 8601 date, or a date and time in UTC; anything else tells nothing.
_DATE: Final = re.compile(r"(\d{4}-\d{2}-\d{2})(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2}))?")


@dataclass(frozen=True, slots=True)
class GpcSupport:
    """What a site says in its support resource; ``last_update`` is None when it says nothing usable."""

    support: Literal["yes", "no", "unknown"]
    last_update: date | None


def sent(headers: Iterable[tuple[str, str]]) -> bool:
    """Whether ``Sec-GPC: 1`` came: of several headers one exactly ``1`` is enough, every other value is ignored."""
    return any(name.lower() == HEADER and value.strip(" \t") == "1" for name, value in headers)


def read_support(content_type: str, body: Json) -> GpcSupport:
    """What another site's ``/.well-known/gpc.json`` says; unknown members are ignored."""
    media = content_type.split(";", maxsplit=1)[0].strip().lower()
    if media != "application/json" or not isinstance(body, dict) or not isinstance(body.get("gpc"), bool):
        return GpcSupport("unknown", None)
    said = body.get("lastUpdate")
    found = _DATE.fullmatch(said) if isinstance(said, str) else None
    try:
        updated = None if found is None else date.fromisoformat(found.group(1))
    except ValueError:
        updated = None
    return GpcSupport("yes" if body["gpc"] else "no", updated)


def support(last_update: str) -> dict[str, Json]:
    """Our own support resource."""
    return {"gpc": True, "lastUpdate": last_update}
