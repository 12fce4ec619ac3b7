"""What an explanation may rest on: the facts of one decision, as its record holds them.

Enters: nothing; these are the shapes. `orchestration/decision` builds `DecisionFacts` from the decision record, wiring hands
explain a `DecisionSource`, a `ModelSource` and a `Decide`. Leaves: values that carry every claim a page may make. A claim that is not
in here cannot be made (explain.X56): a trait which a purpose may not see is not in the profile, so it is not in the record either.

Follows spec explain.E1-E6 and decision.D10 (one rejection stage per losing candidate).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from kernel.canonical import Json
from kernel.ids import ActId, DecisionId, IdentifierId, KeyId, PersonId, RecordId
from kernel.model import Model

NOTHING = "nothing"
"""The choice of sending nothing: an arm like any other."""
PERSONALIZE: Final = "marketing.personalize"
"""The purpose under which placements look at people unless they declare another."""


REDACTED = "decision_redacted"
"""The code of the `NotFound` that a `DecisionSource` raises for a record which nobody can open any more."""


class Stage(StrEnum):
    """Where a losing candidate lost: exactly one per loser. The same words, in the same order, as the decision's own stages."""

    BLOCKED = "blocked"
    CONSENT = "consent"
    REACH = "reach"
    SUPPRESSION = "suppression"
    SEGMENT = "segment"
    PUBLICATION = "publication"
    CAP = "cap"
    HOLDOUT = "holdout"
    SURE = "sure"
    DIVERSITY = "diversity"
    SCORE = "score"


