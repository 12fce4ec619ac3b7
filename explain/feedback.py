"""What a person may say of a decision without logging in, and what each word acts on.

Enters: a kind of word, what it is about, perhaps her own words. Leaves: `Said`. What the words do is hooked in by wiring (`orchestration/decision/feedback.py`);
which of them a page offers, and so which are taken, follows from the record alone.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from audit.tags import Tag
from explain.concepts import Concept
from explain.facts import DecisionFacts
from kernel.db import Conn

LONGEST: Final = 500  # characters of her own words


class Feedback(StrEnum):
    """One control. A link may be passed on: all that these can do is turn something off, or have staff look."""

    NOT_INTERESTED = "not_interested"
    NOT_ME = "not_me"
    STOP_USING = "stop_using"
    CORRECT = "correct"
    PAUSE = "pause"
    OPT_OUT = "opt_out"


ONCE: Final[Mapping[Feedback, Tag]] = {
    Feedback.NOT_INTERESTED: Tag.FEEDBACK_GIVEN, Feedback.NOT_ME: Tag.IDENTITY_QUESTIONED,
}  # fmt: skip
"""Words that count once a decision. The others end in a consent act or a request, which know by themselves what was said before."""

LEVER: Final[Mapping[Feedback, str]] = {
    Feedback.NOT_INTERESTED: "decline", Feedback.STOP_USING: "without", Feedback.PAUSE: "pause", Feedback.OPT_OUT: "withdraw",
}  # fmt: skip
"""The lever that a control pulls."""


@dataclass(frozen=True, slots=True)
class Said:
    """`subject`: the kind of information, the channel or the purpose that is meant. `words`: her own."""

    kind: Feedback
    subject: str = ""
    words: str = field(default="", repr=False)


OnFeedback = Callable[[Conn, DecisionFacts, Said], Awaitable[None]]
OnCorrection = Callable[[DecisionFacts, Said, Concept], Awaitable[None]]
"""The concept is the one that the words are about: its provenance tells where the information came from."""
