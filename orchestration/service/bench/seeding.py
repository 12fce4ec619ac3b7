"""A shop to decide for: people with events and consents, one placement with many arms, a ranker of full size that rules.

Enters: an open house on fresh engines. Leaves: a `World`. Everything went in by the front doors, so the path that is measured is the path that is
used: consents are acts on identifiers, the model is a file with a digest, caps and suppression are asked.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np

from audit.access.principal import Scope
from consent.acts import NewAct, Notice
from events.log import CollectContext, Source
from identity.identifiers import Identifier
from identity.records import NewRecord
from kernel.canonical import Json
from kernel.ids import PersonId
from orchestration.decision.catalogue import NOTHING
from orchestration.learning.ranker import train
from orchestration.learning.settings import LearningSettings
from orchestration.learning.store import ModelRow
from orchestration.service.bench.harness import BenchFailed
from orchestration.wiring import House

PLACEMENT: Final = "bench_home"
PURPOSES: Final = ("marketing.email", "marketing.web", "marketing.personalize", "analytics")
SOURCE: Final = "bench"
_ACTOR: Final = "system:bench"
_EVENTS: Final = ("Product Viewed", "Product Viewed", "Product Added", "Order Completed")  # of each person
_ROWS: Final = 6_000  # to train on
_CHUNK: Final = 500  # people a transaction


@dataclass(frozen=True, slots=True)
class World:
    """Whom and where to decide. `emails[i]` is an address of `people[i]`; `secret` has the scopes collect and decide."""

    people: Sequence[PersonId]
    emails: Sequence[str]
    placement: str
    arms: int
    model: str
    secret: str


async def people(house: House, count: int) -> tuple[list[PersonId], list[str]]:
    """People with a record, an address, events and granted consents."""
    now = house.kernel.clock.now()
    notice = Notice.of("May we?", version="v1", language="en")
    source = Source(SOURCE, "service", "contract", also_for=("marketing.personalize", "analytics"))
    async with house.kernel.db.transaction() as conn:
        await house.events.register_source(conn, source)
    ids: list[PersonId] = []
    contacts = [Identifier("email", f"person{number}@example.org") for number in range(count)]
    for start in range(0, count, _CHUNK):
        part = contacts[start : start + _CHUNK]
        records = [
            NewRecord(
                source=SOURCE, source_key=str(start + place), identifiers=(one, Identifier("login_id", f"u{start + place}")),
                traits={"first_name": f"Name{start + place}"}, kinds={}, observed_at=now - timedelta(days=30),
                purpose="service", basis="contract", also_for=("marketing.personalize",),
            )
            for place, one in enumerate(part)
        ]  # fmt: skip
        async with house.kernel.db.transaction() as conn:
            await house.identity.add_records(conn, records)
            subjects = await house.identity.register_identifiers(conn, part)
            acts = [
                NewAct(
                    subject=subject, purpose=purpose, status="granted", channel=None, basis="consent", jurisdiction="gdpr",
                    notice=notice, mechanism="form", actor=_ACTOR, given_at=now - timedelta(days=20),
                )
                for subject in subjects for purpose in PURPOSES
            ]  # fmt: skip
            await house.consent.record(conn, acts)
            found = await house.identity.resolve(conn, [[one] for one in part])
        ids += [one.person for one in found if one.person is not None]
    for start in range(0, count, _CHUNK):
        calls: list[Json] = [
            {
                "type": "track", "event": name, "userId": f"u{number}", "messageId": f"bench-{number}-{place}",
                "timestamp": (now - timedelta(days=1 + (number * 7 + place) % 25)).isoformat(),
                "properties": {"revenue": 10.0 + number % 90, "price": 5.0 + number % 40, "product_id": f"p{number % 50}"},
            }
            for number in range(start, min(start + _CHUNK, count)) for place, name in enumerate(_EVENTS)
        ]  # fmt: skip
        told = await house.events.collect(calls, CollectContext(source=SOURCE, actor=_ACTOR))
        if lost := Counter(f"{one.status}: {one.reason}" for one in told if one.status != "accepted"):
            msg = f"expected every event of the benchmark's people to be accepted, got {dict(lost)}"
            raise BenchFailed(msg)
    return ids, [one.value for one in contacts]


async def catalogue(house: House, arms: int) -> int:
    """One placement with this many arms, half of them on the web and half by e-mail with a cap; the number of arms."""
    half = (arms + 1) // 2
    variants = "\n".join(
        f"      - {{id: v{number}, label: Offer {number}, channels: [web, email], subject: Offer {number}, "
        f"body: 'Words of offer {number}.', value: 10.0, cost: 0.0{number % 10}, tags: [t{number % 5}]}}"
        for number in range(half)
    )
    text = f"""
