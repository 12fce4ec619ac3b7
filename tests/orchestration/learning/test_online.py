"""Learning online on real stores: what happens teaches a placement's policy, once, and yesterday's decision replays."""

import pytest

from tests.orchestration.conftest import CATALOGUE
from tests.orchestration.learning.test_loop import happens, open_shop

__all__ = ["open_shop"]
pytestmark = pytest.mark.anyio


def policy(told: str) -> str:
    """The catalogue with this policy at `open`."""
    return CATALOGUE.replace("name: open,", f"name: open, policy: {told},")


@pytest.fixture
async def learning_shop(open_shop):
    shop = open_shop
    shop.events.on_happened.append(shop.learning.learners.happened)
    shop.events.on_noted.append(shop.learning.learners.noted)
    await shop.publish(policy("thompson"))
    await shop.learning.learners.learn()
    return shop


async def known(shop, placement="open"):
    (found,) = [one for one in await shop.learning.learners.status() if one.placement == placement]
    return {one.arm: one for one in found.arms}


async def test_an_outcome_is_learned_once_and_yesterdays_decision_replays(learning_shop):
    shop = learning_shop
    learn = shop.learning.learners.learn
    first = await shop.decide(shop.made["p0"], seed="a")
    assert await learn() == 1
    before = await known(shop)
    assert before[first.choice].n == 1
    second = await shop.decide(shop.made["p1"], seed="b")
    await happens(shop, "bought", "p1", decision_id=second.decision_id, message="m1")
    await happens(shop, "bought", "p1", decision_id=second.decision_id, message="m1")
    assert await learn() >= 1
    assert await learn() == 0
    after = await known(shop)
    assert sum(one.n for one in after.values()) == 2
    assert after[second.choice].estimate > before[first.choice].estimate
    third = await shop.decide(shop.made["p2"], seed="c")
    inputs = (await shop.decisions.show(third.decision_id))["digests"]
    assert inputs["policy"]
    for made in (first, second, third):
        assert (await shop.decisions.replay(made.decision_id)).identical
