"""A kept decision seen again: what explain may rest on, the row of any of its arms, and the same decision on other inputs.

Enters: ids of decisions. Leaves: `DecisionFacts` and rows (protocol `explain.facts.DecisionSource`), records. Nothing is written, sent or counted.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from consent.acts import ConsentAct
from consent.service import Consent
from explain.facts import DecisionFacts, FeatureValue
from kernel.ids import ActId
from kernel.kernel import Kernel
from kernel.model import Model
from orchestration.decision import facts
from orchestration.decision.engine import decide, withhold
from orchestration.decision.inputs import Inputs
from orchestration.decision.models import Models
from orchestration.decision.policies.finding import Policies
from orchestration.decision.record import Record
from orchestration.decision.sealed import Opened, Sealer
from orchestration.decision.shelf import Shelf
from orchestration.decision.together import NOBODY, Pick, picks

CONTENTION: Final = "contention"


class Afterwards:
    """Stands at `Decisions.afterwards`."""

    def __init__(
        self, kernel: Kernel, consent: Consent, sealer: Sealer, shelf: Shelf, models: Models, policies: Policies,
    ) -> None:  # fmt: skip
        self._kernel = kernel
        self._consent = consent
        self._sealer = sealer
        self._shelf = shelf
        self._models = models
        self._policies = policies

    async def facts(self, decision_id: str) -> DecisionFacts:
        """What explain needs.

        Raises:
            UnknownDecision, DecisionRedacted. UnknownModel, ModelBroken: the model that scored cannot be had. UnknownState: nor what the policy had learned.
        """
        opened = await self._sealer.open_lately(decision_id)
        record = opened.decoded()
        catalogue = await self._shelf.by_digest(record.inputs.versions.catalogue)
        arm = record.outcome.arm
        rested = record.inputs.permit(arm).act if arm else None
        wanted = {*(one.act for one in record.inputs.origins), rested} - {None}
        acts: Mapping[ActId, ConsentAct] = {}
        if wanted:
            async with self._kernel.db.reading() as conn:
                acts = await self._consent.acts(conn, sorted(ActId(one) for one in wanted if one is not None))
        return facts.facts(
            record, catalogue, model=await self._model(record), policy=await self._policies.recorded(record.inputs.policy),
            acts=acts, key_id=opened.row.key_id,
        )  # fmt: skip

    async def scored(self, decision_id: str, candidate_id: str) -> tuple[FeatureValue, ...]:
        """The row of one arm as the model saw it; empty where it was not scored.

        Raises:
            UnknownCandidate: the decision did not look at it. Otherwise as `facts`.
        """
        record = (await self._sealer.open_lately(decision_id)).decoded()
        return facts.row(record, candidate_id, await self._model(record))

    async def _model(self, record: Record) -> Model | None:
        digest = record.inputs.versions.model
        return await self._models.model(digest) if digest and record.outcome.ranked_by == "ranker" else None

    async def picks(self, opened: Opened, states: Sequence[Inputs]) -> list[Pick]:
        """What each of these inputs gives, as `record` says it of one: no row is scored twice."""
        if opened.withheld == CONTENTION:
            return [NOBODY] * len(states)
        record = opened.decoded()
        digest = record.inputs.versions.model
        model = await self._models.model(digest) if digest is not None else None
        return await picks(record, states, model, await self._policies.recorded(record.inputs.policy))

    async def record(self, opened: Opened, inputs: Inputs) -> Record:
        """What these inputs give with the stored seed, the stored model and the policy in its state of then."""
        seed = opened.seed
        if opened.withheld == CONTENTION:
            return Record(decision_id=opened.row.id, seed=seed, inputs=inputs, outcome=withhold(inputs, CONTENTION))
        digest = inputs.versions.model
        model = await self._models.model(digest) if digest is not None else None
        policy = await self._policies.recorded(inputs.policy)
        made = decide(inputs, seed, model=model, policy=policy)
        return Record(decision_id=opened.row.id, seed=seed, inputs=inputs, outcome=made)
