"""Tests in production: reasons that were shown are tried to be proven wrong (spec explain.E2, E4, X53, X55).

Enters: a sample of explanations that are kept. Leaves: a `Trial`, counts. Every reason that is told is made unknown in the row that the decision's own record holds,
and the score has to move the way the person was told, where she was told a way; levers are pulled again and have to flip the choice. Nothing of the kept explanation is believed but what it says, which is what is tried.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from math import fsum
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from explain import promises_store
from explain import trial_store as store
from explain.attribution import TOLERANCE
from explain.concepts import NEGLIGIBLE, Concept, told
from explain.explanation import Content, Explanation
from explain.facts import Decide, DecisionFacts, DecisionSource, ModelSource
from explain.levers import change_of
from explain.neutral import expected
from explain.reasons import Procedure
from explain.settings import ExplainSettings
from explain.trial_store import Trial
from kernel.canonical import Json
from kernel.errors import IntegrityError, NotFound
from kernel.kernel import Kernel
from kernel.log import get_logger
from kernel.model import Model

BAR: Final = 0.99  # of the reasons that were tried (X53)
_LATE: Final = timedelta(hours=50)  # a day and a night that was missed
_log = get_logger("explain.falsifying")


class Found(StrEnum):
    """What became of a reason that was tried."""

    HOLDS = "holds"
    IDLE = "idle"  # the score does not move at all without it
    FALSE = "false"  # the score moves the other way
    SCORE = "score"  # the score that is told is not the record's


class Kept(Protocol):
    """What explain keeps of a decision."""

    async def explain(self, decision_id: str) -> Explanation:
        """The explanation that is kept."""
        ...


def tried(content: Content, facts: DecisionFacts, model: Model) -> Found | None:
    """Every reason that an explanation tells, against the record and the model; the worst of what became of them. None: no reason of a model was told. Pure."""
    reasons = told(content.concepts)
    if content.procedure is not Procedure.MODEL or not reasons or facts.score is None:
        return None
    if content.facts.score is None or abs(content.facts.score - facts.score) > TOLERANCE:
        return Found.SCORE
    row = np.array([one.value for one in facts.features], dtype=np.float64)
    _, parts = model.contributions(row)
    found = {_reason(one, facts, facts.score, row, parts, model) for one in reasons}
    return next(one for one in (Found.FALSE, Found.IDLE, Found.HOLDS) if one in found)


def _reason(
    one: Concept, facts: DecisionFacts, score: float, row: NDArray[np.float64], parts: NDArray[np.float64], model: Model
) -> Found:
    """What became of one reason: it is made of columns that were looked at, has the contribution that they have, and moves the score as it is said to, where it is said."""
    places = {feature.name: place for place, feature in enumerate(facts.features)}
    if not set(one.features) <= set(places):
        return Found.FALSE
    columns = [places[name] for name in one.features]
    moved = score - _without(model, row, frozenset(columns))
    wrong = abs(fsum(parts[columns]) - one.contribution) > TOLERANCE
    if wrong or (one.alone is not None and abs(moved - one.alone) > TOLERANCE):
        return Found.FALSE
    if one.direction == "together":
        return Found.HOLDS
    if abs(moved) <= NEGLIGIBLE:
        return Found.IDLE
    return Found.HOLDS if (moved > 0) == (one.direction == "raised") else Found.FALSE


def _without(model: Model, row: NDArray[np.float64], columns: frozenset[int]) -> float:
    """The score without some columns. A model whose trees cannot be read is asked with nothing there."""
    found = expected(model, [float(one) for one in row], columns)
    if found is not None:
        return found
    empty = row.copy()
    empty[list(columns)] = np.nan
    return float(model.score(empty.reshape(1, -1))[0])


class Falsifier:
    """Stands at ``Explain.falsifier``."""

    def __init__(self, kernel: Kernel, audit: Audit, kept: Kept, settings: ExplainSettings) -> None:
        self._kernel = kernel
        self._audit = audit
        self._kept = kept
        self._settings = settings
        self._doors: tuple[DecisionSource, ModelSource, Decide | None] | None = None

    def register(self, decisions: DecisionSource, models: ModelSource, decide: Decide | None) -> None:
        """What reads decisions, models, and decides again."""
        self._doors = (decisions, models, decide)

    async def run(self, *, since: datetime | None = None, actor: str = "schedule") -> Trial:
        """Try a sample of what was explained since a moment (a day ago), keep the counts, and note in the log what did not hold."""
        now = self._kernel.clock.now()
        begin = since or now - timedelta(days=1)
        async with self._kernel.db.reading() as conn:
            sample = await store.sample(conn, begin, self._settings.trial_sample)
        made = Trial(at=now, since=begin)
        wrong: list[str] = []
        for decision_id in sample:
            before = made.bad
            made = await self._one(decision_id, made)
            if made.bad > before:
                wrong.append(decision_id)
                _log.error("reason_falsified", decision=decision_id)
        facts: dict[str, Json] = {**made.counts()}
        refs = {"decision": wrong} if wrong else {}
        async with self._kernel.db.transaction() as conn:
            await store.add(conn, made)
            await self._audit.append(conn, [NewEntry(Tag.EXPLANATIONS_TRIED, refs, facts, actor=actor)])
        return made

    async def last(self) -> Trial | None:
        """The newest trial."""
        async with self._kernel.db.reading() as conn:
            found = await store.newest(conn, 1)
        return found[0] if found else None

    async def trials(self, limit: int = 30) -> Sequence[Trial]:
        """The newest trials, newest first."""
        async with self._kernel.db.reading() as conn:
            return await store.newest(conn, limit)

    async def faults(self) -> list[str]:
        """What is wrong, for `candor doctor`; empty when reasons held, or nothing was explained yet."""
        found = await self.last()
        async with self._kernel.db.reading() as conn:
            anything = await store.any_since(conn, self._kernel.clock.now() - timedelta(days=2))
        if found is None or self._kernel.clock.now() - found.at > _LATE:
            return ["reasons that were shown have not been tried for two days"] if anything else []
        if found.holds:
            return []
        told = f"of {found.reasons} explanations {found.falsified} told a false reason, {found.idle} one that does nothing and {found.scores} another score"
        return [f"{told}; of {found.levers} changes {found.flat} flip nothing (tried {found.at:%Y-%m-%d %H:%M})"]

    async def _one(self, decision_id: str, made: Trial) -> Trial:
        if self._doors is None:
            return made
        source, models, decide = self._doors
        try:
            content = (await self._kept.explain(decision_id)).content
            if content is None:
                return made
            facts = await source.facts(content.facts.decision_id)
            made = replace(made, looked=made.looked + 1)
            found = None
            if facts.model_digest is not None:
                model = await models.model(facts.model_digest)
                found = await asyncio.to_thread(tried, content, facts, model)
        except NotFound:  # erased since, or the model's file is gone: nobody can try it
            return made
        except IntegrityError as fault:  # what is kept is not what was made: as false as can be
            _log.error("reason_not_opened", decision=decision_id, code=fault.code)
            return replace(made, looked=made.looked + 1, scores=made.scores + 1)
        if found is not None:
            made = replace(
                made, reasons=made.reasons + 1, falsified=made.falsified + (found is Found.FALSE), idle=made.idle + (found is Found.IDLE),
                scores=made.scores + (found is Found.SCORE),
            )  # fmt: skip
        return made if decide is None else await self._pulled(decide, content, facts, made)

    async def _pulled(self, decide: Decide, content: Content, facts: DecisionFacts, made: Trial) -> Trial:
        """The levers of one explanation, pulled once more; what they did counts for the honesty of levers, too."""
        try:
            pulled = [(lever, await decide.again(facts.decision_id, change_of(lever))) for lever in content.levers]
        except NotFound:  # erased since, or a model's file is gone: nobody can pull them
            return made
        told = [(lever, verdict) for lever, verdict in pulled if verdict.told]
        flipped = [(lever, verdict) for lever, verdict in told if verdict.choice != facts.choice]
        kept = sum(verdict.choice == lever.choice for lever, verdict in flipped)
        if told:
            async with self._kernel.db.transaction() as conn:
                await promises_store.replayed(conn, facts.decision_id, len(told), len(flipped))
        return replace(made, levers=made.levers + len(told), flat=made.flat + len(told) - kept)