class TermKind(StrEnum):
    """What a term is. Values, scores and boosts are factors of one product; linear parts stand in for the score; the rest is added or taken off."""

    VALUE = "value"
    SCORE = "score"
    LINEAR = "linear"
    BOOST = "boost"
    UNCERTAINTY = "uncertainty"
    DEDUCTION = "deduction"


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One thing that an arm's worth is made of. `amount`s of an arm add up to the number that was compared, to the last bit.

    `value` is the factor as it was multiplied (a score, a boost), or what a linear learner saw; `weight` is what a score or a linear part was
    multiplied by. Of factors the amount is what each one changed when it was multiplied in, in the order in which that was done.
    """

    name: str
    kind: TermKind
    amount: float
    value: float | None = None
    weight: float | None = None

    @property
    def log(self) -> float | None:
        """The logarithm of a positive factor: those of an arm add up to that of its gain."""
        factor = self.kind in {TermKind.VALUE, TermKind.SCORE, TermKind.BOOST}
        return math.log(self.value) if factor and self.value is not None and self.value > 0 else None


class Compared(StrEnum):
    """Which number of an arm the policy compared: what the ranking made of it, what it earned so far, a hopeful bound of that, what a learner expects."""

    UTILITY = "utility"
    ESTIMATE = "estimate"
    BOUND = "bound"
    EXPECTED = "expected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One arm of the decision: its rejection (stage and reason code), or its score and the probability of being shown.

    `compared` is the number by which the policy told arms apart, `by` its kind, `terms` what it is made of; None and empty where the arm lost before.
    """

    candidate_id: str
    content: str
    channel: str | None
    stage: Stage | None = None
    reason: str | None = None
    score: float | None = None
    utility: float | None = None
    probability: float = 0.0
    compared: float | None = None
    by: Compared | None = None
    terms: tuple[Term, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a feature's value comes from: one trait or one kind of event, of one source, under one purpose and one act."""

    trait: str
    source: str
    observed_at: datetime
    purpose: str
    record_id: RecordId | None = None
    act: ActId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureValue:
    """One column of the chosen candidate's row, in the model's order. No provenance: it describes the message, not the person."""

    name: str
    value: float
    provenance: tuple[Provenance, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFacts:
    """How the arm was drawn. `ranked_by` is ranker (a model), rules, outcomes (what arms earned so far), alike (the same of people of whom similar
    things are known) or none; `fallback` says why the model was not asked (D11). `learned` is the digest of the state that a learner acted on, `group` the
    comparison group that was drawn for, whether the person is in it or not.
    """

    name: str
    ranked_by: str
    digest: str = ""
    epsilon: float = 0.0
    explored: bool = False
    holdout: bool = False
    fallback: str | None = None
    learned: str | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Advertisement:
    """The catalogue's words for DSA Article 26(1)(a)-(c)."""

    is_advertisement: bool
    on_behalf_of: str
    paid_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionFact:
    """The permission the choice rested on: answer granted, denied or undetermined, with reason code and act."""

    answer: str
    reason: str
    act: ActId | None = None
    given_at: datetime | None = None
    basis: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """A yes of hers behind what is known of her: the act, when it was given, by which way (consent's mechanisms)."""

    act: ActId
    given_at: datetime
    way: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionFacts:
    """One decision. `choice` is a candidate_id or NOTHING; `features` is the chosen candidate's row as the model saw it.

    `score` is the number that was used (`None` when no model ruled), `key_id` the subject key the record is sealed under:
    the explanation is sealed under the same key, so erasing the person closes both. `identifier_id` is the contact point that the message
    went to (a visitor's anonymous id on the web): the preference control acts on it. `content` ids are the catalogue's variants.
    `segments` are the groups the placement is for (or not for): where there are any, who the person is ruled too. `catalogue_digest` names the rules,
    `template_digest` the words that were chosen, `data_from` and `data_until` when the oldest and the newest of what was known were observed; worth is counted in `unit`. `personalized_under` is empty where it is the usual purpose, `agreed` holds the
    consents that provenances name.
    """

    decision_id: DecisionId
    at: datetime
    person: PersonId | None
    placement: str
    purpose: str
    channel: str | None
    choice: str
    title: str
    candidates: tuple[Candidate, ...]
    policy: PolicyFacts
    features: tuple[FeatureValue, ...]
    score: float | None
    propensity: float
    model_digest: str | None
    advertisement: Advertisement
    permission: PermissionFact | None
    key_id: KeyId | None
    identifier_id: IdentifierId | None = None
    feature_set_digest: str = ""
    consent_version: int = 0
    graph_version: int = 0
    profile_version: int = 0
    seed: str = ""
    locale: str = "en"
    segments: tuple[str, ...] = ()
    catalogue_digest: str = ""
    template_digest: str = ""
    items_version: int | None = None
    data_from: datetime | None = None
    data_until: datetime | None = None
    unit: str = ""
    personalized_under: str = ""
    agreed: tuple[Agreed, ...] = ()

    @property
    def machine(self) -> str:
        """The purpose under which what is known of her was looked at: what ends when she wants nothing picked for her."""
        said = (one.purpose for feature in self.features for one in feature.provenance)
        return self.personalized_under or next(said, PERSONALIZE)

    @property
    def nothing_chosen(self) -> bool:
        """True when the answer was to show or send nothing."""
        return self.choice == NOTHING

    @property
    def chosen(self) -> Candidate | None:
        """The candidate that was chosen; None where the nothing arm is not among the candidates."""
        return next((one for one in self.candidates if one.candidate_id == self.choice), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer of a re-run decision: what would be chosen, and where; `after`: by when, if the change is that time goes by; `told`: the record could tell. `outdated`: it
    could have told then, and cannot by the rules of today (the features that groups are made of, what takes a choice of hers).
    """

    choice: str
    channel: str | None
    probability: float
    after: datetime | None = None
    told: bool = True
    outdated: bool = False


class DecisionSource(Protocol):
    """Reads a decision. `NotFound` when there is none; a record whose key is destroyed raises `NotFound` with code `REDACTED`."""

    async def facts(self, decision_id: DecisionId) -> DecisionFacts:
        """The facts of one decision, read back from its record."""
        ...

    async def scored(self, decision_id: DecisionId, candidate_id: str) -> tuple[FeatureValue, ...]:
        """The row of another candidate as the model saw it; empty where it was not scored. `NotFound` when there is no such candidate."""
        ...


class ModelSource(Protocol):
    """Finds the model that scored. `NotFound` when its file is gone; never a different model."""

    async def model(self, digest: str) -> Model:
        """The model with this digest."""
        ...


class Decide(Protocol):
    """Re-runs a decision with one change. Writes nothing, sends nothing.

    `change` keys, one at a time: `withdraw` ("purpose" or "purpose|channel"), `without` (names of features, taken as absent), `unused` (a kind of
    information left out as the consent filter leaves it out), `declined` (a content that does not interest her), `pause` (a channel), `grant`
    ("purpose|channel"), `uncapped` (true: once the caps have room). The same seed, models and versions as the decision, so that only the change differs.
    Where the record cannot tell, the answer is what was chosen.
    """

    async def again(self, decision_id: DecisionId, change: Mapping[str, Json]) -> Verdict:
        """What the decision would have been under the change."""
        ...

    async def again_each(self, decision_id: DecisionId, changes: Sequence[Mapping[str, Json]]) -> Sequence[Verdict]:
        """The same for several changes, each by itself and in their order: the record is read once, no row is scored twice."""
        ...
