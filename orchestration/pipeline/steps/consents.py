"""What people permit, counted: derived for everyone from their acts, never stored as truth."""

from collections import Counter
from typing import TYPE_CHECKING

from consent import gate
from orchestration.pipeline.facts import CHUNK, PERSONALIZE, Facts, key

if TYPE_CHECKING:
    from orchestration.wiring import House

ASKED = ("marketing.email", "marketing.push", "marketing.web", PERSONALIZE)


async def consent_state(house: "House") -> Facts:
    """Count what people permit, by purpose, strictest over the graph."""
    now = house.kernel.clock.now()
    counts: Counter[str] = Counter()
    async with house.kernel.db.reading() as conn:
        everyone = await house.identity.people(conn)
        for start in range(0, len(everyone), CHUNK):
            states = await house.consent.states(conn, everyone[start : start + CHUNK])
            counts["people"] += len(states)
            for state in states.values():
                for purpose in ASKED:
                    counts[key(purpose, gate.permission(state, purpose, None, now).answer)] += 1
    return dict(sorted(counts.items()))
