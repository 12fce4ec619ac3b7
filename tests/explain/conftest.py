"""The room on real engines; decisions and models as wiring would register them, made by hand so that every case can be built."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache

import httpx
import lightgbm as lgb
import numpy as np
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from audit.access.principal import Principal, Scope
from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from consent.service import Consent
from consent.settings import ConsentSettings
from explain import endpoints, significant_endpoints
from explain.facts import (
    NOTHING,
    REDACTED,
    Advertisement,
    Candidate,
    DecisionFacts,
    FeatureValue,
    PermissionFact,
    PolicyFacts,
    Provenance,
    Stage,
    Verdict,
)  # fmt: skip
from explain.service import Explain
from identity.identifiers import Identifier
from identity.records import NewRecord
from identity.service import Identity
from kernel.clock import FrozenClock
from kernel.errors import CandorError, NotFound, NotPermitted
from kernel.ids import ActId, IdentifierId, KeyId, PersonId, new_id
from kernel.kernel import Kernel

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
NAMES = ("spend_180d", "views_30d", "days_since_cart", "orders_180d", "variant=offer", "channel=email")


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(NOW)


class Gbm:
    """A real LightGBM model in the shape of `kernel.model.Model`."""

    def __init__(
        self, booster: lgb.Booster, names: tuple[str, ...] = NAMES, digest: str = "sha256:" + "a" * 64
    ) -> None:
        self.booster, self.feature_names, self.digest = booster, names, digest

    def score(self, rows):
        return np.asarray(self.booster.predict(rows, num_threads=1))

    def contributions(self, row):
        parts = self.booster.predict(row.reshape(1, -1), num_threads=1, pred_contrib=True)[0]
        return float(parts[-1]), parts[:-1]


@cache
def train(
    columns: int = len(NAMES), trees: int = 40, leaves: int = 15, seed: int = 3, *, nan: bool = True
) -> lgb.Booster:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(2000, columns)).round(2)
    target = 2 * rows[:, 0] + rows[:, 1] * (rows[:, 2] > 0) - np.abs(rows[:, columns - 1])
    if nan:
        rows[rng.random(rows.shape) < 0.1] = np.nan
    options = {
        "objective": "regression",
        "num_leaves": leaves,
        "verbose": -1,
        "num_threads": 1,
        "seed": 1,
        "min_data_in_leaf": 5,
    }
    return lgb.train(options, lgb.Dataset(rows, target), trees)


def model() -> Gbm:
    return Gbm(train())


def provenance(trait: str = "Order Completed", *, source: str = "shop", days: int = 3) -> Provenance:
    return Provenance(
        trait=trait,
        source=source,
        observed_at=NOW - timedelta(days=days),
        purpose="marketing.personalize",
        act=ActId("act_secret"),
    )


ROW = {
    "spend_180d": 1.5,
    "views_30d": 0.75,
    "days_since_cart": 0.5,
    "orders_180d": 0.25,
    "variant=offer": 1.0,
    "channel=email": 1.0,
}


def facts(row: Mapping[str, float] | None = None, *, withheld: tuple[str, ...] = (), **more) -> DecisionFacts:
    """A decision for an offer by e-mail that the model ruled; `withheld` features are absent, as the filter leaves them."""
    values = dict(ROW if row is None else row) | dict.fromkeys(withheld, float("nan"))
    features = tuple(
        FeatureValue(name=name, value=value, provenance=() if "=" in name or name in withheld else (provenance(),))
        for name, value in values.items()
    )
    score = float(model().score(np.array([list(values.values())]))[0])
    made = DecisionFacts(
        decision_id=new_id("dec"), at=NOW, person=None, placement="open", purpose="marketing.email", channel="email",
        choice="offer@email", title="Ten percent",
        candidates=(
            Candidate(candidate_id="offer@email", content="offer", channel="email", score=score, probability=0.9),
            Candidate(candidate_id="plain@email", content="plain", channel="email", stage=Stage.SCORE, reason="lower_utility", score=0.1, probability=0.05),
            Candidate(candidate_id=NOTHING, content=NOTHING, channel=None, stage=Stage.SCORE, reason="lower_utility", score=0.0, probability=0.05),
        ),
        policy=PolicyFacts(name="epsilon_greedy", ranked_by="ranker", digest="sha256:" + "b" * 64, epsilon=0.1),
        features=features, score=score, propensity=0.9, model_digest=model().digest,
        advertisement=Advertisement(is_advertisement=True, on_behalf_of="Blue Shop", paid_by="Blue Shop"),
        permission=PermissionFact(answer="granted", reason="consent.granted", act=ActId("act_1"), given_at=NOW - timedelta(days=20), basis="consent"),
        key_id=None, seed="5eed",
    )  # fmt: skip
    return replace(made, **more)


def ruled_by_rules(**more) -> DecisionFacts:
    return facts(
        policy=PolicyFacts(name="epsilon_greedy", ranked_by="rules", fallback="no_model"),
        features=(),
        score=None,
        model_digest=None,
        **more,
    )


def gated(stage: Stage, reason: str = "why", *, holdout: bool = False, **more) -> DecisionFacts:
    """Nothing was sent, because every arm was lost at a gate."""
    lost = Candidate(candidate_id="offer@email", content="offer", channel="email", stage=stage, reason=reason)
    idle = Candidate(candidate_id=NOTHING, content=NOTHING, channel=None, probability=1.0)
    return facts(
        choice=NOTHING, channel=None, candidates=(lost, idle), features=(), score=None, model_digest=None, propensity=1.0,
        permission=None, policy=PolicyFacts(name="epsilon_greedy", ranked_by="none", holdout=holdout), **more,
    )  # fmt: skip


@dataclass
class Decisions:
    """`DecisionSource` and `Decide` over hand-made facts."""

    held: dict[str, DecisionFacts] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    flips: dict[str, Verdict] = field(default_factory=dict)
    asked: int = 0

    def keep(self, made: DecisionFacts) -> DecisionFacts:
        self.held[made.decision_id] = made
        return made

    async def facts(self, decision_id):
        self.asked += 1
        if decision_id in self.closed:
            raise NotFound("expected a decision that opens, got a closed one", code=REDACTED)
        if decision_id not in self.held:
            raise NotFound("expected a decision, got none")
        return self.held[decision_id]

    async def again(self, decision_id, change):
        made = self.held[decision_id]
        same = Verdict(choice=made.choice, channel=made.channel, probability=made.propensity)
        (subject,) = change.values()
        return self.flips.get("wait" if subject is True else str(subject), same)

    async def again_each(self, decision_id, changes):
        return [await self.again(decision_id, change) for change in changes]


@dataclass
class Models:
    found: Gbm = field(default_factory=model)

    async def model(self, digest):
        return self.found


@dataclass
class Room:
    kernel: Kernel
    audit: Audit
    identity: Identity
    consent: Consent
    explain: Explain
    decisions: Decisions
    models: Models
    access: object

    async def person(self, email: str = "ada@example.org") -> tuple[PersonId, KeyId, IdentifierId]:
        new = NewRecord(
            source="shop", source_key=email, identifiers=(Identifier("email", email),), traits={"first_name": "Ada"},
            kinds={"first_name": "first_name"}, observed_at=NOW, purpose="service", basis="contract",
        )  # fmt: skip
        async with self.kernel.db.transaction() as conn:
            (record,) = await self.identity.add_records(conn, [new])
            person = (await self.identity.subjects(conn, [record]))[record].people[0]
            (contact,) = await self.identity.register_identifiers(conn, [Identifier("email", email)])
            key = (await self.identity.members(conn, [person]))[person].key_ids[0]
        return person, key, contact

    async def about(self, email: str = "ada@example.org", make=facts, **more) -> DecisionFacts:
        """A decision about a person of identity's, kept by the source and named in the log."""
        person, key, contact = await self.person(email)
        made = self.decisions.keep(make(person=person, key_id=key, identifier_id=contact, **more))
        async with self.kernel.db.transaction() as conn:
            await self.audit.append(conn, [NewEntry(Tag.DECISION_MADE, {"decision": made.decision_id}, {}, key_id=key)])
        return made

    async def rows(self, query: str, *values):
        async with self.kernel.db.reading() as conn:
            return await (await conn.execute(query, values)).fetchall()

    def token(self, decision_id: str, days: int = 30) -> str:
        return self.kernel.tokens.issue("why", decision_id, timedelta(days=days))


class Keys:
    """Secrets named after the scope they hold."""

    async def authenticate(self, secret: str) -> Principal | None:
        return Principal(f"staff:{secret}", frozenset({Scope(secret)})) if secret in set(Scope) else None


@pytest.fixture
async def room(kernel: Kernel) -> Room:
    audit = Audit(kernel)
    identity = Identity(kernel, audit)
    consent = Consent(kernel, audit, identity, ConsentSettings(controller="Blue Shop"))
    explain = Explain(kernel, audit, identity=identity)
    decisions, models = Decisions(), Models()
    explain.register(decisions, models, decisions)
    return Room(kernel, audit, identity, consent, explain, decisions, models, Keys())


async def problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, CandorError)
    status = 404 if isinstance(error, NotFound) else 403 if isinstance(error, NotPermitted) else 422
    return JSONResponse({"code": error.code, "detail": error.message}, status_code=status)


@pytest.fixture
async def client(room: Room) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.state.house = room
    app.include_router(endpoints.router)
    app.include_router(significant_endpoints.router)
    app.add_exception_handler(CandorError, problem)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://127.0.0.1:8460") as found:
        yield found
