"""What staff decided about who is who, and what follows from it for a partition.

Enters: judgements, append-only: these records are (or are not) those records' person. Leaves: ``Rulings``, the groups that must be together and the
sides that must stay apart, over record ids or over rows of a linkage table. Pure.

A NEGATIVE outweighs a POSITIVE of other sides. Answers of the review queue count a reviewer once, by her last word on a pair; where two reviewers
say the opposite neither counts, and the pair is in dispute until an act settles it.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, Generic, TypeVar

from kernel.ids import RecordId

_MOST_TIES: Final = 400  # pairs of one judgement; of more, those of one record say enough
T = TypeVar("T", bound=Hashable)
U = TypeVar("U", bound=Hashable)


class Verdict(StrEnum):
    """What was said of two sides."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    UNSURE = "unsure"


class Act(StrEnum):
    """What staff did."""

    MERGE = "merge"
    UNMERGE = "unmerge"
    SPLIT = "split"
    PIN = "pin"
    ANSWER = "answer"
    REVOKE = "revoke"


class Reason(StrEnum):
    """Why, as one of these words: free words of staff would hold personal ones sooner or later."""

    ASKED = "asked"  # the person said so
    DOCUMENT = "document"  # a document was seen
    DUPLICATE = "duplicate"  # one person, entered twice
    SHARED_CONTACT = "shared_contact"  # a mailbox or number of several people
    SHARED_DEVICE = "shared_device"
    HOUSEHOLD = "household"
    NAMESAKE = "namesake"
    MISTAKE = "mistake"  # an earlier act was wrong
    LOOKED = "looked"  # the records were compared


@dataclass(frozen=True, slots=True)
class Judgement:
    """One side is, is not, or may be the other's person. Judgements of one act share ``act_id``."""

    id: str
    act_id: str
    act: Act
    verdict: Verdict
    left: tuple[RecordId, ...]
    right: tuple[RecordId, ...]
    actor: str
    reason: Reason
    at: datetime
    revoked_by: str | None = None

    @property
    def pair(self) -> tuple[RecordId, RecordId]:
        """The two records of an answer, the smaller first."""
        one, other = sorted((self.left[0], self.right[0]))
        return one, other

    def reversed_by(self, left: frozenset[RecordId], right: frozenset[RecordId]) -> bool:
        """Whether keeping these sides apart (or together) takes back all that this says."""
        mine, other = frozenset(self.left), frozenset(self.right)
        return (mine <= left and other <= right) or (mine <= right and other <= left)

    def crosses(self, records: frozenset[RecordId]) -> bool:
        """Whether records of both sides are among these."""
        return not records.isdisjoint(self.left) and not records.isdisjoint(self.right)


@dataclass(frozen=True, slots=True)
class Rulings(Generic[T]):
    """What a partition must obey, over records or rows: groups that are together, sides that are apart."""

    together: tuple[tuple[T, ...], ...] = ()
    apart: tuple[tuple[tuple[T, ...], tuple[T, ...]], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.together or self.apart)

    def members(self) -> set[T]:
        """Everybody a ruling names."""
        named = {one for group in self.together for one in group}
        return named | {one for sides in self.apart for side in sides for one in side}

    def through(self, name: Callable[[T], U | None]) -> "Rulings[U]":
        """The same over other names; who has none is left out, and so is a ruling that says nothing any more."""
        groups = [tuple(dict.fromkeys(_named(group, name))) for group in self.together]
        apart = []
        for left, right in self.apart:
            one, other = dict.fromkeys(_named(left, name)), dict.fromkeys(_named(right, name))
            both = one.keys() & other.keys()  # two versions of one row are one record now
            sides = tuple(x for x in one if x not in both), tuple(x for x in other if x not in both)
            if all(sides):
                apart.append(sides)
        return Rulings(tuple(group for group in groups if len(group) > 1), tuple(apart))


def _named(members: Iterable[T], name: Callable[[T], U | None]) -> list[U]:
    return [found for one in members if (found := name(one)) is not None]


@dataclass(frozen=True, slots=True)
class Dispute:
    """A pair of which reviewers say the opposite."""

    pair: tuple[RecordId, RecordId]
    answers: tuple[Judgement, ...]


@dataclass(frozen=True, slots=True)
class Law:
    """Standing judgements, weighed: what holds, and what is in dispute. ``ties``: pairs across the sides of what holds together."""

    rulings: Rulings[RecordId] = field(default_factory=Rulings)
    ties: tuple[tuple[RecordId, RecordId], ...] = ()
    disputes: tuple[Dispute, ...] = ()


def weigh(standing: Sequence[Judgement], now: Mapping[RecordId, RecordId]) -> Law:
    """What standing judgements (oldest first) mean. ``now``: the record that stands for each today; an erased one has none."""
    together: list[tuple[RecordId, ...]] = []
    ties: list[tuple[RecordId, RecordId]] = []
    apart: list[tuple[tuple[RecordId, ...], tuple[RecordId, ...]]] = []
    answers: dict[tuple[RecordId, RecordId], dict[str, Judgement]] = defaultdict(dict)
    for one in standing:
        if one.act is Act.ANSWER:
            answers[one.pair][one.actor] = one
        elif one.verdict is Verdict.POSITIVE:
            together.append((*one.left, *one.right))
            left = one.left if len(one.left) * len(one.right) <= _MOST_TIES else one.left[:1]
            ties += [(a, b) for a in left for b in one.right]
        elif one.verdict is Verdict.NEGATIVE:
            apart.append((one.left, one.right))
    disputes = []
    for pair, given in answers.items():
        definite = [one for one in given.values() if one.verdict is not Verdict.UNSURE]
        said = {one.verdict for one in definite}
        if len(said) > 1:
            disputes.append(Dispute(pair, tuple(definite)))
        elif said == {Verdict.POSITIVE}:
            together.append(pair)
            ties.append(pair)
        elif said == {Verdict.NEGATIVE}:
            apart.append(((pair[0],), (pair[1],)))
    tied = tuple((now[a], now[b]) for a, b in ties if a in now and b in now)
    return Law(Rulings(tuple(together), tuple(apart)).through(now.get), tied, tuple(disputes))
