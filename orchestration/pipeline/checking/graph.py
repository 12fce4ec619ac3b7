"""Checks of the identity graph: nobody lost, nobody two people, ids that last.

Enters: the database. Leaves: `Found`. The questions are put to the tables by SQL of their own, not to what the walk computed.
"""

from typing import TYPE_CHECKING

from orchestration.pipeline.facts import Found

if TYPE_CHECKING:
    from orchestration.wiring import House

MOST_STRAYED = 0.01  # more ids than this leading elsewhere after one walk deserves a look at the model


async def records_have_people(house: "House") -> Found:
    """Every living record belongs to a living person, and every living person has a record."""
    async with house.kernel.db.reading() as conn:
        found = await house.identity.counts.census(conn)
    lost = found.homeless + found.orphaned + found.empty
    figures = {
        "records_in": found.records,
        "records_in_graph": found.members,
        "people": found.people,
        "without_a_person": found.homeless,
        "of_a_retired_person": found.orphaned,
        "people_without_records": found.empty,
    }
    return Found(lost == 0 and found.records == found.members, figures)


async def nobody_lost(house: "House") -> Found:
    """As many records are in the new graph as were taken in: none without a person, none with one who is gone."""
    return await records_have_people(house)


async def one_unique_id(house: "House") -> Found:
    """Nobody holds two values of a kind of which a person has one."""
    async with house.kernel.db.reading() as conn:
        two = await house.identity.counts.twofold(conn)
        people = (await house.identity.counts.census(conn)).people
    return Found(not two, {"people": people, "with_two": len(two), "kinds": ", ".join(house.identity.settings.exclusive_kinds)})  # fmt: skip


async def ids_last(house: "House") -> Found:
    """The id that a record had before this graph still leads to its person: merges redirect, only splits break it."""
    async with house.kernel.db.reading() as conn:
        held, strayed = await house.identity.counts.strayed(conn)
        version = await house.identity.graph_version(conn)
    share = strayed / held if held else 0.0
    figures = {
        "graph_version": int(version),
        "records_before": held,
        "led_elsewhere": strayed,
        "share": round(share, 5),
    }
    return Found(share <= MOST_STRAYED, figures, grave=False)
