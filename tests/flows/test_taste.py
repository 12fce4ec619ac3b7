"""The loop in the demo's world, week by week: what people like is learned from what they do, and learned again when they change their minds.

No log is imported: the house makes the choices, the page tells what was seen and clicked, a till tells of orders, and the weekly job counts, trains, judges and
promotes. Only the answers are simulated (decision.D46).
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from consent.acts import NewAct, Notice
from events import mapping
from events.log import CollectContext, Source
from identity.identifiers import Identifier
from kernel.clock import FrozenClock
from orchestration.decision.request import Decision, DecisionRequest
from orchestration.demo.world import make, write
from orchestration.learning.weekly import Week, weekly
from orchestration.settings import Settings
from orchestration.wiring import build

pytestmark = pytest.mark.anyio
PEOPLE = 1_000
PLACE = "front"
NOTICE = Notice.of("May we?", version="v3", language="en")
CATALOGUE = """
controller: Meadow & Mill
contents:
  - id: front
    category: front
    variants:
      - {id: reminder, label: Reminder, channels: [web], body: Still here.}
      - {id: discount, label: Discount, channels: [web], body: Ten percent off.}
      - {id: bestsellers, label: Bestsellers, channels: [web], body: Others bought.}
placements:
  - name: front
    purpose: marketing.web
    personalize_under: marketing.personalize
    channels: [web]
    variants: [reminder, discount, bestsellers]
    time_to_live: 1h
    epsilon: {web: %s}
"""


@pytest.fixture
def clock():
    return FrozenClock(datetime(2026, 3, 1, 9, tzinfo=UTC))


@dataclass(frozen=True)
class Weekly:
    """A week of the page: the choices, how many of them were what their reader likes best, orders, and what the job of the week did."""

    made: Mapping[int, Decision]
    liked: float
    orders: int
    job: Week

    @property
    def ranked(self) -> set[str]:
        return {one.outcome.ranked_by for one in self.made.values()}


class Shop:
    """The demo's people before a page, with the answers of their nature, and of another one after a day."""

    def __init__(self, house, world) -> None:
        self.house = house
        self.world = world
        self.turned = False
        self.logins = {p.number: p.login for p in world.people if p.login}
        self.week = 0

    def likes(self, number: int) -> str:
        nature = self.world.natures[number]
        if self.turned:  # those who bought with coupons look around now, and the others the other way about
            return "bestsellers" if nature.coupons else "discount"
        return "discount" if nature.coupons else "bestsellers"

    async def open(self) -> None:
        """People and what they bought are brought, the past campaign is not; everyone with a log-in permits the page."""
        house = self.house
        files = write(self.world, house.kernel.settings.data_dir / "input")
        async with house.kernel.db.transaction() as conn:
            await house.events.register_source(conn, Source("page", "marketing.personalize", "consent"))
        for what, file, plan in files:
            if what == "people":
                await house.importer.run(file, mapping.load(plan))
        now = house.kernel.clock.now()
        async with house.kernel.db.transaction() as conn:
            found = await house.identity.resolve(conn, [[Identifier("login_id", one)] for one in self.logins.values()])
            known = {
                one.person: number for number, one in zip(self.logins, found, strict=True) if one.person is not None
            }
            self.logins = {number: self.logins[number] for number in known.values()}  # no source wrote down the others
            ids = await house.identity.register_identifiers(
                conn, [Identifier("login_id", one) for one in self.logins.values()]
            )
            await house.consent.record(conn, [
                NewAct(
                    subject=one, purpose=purpose, status="granted", channel=None, basis="consent", jurisdiction="gdpr", notice=NOTICE,
                    mechanism="form", actor="web", given_at=now - timedelta(days=200),
                )
                for one in ids for purpose in ("marketing.web", "marketing.personalize")
            ])  # fmt: skip
        for what, file, plan in files:
            if what == "events":
                await house.importer.run(file, mapping.load(plan))

    async def explore(self, share: float) -> None:
        """Publish the catalogue with this share of exploration."""
        async with self.house.kernel.db.transaction() as conn:
            await self.house.decisions.publish_catalogue(conn, CATALOGUE % share, actor="staff:ann")

    async def a_week(self) -> Weekly:
        """Everyone comes by once, looks, clicks and buys or does not; then the week's job runs."""
        self.week += 1
        requests = [
            DecisionRequest(identifiers=(Identifier("login_id", login),), placement=PLACE, seed=f"{self.week}-{login}")
            for login in self.logins.values()
        ]
        made = dict(zip(self.logins, await self.house.decisions.decide_many(requests, at_once=16), strict=True))
        self.house.kernel.clock.advance(timedelta(minutes=5))
        rng = random.Random(self.week)
        calls = []
        for number, one in made.items():
            if one.variant is None:
                continue
            calls.append(self._call("Content Viewed", number, decision_id=one.decision_id))
            if rng.random() < (0.8 if one.variant == self.likes(number) else 0.05):
                calls.append(self._call("Content Clicked", number, decision_id=one.decision_id))
                # Half of the orders name no decision, as those of a till would not.
                named = {"decision_id": one.decision_id} if rng.random() < 0.5 else {}
                calls.append(self._call("Order Completed", number, order_id=f"o{self.week}-{number}", **named))
        for start in range(0, len(calls), 100):
            told = await self.house.events.collect(calls[start : start + 100], CollectContext(source="page"))
            assert {one.status for one in told} == {"accepted"}
        self.house.kernel.clock.advance(timedelta(days=7) - timedelta(minutes=5))
        (job,) = await weekly(self.house.learning)
        liked = sum(one.variant == self.likes(number) for number, one in made.items()) / len(made)
        return Weekly(made, liked, sum(call["event"] == "Order Completed" for call in calls), job)

    def _call(self, event: str, number: int, **properties):
        return {
            "type": "track", "event": event, "userId": self.logins[number], "messageId": f"{self.week}-{event}-{number}",
            "timestamp": self.house.kernel.clock.now().isoformat(), "properties": properties,
        }  # fmt: skip


@pytest.fixture
async def shop(kernel):
    house = build(
        Settings(kernel=kernel.settings, learning={"repeats": 2, "least_rows": 200, "promotion": "direct"}), kernel
    )
    found = Shop(house, make(PEOPLE, 5, kernel.clock.now()))
    await found.open()
    yield found
    await house.events.close()
    await house.decisions.close()


async def test_taste_is_learned_from_what_people_do_and_learned_again_when_it_changes(shop) -> None:
    people = len(shop.logins)
    await shop.explore(1.0)  # a new page: a week of even chances
    first = await shop.a_week()
    assert first.liked < 0.35
    assert first.ranked == {"rules"}
    assert (first.job.outcome, first.job.rows) == ("promoted", people)
    earned = await shop.house.learning.rewards.earned(PLACE)
    assert sum(arm.rewarded for arm in earned.arms) >= first.orders > 50, (
        "orders that name no decision are credited too"
    )

    await shop.explore(0.4)
    second = await shop.a_week()
    assert second.ranked == {"ranker"}
    assert second.liked > 2 * first.liked
    assert second.job.outcome == "held", "nothing new was learned"

    shop.turned = True
    await shop.explore(0.8)  # staff see that nobody clicks any more: a page that explores learns sooner
    third = await shop.a_week()
    assert third.liked < first.liked, "yesterday's taste is wrong for all"
    assert third.job.outcome == "promoted"
    assert third.job.evaluation["vs_current"]["low"] > 0
    assert third.job.model != first.job.model

    await shop.explore(0.4)
    fourth = await shop.a_week()
    assert fourth.liked > 2 * third.liked
    assert fourth.liked > 0.4
