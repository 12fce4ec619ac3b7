"""What would have been decided, had something been otherwise: a kept decision under a change (decision.D10, issue of replay).

Enters: a decision id and a `Change`. Leaves: `Otherwise`, the choice and every candidate then and now. Nothing is reserved, counted, learned from or kept as a decision: the stored
inputs are changed in memory and decided with the stored seed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from kernel.canonical import Json
from kernel.errors import InvalidInput
from orchestration.decision import facts
from orchestration.decision.arbitration import Arbitration
from orchestration.decision.balance import Boost
from orchestration.decision.engine import Judged, Outcome, decide
from orchestration.decision.errors import DecisionRedacted
from orchestration.decision.inputs import Inputs
from orchestration.decision.models import Models
from orchestration.decision.policies.finding import Policies
from orchestration.decision.sealed import Sealer
from orchestration.decision.shelf import Shelf
from profiles.service import Profiles

RULES: Final = "rules"
LEFT_OUT: Final = (
    "left_out"  # why an arm that the question excludes may not be chosen: it is lost where what is not offered is
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """`withdraw`: a purpose, perhaps `purpose|channel`. `without`: features done without. `features`: other values. `context`: merged into the request's; levers that hold
    under words of it are those of the catalogue of then, the candidates stay.
    `exclude`: arms that may not be chosen. `ranker`: `rules`, or the digest of a registered model of the same features. `seed`: another draw.
    """

    withdraw: str | None = None
    without: tuple[str, ...] = ()
    features: Mapping[str, float] | None = None
    context: Mapping[str, Json] | None = None
    exclude: tuple[str, ...] = ()
    ranker: str | None = None
    seed: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Otherwise:
    """The decision as it was and as it would have been."""

    decision_id: str
    was: Outcome
    now: Outcome

    @property
    def differs(self) -> bool:
        """Another choice, or the same by another probability."""
        return (self.was.choice, self.was.propensity) != (self.now.choice, self.now.propensity)

    def to_json(self) -> dict[str, Json]:
        """As answered."""
        return {
            "decision_id": self.decision_id, "differs": self.differs, "was": _told(self.was), "would_be": _told(self.now),
        }  # fmt: skip


class Counterfactual:
    """Stands at `Decisions.counterfactual`."""

    def __init__(self, sealer: Sealer, models: Models, profiles: Profiles, policies: Policies, shelf: Shelf) -> None:
        self._sealer = sealer
        self._models = models
        self._profiles = profiles
        self._policies = policies
        self._shelf = shelf

    async def ask(self, decision_id: str, change: Change) -> Otherwise:
        """The decision under a change.

        Raises:
            UnknownDecision. DecisionRedacted: she was erased. InvalidInput: a feature or arm that this decision did not look at.
            UnknownModel, ModelBroken: the model cannot be had.
        """
        row = await self._sealer.row(decision_id)
        opened = await self._sealer.try_open(row)
        if opened is None:
            raise DecisionRedacted("expected a decision about somebody who is here, got a redacted one")
        record = opened.decoded()
        rules = (await self._shelf.by_digest(row.catalogue)).arbitration if change.context else None
        state = changed(record.inputs, change, self.segments_of(record.inputs), rules)
        digest = record.inputs.versions.model if change.ranker is None else None if change.ranker == RULES else change.ranker  # fmt: skip
        model = await self._models.model(digest) if digest is not None else None
        policy = await self._policies.recorded(state.policy)
        now = decide(state, change.seed if change.seed is not None else opened.seed, model=model, policy=policy)
        return Otherwise(decision_id=row.id, was=record.outcome, now=now)

    def segments_of(self, state: Inputs) -> facts.SegmentsOf | None:
        """What judges segments anew from changed features; None where other features are declared by now."""
        if state.versions.feature_set != self._profiles.features.digest:
            return None
        declared = self._profiles.features.declared.segments
        return lambda values: frozenset(
            one.name for one in declared if all(c.holds(values[c.feature]) for c in one.all)
        )


def changed(
    state: Inputs, change: Change, segments_of: facts.SegmentsOf | None = None, rules: Arbitration | None = None
) -> Inputs:
    """The inputs under a change. `rules`: of the catalogue of then, for levers that hold under words of the context. Pure.

    Raises:
        InvalidInput: a feature, arm or purpose that the inputs do not have: of what was not looked at, "no difference" would be no answer.
    """
    wanted = {*change.without, *(change.features or {})}
    if unknown := sorted(wanted - set(state.feature_names)):
        raise _unknown("features", unknown, state.feature_names)
    if unknown := sorted(set(change.exclude) - {arm.id for arm in state.arms}):
        raise _unknown("candidates", unknown, [arm.id for arm in state.arms])
    if change.withdraw is not None and not _asked_for(state, change.withdraw):
        asked = [*(key.strip("|") for key in state.permits), state.personalize_under]
        raise _unknown("purposes", [change.withdraw], list(dict.fromkeys(asked)))
    made = state
    if change.features:
        values = [float(change.features.get(name, held)) for name, held in zip(state.feature_names, state.features, strict=True)]  # fmt: skip
        told = dict(zip(state.feature_names, values, strict=True))
        segments = segments_of(told) if segments_of is not None else state.segments
        made = replace(made, features=tuple(values), segments=segments)
    if change.withdraw is not None or change.without:
        how: dict[str, Json] = {"without": list(change.without)}
        if change.withdraw is not None:
            how["withdraw"] = change.withdraw
        made = facts.closed(made, how, segments_of)
    if change.context:
        made = replace(made, context={**(made.context or {}), **change.context})
        if rules is not None and made.balance is not None:
            made = replace(made, balance=replace(made.balance, boosts=_boosts(made, rules)))
    if change.exclude:
        made = replace(made, refused={**(made.refused or {}), **dict.fromkeys(change.exclude, LEFT_OUT)})
    return made


def _asked_for(state: Inputs, withdrawn: str) -> bool:
    """Whether the gate was asked for this purpose, or one below it, perhaps on a channel."""
    purpose, _, channel = withdrawn.partition("|")
    keys = [*(key.partition("|") for key in state.permits), (state.personalize_under, "", "")]
    return any((of == purpose or of.startswith(f"{purpose}.")) and channel in {"", on} for of, _, on in keys)


def _boosts(state: Inputs, rules: Arbitration) -> tuple[Boost, ...]:
    """Levers anew, in the order of the file; freshness was worked out from moments and stays."""
    levers = rules.boosts(
        state.placement, state.arms, {}, at=datetime.fromisoformat(state.at), context=state.context or {}
    )
    return (*levers, *(one for one in (state.balance.boosts if state.balance else ()) if one.kind == "freshness"))


def _unknown(what: str, got: list[str], known: object) -> InvalidInput:
    # A name with an @ reads like an address, and would be taken out of the answer as one.
    some = (
        ", ".join(str(one).replace("@", " @ ") for one in list(known)[:12]) if isinstance(known, list | tuple) else ""
    )
    return InvalidInput(
        f"expected {what} of this decision, got {', '.join(one[:64] for one in got[:5])}; it has: {some}",
        code="unknown_in_decision", remedy="Read the decision first (GET /v1/decisions/{id}) and name what it looked at.",
    )  # fmt: skip


def _told(made: Outcome) -> dict[str, Json]:
    return {
        "choice": made.choice, "channel": made.arm.channel if made.arm else None, "propensity": made.propensity,
        "ranked_by": made.ranked_by, "withheld": made.withheld, "candidates": [_candidate(one) for one in made.judged],
    }  # fmt: skip


def _candidate(one: Judged) -> dict[str, Json]:
    lost = one.rejection
    return {
        "id": one.id, "stage": None if lost is None else str(lost.stage), "reason": None if lost is None else lost.reason,
        "score": one.score, "propensity": one.propensity,
    }  # fmt: skip
