"""What may be known: raw profiles are counted, unified ones go through the filter into the hot store, features into Parquet.

Enters: the graph, records, events, consent states. Leaves: hot profiles and feature rows, kept by profiles. A raw profile is opened in memory for the
filter and kept nowhere: that asset's value is what raw profiles are made of.
"""

from datetime import datetime
from typing import TYPE_CHECKING

from orchestration.pipeline.facts import PERSONALIZE, Fact, Facts, key

if TYPE_CHECKING:
    from orchestration.wiring import House


async def raw_profiles(house: "House") -> Facts:
    """What raw profiles are made of: people, records and events, by source and the purpose they were collected under."""
    async with house.kernel.db.reading() as conn:
        found = await house.identity.counts.census(conn)
        tallies = await house.events.tallies(conn)
    facts: dict[str, Fact] = {
        "people": found.people,
        "records": found.members,
        "events": sum(count for *_, count in tallies),
    }
    return facts | {key("events", source, purpose): count for source, purpose, count in tallies}


async def unified_profiles(house: "House") -> Facts:
    """Write everybody's filtered profile to the hot store."""
    return {"profiles": await house.profiles.rebuild_cache()}


async def changed_profiles(house: "House", since: datetime, until: datetime) -> Facts:
    """Make the hot profiles anew of whoever something happened to in a stretch of time."""
    async with house.kernel.db.reading() as conn:
        records = await house.events.records_since(conn, since, until)
        held = await house.identity.subjects(conn, records)
    people = sorted({person for subject in held.values() for person in subject.people})
    await house.profiles.refresh(people)
    return {"profiles": len(people), "records": len(records)}


async def features(house: "House") -> Facts:
    """Write everybody's feature row, by the code that serves them."""
    async with house.kernel.db.transaction() as conn:
        table = await house.profiles.write_features(conn, PERSONALIZE, house.kernel.clock.now())
    return {"rows": table.rows, "digest": table.digest, "features": len(house.profiles.features)}
