"""Why this and not that: what parts two arms of one decision (explain.X55, decision.D10).

Enters: the content of an explanation, two candidates, and the row and attribution of each that a model scored. Leaves: a `Contrast`: where the loser was lost, and differences
that sum to the gap between the two compared numbers exactly; beside them those of the scores, column by column.

Factors (value, score, boosts) make a product, which no sum is the same as: each gets its Shapley value of the change from one product to the other, so that a
factor which both arms have alike explains nothing and the order in which they were multiplied does not matter. What linear learners knew is split by column.
Pure, and equal whenever it is made.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from explain.attribution import Attribution
from explain.errors import Unfaithful, UnknownCandidate
from explain.facts import NOTHING, Candidate, Compared, DecisionFacts, FeatureValue, Stage, Term, TermKind
from explain.sums import closed
from kernel.canonical import Json

_ROUNDING: Final = 1e-9
_STAGES: Final = {stage: number for number, stage in enumerate(Stage, 1)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two: where it was lost (`stage`, its `number` in the order of asking, `reason`; None for the chosen one) and what it was worth."""

    candidate_id: str
    content: str
    channel: str | None
    chosen: bool
    stage: Stage | None
    number: int | None
    reason: str | None
    score: float | None
    compared: float | None
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How much one thing adds to the gap. `a` and `b` are what stood on either side: a factor, an amount, a feature's value; None where it did not."""

    name: str
    kind: str
    difference: float
    a: float | None = None
    b: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """`differences` sum to `gap`, the compared number of `a` less that of `b` (`math.fsum`); both empty where one lost before anything was compared.

    `features` are the columns of the two rows, by what they put between the scores: they sum to `score_gap`. `key` names the sentence for a person.
    """

    a: Side
    b: Side
    by: Compared | None
    gap: float | None
    differences: tuple[Difference, ...] = ()
    score_gap: float | None = None
    features: tuple[Difference, ...] = ()
    unit: str = ""

    @property
    def key(self) -> str:
        """Which sentence tells a person: the stage that the loser was lost at, or that it was worth less, or as much and came later, or that chance decided."""
        if self.a.candidate_id == self.b.candidate_id:
            return "same"
        loser = self.a if self.b.chosen else self.b
        if loser.stage is not None and loser.stage is not Stage.SCORE:
            return str(loser.stage)
        winner = self.b if self.b.chosen else self.a
        if not winner.chosen:
            return "neither"
        more = (winner.compared or 0.0) - (loser.compared or 0.0)
        if loser.reason == "not_drawn" or more < 0:
            return "drawn"
        return "worth_more" if more else "tied"

    def as_json(self) -> dict[str, Json]:
        """As the API answers it."""
        return {
            "a": _side(self.a), "b": _side(self.b), "key": self.key, "by": None if self.by is None else str(self.by),
            "unit": self.unit, "gap": self.gap, "differences": [_plain(one) for one in self.differences],
            "score_gap": self.score_gap, "features": [_plain(one) for one in self.features],
        }  # fmt: skip


Scored = tuple[Sequence[FeatureValue], Attribution]


def contrast(facts: DecisionFacts, a: str, b: str, rows: Mapping[str, Scored]) -> Contrast:
    """What parts `a` from `b`. `rows`: row and attribution of each of them that a model scored.

    Raises:
        UnknownCandidate: the decision did not look at one of them. Unfaithful: differences that miss the gap.
    """
    one, two = _of(facts, a), _of(facts, b)
    gap = one.compared - two.compared if one.compared is not None and two.compared is not None else None
    parted: tuple[Difference, ...] = ()
    if gap is not None:
        parted = exact(_parted(one.terms, two.terms), gap, max(abs(one.compared or 0.0), abs(two.compared or 0.0)))
    score_gap, features = None, tuple[Difference, ...]()
    if one.score is not None and two.score is not None and a in rows and b in rows:
        score_gap = one.score - two.score
        features = exact(_columns(rows[a], rows[b]), score_gap)
    return Contrast(
        a=_told(facts, one), b=_told(facts, two), by=one.by if gap is not None else None, gap=gap, differences=parted,
        score_gap=score_gap, features=features, unit=facts.unit,
    )  # fmt: skip


def _of(facts: DecisionFacts, name: str) -> Candidate:
    for one in facts.candidates:
        if one.candidate_id == name:
            return one
    if name == NOTHING and facts.nothing_chosen:
        return Candidate(candidate_id=NOTHING, content=NOTHING, channel=None)
    raise UnknownCandidate([one.candidate_id for one in facts.candidates])


def _told(facts: DecisionFacts, one: Candidate) -> Side:
    return Side(
        candidate_id=one.candidate_id, content=one.content, channel=one.channel, chosen=one.candidate_id == facts.choice,
        stage=one.stage, number=None if one.stage is None else _STAGES[one.stage], reason=one.reason, score=one.score,
        compared=one.compared, probability=one.probability,
    )  # fmt: skip


def _columns(one: Scored, two: Scored) -> list[Difference]:
    """What each column puts between two scores of one model: the base is the same."""
    (row, mine), (other, theirs) = one, two
    return [
        Difference(name=x.name, kind="feature", difference=p - q, a=_number(x.value), b=_number(y.value))
        for x, y, p, q in zip(row, other, mine.parts, theirs.parts, strict=True)
        if p != q or _number(x.value) != _number(y.value)
    ]


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


_FACTORS: Final = frozenset({TermKind.VALUE, TermKind.SCORE, TermKind.LINEAR, TermKind.BOOST})


