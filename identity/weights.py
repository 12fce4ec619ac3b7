"""The weight of a pair, term by term, without Splink: what Splink computes from the same model, in plain Python.

Enters: a model's settings with the readings of its conditions, two compared rows, how rare their values are.  Leaves: `Scored`, the prior, one
`Term` a field with the level it reached, its weight and the adjustment by rarity, and the match weight that they sum to.  Fellegi and Sunter (1969)
in log2 odds; rarity after Winkler as Splink has it: log2 of u of full agreement over the share of the commoner value.  The weight of a pair is
that of one person less that of relatives, as `linkage.predict_cleaned` weighs, quantised to 1e-6 likewise.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import exp2, log1p, log2
from typing import Any, Final

from identity.comparisons import column_of
from identity.conditions import Condition, Row, compiled
from kernel.errors import InvalidInput

QUANTUM: Final = 1e-6
ABSENT: Final = "absent"

# Share of rows, among those with a value, that bear this value of a column; None where it is not known.
Rarity = Callable[[str, str], float | None]


@dataclass(frozen=True, slots=True)
class Term:
    """What one field says: the level reached, log2 of m over u, and what the rarity of the value adds."""

    field: str
    level: str
    weight: float
    rarity: float


@dataclass(frozen=True, slots=True)
class Side:
    """The terms of one hypothesis (one person, or relatives) against strangers."""

    prior: float
    terms: tuple[Term, ...]

    @property
    def weight(self) -> float:
        """Log2 odds."""
        return self.prior + sum(term.weight + term.rarity for term in self.terms)


@dataclass(frozen=True, slots=True)
class Scored:
    """A pair: the case for one person, and how far relatives explain it as well."""

    person: Side
    kin: Side

    @property
    def relatives(self) -> float:
        """What the other explanation takes away: log2 of one plus its odds, negated."""
        return -_log2_of_one_and(self.kin.weight)

    @property
    def exact(self) -> float:
        """The match weight before it is quantised."""
        return self.person.weight + self.relatives

    @property
    def weight(self) -> float:
        """The match weight as edges carry it."""
        return round(self.exact / QUANTUM) * QUANTUM


@dataclass(frozen=True, slots=True)
class _Level:
    label: str
    holds: Condition | None  # None: the last level, which always does
    person: float
    kin: float
    rarity: tuple[str, float, float, float] | None  # column, trust, log2 u of full agreement for persons and for kin


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    absent: Condition
    levels: tuple[_Level, ...]


class Weights:
    """The scorer of a model. Pure: one object serves many questions."""

    def __init__(
        self, person: Mapping[str, Any], kin: Mapping[str, Any], readings: Mapping[str, Sequence[Any]]
    ) -> None:
        """``person`` and ``kin``: the settings of a `LinkageModel`; ``readings``: the tree of each condition.

        Raises:
            InvalidInput: settings that are not of one model, or a condition without a reading.
        """
        self.priors = _prior(person), _prior(kin)
        self._fields = tuple(
            _field(one, other, readings) for one, other in zip(person["comparisons"], kin["comparisons"], strict=True)
        )

        # What each field looks at of a row; lists that go with a text are told by the text.
        self.columns: tuple[tuple[str, ...], ...] = tuple(
            tuple(sorted(_looked_at(comparison, readings))) for comparison in person["comparisons"]
        )

    def of_field(self, place: int, left: Row, right: Row, rarity: Rarity) -> tuple[float, float]:
        """What one field says for one person and for relatives."""
        level = _reached(self._fields[place], left, right)
        if level is None:
            return 0.0, 0.0
        adjusted = _adjustment(level, left, right, rarity)
        return level.person + adjusted[0], level.kin + adjusted[1]

    def bounds(self, left: Row, rarity: Rarity, rarest: float) -> list[tuple[float, float]]:
        """The least and the most that each field can say for one person, whatever row is compared with this one; (0, 0) where it says nothing.

        A pair is as rare as the commoner of its two values, so never rarer than this row's.
        """
        found = []
        for field in self._fields:
            value = left.get(column_of(field.name))
            if value is None:  # every condition of absence begins with that
                found.append((0.0, 0.0))
                continue
            share = (rarity(column_of(field.name), value) if isinstance(value, str) else None) or rarest
            most = [
                x.person + (max(0.0, x.rarity[1] * (x.rarity[2] - log2(share))) if x.rarity else 0.0)
                for x in field.levels
            ]
            found.append((min(0.0, *(x.person for x in field.levels)), max(0.0, *most)))
        return found

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the compared fields, in order."""
        return tuple(one.name for one in self._fields)

    def score(self, left: Row, right: Row, rarity: Rarity) -> Scored:
        """The pair, term by term. Rows are as `comparisons.linkage_input` makes them."""
        person: list[Term] = []
        kin: list[Term] = []
        for field in self._fields:
            level = _reached(field, left, right)
            if level is None:
                absent = Term(field.name, ABSENT, 0.0, 0.0)
                person.append(absent)
                kin.append(absent)
                continue
            adjusted = _adjustment(level, left, right, rarity)
            person.append(Term(field.name, level.label, level.person, adjusted[0]))
            kin.append(Term(field.name, level.label, level.kin, adjusted[1]))
        return Scored(Side(self.priors[0], tuple(person)), Side(self.priors[1], tuple(kin)))

    def weight(self, left: Row, right: Row, rarity: Rarity) -> float:
        """The match weight alone, for those who ask about many pairs."""
        one, other = self.priors
        for field in self._fields:
            level = _reached(field, left, right)
            if level is not None:
                adjusted = _adjustment(level, left, right, rarity)
                one += level.person + adjusted[0]
                other += level.kin + adjusted[1]
        return round((one - _log2_of_one_and(other)) / QUANTUM) * QUANTUM


