"""The front door of learning: train, evaluate, promote, roll back, and the model that rules.

Enters: a placement. Leaves: a registered model with the evidence for or against it. What it never does: let a model rule without the gate's word or a
staff member's reason, write words of a person to a file, or raise on the path of a decision for a model's sake.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from consent.service import Consent
from events.importer import RowHandler
from events.service import Events
from identity.names import hers_only
from identity.names import names as known
from identity.service import Identity
from kernel.canonical import Json
from kernel.db import Conn, after_commit
from kernel.ids import DecisionId, IdentifierId, PersonId, RecordId
from kernel.kernel import Kernel
from orchestration.decision import store as decided
from orchestration.decision.models import ActiveModel, Treatment
from orchestration.decision.sealed import Sealer
from orchestration.decision.settings import DecisionSettings
from orchestration.decision.shelf import Shelf
from orchestration.learning import online_store, promotion, rewards, rewards_store, store
from orchestration.learning.book import RewardBook
from orchestration.learning.counting import Counting
from orchestration.learning.errors import NotBetter, NothingToRollBack, TooLittleToLearn, UnknownModel
from orchestration.learning.experiments import Experiments
from orchestration.learning.gbm import GbmModel
from orchestration.learning.keeping import Keeping
from orchestration.learning.logging_rows import DecisionRows
from orchestration.learning.named import undeclared
from orchestration.learning.online import Online
from orchestration.learning.proxy_audit import ProxyAudit
from orchestration.learning.ramping import Ramping
from orchestration.learning.registry import Registry
from orchestration.learning.rewards_store import RewardRun
from orchestration.learning.rollout import Rollouts
from orchestration.learning.settings import LearningSettings
from orchestration.learning.store import Kept, ModelRow, Promotion
from orchestration.learning.training import Assembler, TrainingSet
from profiles.service import Profiles

BETTER: Final = "gate: better than every comparison"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A model as trained: its digest, what it learned from, and the gate's answer."""

    digest: str
    placement: str
    rows: int
    training_set: str
    evaluation: Mapping[str, Json]
    promoted: bool
    outcome: str
    """What became of it: promoted, ramp (a rollout began), shadow (it did not leave it), busy (an experiment runs here), held."""


