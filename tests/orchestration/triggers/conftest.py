"""A shop with triggers: events come in through the real door, runs go out through real decisions and a real dispatcher."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from events.log import CollectContext, Source
from identity.clusters import Clusters
from kernel.ids import PersonId
from orchestration.triggers.runs import Run
from orchestration.triggers.service import Triggers
from orchestration.triggers.settings import TriggersSettings
from tests.orchestration.conftest import Shop

CART = """
triggers:
  - name: cart
    placement: open
    when: {event: Product Added, delay: PT1H, unless: [Order Completed]}
"""
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@dataclass
class Ringing:
    """The shop, its triggers, and short words for what tests do."""

    shop: Shop
    triggers: Triggers
    told: int = 0

    async def happens(self, name: str, event: str, *, at: datetime | None = None, source: str = "cart", **properties):
        self.told += 1
        call = {
            "type": "track", "userId": name, "event": event, "messageId": f"m{self.told}", "properties": properties,
            "timestamp": (at or self.shop.clock.now()).isoformat(),
        }  # fmt: skip
        (answer,) = await self.shop.events.collect([call], CollectContext(source=source, kind="track"))
        assert answer.status == "accepted", answer
        return call

    async def work(self, after: timedelta = timedelta(0)) -> list[Run]:
        self.shop.clock.advance(after)
        return await self.triggers.work()

    async def runs(self) -> list[tuple[str, str]]:
        """State and reason of every run, oldest first."""
        return [(one.state.value, one.reason) for one in reversed(await self.triggers.runs())]

    async def deliveries(self) -> int:
        return len(await self.shop.rows("SELECT 1 FROM channels.deliveries"))

    async def merge(self, *people: PersonId) -> None:
        """A linkage run finds that they are one."""
        async with self.shop.kernel.db.transaction() as conn:
            owned = await self.shop.identity.owned(conn, people)
            records = [record for held in owned.values() for record in held]
            await self.shop.identity.publish(conn, Clusters(np.zeros(len(records), dtype=np.int64), ()), records)


def again(shop: Shop, **settings) -> Triggers:
    """Another process on the same stores."""
    wanted = {"rules_seconds": 0.0, "news_seconds": 0.001, **settings}
    return Triggers(
        shop.kernel, shop.audit, shop.identity, shop.consent, shop.events, shop.profiles, shop.decisions, shop.channels,
        TriggersSettings(**wanted),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def drawn(monkeypatch) -> None:
    """Every draw falls on a message: "nothing" is an arm, too, and is explored now and then."""
    monkeypatch.setattr("orchestration.decision.service.secrets", SimpleNamespace(token_hex=lambda _: "s1"))


@pytest.fixture
async def ring(shop: Shop) -> AsyncIterator[Ringing]:
    made = again(shop)
    shop.events.on_happened.append(made.happened)
    shop.events.on_events_stored.append(shop.profiles.records_changed)
    async with shop.kernel.db.transaction() as conn:
        await shop.events.register_source(conn, Source("cart", "service", "contract", ("marketing.email", "marketing.personalize")))  # fmt: skip
        await shop.events.register_source(conn, Source("site", "marketing.personalize", "consent"))
        await shop.events.register_source(conn, Source("till", "service", "contract"))
    return Ringing(shop, made)
