"""What would have changed the decision: levers that were pulled before they are shown.

Enters: the facts, the concepts, and `Decide`, which runs the decision again under one change. Leaves: only changes that flipped the choice, as the
re-run said (explain.E4, X55). What the record cannot support is not tried: withheld things have no name here either.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from explain.concepts import UNNAMED, Concept
from explain.facts import Decide, DecisionFacts

PERSONALIZE: Final = "marketing.personalize"
_REVOCABLE: Final = frozenset({"consent", "legitimate_interests"})  # what a person can take back or object to


@dataclass(frozen=True, slots=True, kw_only=True)
class Lever:
    """A change that flips the choice: `subject` is a purpose or a concept, `channel` where the new choice goes (None: nothing)."""

    kind: Literal["withdraw", "without"]
    subject: str
    choice: str
    channel: str | None


async def find(facts: DecisionFacts, concepts: Sequence[Concept], decide: Decide, most: int) -> list[Lever]:
    """Up to `most` levers, those a person can pull first: taking a purpose back, then doing without a kind of information."""
    if facts.nothing_chosen or not most:
        return []
    found: list[Lever] = []
    revocable = facts.permission is not None and facts.permission.basis in _REVOCABLE
    for purpose in dict.fromkeys((PERSONALIZE, facts.purpose) if revocable else (PERSONALIZE,)):
        verdict = await decide.again(facts.decision_id, {"withdraw": purpose})
        if verdict.choice != facts.choice:
            found.append(Lever(kind="withdraw", subject=purpose, choice=verdict.choice, channel=verdict.channel))
    for concept in concepts:
        if len(found) >= most:
            break
        if concept.about != "person" or concept.key == UNNAMED or not concept.provenance:
            continue
        verdict = await decide.again(facts.decision_id, {"without": list(concept.features)})
        if verdict.choice != facts.choice:
            found.append(Lever(kind="without", subject=concept.key, choice=verdict.choice, channel=verdict.channel))
    return found[:most]
