"""Asking every room what it holds of a person, and leaving out what may be somebody else's (consent.D5, D6).

What enters: the rooms, a person, the records that are not surely hers. What leaves: ``Gathered``: each room's answer, the rooms that did not answer, and counts of what was left
out. A thing is left out when it names a record or identifier that is not surely hers, or a decision that rested on one. Rooms are asked in savepoints: one that fails is
reported, not dropped, and spoils nobody else's answer. Which rooms there must be is read off the database itself.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from consent.errors import HolderMissing
from consent.requests_store import schemas_about_people
from kernel.canonical import Json
from kernel.db import Conn
from kernel.errors import CandorError
from kernel.holders import PersonalDataHolder
from kernel.ids import PersonId

NO_HOLDERS: Final[Mapping[str, str]] = {
    "audit": "entries hold salted commitments; their openings lie sealed under the person's key and go with it",
    "kernel": "holds nothing about people",
}
"""Schemas that name people and are no room to be asked, and why."""
_NAMES: Final = ("id", "decision", "decision_id", "delivery_id", "event")  # by which other rooms refer to a thing


@dataclass(frozen=True, slots=True)
class Gathered:
    """What the rooms said."""

    holdings: Mapping[str, Json]
    unreachable: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)


async def insist_on_all(conn: Conn, holders: Iterable[PersonalDataHolder]) -> None:
    """Nothing, when every schema of the database that names people belongs to a room that can be asked.

    Raises:
        HolderMissing: one does not; answering without it would leave things out silently.
    """
    names = {holder.name for holder in holders} | NO_HOLDERS.keys()
    missing = [schema for schema in await schemas_about_people(conn) if schema not in names]
    if missing:
        raise HolderMissing(f"expected a holder for every schema with people in it, got none for {', '.join(missing)}")


async def ask(conn: Conn, holders: Sequence[PersonalDataHolder], person: PersonId) -> Gathered:
    """Every room's answer, or why it gave none."""
    holdings: dict[str, Json] = {}
    unreachable: dict[str, str] = {}
    for holder in holders:
        try:
            async with conn.transaction():
                holdings[holder.name] = await holder.export(conn, person)
        except CandorError as fault:
            unreachable[holder.name] = fault.code
        except OSError as fault:
            unreachable[holder.name] = type(fault).__name__
    return Gathered(holdings, unreachable)


def without(gathered: Gathered, strange: Collection[str]) -> Gathered:
    """The same without the things that name one of these ids, or that name a thing which was left out itself."""
    if not strange:
        return gathered
    holdings, out, known = dict(gathered.holdings), Counter[str](), set(strange)
    while True:
        found: set[str] = set()
        for room, part in list(holdings.items()):
            holdings[room], gone = _cut(part, known, found)
            out[room] += gone
        if found <= known:
            return Gathered(holdings, gathered.unreachable, {room: n for room, n in out.items() if n})
        known |= found


def _cut(part: Json, strange: Collection[str], found: set[str]) -> tuple[Json, int]:
    """``part`` with the items of its lists left out that name one of these; their own names go to ``found``."""
    if isinstance(part, Mapping):
        kept: dict[str, Json] = {}
        gone = 0
        for name, inner in part.items():
            kept[name], less = _cut(inner, strange, found)
            gone += less
        return kept, gone
    if not isinstance(part, list | tuple):
        return part, 0
    items: list[Json] = []
    gone = 0
    for item in part:
        if _mentions(item, strange):
            gone += 1
            if isinstance(item, Mapping):
                found.update(str(item[name]) for name in _NAMES if item.get(name))
            continue
        inner, less = _cut(item, strange, found)
        items.append(inner)
        gone += less
    return items, gone


def _mentions(part: Json, strange: Collection[str]) -> bool:
    if isinstance(part, str):
        return part in strange
    if isinstance(part, Mapping):
        return any(_mentions(inner, strange) for inner in part.values())
    return isinstance(part, list | tuple) and any(_mentions(inner, strange) for inner in part)


def count(exported: Json) -> dict[str, int]:
    """How many things of each kind an export holds."""
    if not isinstance(exported, Mapping):
        return {"items": len(exported)} if isinstance(exported, list | tuple) else {}
    return {name: len(part) if isinstance(part, list | tuple | Mapping) else 1 for name, part in exported.items()}
