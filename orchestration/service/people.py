"""A person for somebody who may read her: records with their words, the graph's picture, consents, traits by purpose, and what happened in order.

Enters: a house and a live person's id. Leaves: plain JSON, for the API and the console alike. Whoever calls notes the reading in the log first: what is
here holds personal words.
"""

import math
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from channels.deliveries import Delivery
from consent.gate import table
from consent.reasons import text
from events.log import Event
from kernel import paging
from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import PersonId
from kernel.paging import Page
from orchestration.decision import reading_store
from orchestration.decision.reading_store import Line

if TYPE_CHECKING:
    from orchestration.wiring import House

SEGMENTS_FOR = "marketing.personalize"


async def records(house: "House", conn: Conn, person: PersonId) -> dict[str, Json]:
    """Her records as their sources wrote them, and every contact point."""
    held = (await house.identity.records(conn, [person])).get(person, [])
    contacts = (await house.identity.identifiers(conn, [person])).get(person, [])
    former = (await house.identity.former(conn, [person]))[person]
    return {
        "person": person,
        "former": [one for one in former if one != person],
        "identifiers": [
            {"id": one.id, "kind": one.kind, "value": one.value, "records": list(one.record_ids)} for one in contacts
        ],
        "records": [
            {
                "id": one.id, "source": one.source, "source_key": one.source_key, "version": one.version,
                "current": one.current, "observed_at": one.observed_at.isoformat(),
                "recorded_at": one.recorded_at.isoformat(), "purpose": one.purpose, "basis": one.basis,
                "also_for": list(one.also_for), "traits": dict(one.traits), "kinds": dict(one.kinds),
                "identifiers": [{"kind": i.kind, "value": i.value} for i in one.identifiers],
            }
            for one in held
        ],
    }  # fmt: skip


async def graph(house: "House", conn: Conn, person: PersonId) -> dict[str, Any]:
    """Why these records are one person: edges with their weights, refused pairs, who may be the same."""
    found = cast("dict[str, Any]", (await house.identity.show(conn, person)).as_json())
    for edge in found["edges"]:
        edge["probability"] = 1 / (1 + 2.0 ** -min(max(float(edge["weight"]), -60.0), 60.0))
    return found


async def consents(house: "House", conn: Conn, person: PersonId) -> dict[str, Json]:
    """What may be done for which purpose on which channel, why, and everything she said."""
    state = await house.consent.state(conn, person)
    history = await house.consent.history(conn, person)
    at = house.kernel.clock.now()
    answers = table(state, at)
    purposes = state.rules.purposes
    rows: list[Json] = []
    for purpose in purposes.by_key.values():
        cells: list[Json] = []
        for channel in purpose.channels or ("",):
            one = answers[f"{purpose.key}|{channel}"]
            cells.append({
                "channel": channel or None, "answer": one.answer.value, "reason": str(one.reason),
                "text": text(one.reason), "act": one.act,
            })  # fmt: skip
        rows.append({
            "purpose": purpose.key, "title": purpose.title, "depth": len(purposes.lineage(purpose.key)) - 1,
            "basis": purpose.basis_in(house.consent.settings.jurisdiction).value, "cells": cells,
        })  # fmt: skip
    return {
        "person": person,
        "at": at.isoformat(),
        "jurisdiction": house.consent.settings.jurisdiction,
        "consent_version": state.version,
        "permissions": rows,
        "history": [cast("Json", line.as_json()) for line in reversed(history)],
    }


async def profile(house: "House", conn: Conn, person: PersonId) -> dict[str, Json]:
    """Every trait with the purposes that may use it now; what no purpose may see is only among the records."""
    at = house.kernel.clock.now()
    seen: dict[tuple[str, str], dict[str, Any]] = {}
    permitted: list[Json] = []
    for key in house.consent.rules.purposes.by_key:
        unified = (await house.profiles.unified(conn, [person], key, at)).get(person)
        if unified is None or not unified.permission.granted:
            continue
        permitted.append(key)
        for trait in unified.traits.values():
            line = seen.setdefault((trait.name, trait.record_id), {
                "trait": trait.name, "value": trait.value, "source": trait.source, "record": trait.record_id,
                "observed_at": trait.observed_at.isoformat(), "purposes": [],
            })  # fmt: skip
            line["purposes"].append(key)
    hot = await house.profiles.hot(person, SEGMENTS_FOR)
    named = zip(house.profiles.features.names, hot.features, strict=True)
    return {
        "person": person,
        "at": at.isoformat(),
        "permitted": permitted,
        "traits": [seen[key] for key in sorted(seen)],
        "segments": sorted(hot.segments),
        "segments_for": SEGMENTS_FOR,
        "features": {name: value for name, value in named if math.isfinite(value)},
        "sure": hot.sure,
        "profile_version": hot.profile_version,
    }


async def timeline(
    house: "House", conn: Conn, person: PersonId, *, cursor: str | None, limit: int = paging.DEFAULT
) -> Page[dict[str, Json]]:
    """Events, decisions and deliveries, newest first.

    Raises:
        BadCursor: a cursor of another list.
    """
    after = paging.read(cursor, 2) if cursor else None
    until = None if after is None else _moment(after[0])
    members = (await house.identity.members(conn, [person])).get(person)
    names = (await house.identity.former(conn, [person]))[person]
    events = (await house.events.of_people(conn, [person], until=until, known_by=house.kernel.clock.now()))[person]
    keys = list(members.key_ids) if members is not None else []
    decided = await reading_store.of_person(conn, names, keys, until=until, limit=2 * limit + 2)
    sent = [one for one in await _deliveries(house, conn, names) if until is None or one.reserved_at <= until]
    lines = [*map(_event, events), *map(_decision, decided), *map(_delivery, sent)]
    lines.sort(key=_key, reverse=True)
    if after is not None:
        lines = [line for line in lines if _key(line) < after]
    return paging.cut(lines[: limit + 1], limit, _key)


async def _deliveries(house: "House", conn: Conn, names: list[PersonId]) -> list[Delivery]:
    found: list[Delivery] = []
    while len(found) % paging.MOST == 0:
        before = found[-1].delivery_id if found else None
        more = await house.channels.listed(conn, people=names, before=before, limit=paging.MOST)
        if not more:
            break
        found += more
    return found


def _key(line: dict[str, Json]) -> tuple[str, str]:
    return str(line["at"]), str(line["id"])


def _moment(text_: str) -> datetime:
    try:
        return datetime.fromisoformat(text_)
    except ValueError:
        raise paging.BadCursor("expected a cursor of this list, got one of another") from None


def _event(one: Event) -> dict[str, Json]:
    return {
        "at": _stamp(one.event_time), "kind": "event", "id": one.event_id, "what": one.name or one.type,
        "source": one.source, "purpose": one.purpose, "machine": one.machine, "decision_id": one.decision_id,
        "properties": dict(one.properties),
    }  # fmt: skip


def _decision(one: Line) -> dict[str, Json]:
    return {
        "at": _stamp(one.at), "kind": "decision", "id": one.id, "what": one.choice, "placement": one.placement,
        "channel": one.channel, "withheld": one.withheld, "propensity": one.propensity,
    }  # fmt: skip


def _delivery(one: Delivery) -> dict[str, Json]:
    return {
        "at": _stamp(one.reserved_at), "kind": "delivery", "id": one.delivery_id, "what": str(one.state),
        "channel": one.channel, "reason": one.reason, "decision_id": one.decision_id,
    }  # fmt: skip


def _stamp(at: datetime) -> str:
    """One length for every time, so that times sort as texts."""
    return at.isoformat(timespec="microseconds")
