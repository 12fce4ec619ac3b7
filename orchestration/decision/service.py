"""The front door of decision: decide, replay, facts, receipt, catalogue.

Enters: a `DecisionRequest`. Leaves: a `Decision` that is kept (record, log entry, cap, delivery in one commit), or an error with nothing written.
What it never does: show anything that the gate did not permit inside the commit, record a probability that was not the one drawn from,
or hold a person's words outside the sealed row.
"""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from audit.access import asking_store
from audit.entries import NewEntry
from audit.receipt import Receipt
from audit.service import Audit
from audit.tags import Tag
from channels.errors import Unrenderable
from consent.service import Consent
from explain.facts import DecisionFacts, FeatureValue, Verdict
from identity.service import Identity
from kernel import metrics
from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import DecisionId, EntryId, KeyId, PersonId, is_id, new_id
from kernel.kernel import Kernel
from orchestration.decision import evidence, figures, store
from orchestration.decision.afterwards import CONTENTION, Afterwards
from orchestration.decision.answers import answer_again, answer_of, row_of, shown, standing_of
from orchestration.decision.commit import (
    ASKED,
    CATALOGUE,
    FENCE,
    STANDING,
    TAKEN,
    WITHHELD,
    Committed,
    Committer,
    Pending,
    Refused,
)
from orchestration.decision.counterfactual import Counterfactual
from orchestration.decision.counting import Restocked, Stocker
from orchestration.decision.engine import Outcome, withhold
from orchestration.decision.errors import AlreadyDecided, StandingMoved
from orchestration.decision.feed import ItemRows
from orchestration.decision.gather import Gathered, Gatherer
from orchestration.decision.keeping import Keeping
from orchestration.decision.models import Models
from orchestration.decision.outbound import Outbound
from orchestration.decision.pulling import Pulling
from orchestration.decision.record import Record
from orchestration.decision.request import Decision, DecisionRequest, Replay
from orchestration.decision.sealed import Sealer
from orchestration.decision.settings import DecisionSettings
from orchestration.decision.shelf import Publication, Shelf
from orchestration.decision.significant import Significance
from orchestration.decision.steady import Steady
from orchestration.decision.store import Row
from profiles.service import Profiles


