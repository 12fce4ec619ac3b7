"""What a record becomes: the row that is stored, the answer that is given, what stands on a page. Pure.

Enters: a record and what was gathered for it. Leaves: values; nothing is decided here.
"""

from channels.web.standing import WEB, Standing
from kernel.canonical import Json
from kernel.ids import DeliveryId, EntryId, KeyId, PersonId
from orchestration.decision.balance import terms
from orchestration.decision.commit import Committed
from orchestration.decision.gather import Gathered
from orchestration.decision.record import Record
from orchestration.decision.request import Decision
from orchestration.decision.store import Row


def row_of(record: Record, gathered: Gathered, *, key_id: KeyId, sealed: bytes) -> Row:
    """The clear columns beside the sealed record."""
    state, made = record.inputs, record.outcome
    arm = made.arm
    return Row(
        id=record.decision_id,
        person=PersonId(state.person),
        placement=state.placement,
        at=gathered.at,
        expires_at=gathered.expires_at,
        trigger=state.trigger,
        choice=made.choice,
        variant=arm.variant if arm else None,
        channel=arm.channel if arm else None,
        propensity=made.propensity,
        ranked_by=made.ranked_by,
        explored=made.explored,
        holdout=state.holdout.name if state.holdout else None,
        held=made.holdout,
        in_scope=made.in_scope,
        withheld=made.withheld,
        catalogue=state.versions.catalogue,
        feature_set=state.versions.feature_set,
        policy=state.versions.policy,
        model=state.versions.model if made.ranked_by == "ranker" else None,
        record=record.digest,
        inputs=state.digest,
        entry_id=EntryId(""),
        delivery_id=None,
        key_id=key_id,
        sealed=sealed,
    )


def standing_of(record: Record, gathered: Gathered) -> Standing:
    """What stands on the page once this decision is committed."""
    state, made, hot = record.inputs, record.outcome, gathered.hot
    return Standing(
        person=PersonId(state.person),
        placement=state.placement,
        decision_id=record.decision_id,
        choice=made.choice,
        variant=made.arm.variant if made.arm else None,
        propensity=made.propensity,
        withheld=made.withheld,
        purpose=gathered.placement.purpose_on(WEB),
        personalize_under=state.personalize_under,
        personal=hot.permitted,
        consent_version=hot.consent_version,
        graph_version=int(hot.graph_version),
        catalogue=state.versions.catalogue,
        since=gathered.at,
        until=hot.until,
        expires_at=gathered.expires_at,
    )


def answer_again(row: Row, record: Record) -> Decision:
    """What the asker was told, or would have been, when it was asked first."""
    arm = record.outcome.arm
    return Decision(
        decision_id=row.id,
        person=PersonId(record.inputs.person),
        placement=row.placement,
        at=row.at,
        expires_at=row.expires_at,
        choice=row.choice,
        variant=arm.variant if arm else None,
        channel=arm.channel if arm else None,
        propensity=row.propensity,
        withheld=row.withheld,
        outcome=record.outcome,
        attempts=record.inputs.attempt,
        entry_id=row.entry_id,
        delivery_id=DeliveryId(row.delivery_id) if row.delivery_id is not None else None,
        repeated=True,
    )


def answer_of(record: Record, gathered: Gathered, kept: Committed | None = None) -> Decision:
    """What the asker is told; without `kept` it was a dry run."""
    made = record.outcome
    arm = made.arm
    return Decision(
        decision_id=record.decision_id,
        person=PersonId(record.inputs.person),
        placement=record.inputs.placement,
        at=gathered.at,
        expires_at=gathered.expires_at,
        choice=made.choice,
        variant=arm.variant if arm else None,
        channel=arm.channel if arm else None,
        propensity=made.propensity,
        withheld=made.withheld,
        outcome=made,
        attempts=record.inputs.attempt,
        entry_id=kept.entry_id if kept else None,
        delivery_id=kept.delivery_id if kept else None,
    )


def shown(record: Record) -> dict[str, Json]:
    """Why each arm that might have been chosen was worth what it was: its terms, in the catalogue's unit."""
    state = record.inputs
    found = state.balance
    worth: list[Json] = [
        {"id": one.id, "channel": one.arm.channel, **terms(found, one.arm, one.score).shown()}
        for one in record.outcome.judged
        if one.arm is not None and one.utility is not None
    ]
    return {
        "unit": found.unit if found is not None else "",
        "boosts": [] if found is None else [{"name": b.name, "kind": b.kind, "factor": b.factor} for b in found.boosts],
        "signals": None if found is None else found.signals,
        "least_signals": None if found is None else found.least_signals,
        "arms": worth,
    }
