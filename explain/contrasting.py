"""Two arms of one decision set against each other: finds the rows and explains those that a model scored, then hands over to `contrast`.

Enters: the content of an explanation, a source of decisions, what explains a row. Leaves: a `Contrast`. Off the decision's path, on demand.
"""

from collections.abc import Awaitable, Callable, Sequence

from explain.attribution import Attribution
from explain.contrast import Contrast, Scored, contrast
from explain.errors import NothingToContrast
from explain.explanation import Content
from explain.facts import DecisionSource, FeatureValue

Attribute = Callable[[Sequence[FeatureValue], str, float], Awaitable[Attribution]]


async def contrasted(
    content: Content | None, a: str | None, b: str, decisions: DecisionSource, attribute: Attribute
) -> Contrast:
    """Why `a` (None: what was chosen) and not `b`.

    Raises:
        UnknownCandidate, NothingToContrast. NotAdditive, Unfaithful: a row that does not add up to the score in the record.
    """
    if content is None:
        raise NothingToContrast("expected a decision that can be read, got one whose person was erased")
    facts = content.facts
    one = facts.choice if a is None else a
    rows: dict[str, Scored] = {}
    if facts.policy.ranked_by == "ranker" and facts.model_digest is not None:
        for candidate in facts.candidates:
            name, score = candidate.candidate_id, candidate.score
            if name in {one, b} and score is not None:
                features = await decisions.scored(facts.decision_id, name)
                rows[name] = (features, await attribute(features, facts.model_digest, score))
    return contrast(facts, one, b, rows)
