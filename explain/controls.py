"""Which controls a page about a decision has: what it has not is not done, whatever a form says.

Enters: an explanation. Leaves: yes or no for each word that a person may say. Pure.
"""

from collections.abc import Mapping

from explain.concepts import UNNAMED, Concept
from explain.explanation import Content
from explain.feedback import LEVER, LONGEST, Feedback, Said
from explain.levers import Lever, revocable


def named(content: Content) -> Mapping[str, Concept]:
    """The kinds of information about her that the explanation names: what may be left out or corrected."""
    return {one.key: one for one in content.concepts if one.about == "person" and one.key != UNNAMED and one.provenance}


def offered(content: Content, said: Said) -> bool:
    """Whether a page about this decision has that control: what it has not is not done."""
    facts = content.facts
    match said.kind:
        case Feedback.NOT_ME:
            return True
        case Feedback.NOT_INTERESTED:
            return not facts.nothing_chosen and facts.chosen is not None
        case Feedback.STOP_USING:
            return said.subject in named(content)
        case Feedback.CORRECT:
            return said.subject in named(content) and 0 < len(said.words.strip()) <= LONGEST
        case Feedback.PAUSE:
            return revocable(facts) and said.subject == facts.channel
        case Feedback.OPT_OUT:
            if said.subject == facts.machine or (revocable(facts) and said.subject == facts.purpose):
                return True
            # What was kept before it was noted under which purpose she was looked at shows the lever of the usual one.
            return lever_of(content, said) is not None


def lever_of(content: Content, said: Said) -> Lever | None:
    """The lever of this explanation that a control pulls."""
    subject = said.subject
    if said.kind is Feedback.NOT_INTERESTED:
        subject = content.facts.chosen.content if content.facts.chosen is not None else ""
    wanted = (LEVER.get(said.kind), subject)
    return next((one for one in content.levers if (one.kind, one.subject) == wanted), None)
