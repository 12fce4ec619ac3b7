"""An explanation as a value: what is kept of it, and its bytes.

Enters: facts, attribution, concepts, levers. Leaves: `Content` with one canonical form (RFC 8785) and its digest, equal whenever it is made: nothing in it
depends on the time of making, but where rules changed since, by which levers cannot be tried any more (`outdated`). What a person reads and what an auditor reads are both views of it (explain.E1).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import fsum, isnan
from typing import Any, Final

import numpy as np
from pydantic import TypeAdapter

from explain.attribution import Attribution
from explain.concepts import NEGLIGIBLE, Concept, group, told
from explain.facts import DecisionFacts, FeatureValue
from explain.forest import without
from explain.levers import Lever
from explain.reasons import Procedure, procedure
from kernel.canonical import Json, canonical, digest_of
from kernel.ids import DecisionId

_WITH_ALONE: Final = 3
"""What a reason does alone; what tells none is written as before, so that its digest is what it was."""
VERSION: Final = 2
"""2: candidates with the terms of what was compared, versions of catalogue and words, age of the data; what says nothing is left out. `read` reads 1, too."""
_NAN: Final = "NaN"  # JSON has no word for an absent number; pydantic reads this one back


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What one decision rested on. `base` and `contributions` (in the order of `facts.features`) are there when a model scored. `outdated`: made so late
    that rules had changed, by which some levers could not be tried any more.
    """

    facts: DecisionFacts
    procedure: Procedure
    base: float | None
    contributions: tuple[float, ...]
    concepts: tuple[Concept, ...]
    levers: tuple[Lever, ...]
    outdated: bool = False

    def to_json(self) -> dict[str, Json]:
        """The canonical JSON form; `read` gives the same value back."""
        version = VERSION if all(one.alone is None for one in self.concepts) else _WITH_ALONE
        return {"v": version, "content": _numbered(_CONTENT.dump_python(self, mode="json", exclude_defaults=True))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One decision's explanation. `content` is None when the person was erased: nobody can read it any more. `mixed`: it holds facts of somebody else,
    as the graph of people is now; a person's view of it tells none.
    """

    decision_id: DecisionId
    digest: str
    content: Content | None
    mixed: bool = False

    @property
    def redacted(self) -> bool:
        """Whether what was behind the decision is gone."""
        return self.content is None


def compose(facts: DecisionFacts, found: Attribution | None) -> Content:
    """The content before levers were looked for."""
    parts = found.parts if found is not None else ()
    return Content(
        facts=facts,
        procedure=procedure(facts),
        base=found.base if found is not None else None,
        contributions=parts,
        concepts=tuple(weighed(facts.features, found)) if found is not None else (),
        levers=(),
    )


def weighed(features: Sequence[FeatureValue], found: Attribution) -> list[Concept]:
    """The concepts of an attribution, strongest first; those that may be told with what each does alone, all of them asked for in one go."""
    concepts = group(features, found.parts)
    shown = told(concepts)
    if found.model is None or not shown:
        return concepts
    places = {one.name: place for place, one in enumerate(features)}
    row = np.array([one.value for one in features], dtype=np.float64)
    left = without(found.model, row, [[places[name] for name in one.features] for one in shown])
    score = fsum((found.base, *found.parts))
    moved = {one.key: score - rest for one, rest in zip(shown, left, strict=True)}
    alone = {key: 0.0 if abs(by) <= NEGLIGIBLE else by for key, by in moved.items()}
    return [replace(one, alone=alone.get(one.key)) for one in concepts]


def write(content: Content) -> tuple[bytes, str]:
    """The bytes that are kept, and their digest."""
    words = canonical(content.to_json())
    return words, digest_of(words)


def read(words: bytes) -> Content:
    """What `write` wrote, in whichever version: what an older one did not hold is absent."""
    return _STORED.validate_json(words).content


def _numbered(form: dict[str, Any]) -> Json:
    """The form with a word for each absent number: only features of a row can be absent."""
    for feature in form["facts"]["features"]:
        if isnan(feature["value"]):
            feature["value"] = _NAN
    plain: dict[str, Json] = form
    return plain


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    v: int
    content: Content


_CONTENT: Final = TypeAdapter(Content)
_STORED: Final = TypeAdapter(_Stored)