def _parted(one: Sequence[Term], two: Sequence[Term]) -> list[Difference]:
    found: list[Difference] = []
    if (
        _product(one) is None or _product(two) is None
    ):  # the idle arm of a model that has no word on it is worth nothing
        found += _amounts(one, two, _FACTORS)
    else:
        found += _factors(one, two)
    return found + _amounts(one, two, frozenset(TermKind) - _FACTORS)


def _amounts(one: Sequence[Term], two: Sequence[Term], kinds: frozenset[TermKind]) -> list[Difference]:
    """What is added and taken off, name by name."""
    mine, theirs = ({(t.kind, t.name): t for t in terms if t.kind in kinds} for terms in (one, two))
    return [
        Difference(
            name=name, kind=str(kind), difference=(x.amount if x else 0.0) - (y.amount if y else 0.0),
            a=None if x is None else x.value, b=None if y is None else y.value,
        )
        for kind, name in dict.fromkeys((*mine, *theirs))
        for x, y in ((mine.get((kind, name)), theirs.get((kind, name))),)
    ]  # fmt: skip


def _product(terms: Sequence[Term]) -> dict[tuple[TermKind, str], float] | None:
    """The factors of an arm by kind and name: value and score (a sum, where it is linear) apart, then boosts; None where it has none."""
    made: dict[tuple[TermKind, str], float] = {}
    linear = [one for one in terms if one.kind is TermKind.LINEAR]
    for one in terms:
        if one.kind is TermKind.VALUE:
            if one.value is None:
                return None
            made[_VALUE] = one.value
        elif one.kind is TermKind.SCORE and one.value is not None and one.weight is not None:
            made[_VALUE], made[_SCORE] = one.weight, one.value
        elif one.kind is TermKind.BOOST and one.value is not None:
            made[TermKind.BOOST, one.name] = one.value
    if linear:
        made = {_VALUE: 1.0, _SCORE: math.fsum(_linear(one) for one in linear)} | made
    return made


def _linear(one: Term) -> float:
    return (one.weight or 0.0) * (one.value or 0.0)


_VALUE: Final = (TermKind.VALUE, "value")
_SCORE: Final = (TermKind.SCORE, "score")


def _factors(one: Sequence[Term], two: Sequence[Term]) -> list[Difference]:
    mine, theirs = _product(one) or {}, _product(two) or {}
    names = list(dict.fromkeys((*mine, *theirs)))
    a, b = [mine.get(name, 1.0) for name in names], [theirs.get(name, 1.0) for name in names]
    found: list[Difference] = []
    for place, name in enumerate(names):
        weight = product_weight(a, b, place)
        x, y = mine.get(name), theirs.get(name)
        linear = [t for t in (*one, *two) if t.kind is TermKind.LINEAR] if name == _SCORE else []
        if linear:
            found += _split(one, two, weight)
        elif a[place] != b[place] or name == _SCORE:
            found.append(
                Difference(name=name[1], kind=str(name[0]), difference=(a[place] - b[place]) * weight, a=x, b=y)
            )
    return found


def _split(one: Sequence[Term], two: Sequence[Term], weight: float) -> list[Difference]:
    """The difference of two linear estimates, column by column."""
    mine, theirs = ({t.name: _linear(t) for t in terms if t.kind is TermKind.LINEAR} for terms in (one, two))
    return [
        Difference(
            name=name, kind=str(TermKind.LINEAR), difference=(mine.get(name, 0.0) - theirs.get(name, 0.0)) * weight,
            a=mine.get(name), b=theirs.get(name),
        )
        for name in dict.fromkeys((*mine, *theirs))
    ]  # fmt: skip


def product_weight(a: Sequence[float], b: Sequence[float], place: int) -> float:
    """By how much a unit of this factor changes the product on the way from all of `b` to all of `a`, in the mean over all orders of changing.

    The Shapley value of the factor is (a - b) times this: the mean, over how many others were changed before, of the products of both kinds.
    """
    sums = [1.0]  # by how many of the other factors are a's
    for at, (x, y) in enumerate(zip(a, b, strict=True)):
        if at != place:
            sums = [
                (sums[n] * y if n < len(sums) else 0.0) + (sums[n - 1] * x if n else 0.0) for n in range(len(sums) + 1)
            ]
    count = len(a)
    return math.fsum(total / (count * math.comb(count - 1, n)) for n, total in enumerate(sums))


def exact(found: Sequence[Difference], gap: float, size: float = 0.0) -> tuple[Difference, ...]:
    """The differences, greatest first, with the last bit where it belongs: they sum to the gap exactly. `size`: how large the two numbers are, as they
    were rounded, however near they lie.

    Raises:
        Unfaithful: they miss it by more than rounding.
    """
    told = sorted((one for one in found if one.difference), key=lambda one: (-abs(one.difference), one.kind, one.name))
    missing = gap - math.fsum(one.difference for one in told)
    if not abs(missing) <= _ROUNDING * max(1.0, abs(gap), size):  # written so that NaN fails
        raise Unfaithful("the differences and the gap between two candidates", abs(missing))
    made, rest = closed([one.difference for one in told], gap)
    whole = [replace(one, difference=value) for one, value in zip(told, made, strict=True)]
    return (*whole, *([Difference(name="rounding", kind="rounding", difference=rest)] if rest else []))


def _side(one: Side) -> dict[str, Json]:
    return {
        "candidate_id": one.candidate_id, "content": one.content, "channel": one.channel, "chosen": one.chosen,
        "stage": None if one.stage is None else str(one.stage), "number": one.number, "reason": one.reason,
        "score": one.score, "compared": one.compared, "probability": one.probability,
    }  # fmt: skip


def _plain(one: Difference) -> dict[str, Json]:
    return {"name": one.name, "kind": one.kind, "difference": one.difference, "a": one.a, "b": one.b}