class Decisions:
    """One per process and event loop."""

    name = "decision"

    def __init__(
        self, kernel: Kernel, audit: Audit, identity: Identity, consent: Consent, profiles: Profiles, channels: Outbound,
        models: Models, settings: DecisionSettings | None = None,
    ) -> None:  # fmt: skip
        self.settings = settings or DecisionSettings()
        self._kernel = kernel
        self.keeping = Keeping(kernel.clock)
        self._audit = audit
        self._identity = identity
        self._consent = consent
        self._profiles = profiles
        self._models = models
        self.shelf = Shelf(kernel, audit, self.settings, profiles.interest_code)
        self._gatherer = Gatherer(kernel, identity, profiles, channels, models, self.shelf, self.settings)
        self._stocker = Stocker(kernel, identity, profiles, self.shelf, self.settings)
        self.item_rows = ItemRows(kernel.db, kernel.clock, self._stocker.relist)
        self._steady = Steady(self.settings.model_ms / 1000)
        self._sealer = Sealer(kernel, identity)
        self.significance = Significance(self._sealer, self.shelf)
        self.counterfactual = Counterfactual(self._sealer, models, profiles, self._gatherer.policies, self.shelf)
        self.afterwards = Afterwards(kernel, consent, self._sealer, self.shelf, models, self._gatherer.policies)
        self._pulling = Pulling(
            self._sealer, self.shelf, consent, self.counterfactual.segments_of,
            again=self.afterwards.record, picks=self.afterwards.picks,
        )  # fmt: skip
        self._committer = Committer(kernel, audit, consent, channels, self.settings)

    # deciding

    async def decide(self, request: DecisionRequest) -> Decision:
        """Make one choice and keep it.

        What moved under the decision (consent, graph, catalogue, a cap taken by somebody else) means deciding again from scratch with a new draw;
        after `settings.attempts` of them nothing is sent, and that is recorded. What was `asked` before is answered with what was decided then.

        Raises:
            NotFound: unknown person, placement or catalogue. InvalidInput: no or two subjects.
            StandingMoved: another request decided for this page first; nothing was written.
            AlreadyDecided: a decision is kept under the id that the request brought.
            KeyReused: it was asked before with other content. DecisionRedacted: it was asked before, about somebody erased since.
            Unavailable: Postgres does not answer; nothing was written.
        """
        with metrics.stage("decide"):
            made = await self._decide(request)
        if not made.dry_run and not made.repeated:
            figures.count(made)
        return made

    async def _decide(self, request: DecisionRequest) -> Decision:
        if (before := await self._before(request)) is not None:
            return before
        with metrics.stage("profile"):
            person, warm = await self._gatherer.subject(request)
        seed = request.seed if request.seed is not None else secrets.token_hex(16)
        decision_id = request.decision_id or new_id("dec")
        refused: dict[str, str] = {}
        for attempt in range(1, self.settings.attempts + 1):
            gathered = await self._gatherer.gather(request, person, warm=warm, attempt=attempt, refused=refused)
            # A new attempt is a new draw: the old one was made under a state that is gone.
            drawn = seed if attempt == 1 else f"{seed}.{attempt}"
            used, made = await self._steady.decide(gathered.inputs, drawn, gathered.model, policy=gathered.policy)
            record = Record(decision_id=decision_id, seed=drawn, inputs=used, outcome=made)
            if request.dry_run:
                return answer_of(record, gathered)
            kept = await self._keep(request, record, gathered)
            if isinstance(kept, Committed):
                standing = standing_of(record, gathered) if request.page is not None else None
                return replace(answer_of(record, gathered, kept), standing=standing)
            if kept.what == ASKED:
                if (before := await self._before(request)) is not None:
                    return before
                continue  # who was first has given up
            await self._learn_of(kept, made, person, refused)
            warm = None
            if kept.what == FENCE:
                person = await self._gatherer.person(request, fresh=True)  # she may be another's now
        return await self._contended(request, person, decision_id, seed)

    async def _before(self, request: DecisionRequest) -> Decision | None:
        """What was decided when the same was asked before."""
        if request.asked is None or request.dry_run:
            return None
        async with self._kernel.db.reading() as conn:
            found = await asking_store.find(conn, request.asked)
        if found is None:
            return None
        opened = await self._sealer.open(found)
        return answer_again(opened.row, opened.decoded())

    async def decide_many(
        self, requests: Sequence[DecisionRequest], *, at_once: int = 32
    ) -> list[Decision | Exception]:
        """Decide for many, some at a time, so that their commits share transactions; an accident stays with its request."""
        await self._warm(requests)
        gate = asyncio.Semaphore(at_once)

        async def one(request: DecisionRequest) -> Decision:
            async with gate:
                return await self.decide(request)

        found = await asyncio.gather(*(one(request) for request in requests), return_exceptions=True)
        answers: list[Decision | Exception] = []
        for answer in found:
            if isinstance(answer, BaseException) and not isinstance(answer, Exception):
                raise answer
            answers.append(answer)
        return answers

    async def warm(self, people: Sequence[PersonId]) -> None:
        """Have ready what first decisions about these people would wait for: their hot profiles and the keys that records are sealed under, in bulk."""
        catalogue = (await self.shelf.current()).catalogue
        if self._kernel.cache.available:  # there is nowhere to keep them otherwise
            for purpose in sorted({one.personalize_under for one in catalogue.placements}):
                await self._profiles.keep_warm(people, purpose)
        await self._sealer.fetch(people)

    async def _warm(self, requests: Sequence[DecisionRequest]) -> None:
        """Make the hot profiles of many in bulk; each request finds its own there, or reads Postgres where the store is down."""
        if not self._kernel.cache.available:
            return
        catalogue = (await self.shelf.current()).catalogue
        purposes = {one.name: one.personalize_under for one in catalogue.placements}
        theirs: dict[str, list[PersonId]] = {}
        for request in requests:
            if request.person is not None and is_id(request.person, "per") and request.placement in purposes:
                theirs.setdefault(purposes[request.placement], []).append(PersonId(request.person))
        for purpose, people in theirs.items():
            await self._profiles.hot_many(list(dict.fromkeys(people)), purpose)

    async def _keep(self, request: DecisionRequest, record: Record, gathered: Gathered) -> Committed | Refused:
        key = await self._sealer.key(gathered.inputs.person)
        try:
            delivery = await self._gatherer.delivery(request, record, gathered, key.id)
        except Unrenderable as fault:  # a slot that this purpose may not fill: another arm may do without it
            return Refused(WITHHELD, fault.reason)
        row = row_of(record, gathered, key_id=key.id, sealed=self._sealer.seal(record, key))
        fences = {PersonId(record.inputs.person): record.inputs.versions.consent}
        entry = evidence.entry(record, key_id=key.id, actor=request.actor)
        wish = (standing_of(record, gathered), request.page.replaces) if request.page is not None else None
        return await self._committer.submit(
            Pending(
                row=row,
                entry=entry,
                fences=fences,
                delivery=delivery,
                standing=wish,
                items=record.inputs.versions.items,
                once=request.decision_id is not None,
                asked=request.asked,
            )
        )

    async def _learn_of(self, kept: Refused, made: Outcome, person: PersonId, refused: dict[str, str]) -> None:
        if kept.what == CATALOGUE:
            self.shelf.forget()
        elif kept.what == TAKEN:
            raise _taken()
        elif kept.what == STANDING:
            raise StandingMoved("expected to be the first to decide this placement, got overtaken")
        elif kept.what == FENCE:
            self._sealer.forget(person)
        else:  # a cap or suppression that was not known yet: this arm is out, for channels' reason
            refused[made.choice] = kept.reason

    async def _contended(
        self, request: DecisionRequest, person: PersonId, decision_id: DecisionId, seed: str
    ) -> Decision:
        """Nothing, recorded as such. The fence is not asked: sending nothing needs no permission."""
        gathered = await self._gatherer.gather(request, person, attempt=self.settings.attempts + 1)
        record = Record(
            decision_id=decision_id, seed=seed, inputs=gathered.inputs, outcome=withhold(gathered.inputs, CONTENTION)
        )
        key = await self._sealer.key(gathered.inputs.person)
        row = row_of(record, gathered, key_id=key.id, sealed=self._sealer.seal(record, key))
        entry = evidence.entry(record, key_id=key.id, actor=request.actor)
        async with self._kernel.db.transaction() as conn:
            if request.decision_id is not None and await store.taken(conn, [decision_id]):
                raise _taken()
            wishes = [(request.asked, decision_id)] if request.asked is not None else []
            mine = await asking_store.claim(conn, wishes, self._kernel.clock.now())
            if len(mine) == len(wishes):
                (entry_id,) = await self._audit.append(conn, [entry])
                await store.insert(conn, [replace(row, entry_id=entry_id)])
                return answer_of(record, gathered, Committed(entry_id, None))
        before = await self._before(request)
        assert before is not None  # whoever was first has committed: the claim waited for it
        return before

    # looking back

    async def whom(self, request: DecisionRequest) -> PersonId:
        """Who a request is about, without deciding anything. Raises as `decide` does."""
        return await self._gatherer.person(request)

    async def show(self, decision_id: str) -> Mapping[str, Json]:
        """The record of a decision, as it was written.

        Raises:
            UnknownDecision, DecisionRedacted.
        """
        opened = await self._sealer.open(decision_id)
        return {
            **opened.record,
            "arbitration": shown(opened.decoded()),
            "record": opened.row.record,
            "entry_id": opened.row.entry_id,
            "delivery_id": opened.row.delivery_id,
            "expires_at": opened.row.expires_at.isoformat(),
        }

    async def row(self, decision_id: str) -> Row:
        """The clear columns of a decision; redacted ones too. `UnknownDecision`."""
        return await self._sealer.row(decision_id)

    async def find(self, decision_id: str) -> Row | None:
        """The same, or None where no decision is kept under this id."""
        async with self._kernel.db.reading() as conn:
            return await store.get(conn, decision_id)

    async def replay(self, decision_id: str, *, actor: str = "system") -> Replay:
        """Decide again from the stored inputs with the stored seed and model, and compare bytes. The act is logged.

        Raises:
            UnknownDecision: none of this id. UnknownModel, ModelBroken: the model that scored cannot be had. UnknownState: nor what the policy had learned.
        """
        row = await self._sealer.row(decision_id)
        opened = await self._sealer.try_open(row)
        if opened is None:
            return Replay(decision_id=row.id, status="redacted", recorded=row.record, replayed=None)
        again = await self.afterwards.record(opened, opened.inputs)
        same = again.canonical() == opened.canonical and again.digest == row.record
        made = NewEntry(
            Tag.DECISION_REPLAYED, {"decision": row.id}, {"identical": same, "replayed": again.digest},
            key_id=row.key_id, actor=actor,
        )  # fmt: skip
        async with self._kernel.db.transaction() as conn:
            (entry_id,) = await self._audit.append(conn, [made])
        status = "identical" if same else "different"
        return Replay(decision_id=row.id, status=status, recorded=row.record, replayed=again.digest, entry_id=entry_id)

    async def facts(self, decision_id: str) -> DecisionFacts:
        """What explain needs, as `afterwards` says it; so are `scored` and `again`."""
        return await self.afterwards.facts(decision_id)

    async def scored(self, decision_id: str, candidate_id: str) -> tuple[FeatureValue, ...]:
        """The row of one arm as the model saw it."""
        return await self.afterwards.scored(decision_id, candidate_id)

    async def again(self, decision_id: str, change: Mapping[str, Json]) -> Verdict:
        """The decision under one change (protocol `explain.facts.Decide`). Writes nothing, sends nothing."""
        return await self._pulling.pull(decision_id, change)

    async def again_each(self, decision_id: str, changes: Sequence[Mapping[str, Json]]) -> list[Verdict]:
        """The decision under each of these changes by itself; what they share is worked out once."""
        return await self._pulling.pull_all(decision_id, changes)

    async def receipt(self, decision_id: str) -> Receipt:
        """The file that proves this decision offline; its entry must be under a checkpoint (`Audit.sequence`).

        After an erasure the proof stands and the contents are redacted.
        """
        row = await self._sealer.row(decision_id)
        opened = await self._sealer.try_open(row)
        pieces = evidence.evidence(opened.decoded()) if opened is not None else {}
        return await self._audit.receipt(row.entry_id, pieces)

    async def entry_of(self, decision_id: str) -> EntryId:
        """The log entry of a decision."""
        return (await self._sealer.row(decision_id)).entry_id

    async def history(
        self, conn: Conn, *, placement: str | None = None, since: datetime | None = None, until: datetime | None = None
    ) -> list[Row]:
        """Decisions in a time, oldest first, without those of erased people; for lift and reports."""
        return await store.history(conn, placement, since, until)

    async def counts(self, since: datetime | None = None) -> list[dict[str, Json]]:
        """Decisions by placement, channel, variant and reason withheld."""
        async with self._kernel.db.reading() as conn:
            return await store.counts(conn, since)

    # catalogue

    async def publish_catalogue(self, conn: Conn, text: str, *, actor: str = "system") -> Publication:
        """Publish the catalogue that `text` declares: `candor import catalogue FILE`."""
        return await self.shelf.publish(conn, text, actor=actor, features=self._profiles.features.names)

    async def refresh_sources(self, conn: Conn, at: datetime) -> Restocked:
        """Count anew what sources list and publish it, in the caller's transaction; people are seen through the consent filter only.

        Decisions see it after the commit. Without a catalogue, items or a placement with sources there is nothing to do.
        """
        return await self._stocker.refresh(conn, at)

    # holder of personal data, counter of impact

    async def export(self, conn: Conn, person: PersonId) -> Json:
        """Her decisions, in words: when, where, what was chosen, and why nothing was."""
        return [
            {"decision": row.id, "at": row.at.isoformat(), "placement": row.placement, "chosen": row.choice,
             "channel": row.channel, "nothing_because": row.withheld}
            for row in await store.of_person(conn, person, await self._keys(conn, person))
        ]  # fmt: skip

    async def erase(self, conn: Conn, person: PersonId) -> int:
        """Take her off her decisions; digests, proofs and counts stay."""
        self._sealer.forget(person)
        return await store.redact(conn, person, await self._keys(conn, person), self._kernel.clock.now())

    async def _keys(self, conn: Conn, person: PersonId) -> list[KeyId]:
        """Decisions of people who were merged into her carry their old id; the key they are sealed under is hers now."""
        held = (await self._identity.members(conn, [person])).get(person)
        return list(held.key_ids) if held is not None else []

    async def count(self, conn: Conn, people: Sequence[PersonId]) -> Mapping[str, int]:
        """Decisions that were made for these people."""
        return {"decisions": await store.count(conn, people)}

    async def close(self) -> None:
        """Finish the commits that wait."""
        await self._committer.close()


def _taken() -> AlreadyDecided:
    return AlreadyDecided("expected an id that no decision has, got one that is taken")
