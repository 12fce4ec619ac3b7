"""Whose merit was it? Outcomes shared among the decisions that came before them, never more than once (decision.D41).

Enters: touches (decisions about one person, with the time in which an outcome may be theirs) and happenings. Leaves: millionths of each happening for
each touch; they sum to one whole, or to nothing when no touch reaches it. Pure, and free of the order of its arguments.

An event that names its decision belongs to that decision alone. Any other goes to what was seen; only when nothing was seen, to what was
chosen without word of its being seen; only then to a choice to show nothing, so that this arm earns what happens by itself.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Final, Literal

from kernel.ids import DecisionId
from orchestration.learning.rewards import MICRO

Rule = Literal["last", "even"]
_WHOLE: Final[Mapping[DecisionId, int]] = {}


class Seen(IntEnum):
    """How sure it is that a person saw what was decided; the surer takes all."""

    NOTHING = 0  # nothing was shown
    ASSUMED = 1  # shown, for all we know: nobody reports exposures of it
    REPORTED = 2  # an exposure was reported, or the message was accepted or delivered


@dataclass(frozen=True, slots=True)
class Touch:
    """One decision. `at` is the choice, `since` when it was seen (or the choice again); an outcome counts until `until`."""

    decision: DecisionId
    at: datetime
    since: datetime
    until: datetime
    seen: Seen


@dataclass(frozen=True, slots=True)
class Happening:
    """One event that may be somebody's merit; `names` is the decision that it names itself."""

    event: str
    at: datetime
    names: DecisionId | None = None


def share(happening: Happening, touches: Iterable[Touch], rule: Rule) -> Mapping[DecisionId, int]:
    """Millionths of a happening by decision: empty, or a sum of exactly `MICRO`."""
    if happening.names is not None:
        named = [t for t in touches if t.decision == happening.names and t.at <= happening.at <= t.until]
        return {named[0].decision: MICRO} if named else _WHOLE
    reach = [t for t in touches if t.since <= happening.at <= t.until]
    if not reach:
        return _WHOLE
    surest = max(t.seen for t in reach)
    left = sorted((t for t in reach if t.seen == surest), key=lambda t: (t.since, t.decision))
    if rule == "last" or surest is Seen.NOTHING:
        return {left[-1].decision: MICRO}
    return _even([t.decision for t in left])


def _even(decisions: Sequence[DecisionId]) -> Mapping[DecisionId, int]:
    part, rest = divmod(MICRO, len(decisions))
    shares = dict.fromkeys(decisions, part)
    shares[decisions[-1]] += rest  # the newest takes what does not divide
    return shares
