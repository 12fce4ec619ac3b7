"""From features to concepts that people know: "your recent visits" instead of `visits_14d`.

Enters: feature values with provenance, and their contributions. Leaves: concepts, strongest first, each with the sum of its features'
contributions (Shapley values add up, so a group's value is exactly its members' sum). What may be named is decided here: a thing about the
person is named only when the record shows where it came from. A trait that consent withheld is absent from the record; what its absence
contributed goes to `unnamed`, so that it cannot be told apart from what was never known (spec explain.X56, E7).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from math import isnan
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from explain.facts import FeatureValue, Provenance
from kernel.yaml_text import read_yaml

UNNAMED: Final = "unnamed"
OTHER: Final = "other"
MOST_PARAMETERS: Final = 5  # E1
NEGLIGIBLE: Final = 1e-9  # below this a contribution is rounding, not a reason
MOSTLY: Final = 0.5
"""Share of its contribution that a reason has to do alone for its way to be said. Where it does less, other things take part, and which way it works hangs on what stands in for it."""
About = Literal["person", "message", "moment"]
Control = Literal["preferences", "not_interested", "none"]
Direction = Literal["raised", "lowered", "together"]


class ConceptRule(BaseModel):
    """One line of concepts.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    concept: str
    about: About
    control: Control
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Concept:
    """A group of features and what it did to the score. `present` is false when every named feature was zero or absent.

    `alone`: by how much the score falls when this alone is not known (rises, where negative); of the reasons that may be told only. A contribution is the mean over all orders in
    which things become known; where they work together, the two may point apart.
    """

    key: str
    about: About
    control: Control
    contribution: float
    features: tuple[str, ...]
    present: bool
    provenance: tuple[Provenance, ...]
    alone: float | None = None

    @property
    def direction(self) -> Direction:
        """Which way it worked, as far as it can be said of it alone (explain.X53). What was kept before this was looked at is told by its contribution, as it was."""
        way: Direction = "raised" if self.contribution > 0 else "lowered"
        if self.alone is None:
            return way
        by_itself = self.alone if way == "raised" else -self.alone
        return way if by_itself > max(NEGLIGIBLE, MOSTLY * abs(self.contribution)) else "together"


@cache
def rules() -> tuple[ConceptRule, ...]:
    """The shipped grouping, read once."""
    words = read_yaml(files("explain").joinpath("concepts.yaml").read_text(encoding="utf-8"))
    return tuple(TypeAdapter(list[ConceptRule]).validate_python(words))


@cache
def rule_of(feature: str) -> ConceptRule | None:
    """The concept a feature belongs to; None when no pattern knows it."""
    return next((rule for rule in rules() if any(fnmatchcase(feature, pattern) for pattern in rule.features)), None)


def kind_of(feature: str) -> str | None:
    """The kind of information that a column about a person is, as she can tell us to leave it out; None for what is about the message or the moment."""
    rule = rule_of(feature)
    if rule is None:
        return OTHER
    return rule.concept if rule.about == "person" else None


def group(features: Sequence[FeatureValue], contributions: Sequence[float]) -> list[Concept]:
    """Concepts by strength (absolute contribution), ties by name. Their contributions sum to those of the features."""
    members: dict[tuple[str, About, Control], list[tuple[FeatureValue, float]]] = {}
    for feature, contribution in zip(features, contributions, strict=True):
        members.setdefault(_place(feature), []).append((feature, contribution))
    concepts = [
        Concept(
            key=key,
            about=about,
            control=control,
            contribution=sum(part for _, part in found),
            features=tuple(feature.name for feature, _ in found),
            present=any(not isnan(feature.value) and feature.value != 0 for feature, _ in found),
            provenance=tuple(
                sorted(
                    {where for feature, _ in found for where in feature.provenance},
                    key=lambda where: where.observed_at,
                    reverse=True,
                )
            ),
        )
        for (key, about, control), found in members.items()
    ]
    return sorted(concepts, key=lambda concept: (-abs(concept.contribution), concept.key))


def told(concepts: Sequence[Concept]) -> list[Concept]:
    """The reasons that a person may be told, of concepts in the order of their strength."""
    return [one for one in concepts if abs(one.contribution) > NEGLIGIBLE][:MOST_PARAMETERS]


def _place(feature: FeatureValue) -> tuple[str, About, Control]:
    rule = rule_of(feature.name)
    if rule is not None and rule.about != "person":
        # What has a provenance is about the person, whatever it is called.
        return (rule.concept, rule.about, rule.control) if not feature.provenance else (OTHER, "person", "preferences")
    if not feature.provenance:
        return UNNAMED, "person", "preferences"
    if rule is None:
        return OTHER, "person", "preferences"
    return rule.concept, rule.about, rule.control
