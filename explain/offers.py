"""The controls of a page: beside each reason, beside each lever, and for the whole choice (explain.E5).

Enters: facts, concepts, levers, words. Leaves: `Offer`s, each of which a route carries out (`feedback.py`, `controls.py`). None of them turns anything on: a why link
may be passed on. Pure.
"""

from dataclasses import dataclass

from explain.concepts import UNNAMED, Concept
from explain.facts import DecisionFacts
from explain.feedback import Feedback
from explain.levers import PERSONALIZE, Lever, revocable
from explain.wording import Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A control that works, where it stands: what it does, what it is about (a kind of information, a channel, a purpose) and its words."""

    kind: Feedback
    subject: str
    label: str
    hint: str = ""

    @property
    def path(self) -> str:
        """The last step of the address that its form posts to."""
        return self.kind.replace("_", "-")


def beside(concept: Concept, facts: DecisionFacts, say: Words) -> tuple[Offer, ...]:
    """The controls of one reason: what is named can be left out or put right; of what is not, the choosing itself can be ended."""
    if concept.about == "message" and not facts.nothing_chosen:
        return (_offer(Feedback.NOT_INTERESTED, "", say),)
    if concept.about == "person" and concept.key != UNNAMED and concept.provenance:
        about = say(f"concepts.{concept.key}")
        return (
            _offer(Feedback.STOP_USING, concept.key, say, about),
            _offer(Feedback.CORRECT, concept.key, say, about),
        )
    return (_offer(Feedback.OPT_OUT, PERSONALIZE, say, say.of("purpose", PERSONALIZE)),)


def controls(facts: DecisionFacts, say: Words) -> tuple[Offer, ...]:
    """The controls of the whole choice."""
    found: list[Offer] = []
    if not facts.nothing_chosen:
        found.append(_offer(Feedback.NOT_INTERESTED, "", say))
    if revocable(facts) and facts.channel is not None:
        found.append(_offer(Feedback.PAUSE, facts.channel, say, say.of("channel", facts.channel)))
        found.append(_offer(Feedback.OPT_OUT, facts.purpose, say, say.of("purpose", facts.purpose)))
    found.append(_offer(Feedback.NOT_ME, "", say))
    return tuple(found)


def _offer(kind: Feedback, subject: str, say: Words, about: str = "") -> Offer:
    general = kind is Feedback.OPT_OUT and subject == PERSONALIZE
    return Offer(
        kind=kind, subject=subject, label=say("controls.stop_picking" if general else f"controls.{kind}"), hint=about
    )


def pull(lever: Lever, say: Words) -> Offer | None:
    """The control that pulls a lever; none where it is pulled elsewhere, or by time."""
    match lever.kind:
        case "without":
            return _offer(Feedback.STOP_USING, lever.subject, say, say(f"concepts.{lever.subject}"))
        case "withdraw":
            return _offer(Feedback.OPT_OUT, lever.subject, say, say.of("purpose", lever.subject))
        case "decline":
            return _offer(Feedback.NOT_INTERESTED, "", say)
        case "pause":
            return _offer(Feedback.PAUSE, lever.subject, say, say.of("channel", lever.subject))
        case _:
            return None
