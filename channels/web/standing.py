"""What stands on a visitor's page: the web's ledger, as the delivery ledger is that of what is sent.

Enters: a decision that was committed for a placement. Leaves: `Standing`, the answer until it expires or its ground moves, and `Change`, one
line of what happened to somebody's pages. Ids, names of the catalogue, numbers and times only. Pure.
"""

from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import orjson

from kernel.ids import DecisionId, PersonId

FORM: Final = 1  # raised when older bytes in the hot store can no longer be read; what has another form is cold
WEB: Final = "web"


class What(StrEnum):
    """What may happen to a page. `PERMISSIONS`: consent or identity moved, so whatever is shown must be asked for again."""

    DECISION = "decision"
    PERMISSIONS = "permissions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The decision that a placement shows to a person, with the versions that it rests on.

    `variant` None: the page's own words stay. `withheld`: the reason, when no arm could be chosen. `personal`: the purpose of
    personalisation was permitted, so it may have been chosen by what is known of her. `until`: look at her permissions again from then on.
    """

    person: PersonId
    placement: str
    decision_id: DecisionId
    choice: str
    variant: str | None
    propensity: float
    withheld: str | None
    purpose: str
    personalize_under: str
    personal: bool
    consent_version: int
    graph_version: int
    catalogue: str
    since: datetime
    until: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One line of a person's pages. `seq` counts from 1 without gaps, in the order of the commits."""

    person: PersonId
    seq: int
    at: datetime
    what: What
    placement: str | None = None
    channel: str | None = None
    decision_id: DecisionId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """A decision for somebody that another channel than the web carries."""

    person: PersonId
    placement: str
    channel: str
    decision_id: DecisionId


_TIMES: Final = frozenset({"since", "until", "expires_at"})
_NAMES: Final = tuple(one.name for one in fields(Standing))


def pack(standing: Standing) -> bytes:
    """The bytes of a standing in the hot store; equal ones have equal bytes."""
    form: dict[str, Any] = {name: getattr(standing, name) for name in _NAMES}
    form |= {name: form[name].isoformat() for name in _TIMES}
    form["propensity"] = standing.propensity.hex()
    return orjson.dumps({"form": FORM, **form}, option=orjson.OPT_SORT_KEYS)


def unpack(words: bytes) -> Standing | None:
    """The standing; None when the bytes are of another form."""
    form: dict[str, Any] = orjson.loads(words)
    if form.pop("form", None) != FORM:
        return None
    form |= {name: datetime.fromisoformat(form[name]) for name in _TIMES}
    form["propensity"] = float.fromhex(form["propensity"])
    return Standing(**form)
