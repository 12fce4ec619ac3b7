"""The decision record: enough to answer "why not X" and to decide again bit for bit (DESIGN 4, decision.D4, D5, D10).

Enters: inputs, seed, outcome. Leaves: canonical bytes (RFC 8785) and their digest. Scores and propensities are `float.hex`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from kernel.canonical import Json, canonical_of_code
from kernel.ids import DecisionId
from orchestration.decision.balance import terms
from orchestration.decision.eligibility import Rejection
from orchestration.decision.engine import Judged, Outcome
from orchestration.decision.inputs import ENGINE_VERSION, Inputs

WITH_TERMS: Final = 2
"""The form of records that weigh by a `Balance` and keep its terms; what was kept before has none, and is read and replayed as it is."""


@dataclass(frozen=True, kw_only=True)  # without slots: bytes are made once
class Record:
    """One decision as it is kept. Equal records have equal bytes."""

    decision_id: DecisionId
    seed: str
    inputs: Inputs
    outcome: Outcome

    def to_json(self) -> dict[str, Json]:
        """The content of the record; the inputs stand beside it and are named by digest."""
        made, state = self.outcome, self.inputs
        ver = state.versions
        return {
            "v": ENGINE_VERSION if state.balance is None else WITH_TERMS,
            "id": self.decision_id,
            "at": state.at,
            "person": state.person,
            "placement": state.placement,
            "trigger": state.trigger,
            "attempt": state.attempt,
            "seed": self.seed,
            "inputs": state.digest,
            "versions": {"graph": ver.graph, "consent": ver.consent, "profile": ver.profile},
            "digests": {
                "catalogue": ver.catalogue, "feature_set": ver.feature_set, "policy": ver.policy, "model": ver.model,
            },
            "policy": made.policy,
            "ranked_by": made.ranked_by,
            "fallback": made.fallback,
            **({"without": list(state.without)} if state.without else {}),
            "explored": made.explored,
            "holdout": None if state.holdout is None else {"name": state.holdout.name, "member": state.holdout.member},
            "candidates": _candidates(made.judged),
            "choice": made.choice,
            "propensity": made.propensity.hex(),
            "withheld": made.withheld,
            **({"terms": _terms(state, made)} if state.balance is not None else {}),
        }  # fmt: skip

    def canonical(self) -> bytes:
        """The bytes that a replay must reproduce."""
        return self._bytes

    @cached_property
    def _bytes(self) -> bytes:
        return canonical_of_code(self.to_json())

    @cached_property
    def digest(self) -> str:
        """`sha256:` of the canonical bytes."""
        return f"sha256:{hashlib.sha256(self.canonical()).hexdigest()}"

    def envelope(self) -> bytes:
        """Record and inputs together, as they are sealed into one row."""
        return b'{"inputs":%b,"record":%b}' % (self.inputs.canonical, self.canonical())


def _candidates(judged: Sequence[Judged]) -> list[Json]:
    """Arms that lost at the same question for the same reason differ by their name only, and most of those that may be chosen have one probability."""
    lost: dict[int, dict[str, Json]] = {}
    written: dict[float, str] = {}
    found: list[Json] = []
    for name, _, rejection, score, utility, propensity in judged:
        said = lost.get(id(rejection))
        if said is None:
            said = lost[id(rejection)] = _loss(rejection)
        chance = written.get(propensity)
        if chance is None:
            chance = written[propensity] = propensity.hex()
        found.append(
            said
            | {
                "id": name,
                "score": None if score is None else score.hex(),
                "utility": None if utility is None else utility.hex(),
                "propensity": chance,
            }
        )
    return found


def _terms(state: Inputs, made: Outcome) -> Json:
    """What the chosen arm and the one of the greatest utility are worth, and why; those of the others follow from inputs and scores."""
    worth = [one for one in made.judged if one.arm is not None and one.utility is not None]
    best = max(worth, key=lambda one: one.utility or 0.0, default=None)
    named = {one.id: one for one in (best, *worth) if one is not None and (one is best or one.id == made.choice)}
    return {
        name: terms(state.balance, one.arm, one.score).to_json()
        for name, one in sorted(named.items())
        if one.arm is not None
    }


def _loss(rejection: Rejection | None) -> dict[str, Json]:
    if rejection is None:
        return {"stage": None, "number": None, "reason": None, "act": None}
    return {
        "stage": str(rejection.stage),
        "number": rejection.stage.number,
        "reason": rejection.reason,
        "act": rejection.act,
    }
