"""What a decision rested on, in pieces that a receipt carries and that the log entry binds by digest (DESIGN 4, Receipt).

Enters: the record. Leaves: the same JSON at commit time, when its digests become facts of the entry, and at receipt time, when it is shown.
No feature value, no name: ids, digests, reason codes, probabilities.
"""

from collections.abc import Mapping

from audit.entries import NewEntry
from audit.tags import Tag
from kernel.canonical import Json, canonical_of_code, canonical_rows_of_code, digest_of
from kernel.ids import KeyId
from orchestration.decision.record import Record


def evidence(record: Record) -> dict[str, Json]:
    """The pieces by name."""
    return {"decision": record.to_json(), **_grounds(record)}


def _grounds(record: Record) -> dict[str, dict[str, Json] | list[dict[str, Json]]]:
    state = record.inputs
    ver = state.versions
    purposes = sorted({arm.permit for arm in state.arms} | {f"{state.personalize_under}|"})
    return {
        "consents": {
            key: {"answer": permit.answer, "reason": permit.reason, "act": permit.act}
            for key in purposes
            if (permit := state.permits.get(key)) is not None
        },
        "sources": [
            {"feature": one.feature, "trait": one.trait, "source": one.source, "record": one.record_id,
             "observed_at": one.observed_at, "purpose": one.purpose}
            for one in state.origins
        ],
        "ranking": {
            "ranked_by": record.outcome.ranked_by, "model": ver.model, "feature_set": ver.feature_set,
            "fallback": record.outcome.fallback,
        },
        "rules": {"policy": record.outcome.policy, "policy_digest": ver.policy, "catalogue": ver.catalogue},
    }  # fmt: skip


def entry(record: Record, *, key_id: KeyId | None, actor: str) -> NewEntry:
    """The log entry of a decision: references for lineage, digests of the evidence, the figures that matter."""
    state, made = record.inputs, record.outcome
    ver = state.versions
    refs: dict[str, str | list[str]] = {
        "decision": record.decision_id,
        "person": state.person,
        "placement": state.placement,
        "catalogue": ver.catalogue,
    }
    if ver.model is not None and made.ranked_by == "ranker":
        refs["model"] = ver.model
    if made.arm is not None:
        refs["content"] = made.arm.variant
    if acts := sorted({permit.act for permit in state.permits.values() if permit.act} & _acts_used(record)):
        refs["act"] = acts
    if records := sorted({name for one in state.origins for name in (one.record_id, *one.also) if name}):
        refs["record"] = records
    facts: Mapping[str, Json] = {
        "decision": record.digest,
        **{
            name: digest_of(canonical_of_code(piece) if isinstance(piece, dict) else canonical_rows_of_code(piece))
            for name, piece in _grounds(record).items()
        },
        "inputs": state.digest,
        "choice": made.choice,
        "propensity": made.propensity.hex(),
        "withheld": made.withheld,
        "holdout": made.holdout,
    }
    return NewEntry(Tag.DECISION_MADE, refs, facts, key_id=key_id, actor=actor)


def _acts_used(record: Record) -> set[str]:
    """The acts behind the permissions that were asked: of the arms' purposes and of personalisation."""
    state = record.inputs
    asked = {arm.permit for arm in state.arms} | {f"{state.personalize_under}|"}
    return {permit.act for key in asked if (permit := state.permits.get(key)) is not None and permit.act}
