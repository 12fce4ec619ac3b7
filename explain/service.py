"""The front door of explain: one explanation a decision, made once, off the decision's path, kept sealed and named in the log.

Enters: ids of decisions; through protocols that wiring registers, their facts, their models and re-runs of them. Leaves: `Explanation`, the view of a
person and the view of an auditor. What it never does: explain from anything but the record, show an explanation that does not add up to the
score that was used, or tell apart what consent withheld from what was never known.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from audit.errors import SubjectKeyGone
from audit.service import Audit
from explain import apart, levers, promises_store, reasons, significant_store, store, views
from explain.attribution import TOLERANCE, Attribution, attribute, prepare, prepared
from explain.belonging import hers_alone, whose
from explain.contrast import Contrast
from explain.contrasting import contrasted
from explain.errors import Altered, NotWired, Unfaithful, WrongRow
from explain.explanation import Content, Explanation, compose, read, write
from explain.facts import REDACTED, Decide, DecisionFacts, DecisionSource, FeatureValue, ModelSource
from explain.falsifying import Falsifier
from explain.feedback import Feedback, Said
from explain.fresh import Fresh
from explain.hearing import Hearing
from explain.keeping import Keeping
from explain.offers import Offer
from explain.promises import Honesty, Promises
from explain.queue import Queue
from explain.reasons import Controls, PersonView
from explain.settings import ExplainSettings
from explain.significant import Significant
from explain.storing import Storing
from explain.tallies import Tallies
from explain.views import AuditorView
from identity.names import names as known
from identity.service import Identity
from kernel.canonical import Json, digest_of
from kernel.db import Conn
from kernel.errors import IntegrityError, NotFound
from kernel.ids import DecisionId, PersonId
from kernel.kernel import Kernel
from kernel.log import get_logger

WHY: Final = "why"  # token scopes, as channels issues them
PREFERENCES: Final = "preferences"
_TABLE: Final = "explain.explanations"
_log = get_logger("explain")


class Explain:
    """One per process and event loop."""

    name = "explain"

    def __init__(
        self, kernel: Kernel, audit: Audit, settings: ExplainSettings | None = None, identity: Identity | None = None
    ) -> None:
        """`identity` lets an erasure find what was explained about people who were merged into somebody."""
        self.settings = settings or ExplainSettings()
        self._kernel = kernel
        self.keeping = Keeping(kernel.clock)
        self.tallies = Tallies(kernel.db, self.settings)
        self.queue = Queue(kernel, audit, self.settings)
        self.falsifier = Falsifier(kernel, audit, self, self.settings)
        self._audit = audit
        self._identity = identity
        self._decisions: DecisionSource | None = None
        self._models: ModelSource | None = None
        self._decide: Decide | None = None
        self.promises = Promises(kernel.db)
        self._storing = Storing(kernel, audit, self.tallies, self.promises)
        self.hearing = Hearing(kernel, audit, self.promises)
        self.on_feedback = self.hearing.on_feedback
        self.significant = Significant(kernel, audit)
        # False in a process that serves requests beside one that makes explanations: it does not load SHAP, which holds everybody up for seconds.
        self.patient = True

    def register(self, decisions: DecisionSource, models: ModelSource, decide: Decide | None = None) -> None:
        """The rooms above that decide, score and decide again; wiring calls this once."""
        self._decisions, self._models, self._decide = decisions, models, decide
        self.falsifier.register(decisions, models, decide)

    # making

    async def explain(self, decision_id: str) -> Explanation:
        """The explanation of a decision; made now when there is none, else the one that was made.

        Raises:
            NotFound: no such decision. An erased person's decision is no error: the explanation says that it is redacted.
            NotAdditive, Unfaithful, WrongRow: it does not add up, and is not kept.
        """
        made = await self._made(decision_id)
        return made if isinstance(made, Explanation) else (await self._keep([made]))[0]

    async def anew(self, decision_id: str) -> Explanation:
        """The explanation as it would be made now, whatever was kept before, and not kept: its digest is that of the kept one, whenever it is made, unless
        rules changed since, by which levers cannot be tried any more (`Content.outdated`).

        Raises:
            As `explain`; NotFound also for a decision that nobody can read any more.
        """
        content, _ = await self._make(await self._source().facts(DecisionId(decision_id)))
        return Explanation(decision_id=content.facts.decision_id, digest=write(content)[1], content=content)

    async def prepare(self, digests: Sequence[str]) -> None:
        """Load these models and what explains them before the first decision asks: seconds of a processor, once a process."""
        if self._models is None:
            raise NotWired("expected a source of models, got none")
        for one in digests:
            model = await self._models.model(one)
            await asyncio.to_thread(prepare, model, check=self.settings.verify_attributions)

    async def _made(self, decision_id: str) -> Explanation | Fresh:
        """What is kept of the decision, or else its explanation, made and not yet kept."""
        found = await self._stored(decision_id)
        if found is not None:
            return found
        try:
            facts = await self._source().facts(DecisionId(decision_id))
        except NotFound as fault:
            if fault.code != REDACTED:
                raise
            return Explanation(decision_id=DecisionId(decision_id), digest="", content=None)
        content, checked = await self._make(facts)
        words, named = write(content)
        body = words
        if facts.key_id is not None:
            key = (await self._kernel.vault.unwrap([facts.key_id])).get(facts.key_id)
            if key is None:  # erased since the record was read
                return Explanation(decision_id=facts.decision_id, digest=named, content=None)
            body = key.seal(_TABLE, "body", facts.decision_id, words)
        return Fresh(content, named, body, checked)

    async def _make(self, facts: DecisionFacts) -> tuple[Content, bool]:
        found: Attribution | None = None
        if facts.model_digest is not None and facts.score is not None:
            found = await self._attribution(facts.features, facts.model_digest, facts.score)
        content = compose(facts, found)
        if self._decide is not None:
            found_, outdated = await levers.find(facts, content.concepts, self._decide, self.settings.most_levers)
            content = replace(content, levers=tuple(found_), outdated=outdated)
        return content, found is not None and found.checked

    async def _attribution(self, features: Sequence[FeatureValue], model_digest: str, score: float) -> Attribution:
        if self._models is None:
            raise NotWired("expected a source of models, got none")
        model = await self._models.model(model_digest)
        if tuple(feature.name for feature in features) != tuple(model.feature_names):
            raise WrongRow(len(model.feature_names), len(features))
        row = np.array([feature.value for feature in features], dtype=np.float64)
        again = float(model.score(row.reshape(1, -1))[0])
        if not abs(again - score) <= TOLERANCE:
            raise Unfaithful("the recorded score and the model's", abs(again - score))
        check = self.settings.verify_attributions and (self.patient or prepared(model))
        return await asyncio.to_thread(attribute, model, row, score, check=check)

    async def _keep(self, made: Sequence[Fresh]) -> list[Explanation]:
        """Keep explanations with their entries in one commit; where somebody else was faster, theirs is the one that stands."""
        fresh = await self._storing.keep(made)
        kept: list[Explanation] = []
        for one in made:
            found = None if one.decision_id in fresh else await self._stored(one.decision_id)
            kept.append(found or Explanation(decision_id=one.decision_id, digest=one.named, content=one.content))
        return kept

    async def _stored(self, decision_id: str) -> Explanation | None:
        async with self._kernel.db.reading() as conn:
            row = await store.get(conn, decision_id)
        return None if row is None else await self._open(row)

    async def _open(self, row: store.Row) -> Explanation:
        """A stored row, opened; redacted when its key is destroyed.

        Raises:
            Altered: the content is not what the digest names.
        """
        words = row.body
        if words is not None and row.key_id is not None:
            key = (await self._kernel.vault.unwrap([row.key_id])).get(row.key_id)
            words = None if key is None else key.open(_TABLE, "body", row.decision_id, words)
        if words is not None and digest_of(words) != row.digest:
            raise Altered("expected the explanation that its digest names, got another")
        content = None if words is None else read(words)
        return Explanation(decision_id=row.decision_id, digest=row.digest, content=content)

    async def contrast(self, decision_id: str, a: str | None, b: str) -> Contrast:
        """Why `a` (None: what was chosen) and not `b`. Made when it is asked for and not kept: it follows from the record, and is equal whenever it is made.

        Raises:
            NotFound: no such decision or candidate, or nobody can read it any more. Otherwise as `explain`.
        """
        content = (await self.explain(decision_id)).content
        return await contrasted(content, a, b, self._source(), self._attribution)

    # the worker

    async def explain_pending(self, limit: int) -> int:
        """Explain up to `limit` decisions that the log names and nobody explained yet, as `queue.next` says; the number taken off the queue.

        Raises:
            IntegrityError: after the batch, the first explanation that did not add up; it is set aside (`refused`), the others are made.
        """
        await self.queue.feed()
        waiting = await self.queue.next(limit)
        broken: list[IntegrityError] = []
        fresh: list[Fresh] = []
        nothing: list[str] = []
        for decision_id in waiting:
            try:
                made = await self._made(decision_id)
            except NotFound as fault:  # the log outlives what it names
                _log.info("nothing_to_explain", decision=decision_id, code=fault.code)
                nothing.append(decision_id)
            except IntegrityError as fault:
                _log.error("explanation_refused", decision=decision_id, code=fault.code)
                await self.queue.refuse(decision_id, fault.code)
                broken.append(fault)
            else:
                if isinstance(made, Fresh):
                    fresh.append(made)
                else:
                    nothing.append(decision_id)
        await self._keep_all(fresh)
        await self.queue.done(nothing)
        if broken:
            raise broken[0]
        return len(waiting)

    async def _keep_all(self, made: Sequence[Fresh]) -> None:
        """Keep them together: a commit each would stand in the way of the decisions' commits. Where one was erased meanwhile, one by one."""
        if not made:
            return
        try:
            await self._keep(made)
        except SubjectKeyGone:
            for one in made:
                with suppress(SubjectKeyGone):  # it stays queued, and is found to be redacted
                    await self._keep([one])

    # views

    def person_view(
        self, explanation: Explanation, locale: str | None = None, *, page: str | None = None
    ) -> PersonView:
        """What the person may read: plain words, at most five parameters, each with its control.

        `page` is the address of the why page where the view is shown, of which the link may have been passed on; by default a fresh link is made.
        """
        content = explanation.content
        if content is None:
            return reasons.redacted_view(locale or "en")
        facts = content.facts
        controls = Controls(
            preferences=self._preferences_link(facts),
            page=page if page is not None else self._why_link(facts.decision_id),
            passed_on=bool(page),
        )
        view = reasons.person_view(facts, content.concepts, content.levers, locale or facts.locale, controls)
        view = reasons.outdated(view) if content.outdated else view
        return reasons.apart(view) if explanation.mixed else view

    async def preferences_url(self, decision_id: str) -> str:
        """The way to the preferences of the contact that a choice was for, from its facts alone, whether or not it can be explained; empty where it was for none.

        Raises:
            NotFound: no such decision; with code `REDACTED` where nobody can read it any more.
        """
        found = await self._stored(decision_id)
        kept = found.content if found is not None else None
        facts = kept.facts if kept is not None else await self._source().facts(DecisionId(decision_id))
        return self._preferences_link(facts)

    async def hers(self, explanation: Explanation, conn: Conn | None = None) -> Explanation:
        """The same, marked where it holds facts of somebody who was taken for her when it was decided, and is not any more."""
        if explanation.content is None or self._identity is None or explanation.content.facts.person is None:
            return explanation
        if conn is None:
            async with self._kernel.db.reading() as own:
                return await self.hers(explanation, own)
        return replace(explanation, mixed=await apart.mixed(conn, self._identity, explanation.content.facts))

    @staticmethod
    def auditor_view(explanation: Explanation) -> AuditorView:
        """The same record in numbers."""
        return views.auditor_view(explanation)

    def _preferences_link(self, facts: DecisionFacts) -> str:
        if facts.identifier_id is None:
            return ""
        ttl = timedelta(minutes=self.settings.preferences_minutes)
        token = self._kernel.tokens.issue(PREFERENCES, facts.identifier_id, ttl, history=False)
        return f"{self._kernel.settings.base_url.rstrip('/')}/preferences/{token}"

    def _why_link(self, decision_id: DecisionId) -> str:
        token = self._kernel.tokens.issue(WHY, decision_id, timedelta(days=self.settings.why_days))
        return f"{self._kernel.settings.base_url.rstrip('/')}/why/{token}"

    # what people say

    async def feedback(self, decision_id: str, said: Feedback | Said) -> bool:
        """Keep what a person said of a decision and let those act who hooked in; False when it was said before, is not offered, or nobody is left to
        act for. What she may take back elsewhere acts each time she says it.
        """
        content = (await self.explain(decision_id)).content
        if content is None:
            return False
        return await self.hearing.hear(content, said if isinstance(said, Said) else Said(said), self._decide)

    async def recheck_levers(self, limit: int) -> int:
        """Pull the levers of the newest explanations once more, which nobody did since they were made; how many levers."""
        pulled = 0
        for decision_id in await self.promises.unchecked(limit) if self._decide is not None else ():
            found = await self._stored(decision_id)
            if found is not None and found.content is not None and self._decide is not None:
                pulled += await self.promises.recheck(self._decide, found.content)
        return pulled

    @staticmethod
    def offer(explanation: Explanation, said: Said, locale: str | None = None) -> Offer | None:
        """The control that a word means, as the page shows it in this language; None where the page has none such."""
        content = explanation.content
        if content is None:
            return None
        facts = content.facts
        view = reasons.person_view(facts, content.concepts, content.levers, locale or facts.locale, Controls())
        return (reasons.apart(view) if explanation.mixed else view).offer(said)

    async def honesty(self) -> Honesty:
        """How many levers are shown, flip, are used, and change what comes next as promised."""
        return await self.promises.honesty()

    async def not_interested(self, conn: Conn, people: Sequence[PersonId]) -> Mapping[PersonId, frozenset[str]]:
        """Contents (the catalogue's variant ids) that people said do not interest them; people without any are absent."""
        names = {person: [person] for person in people}
        if self._identity is not None:  # what she said before she was merged is hers too
            names = {person: list(one.alone) for person, one in (await known(conn, people)).items()}
        now = {old: person for person, olds in names.items() for old in olds}
        found: dict[PersonId, set[str]] = {}
        for person, content in await store.contents_refused(conn, Feedback.NOT_INTERESTED, list(now)):
            found.setdefault(now[person], set()).add(content)
        return {person: frozenset(contents) for person, contents in found.items()}

    # holder of personal data, counter of impact

    async def export(self, conn: Conn, person: PersonId) -> Json:
        """Why each decision about the person was made, in plain words."""
        hers = await whose(conn, self._identity, person, alone=True)
        pressed = await self.promises.pressed(conn, hers)
        told: list[Json] = []
        for one in [await self._open(row) for row in await store.of_person(conn, hers)]:
            if not one.redacted:
                read = await self.hers(one, conn)
                why = self.person_view(read).as_json()
                said = pressed.pop(one.decision_id, [])
                told.append(
                    {"decision": one.decision_id, "why": why, "said": [] if read.mixed else [p.as_json() for p in said]}
                )
        # What was explained is let go after its time; what she said of it acts on. Whoever was taken for her then may have said it.
        for decision, said in sorted(pressed.items()):
            sure = [p.as_json() for p in said if await self._sure(conn, person, p.under, p.at)]
            told += [{"decision": decision, "said": sure}] if sure else []
        reviews = [
            one for one, under in await significant_store.of_person(conn, hers)
            if await self._sure(conn, person, under, one.asked_at)
        ]  # fmt: skip
        return told + [{"decision": one.decision_id, "human_review": one.as_json()} for one in reviews]

    async def erase(self, conn: Conn, person: PersonId) -> int:
        """Take the person off their explanations; digests stay, as the log names them."""
        hers = await whose(conn, self._identity, person, alone=False)
        gone = await promises_store.forget(conn, hers) + await significant_store.forget(conn, hers)
        return gone + await store.redact(conn, hers, self._kernel.clock.now())

    async def count(self, conn: Conn, people: Sequence[PersonId]) -> Mapping[str, int]:
        """Explanations that were made about these people."""
        return {"explanations": await store.count(conn, people)}

    async def _sure(self, conn: Conn, person: PersonId, under: PersonId | None, at: datetime) -> bool:
        return self._identity is None or await hers_alone(conn, person, under, at)

    def _source(self) -> DecisionSource:
        if self._decisions is None:
            raise NotWired("expected a source of decisions, got none")
        return self._decisions
