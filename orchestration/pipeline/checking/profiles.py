"""Checks of profiles and features: nobody left out, nothing seen that may not be, served bits equal to computed ones.

Enters: a sample of people, every purpose. Leaves: `Found`. The gate is asked again for each column, and lineage of purposes is read from the purpose
tree here, not by the consent filter that made the profiles (features.V14, F44).
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from consent import gate
from consent.gate import ConsentState
from kernel.ids import GraphVersion, PersonId
from orchestration.pipeline.facts import CHUNK, PERSONALIZE, Found, spread
from profiles.consent_filter import see
from profiles.raw import RawProfile

LATE = timedelta(
    minutes=1
)  # a person may be made before the moment of a table and be seen after it: her transaction took a while

if TYPE_CHECKING:
    from orchestration.wiring import House
    from profiles.profile import UnifiedProfile


async def everybody_counted(house: "House") -> Found:
    """Consent was asked for as many people as there are."""
    async with house.kernel.db.snapshot() as conn:
        everyone = await house.identity.people(conn)
        counted = (await house.identity.counts.census(conn)).people
        known = 0
        for start in range(0, len(everyone), CHUNK):
            states = await house.consent.states(conn, everyone[start : start + CHUNK])
            known += sum(state.known and state.erased_at is None for state in states.values())
    return Found(known == counted == len(everyone), {"people": counted, "with_a_state": known})


async def nothing_lost_on_the_way(house: "House") -> Found:
    """A sample of raw profiles holds every record and every event that is stored of these people."""
    async with house.kernel.db.snapshot() as conn:
        everyone = spread(await house.identity.people(conn))
        raw = await house.profiles.raw(conn, everyone)
        members = await house.identity.members(conn, everyone)
        stored = await house.events.count(conn, everyone)
    figures = {
        "people": len(everyone),
        "records_stored": sum(len(held.records) for held in members.values()),
        "records_seen": sum(len(profile.records) for profile in raw.values()),
        "events_stored": stored["events"],
        "events_seen": sum(len(profile.events) for profile in raw.values()),
    }
    same = figures["records_stored"] == figures["records_seen"] and figures["events_stored"] == figures["events_seen"]
    return Found(same and len(raw) == len(everyone), figures)


async def nothing_unpermitted(house: "House") -> Found:
    """For a sample of people and every purpose: no trait and no event that the gate or the source's declaration forbids."""
    rules = house.consent.rules
    at = house.kernel.clock.now()
    seen = Counter[str]()
    async with house.kernel.db.snapshot() as conn:
        everyone = spread(await house.identity.people(conn))
        states = await house.consent.states(conn, everyone)
        for purpose in rules.purposes.by_key:
            profiles = await house.profiles.unified(conn, everyone, purpose, at)
            for person, profile in profiles.items():
                _judge(seen, profile, states[person], frozenset(rules.purposes.lineage(purpose)), at)
    figures = {
        "people": len(everyone),
        "purposes": len(rules.purposes.by_key),
        "columns_asked": seen["columns"],
        "events_asked": seen["events"],
        "forbidden": seen["forbidden"],
    }
    return Found(seen["forbidden"] == 0, figures)


def _judge(
    seen: Counter[str], profile: "UnifiedProfile", state: ConsentState, reach: frozenset[str], at: datetime
) -> None:
    """Count what is there, and what should not be."""
    granted = gate.permission(state, profile.purpose, None, at).granted
    seen["columns"] += len(profile.traits)
    seen["events"] += len(profile.events)
    if not granted:
        seen["forbidden"] += len(profile.traits) + len(profile.events)
        return
    seen["forbidden"] += sum(reach.isdisjoint(trait.purposes) for trait in profile.traits.values())
    seen["forbidden"] += sum(reach.isdisjoint(event.purposes) for event in profile.events)


async def nothing_unpermitted_in_features(house: "House") -> Found:
    """In the newest table only declared columns, and of people who permit nothing only what is true of a stranger."""
    made = await _newest(house)
    if made is None:
        return Found(passed=False, figures={"tables": 0})
    people, names, rows, at = made
    chosen = spread(range(len(people)))
    sample = [people[place] for place in chosen]
    async with house.kernel.db.reading() as conn:
        states = await house.consent.states(conn, sample)
    barred = [
        place
        for place, person in zip(chosen, sample, strict=True)
        if not gate.permission(states[person], PERSONALIZE, None, at).granted
    ]
    declared = house.profiles.features.names
    stranger = dict(zip(declared, house.profiles.features.row(_stranger(house, at), at).tolist(), strict=True))
    strange = [name for name in names if name not in stranger]
    nobody = np.array([stranger.get(name, np.nan) for name in names])  # of an undeclared column a stranger has nothing
    known = sum(_differing(rows[place], nobody) > 0 for place in barred)
    figures = {
        "rows": len(people),
        "columns": len(names),
        "undeclared_columns": len(strange),
        "asked": len(sample),
        "without_permission": len(barred),
        "forbidden": known,
    }
    return Found(known == 0 and not strange, figures)


