"""What the record of a decision says, in the shape that explain asks for.

Enters: a stored record, its inputs, the catalogue it was made on, the model. Leaves: `DecisionFacts`. Nothing is looked up that was not part of the
decision, so a page can claim only what was true then.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from consent.acts import ConsentAct
from consent.purposes import Basis
from explain.facts import (
    PERSONALIZE,
    Advertisement,
    Agreed,
    Candidate,
    DecisionFacts,
    FeatureValue,
    PermissionFact,
    PolicyFacts,
    Provenance,
)
from explain.facts import Stage as ExplainStage
from kernel.canonical import Json, digest
from kernel.ids import ActId, IdentifierId, KeyId, PersonId, RecordId
from kernel.model import Model
from orchestration.decision.catalogue import NOTHING, Catalogue
from orchestration.decision.engine import Judged, Outcome
from orchestration.decision.errors import UnknownCandidate
from orchestration.decision.inputs import Arm, Inputs, Permit
from orchestration.decision.policies.rules import acted_on
from orchestration.decision.policy import Policy
from orchestration.decision.ranking import rows
from orchestration.decision.record import Record
from orchestration.decision.variants import Variant
from orchestration.decision.worth import Worth, worths


def facts(
    record: Record, catalogue: Catalogue, *, model: Model | None, policy: Policy, acts: Mapping[ActId, ConsentAct], key_id: KeyId | None,
) -> DecisionFacts:  # fmt: skip
    """The facts of one decision. `policy` in the state it acted on; `acts`: the consent acts that the record names."""
    state, made = record.inputs, record.outcome
    worth = worths(state, made, policy)
    seen = sorted(datetime.fromisoformat(one.observed_at) for one in state.origins)
    placement = catalogue.placement(state.placement)
    arm = made.arm
    variant = catalogue.variant(arm.variant) if arm else None
    known = [one for one in made.judged if one.id == made.choice]
    return DecisionFacts(
        decision_id=record.decision_id,
        at=datetime.fromisoformat(state.at),
        person=PersonId(state.person),
        placement=state.placement,
        purpose=arm.purpose if arm else placement.purpose_on(placement.channels[0]),
        channel=arm.channel if arm else None,
        choice=made.choice,
        title=_title(variant, arm),
        candidates=tuple(candidate(one, worth.get(one.id)) for one in made.judged),
        policy=PolicyFacts(
            name=made.policy,
            ranked_by=acted_on(state.policy) or made.ranked_by,
            digest=state.versions.policy,
            epsilon=arm.epsilon if arm else max((one.epsilon for one in state.arms), default=0.0),
            explored=made.explored,
            holdout=made.holdout,
            fallback=made.fallback,
            learned=_learned(state),
            group=state.holdout.name if state.holdout is not None else None,
        ),
        features=_features(state, arm, made, model),
        score=known[0].score if known else None,
        propensity=made.propensity,
        model_digest=state.versions.model if made.ranked_by == "ranker" else None,
        advertisement=Advertisement(
            is_advertisement=variant.is_advertisement if variant else False,
            on_behalf_of=(variant.on_behalf_of if variant else "") or catalogue.controller,
            paid_by=(variant.paid_by if variant else "") or catalogue.controller,
        ),
        permission=_permission(state, arm, acts),
        key_id=key_id,
        identifier_id=IdentifierId(state.reach[arm.channel]) if arm and arm.channel in state.reach else None,
        feature_set_digest=state.versions.feature_set,
        consent_version=state.versions.consent,
        graph_version=state.versions.graph,
        profile_version=state.versions.profile,
        seed=record.seed,
        locale=(variant.locale if variant else None) or "en",
        segments=(*state.segment_all, *state.segment_any, *state.segment_none),
        catalogue_digest=state.versions.catalogue,
        template_digest=digest(variant.words()) if variant is not None else "",
        items_version=state.versions.items,
        data_from=seen[0] if seen else None,
        data_until=seen[-1] if seen else None,
        unit=state.balance.unit if state.balance is not None else "",
        personalized_under="" if state.personalize_under == PERSONALIZE else state.personalize_under,
        agreed=_agreed(state, acts),
    )


def row(record: Record, candidate_id: str, model: Model | None) -> tuple[FeatureValue, ...]:
    """The row of one arm as the model saw it; empty where it was not scored.

    Raises:
        UnknownCandidate: the decision did not look at it.
    """
    known = [one for one in record.outcome.judged if one.id == candidate_id]
    if not known:
        raise UnknownCandidate("expected a candidate of this decision, got one that it did not look at")
    if known[0].score is None:
        return ()
    return _features(record.inputs, known[0].arm, record.outcome, model)


def _learned(state: Inputs) -> str | None:
    found = (state.policy or {}).get("learned")
    return None if found is None else str(found)


def _title(variant: Variant | None, arm: Arm | None) -> str:
    if variant is None or arm is None:
        return ""
    return variant.label if arm.title is None else f"{variant.label}: {arm.title}"


def candidate(one: Judged, worth: Worth | None) -> Candidate:
    """One arm as explain knows it."""
    lost = one.rejection
    return Candidate(
        candidate_id=one.id,
        content=one.arm.variant if one.arm else NOTHING,
        channel=one.arm.channel if one.arm else None,
        stage=None if lost is None else ExplainStage(lost.stage.value),
        reason=None if lost is None else lost.reason,
        score=one.score,
        utility=one.utility,
        probability=one.propensity,
        compared=worth.compared if worth else None,
        by=worth.by if worth else None,
        terms=worth.terms if worth else (),
    )


def _features(state: Inputs, arm: Arm | None, made: Outcome, model: Model | None) -> tuple[FeatureValue, ...]:
    """The chosen row exactly as the model saw it; empty when rules ranked."""
    if model is None or made.ranked_by != "ranker":
        return ()
    table = rows(model.feature_names, state, [arm] if arm else [])
    row = table[0] if arm else table[-1]
    origins: dict[str, list[Provenance]] = {}
    for one in state.origins:
        origins.setdefault(one.feature, []).append(
            Provenance(
                trait=one.trait,
                source=one.source,
                observed_at=datetime.fromisoformat(one.observed_at),
                purpose=one.purpose,
                record_id=RecordId(one.record_id) if one.record_id else None,
                act=ActId(one.act) if one.act else None,
            )
        )
    return tuple(
        FeatureValue(name=name, value=float(value), provenance=tuple(origins.get(name, ())))
        for name, value in zip(model.feature_names, row, strict=True)
    )


def _agreed(state: Inputs, acts: Mapping[ActId, ConsentAct]) -> tuple[Agreed, ...]:
    """The consents under which what is known of her was looked at."""
    named = sorted({ActId(one.act) for one in state.origins if one.act})
    found = [acts[one] for one in named if one in acts]
    return tuple(
        Agreed(act=one.id, given_at=one.given_at, way=one.mechanism) for one in found if one.basis == Basis.CONSENT
    )


def _permission(state: Inputs, arm: Arm | None, acts: Mapping[ActId, ConsentAct]) -> PermissionFact | None:
    if arm is None:
        return None
    permit = state.permit(arm)
    act = acts.get(ActId(permit.act)) if permit.act else None
    return PermissionFact(
        answer=permit.answer,
        reason=permit.reason,
        act=ActId(permit.act) if permit.act else None,
        given_at=act.given_at if act else None,
        basis=act.basis if act else None,
    )


MARK: Final = "significant_decision"
"""Among the context that a decision keeps: its placement is one of significant decisions."""
OPTED_OUT: Final = "significant.opted_out"


def refused(permits: Mapping[str, Permit], *, keep: str = "", act: str | None = None) -> dict[str, Permit]:
    """No to everything that was a yes, because she does not let a machine decide."""
    return {
        key: Permit(answer="denied", reason=OPTED_OUT, act=act) if one.answer == "granted" and key != keep else one
        for key, one in permits.items()
    }


SegmentsOf = Callable[[Mapping[str, float]], frozenset[str]]


def closed(state: Inputs, change: Mapping[str, Json], segments_of: SegmentsOf | None = None) -> Inputs:
    """The inputs under a change of explain's: a purpose taken back, features done without.

    `segments_of` judges segments anew from the features that are left; without it (another feature set rules now) they stay when
    no feature changed and are empty otherwise, since nobody can tell.
    """
    permits = dict(state.permits)
    features = list(state.features)
    unseen = False
    withdrawn = change.get("withdraw")
    if isinstance(withdrawn, str):
        purpose, _, channel = withdrawn.partition("|")
        for key in permits:
            of, _, on = key.partition("|")
            if (of == purpose or of.startswith(f"{purpose}.")) and channel in {"", on}:
                permits[key] = Permit(answer="denied", reason="consent.withdrawn")
        if state.personalize_under == purpose or state.personalize_under.startswith(f"{purpose}."):
            features, unseen = [float("nan")] * len(features), True
            if (state.context or {}).get(MARK) is True and not channel:  # without it no machine decides here
                permits = refused(permits)
    without = change.get("without")
    gone = {without} if isinstance(without, str) else {*without} if isinstance(without, Sequence) else set()
    features = [
        float("nan") if name in gone else value for name, value in zip(state.feature_names, features, strict=True)
    ]
    segments = state.segments
    if [value.hex() for value in features] != [value.hex() for value in state.features]:
        values = dict(zip(state.feature_names, features, strict=True))
        segments = segments_of(values) if segments_of is not None else frozenset()
    changed = replace(state, permits=permits, features=tuple(features), segments=segments)
    return _unknown(changed) if unseen else changed


def _unknown(state: Inputs) -> Inputs:
    """The inputs without what her profile brought forward: no items found by what she did, no taste, no place she told of."""
    market = replace(state.market, region=None, locale=None, profile=False) if state.market.profile else state.market
    arms = tuple(replace(arm, taste=0.0) if arm.taste else arm for arm in state.arms if not arm.personal_source)
    weighed = state.balance
    if weighed is not None and weighed.signals is not None:
        weighed = replace(weighed, signals=0.0)
    return replace(state, arms=arms, market=market, balance=weighed)
