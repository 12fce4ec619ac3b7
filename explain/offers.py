"""The controls of a page: beside each reason, beside each lever, and for the whole choice (explain.E5).

Enters: facts, concepts, levers, words. Leaves: `Offer`s, each of which a route carries out (`feedback.py`, `controls.py`). None of them turns anything on: a why link
may be passed on. Pure.
"""

from dataclasses import dataclass

from explain.concepts import UNNAMED, Concept
from explain.facts import DecisionFacts
from explain.feedback import Feedback
from explain.levers import Lever, revocable
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
    return (_ending(facts.machine, facts, say),)


def controls(facts: DecisionFacts, say: Words) -> tuple[Offer, ...]:
    """The controls of the whole choice."""
    found: list[Offer] = []
    if not facts.nothing_chosen:
        found.append(_offer(Feedback.NOT_INTERESTED, "", say))
    if revocable(facts) and facts.channel is not None:
        found.append(_offer(Feedback.PAUSE, facts.channel, say, say.of("channel", facts.channel)))
        found.append(_ending(facts.purpose, facts, say))
    found.append(_offer(Feedback.NOT_ME, "", say))
    return tuple(found)


def _offer(kind: Feedback, subject: str, say: Words, about: str = "") -> Offer:
    return Offer(kind=kind, subject=subject, label=say(f"controls.{kind}"), hint=about)


def _ending(purpose: str, facts: DecisionFacts, say: Words) -> Offer:
    """What ends a purpose; the one under which she was looked at ends the picking."""
    label = "controls.stop_picking" if purpose == facts.machine else f"controls.{Feedback.OPT_OUT}"
    return Offer(kind=Feedback.OPT_OUT, subject=purpose, label=say(label), hint=say.of("purpose", purpose))


def pull(lever: Lever, facts: DecisionFacts, say: Words) -> Offer | None:
    """The control that pulls a lever; none where it is pulled elsewhere, or by time."""
    match lever.kind:
        case "without":
            return _offer(Feedback.STOP_USING, lever.subject, say, say(f"concepts.{lever.subject}"))
        case "withdraw":
            return _ending(lever.subject, facts, say)
        case "decline":
            return _offer(Feedback.NOT_INTERESTED, "", say)
        case "pause":
            return _offer(Feedback.PAUSE, lever.subject, say, say.of("channel", lever.subject))
        case _:
            return None