controller: Bench
contents:
  - id: offers
    category: offers
    variants:
{variants}
placements:
  - name: {PLACEMENT}
    purpose: {{web: marketing.web, email: marketing.email}}
    channels: [web, email]
    variants: [{", ".join(f"v{number}" for number in range(half))}]
    caps: [{{limit: 3, window: 7d, scope: channel}}]
    holdout: {{name: bench, share: 0.05}}
rewards: {{Order Completed: 1.0}}
"""
    async with house.kernel.db.transaction() as conn:
        await house.decisions.publish_catalogue(conn, text, actor=_ACTOR)
    return half * 2


async def ranker(house: House, arms: int, *, trees: int = 300, leaves: int = 31) -> str:
    """A LightGBM of this size on the real columns, trained on made-up rewards, that rules the placement; its digest."""
    features = house.profiles.features
    half = (arms + 1) // 2
    names = (
        *features.names, *(f"variant=v{number}" for number in range(half)), f"variant={NOTHING}",
        "channel=web", "channel=email", *(f"tag=t{number}" for number in range(5)),
    )  # fmt: skip
    draw = np.random.default_rng(7)
    rows = np.zeros((_ROWS, len(names)))
    base = len(features.names)
    rows[:, :base] = draw.gamma(1.5, 2.0, (_ROWS, base))
    arm = draw.integers(0, half + 1, _ROWS)
    rows[np.arange(_ROWS), base + arm] = 1.0
    rows[np.arange(_ROWS), base + half + 1 + draw.integers(0, 2, _ROWS)] = 1.0
    rows[np.arange(_ROWS), base + half + 3 + arm % 5] = 1.0
    reward = np.sin(rows[:, 0]) + rows[:, 1] * 0.1 + (arm % 7) * 0.2 + draw.normal(0, 0.5, _ROWS)
    settings = LearningSettings(trees=trees, leaves=leaves)
    model, content = train(rows, reward, feature_names=names, feature_set=features.digest, settings=settings)
    house.learning.keep(content)
    now = house.kernel.clock.now()
    row = ModelRow(
        digest=model.digest, placement=PLACEMENT, feature_set=features.digest, training_set=f"sha256:{'0' * 64}",
        rows=_ROWS, evaluation={"decision": "promote"}, trained_at=now,
    )  # fmt: skip
    async with house.kernel.db.transaction() as conn:
        await house.learning.register(conn, row, actor=_ACTOR)
        await house.learning.rule(conn, row, actor=_ACTOR, reason="bench")
    return model.digest


async def seed(house: House, *, count: int, arms: int) -> World:
    """The whole world, its hot store warm."""
    ids, emails = await people(house, count)
    made = await catalogue(house, arms)
    digest = await ranker(house, arms)
    key = await house.access.create_key([Scope.COLLECT, Scope.DECIDE], actor=_ACTOR, name="bench", source=SOURCE)
    await house.events.analyse()
    await house.identity.analyse()
    await house.rebuild_cache()
    return World(ids, emails, PLACEMENT, made, digest, key.secret)