class Against:
    """One row against many: a field is judged once for each set of values that it looks at, and no field of a pair that cannot get there any more."""

    def __init__(self, weights: Weights, left: Row, rarity: Rarity, rarest: float) -> None:
        """``rarest``: the share of rows that bears a value of one row; nothing is rarer."""
        self._weights, self._left, self._rarity = weights, left, rarity
        bounds = weights.bounds(left, rarity, rarest)
        # What speaks against most comes first: most candidates are out after a field or two.
        self._order = sorted(
            (place for place in range(len(bounds)) if bounds[place] != (0.0, 0.0)), key=lambda i: bounds[i][0]
        )
        self._rest = [sum(bounds[place][1] for place in self._order[start:]) for start in range(len(self._order))]
        self._own = [
            column_of(name) for name in weights.fields
        ]  # absent here: every condition of absence begins with that
        self._known: list[dict[tuple[object, ...], tuple[float, float]]] = [{} for _ in bounds]

    def weight(self, right: Row, least: float) -> float | None:
        """As ``Weights.weight``; None for a pair that stays below ``least``."""
        one, other = self._weights.priors
        for place, rest in zip(self._order, self._rest, strict=True):
            if one + rest < least:
                return None
            if right.get(self._own[place]) is None:
                continue
            key = tuple([right.get(column) for column in self._weights.columns[place]])
            told = self._known[place].get(key)
            if told is None:
                told = self._known[place][key] = self._weights.of_field(place, self._left, right, self._rarity)
            one += told[0]
            other += told[1]
        found = round((one - _log2_of_one_and(other)) / QUANTUM) * QUANTUM
        return found if found >= least else None


def _reached(field: _Field, left: Row, right: Row) -> _Level | None:
    if field.absent(left, right):
        return None
    return next(level for level in field.levels if level.holds is None or level.holds(left, right))


def _adjustment(level: _Level, left: Row, right: Row, rarity: Rarity) -> tuple[float, float]:
    if level.rarity is None:
        return 0.0, 0.0
    column, trust, person, kin = level.rarity
    shares = [
        share for row in (left, right) if isinstance(value := row.get(column), str) and (share := rarity(column, value))
    ]
    if not shares:
        return 0.0, 0.0
    commoner = log2(max(shares))
    return trust * (person - commoner), trust * (kin - commoner)


def _log2_of_one_and(weight: float) -> float:
    """log2(1 + 2^weight), as numpy.logaddexp2(0, weight)."""
    return max(weight, 0.0) + log1p(exp2(-abs(weight))) / _LN2


_LN2: Final = 0.6931471805599453


def _prior(settings: Mapping[str, Any]) -> float:
    share = float(settings["probability_two_random_records_match"])
    return log2(share / (1.0 - share))


def _field(person: Mapping[str, Any], kin: Mapping[str, Any], readings: Mapping[str, Sequence[Any]]) -> _Field:
    name = str(person["output_column_name"])
    ours, theirs = person["comparison_levels"], kin["comparison_levels"]
    if name != kin["output_column_name"] or [x["sql_condition"] for x in ours] != [x["sql_condition"] for x in theirs]:
        raise InvalidInput(
            f"settings of persons and of relatives: expected the same levels of {name!r}, got different ones",
            remedy="Train the model anew.",
            code="identity.bad_model",
        )
    both = {x["sql_condition"]: (x, y) for x, y in zip(ours, theirs, strict=True)}
    absent, levels = None, []
    for one, other in zip(ours, theirs, strict=True):
        holds = None if one["sql_condition"] == "ELSE" else compiled(_reading(one["sql_condition"], readings))
        if one.get("is_null_level"):
            absent = holds
            continue
        adjusted: tuple[str, float, float, float] | None = None
        if column := one.get("tf_adjustment_column"):
            full = both[f"{column}_l = {column}_r"]
            trust = float(one.get("tf_adjustment_weight", 1.0))
            adjusted = str(column), trust, log2(full[0]["u_probability"]), log2(full[1]["u_probability"])
        levels.append(_Level(one["label_for_charts"], holds, _bayes(one), _bayes(other), adjusted))
    if absent is None or not levels or levels[-1].holds is not None:
        raise InvalidInput(
            f"levels of {name!r}: expected one for an absent value and a last one that always holds, got others",
            remedy="Train the model anew.",
            code="identity.bad_model",
        )
    return _Field(name, absent, tuple(levels))


def _looked_at(comparison: Mapping[str, Any], readings: Mapping[str, Sequence[Any]]) -> set[str]:
    found: set[str] = set()
    waiting: list[Any] = [
        readings[x["sql_condition"]] for x in comparison["comparison_levels"] if x["sql_condition"] != "ELSE"
    ]
    while waiting:
        one = waiting.pop()
        if isinstance(one, (list, tuple)) and one:
            if one[0] in {"l", "r"} and len(one) == 2:
                found.add(_TOLD_BY.get(str(one[1]), str(one[1])))
            else:
                waiting.extend(one[1:])
    return found | {x["tf_adjustment_column"] for x in comparison["comparison_levels"] if x.get("tf_adjustment_column")}


_TOLD_BY: Final = {"x_first_family": "x_first", "x_rest_words": "x_rest"}


def _bayes(level: Mapping[str, Any]) -> float:
    return log2(level["m_probability"] / level["u_probability"])


def _reading(condition: str, readings: Mapping[str, Sequence[Any]]) -> Sequence[Any]:
    if condition not in readings:
        raise InvalidInput(
            "conditions of the model: expected a reading of each, got one without",
            remedy="Run the linkage again: candor pipeline run.",
            code="identity.bad_model",
        )
    return readings[condition]