class Learning:
    """One per process and event loop. Is the `Models` that decision asks and the `ModelSource` that explain asks."""

    name = "learning"

    def __init__(
        self, kernel: Kernel, audit: Audit, identity: Identity, consent: Consent, events: Events, profiles: Profiles,
        settings: LearningSettings | None = None, *, policy: str = "epsilon_greedy",
    ) -> None:  # fmt: skip
        """`policy`: of placements that name none."""
        self.settings = settings or LearningSettings()
        self.kernel = kernel
        self._audit = audit
        self._identity = identity
        self._registry = Registry(kernel)
        self._shelf = Shelf(kernel, audit, DecisionSettings(), profiles.interest_code)
        self.experiments = Experiments(kernel, audit, identity, events, self._shelf, self._registry, self.settings)
        self.ramping = Ramping(self, audit, policy=policy)
        self.rollouts = Rollouts(kernel, self.experiments, self.settings, self.ramping.rolled_out)
        self._features = profiles.features
        self.sealer = Sealer(kernel, identity)
        self._assembler = Assembler(identity, consent, events, profiles, self.sealer)
        counting = Counting(identity, consent, events, self.settings)
        table = rewards.load(self.settings.rewards_file)
        self.rewards = RewardBook(kernel.db, kernel.clock, audit, self._shelf, counting, table, self.settings)
        self.learners = Online(
            kernel, identity, consent, self._shelf, counting, self.sealer, table, self.settings, default=policy
        )
        self.proxies = ProxyAudit(kernel, audit, identity, consent, profiles, self.settings)
        self._folder = kernel.settings.data_dir / "training"
        self.keeping = Keeping(identity, self._folder)
        self._prepared: dict[str, TrainingSet] = {}
        self.decision_rows: RowHandler = DecisionRows(kernel, identity, events)

    # models for decision and explain

    async def active(self, placement: str) -> ActiveModel:
        """What scores a placement now (protocol `decision.models.Models`)."""
        return await self._registry.active(placement)

    async def treatment(self, placement: str, person: PersonId) -> Treatment | None:
        """What an experiment does with her there (the same protocol)."""
        return await self.experiments.treatment(placement, person)

    async def model(self, digest: str) -> GbmModel:
        """A model by digest; `UnknownModel`, `ModelBroken`."""
        return await self._registry.model(digest)

    async def faults(self) -> list[str]:
        """What is wrong with the models that rule, each with its remedy, for `candor doctor`; empty when all is well."""
        others = await undeclared(self._shelf, self._features.names)
        return [*await self._registry.faults(), *await self.aged(), *await self.learners.faults(), *others]

    async def aged(self) -> list[str]:
        """Models that rule and are older than `settings.model_age_days`."""
        limit = self.kernel.clock.now() - timedelta(days=self.settings.model_age_days)
        async with self.kernel.db.reading() as conn:
            ruling = await store.active(conn)
            trained = {one.digest: one.trained_at for one in await store.models(conn)}
        return [
            f"placement {placement} is ranked by a model of {trained[digest]:%Y-%m-%d}, older than "
            f"{self.settings.model_age_days:g} days: run the weekly job or candor learn train {placement}"
            for placement, digest in sorted(ruling.items())
            if digest is not None and trained[digest] < limit
        ]

    async def ages(self) -> dict[str, float]:
        """Seconds since the model that rules each placement was trained."""
        now = self.kernel.clock.now()
        async with self.kernel.db.reading() as conn:
            return {name: (now - at).total_seconds() for name, at in (await store.trained(conn)).items()}

    # learning

    async def placements(self) -> list[str]:
        """Placements of the catalogue that have decisions with a choice, imported decisions, or a model."""
        shelved = await self._shelf.current()
        async with self.kernel.db.reading() as conn:
            known = {*await store.logged_placements(conn), *await store.active(conn), *await decided.chosen(conn)}
        return [one.name for one in shelved.catalogue.placements if one.name in known]

    async def training_set(self, placement: str, *, run: RewardRun | None = None) -> TrainingSet:
        """Assemble the examples of a placement and write them as Parquet. `run`: the version of the rewards; counted anew when None."""
        self._shelf.forget()
        catalogue = (await self._shelf.current()).catalogue
        now = self.kernel.clock.now()
        counted = run or await self.rewards.recompute()
        async with self.kernel.db.reading() as conn:
            made = await self._assembler.assemble(
                conn, catalogue, placement, now=now, rewards=await self.rewards.of(conn, counted, placement),
                as_of=counted.as_of,
            )  # fmt: skip
        digest = made.digest
        file = f"{placement}-{digest[7:23]}.parquet"
        notes: dict[str, Json] = {
            "placement": placement, "digest": digest, "feature_set": made.feature_set, "rewards": counted.digest,
        }  # fmt: skip
        await asyncio.to_thread(store.write_table, self._folder / file, made.columns(), notes)
        async with self.kernel.db.transaction() as conn:
            await store.keep_training_set(
                conn, digest=digest, placement=placement, file=file, rows=len(made.people),
                feature_set=made.feature_set, at=now,
            )  # fmt: skip
        self._prepared[placement] = made
        return made

    def prepared(self, placement: str) -> TrainingSet | None:
        """The set that this process assembled last, once: for a training that follows at once. None when there is none."""
        return self._prepared.pop(placement, None)

    async def kept_set(self, placement: str) -> Kept | None:
        """What the newest training set's file holds, whoever assembled it; None when there is none or nobody in it."""
        async with self.kernel.db.reading() as conn:
            file = await store.newest_training_file(conn, placement)
        names = self._features.names
        return await asyncio.to_thread(store.read_kept, self._folder / file, names) if file is not None else None

    async def train(
        self, placement: str, *, actor: str = "system", promote: bool = True, made: TrainingSet | None = None
    ) -> Trained:
        """Train on every example, judge by cross-fitting, register; promote when the gate says so: the first model at once, later ones by a rollout.

        Raises:
            TooLittleToLearn: fewer than `settings.least_rows` examples, one arm, or one reward.
        """
        found = await self.fit(placement, made)
        good = promote and found.evaluation["decision"] == "promote"
        async with self.kernel.db.transaction() as conn:
            await self.register(conn, found, actor=actor)
            if not good:
                await self.hold(
                    conn, found, actor=actor, reason="gate: hold" if promote else "nobody asked for it to rule"
                )
        outcome = await self.release(found, actor=actor) if good else "held"
        return Trained(
            digest=found.digest, placement=placement, rows=found.rows, training_set=found.training_set,
            evaluation=found.evaluation, promoted=outcome == "promoted", outcome=outcome,
        )  # fmt: skip

    async def release(self, row: ModelRow, *, actor: str, reason: str = BETTER) -> str:
        """Let a registered model that the gate promotes go its way: at once, or from the shadow into a rollout."""
        way = await self.ramping.prepare(row)
        async with self.kernel.db.transaction() as conn:
            return await self.ramping.go(conn, row, way, actor=actor, reason=reason)

    async def fit(self, placement: str, made: TrainingSet | None = None) -> ModelRow:
        """Train and judge; the model's file is kept, nothing is registered yet. Raises as `train` does."""
        examples = made if made is not None else await self.training_set(placement)
        log = examples.log
        if len(log) < self.settings.least_rows or len(log.arms) < 2 or float(log.reward.std()) == 0.0:
            raise TooLittleToLearn(
                f"expected at least {self.settings.least_rows} decisions over two arms with two rewards for '{placement}', "
                f"got {len(log)} over {len(log.arms)}"
            )
        await self.proxies.refuse(examples)
        catalogue = (await self._shelf.current()).catalogue
        current = await self._current(placement)
        content, digest, judged = await asyncio.to_thread(promotion.fitted, examples, catalogue, current, self.settings)
        await asyncio.to_thread(self._registry.keep, content)
        return ModelRow(
            digest=digest, placement=placement, feature_set=examples.feature_set, training_set=examples.digest,
            rows=len(log), evaluation=judged, trained_at=self.kernel.clock.now(),
        )  # fmt: skip

    def keep(self, content: bytes) -> str:
        """Keep a model's file; its digest. It rules nothing before it is registered and promoted."""
        return self._registry.keep(content)

    async def register(self, conn: Conn, row: ModelRow, *, actor: str) -> None:
        """Note a model in the caller's transaction; the same bytes again are noted in the log only."""
        await store.add_model(conn, row)
        facts: dict[str, Json] = {
            "training_set": row.training_set, "rows": row.rows, "decision": row.evaluation["decision"],
        }  # fmt: skip
        refs = {"model": row.digest, "placement": row.placement}
        await self._audit.append(conn, [NewEntry(Tag.MODEL_TRAINED, refs, facts, actor=actor)])

    async def hold(
        self, conn: Conn, row: ModelRow, *, actor: str, reason: str, facts: Mapping[str, Json] | None = None
    ) -> None:
        """Note that a registered model does not rule, and why."""
        refs = {"model": row.digest, "placement": row.placement}
        told: dict[str, Json] = {**(facts or {}), "reason": reason}
        await self._audit.append(conn, [NewEntry(Tag.MODEL_HELD, refs, told, actor=actor)])

    async def ruling(self, conn: Conn) -> Mapping[str, str | None]:
        """The digest that rules each placement that ever had one; None: the rules."""
        return await store.active(conn)

    async def evaluate(self, placement: str) -> Mapping[str, Json]:
        """The gate's answer for a ranker trained on what is there now; registers nothing."""
        made = await self.training_set(placement)
        catalogue = (await self._shelf.current()).catalogue
        current = await self._current(placement)
        place = catalogue.placement(placement)
        return await asyncio.to_thread(promotion.judge, made, catalogue, place, current, self.settings)

    async def _current(self, placement: str) -> promotion.Current | None:
        ruling = (await self._registry.active(placement)).model
        if not isinstance(ruling, GbmModel):
            return None
        async with self.kernel.db.reading() as conn:
            row = await store.model(conn, ruling.digest)
        return promotion.Current(ruling, row.trained_at) if row is not None else None

    async def promote(self, digest: str, *, actor: str, reason: str, force: bool = False) -> Promotion:
        """Let a registered model rule its placement.

        Raises:
            UnknownModel: no such digest. ModelBroken: its file cannot be used. NotBetter: the gate said hold, and no force.
        """
        async with self.kernel.db.reading() as conn:
            row = await store.model(conn, digest)
        if row is None:
            raise UnknownModel("expected the digest of a registered model, got another")
        await self._registry.model(digest)
        if row.evaluation.get("decision") != "promote" and not force:
            raise NotBetter("expected a model that the gate promotes, got one that it holds")
        async with self.kernel.db.transaction() as conn:
            return await self.rule(conn, row, actor=actor, reason=reason)

    async def rollback(self, placement: str, *, actor: str, reason: str = "rollback") -> Promotion:
        """Let what ruled before rule again: a rollout that runs goes back; where none runs, the model before this one rules, or the rules.

        Raises:
            NothingToRollBack: no model ever ruled here, or the rules rule already.
        """
        async with self.kernel.db.transaction() as conn:
            past = await store.promotions(conn, placement)
            if await self.ramping.back(conn, placement, actor=actor, reason=reason) is not None:
                rules = past[0].digest if past else None
                return Promotion(placement=placement, digest=rules, actor=actor, reason=reason, at=self.kernel.clock.now())  # fmt: skip
            if not past or past[0].digest is None:
                raise NothingToRollBack(f"expected a model that rules '{placement[:64]}', got none")
            before = next((one.digest for one in past if one.digest != past[0].digest), None)
            back = Promotion(placement=placement, digest=before, actor=actor, reason=reason, at=self.kernel.clock.now())
            await store.promote(conn, back)
            refs = {"placement": placement, "model": past[0].digest}
            facts: dict[str, Json] = {"back_to": before or "rules", "reason": reason}
            await self._audit.append(conn, [NewEntry(Tag.MODEL_ROLLED_BACK, refs, facts, actor=actor)])
            after_commit(conn, self.news)
        return back

    async def status(self) -> list[dict[str, Json]]:
        """Every model: placement, rows, the gate's word, whether it rules."""
        async with self.kernel.db.reading() as conn:
            ruling = await store.active(conn)
            models = await store.models(conn)
        return [
            {"digest": one.digest, "placement": one.placement, "rows": one.rows,
             "trained_at": one.trained_at.isoformat(), "active": ruling.get(one.placement) == one.digest,
             "evaluation": dict(one.evaluation)}
            for one in models
        ]  # fmt: skip

    async def rule(
        self, conn: Conn, row: ModelRow, *, actor: str, reason: str, facts: Mapping[str, Json] | None = None
    ) -> Promotion:
        """From the caller's commit on this model rules; whether it may is asked before."""
        made = Promotion(
            placement=row.placement, digest=row.digest, actor=actor, reason=reason, at=self.kernel.clock.now()
        )
        await store.promote(conn, made)
        refs = {"model": row.digest, "placement": row.placement}
        told: dict[str, Json] = {**(facts or {}), "reason": reason}
        await self._audit.append(conn, [NewEntry(Tag.MODEL_PROMOTED, refs, told, actor=actor)])
        after_commit(conn, self.news)
        return made

    async def news(self) -> None:
        """What rules has changed: look again at the next decision."""
        self._registry.forget()

    # holder of personal data

    async def export(self, conn: Conn, person: PersonId) -> Json:
        """Decisions about her that were imported, with their outcomes; what was learned from her decisions."""
        names = (await known(conn, [person]))[person].alone
        rows = await online_store.of_people(conn, names)
        hers = await hers_only(conn, person, {(one.person, one.at) for one in rows})
        lessons: list[Json] = [
            {"decision": one.decision, "at": one.at.isoformat(), "placement": one.placement, "arm": one.arm,
             "reward": one.reward / rewards.MICRO}
            for one in rows if (one.person, one.at) in hers
        ]  # fmt: skip
        imported: list[Json] = [
            {"source": row.source, "subject": row.subject, "at": row.at.isoformat(), "placement": row.placement, "arm": row.arm,
             "outcomes": dict(row.outcomes)}
            for row in await store.of_subjects(conn, await self._subjects(conn, person))
        ]  # fmt: skip
        return [*lessons, *imported]

    async def erase(self, conn: Conn, person: PersonId) -> int:
        """Take her out of imported decisions and training sets; the next training is provably without her."""
        taken = await store.drop_subjects(conn, await self._subjects(conn, person))
        decisions = await self._decisions(conn, person)
        taken += await rewards_store.forget(conn, decisions)
        # Sets of before a merge hold her under an id that is retired now, whoever it leads to since she was parted again.
        names = (await known(conn, [person]))[person].every
        taken += await self.learners.forget(conn, names, await self._subjects(conn, person), decisions)
        # Before a split her rows stood under an id that lives on with somebody else. A file does not tell whose record a row was of: every row under it goes.
        names = sorted({*names, *(await self._identity.past.names(conn, [person]))[person]})
        for digest, file in await store.training_files(conn):
            left = await asyncio.to_thread(store.without, self._folder / file, names)
            if left is not None:
                taken += left[0]
                await store.redacted_training_set(conn, digest, left[1], self.kernel.clock.now())
        # A file whose note was never committed is no training set, but her rows are in it all the same.
        noted = {file for _, file in await store.training_files(conn)}
        for path in sorted(self._folder.glob("*.parquet")):
            if path.name not in noted and (left := await asyncio.to_thread(store.without, path, names)) is not None:
                taken += left[0]
        return taken

    async def count(self, conn: Conn, people: Sequence[PersonId]) -> Mapping[str, int]:
        """Imported decisions about these people."""
        found = 0
        for person in people:
            found += len(await store.of_subjects(conn, await self._subjects(conn, person)))
        return {"imported_decisions": found}

    async def _decisions(self, conn: Conn, person: PersonId) -> list[DecisionId]:
        held = (await self._identity.members(conn, [person])).get(person)
        return [row.id for row in await decided.of_person(conn, person, list(held.key_ids) if held else [])]

    async def _subjects(self, conn: Conn, person: PersonId) -> list[RecordId | IdentifierId]:
        held = (await self._identity.members(conn, [person])).get(person)
        return [*held.records, *held.identifiers] if held is not None else []
