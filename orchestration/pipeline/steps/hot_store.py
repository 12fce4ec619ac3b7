"""The decision store: what a decision reads in its first millisecond, made ready before anybody asks (DESIGN 5.11).

Enters: the graph, hot profiles, models, the catalogue. Leaves: a warm hot store and models in memory; all of it can be made again from Postgres, and is
asked again by the commit of every decision.
"""

from typing import TYPE_CHECKING

from orchestration.decision.errors import NoCatalogue
from orchestration.pipeline.facts import Fact, Facts, key

if TYPE_CHECKING:
    from orchestration.wiring import House


async def decision_store(house: "House") -> Facts:
    """Warm hot profiles for every purpose that a placement personalises under, the identifier index, and the models."""
    facts: dict[str, Fact] = {}
    try:
        shelved = await house.decisions.shelf.current()
    except NoCatalogue:
        return {"placements": 0}
    places = shelved.catalogue.placements
    async with house.kernel.db.reading() as conn:
        people = await house.identity.people(conn)
    for purpose in sorted({one.personalize_under for one in places}):
        facts[key("warm", purpose)] = await house.profiles.keep_warm(people, purpose)
    facts["index"] = await house.identity.fill_index()
    for one in places:
        active = await house.learning.active(one.name)
        facts[key("ranked_by", one.name)] = active.model.digest if active.model is not None else str(active.fallback)
    return {
        "placements": len(places),
        "catalogue": shelved.digest,
        "published": len(shelved.published),
        "people": len(people),
        **facts,
    }