async def rows_complete(house: "House") -> Found:
    """A row for each person there is, each once; who came while the table was made waits for the next one."""
    made = await _newest(house)
    if made is None:
        return Found(passed=False, figures={"tables": 0})
    async with house.kernel.db.snapshot() as conn:
        everyone = set(await house.identity.people(conn))
        late = await house.identity.counts.newcomers(conn, made[3] - LATE)
    held = set(made[0])
    figures = {
        "people": len(everyone),
        "rows": len(made[0]),
        "missing": len(everyone - held - late),
        "unknown": len(held - everyone),
        "too_late": len(late - held),
    }
    return Found(not figures["missing"] and not figures["unknown"] and len(made[0]) == len(held), figures)


async def same_bits(house: "House") -> Found:
    """Rows of the file, computed again one person at a time as of their moment, are equal in bits; so are hot profiles of that moment."""
    made = await _newest(house)
    if made is None:
        return Found(passed=False, figures={"tables": 0})
    people, names, rows, at = made
    if tuple(names) != house.profiles.features.names:  # nothing to compare cell by cell
        return Found(passed=False, figures={"columns": len(names), "declared": len(house.profiles.features)})
    chosen = spread(range(len(people)))
    sample = [people[place] for place in chosen]
    async with house.kernel.db.reading() as conn:
        again = await house.profiles.batch(conn, sample, PERSONALIZE, at)
    hot = await house.profiles.hot_many(sample, PERSONALIZE)
    place_of = {person: place for place, person in zip(chosen, sample, strict=True)}
    skew = served = 0
    for person, row in zip(again.people, again.rows, strict=True):
        skew += _differing(rows[place_of[person]], row)
        found = hot.get(person)
        if found is not None and found.at == at:
            served += 1
            skew += _differing(np.array(found.features), row)
    figures = {
        "rows": len(people),
        "recomputed": len(again.people),
        "served": served,
        "cells": len(again.people) * len(names),
        "cells_that_differ": skew,
    }
    return Found(skew == 0 and len(again.people) == len(sample), figures)


async def hot_equals_postgres(house: "House") -> Found:
    """What is hot says the same of permissions, reach and versions as Postgres does now."""
    async with house.kernel.db.reading() as conn:
        everyone = spread(await house.identity.people(conn), 200)
    before = await _grounds(house, everyone)
    held = await house.profiles.hot_many(everyone, PERSONALIZE)
    fresh = await house.profiles.hot_many(everyone, PERSONALIZE, fresh=True)
    after = await _grounds(house, everyone)
    differ = 0
    for person, one in held.items():
        if before.get(person) != after.get(person):
            continue  # something happened to her between the two readings
        other = fresh.get(person)
        if other is None or (
            one.permissions,
            one.reach,
            one.consent_version,
            one.graph_version,
            one.profile_version,
        ) != (
            other.permissions,
            other.reach,
            other.consent_version,
            other.graph_version,
            other.profile_version,
        ):
            differ += 1
    return Found(differ == 0, {"people": len(everyone), "hot": len(held), "that_differ": differ})


def _stranger(house: "House", at: datetime) -> "UnifiedProfile":
    """The profile of somebody of whom nothing is known and who permits nothing."""
    nobody = PersonId("per_nobody")
    raw = RawProfile(nobody, (), (), 0.0, GraphVersion(0), house.profiles.survivorship)
    return see(raw, ConsentState(nobody, 0, (), house.consent.rules, known=False), PERSONALIZE, at)


def _differing(a: "np.typing.NDArray[np.float64]", b: "np.typing.NDArray[np.float64]") -> int:
    """Cells whose bits differ."""
    return int((np.ascontiguousarray(a).view(np.uint64) != np.ascontiguousarray(b).view(np.uint64)).sum())


async def _grounds(house: "House", people: Sequence[PersonId]) -> dict[PersonId, tuple[int, RawProfile]]:
    """What a profile of each rests on, all of one moment."""
    async with house.kernel.db.snapshot() as conn:
        versions = await house.consent.versions(conn, people)
        raw = await house.profiles.raw(conn, people)
    return {person: (versions.get(person, 0), one) for person, one in raw.items()}


async def _newest(
    house: "House",
) -> tuple[list[PersonId], list[str], "np.typing.NDArray[np.float64]", datetime] | None:
    """People, columns, rows and moment of the feature table that was written last."""
    async with house.kernel.db.reading() as conn:
        tables = await house.profiles.feature_tables(conn)
    if not tables:
        return None
    people, names, rows = await asyncio.to_thread(house.profiles.read_features, tables[-1])
    return people, names, rows, tables[-1].at
