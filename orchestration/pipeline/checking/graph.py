"""Checks of the identity graph: nobody lost, nobody two people, ids that last.

Enters: the database. Leaves: `Found`. The questions are put to the tables by SQL of their own, not to what the walk computed.
"""

import asyncio
import math
from typing import TYPE_CHECKING

from orchestration.pipeline.facts import Fact, Found

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


async def agreement_speaks_for(house: "House") -> Found:
    """In every field of the linkage model full agreement is worth more than difference, and every weight is a number."""
    model = await asyncio.to_thread(house.identity.linkage.read_model)
    odd = upside_down = levels = 0
    for one in model.settings["comparisons"]:
        known = [level for level in one["comparison_levels"] if not level.get("is_null_level")]
        weights = [model.weight(one["output_column_name"], level["label_for_charts"]) for level in known]
        levels += len(weights)
        odd += sum(not math.isfinite(weight) for weight in weights)
        upside_down += bool(weights) and weights[0] <= weights[-1]  # levels go from full agreement to difference
    figures = {
        "fields": len(model.settings["comparisons"]),
        "levels": levels,
        "not_a_number": odd,
        "upside_down": upside_down,
    }
    return Found(odd == 0 and upside_down == 0, figures)


async def edges_join_the_living(house: "House") -> Found:
    """Every edge ends at records of living people: nobody who was erased is left in the file."""
    ends = await asyncio.to_thread(house.identity.linkage.ends)
    weights = await asyncio.to_thread(house.identity.linkage.read_weights)
    async with house.kernel.db.reading() as conn:
        strange = await house.identity.counts.strangers(conn, ends)
    odd = sum(not math.isfinite(weight) for weight in weights.tolist())
    figures = {"edges": len(weights), "records": len(ends), "of_nobody": len(strange), "not_a_number": odd}
    return Found(not strange and odd == 0, figures)


async def nobody_lost(house: "House") -> Found:
    """As many records are in the new graph as were taken in: none without a person, none with one who is gone."""
    return await records_have_people(house)


async def one_unique_id(house: "House") -> Found:
    """Nobody holds two values of a kind of which a person has one."""
    async with house.kernel.db.snapshot() as conn:
        two = await house.identity.counts.twofold(conn)
        people = (await house.identity.counts.census(conn)).people
    return Found(not two, {"people": people, "with_two": len(two), "kinds": ", ".join(house.identity.settings.exclusive_kinds)})  # fmt: skip


async def graph_published(house: "House") -> Found:
    """The gate let the newest run's graph go live; if not, the graph of before stays, and staff may look and allow it."""
    async with house.kernel.db.reading() as conn:
        newest = await house.identity.runs.listed(conn, 1)
    if not newest:
        return Found(passed=True, figures={"run": "none"}, grave=False)
    run = newest[0]
    figures: dict[str, Fact] = {
        "run": run.run_id,
        "verdict": run.verdict,
        "objections": ", ".join(run.reasons) or "none",
        "largest": run.card.largest,
        "led_elsewhere": run.card.hands.elsewhere,
        "share": round(run.card.hands.share, 5),
        "two_unique": run.card.hands.two_fold,
        "drift": round(max((run.card.drift or {}).values(), default=0.0), 5),
    }
    return Found(run.verdict != "held", figures, grave=False)


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
