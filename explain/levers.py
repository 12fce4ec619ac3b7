"""What would have changed the decision: levers that were pulled before they are shown.

Enters: the facts, the concepts, and `Decide`, which runs the decision again under one change. Leaves: only changes that flipped the choice, as the
re-run said (explain.E4, X55). What the record cannot support is not tried: withheld things have no name here either.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from explain.concepts import UNNAMED, Concept
from explain.facts import Decide, DecisionFacts, Stage, Verdict
from kernel.canonical import Json

_REVOCABLE: Final = frozenset({"consent", "legitimate_interests"})  # what a person can take back or object to
_INTEREST: Final = "basis.legitimate_interests"  # the gate's reason where no act of hers is behind it
_HERS: Final = frozenset(  # the gate's reasons that a yes of hers ends
    {
        "consent.missing",
        "consent.denied",
        "consent.withdrawn",
        "consent.expired",
        "withdrawn.channel",
        "basis.objection",
    }
)
_TRIED: Final = 3  # kinds of information, the strongest first: each asks the model for every arm once more
Kind = Literal["withdraw", "without", "decline", "pause", "wait", "grant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lever:
    """A change that flips the choice: `channel` is where the new choice goes (None: nothing).

    `subject`: of withdraw a purpose, of without a kind of information, of decline the content, of pause the channel, of wait the day by which the cap has
    room (ISO), of grant `purpose|channel`.
    """

    kind: Kind
    subject: str
    choice: str
    channel: str | None


def change_of(lever: Lever) -> Mapping[str, Json]:
    """The lever as `Decide.again` takes it."""
    if lever.kind == "wait":
        return {"uncapped": True}
    return {_CHANGE[lever.kind]: lever.subject}


_CHANGE: Final[Mapping[str, str]] = {
    "withdraw": "withdraw", "without": "unused", "decline": "declined", "pause": "pause", "grant": "grant",
}  # fmt: skip


def revocable(facts: DecisionFacts) -> bool:
    """Whether what carried the message is hers to end."""
    found = facts.permission
    if facts.nothing_chosen or found is None or found.answer != "granted":
        return False
    return found.basis in _REVOCABLE or found.reason == _INTEREST


async def find(
    facts: DecisionFacts, concepts: Sequence[Concept], decide: Decide, most: int
) -> tuple[list[Lever], bool]:
    """Up to `most` levers, and whether rules that changed since kept one from being tried: of a message those that change it first, those that end it last; of nothing what would bring a message."""
    found: list[Lever] = []
    tries = list(_tries(facts, concepts)) if most else []
    changes = [change_of(Lever(kind=kind, subject=subject, choice="", channel=None)) for kind, subject in tries]
    verdicts = await decide.again_each(facts.decision_id, changes) if changes else ()
    for (kind, subject), verdict in zip(tries, verdicts, strict=True):
        if len(found) == most:
            break
        if verdict.choice == facts.choice or (kind == "wait" and verdict.after is None):
            continue
        day = _day(verdict) if kind == "wait" else subject
        found.append(Lever(kind=kind, subject=day, choice=verdict.choice, channel=verdict.channel))
    return found, any(one.outdated for one in verdicts)


def _day(verdict: Verdict) -> str:
    return verdict.after.date().isoformat() if verdict.after is not None else ""


def _tries(facts: DecisionFacts, concepts: Sequence[Concept]) -> Iterator[tuple[Kind, str]]:
    if facts.nothing_chosen:
        yield from _tries_of_nothing(facts)
        return
    named = [one for one in concepts if one.about == "person" and one.key != UNNAMED and one.provenance]
    for concept in named[:_TRIED]:
        yield "without", concept.key
    if facts.chosen is not None:
        yield "decline", facts.chosen.content
    yield "withdraw", facts.machine
    if not revocable(facts):
        return
    if facts.purpose != facts.machine:
        yield "withdraw", facts.purpose
    if facts.channel is not None and len({one.channel for one in facts.candidates if one.channel is not None}) > 1:
        yield "pause", facts.channel


def _tries_of_nothing(facts: DecisionFacts) -> Iterator[tuple[Kind, str]]:
    """A cap has room again some day; a purpose that she has not agreed to she may agree to."""
    stages = {one.stage for one in facts.candidates}
    if Stage.CAP in stages:
        yield "wait", ""
    asked = {
        one.channel
        for one in facts.candidates
        if one.stage is Stage.CONSENT and (one.reason or "") in _HERS and one.channel
    }
    for channel in sorted(asked):
        yield "grant", f"{facts.purpose}|{channel}"
