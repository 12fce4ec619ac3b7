"""What a library learned from somebody who is erased is not kept in its weights; states of learners go when their time is over, never the newest."""

from datetime import timedelta

import pytest

from kernel.canonical import digest_of
from kernel.holders import Term
from orchestration.decision.policies.learned import model_in
from orchestration.decision.policies.rules import digest_of_rule, recorded
from orchestration.learning import learned_store, online_store
from orchestration.learning.library import LibraryLearner, untaught
from tests.orchestration.learning.test_loop import happens, open_shop
from tests.orchestration.learning.test_online import learning

__all__ = ["open_shop"]
pytestmark = pytest.mark.anyio
POLICY = {"name": "vowpal_wabbit", "parameters": {"features": ["age"], "wait": 60}}


async def newest(shop) -> bytes:
    (row, *_) = await shop.rows("SELECT content FROM learning.learned ORDER BY seq DESC LIMIT 1")
    return model_in(bytes(row["content"]))


async def test_after_an_erasure_the_library_knows_what_the_lessons_of_all_others_teach(open_shop):
    shop = open_shop
    learners = await learning(shop, "{name: vowpal_wabbit, features: [age], wait: 60}")
    for name in ("p0", "p1", "p2", "p3"):
        made = await shop.decide(shop.made[name], seed=name)
        await happens(shop, "Order Completed", name, decision_id=made.decision_id, order_id=name)
    await learners.learn()
    rule = recorded(POLICY)
    async with shop.kernel.db.reading() as conn:
        (kept,) = (await online_store.newest_states(conn)).values()
        lessons = await online_store.of_people(conn, sorted(shop.made.values()))
    assert kept.policy == digest_of_rule(rule)
    with_her = await newest(shop)

    async with shop.kernel.db.transaction() as conn:
        await shop.learning.erase(conn, shop.made["p1"])
    assert await newest(shop) == untaught(rule)  # nothing of her decides from the commit on
    await learners.learn()
    others = [one for one in lessons if one.person != shop.made["p1"]]
    assert len(others) == 3
    async with shop.kernel.db.reading() as conn:
        opened = await learners._opened(conn, [one.decision for one in others])
    assert await newest(shop) == LibraryLearner().learn("open", rule, None, None, opened, others) != with_her
    assert (await learners.newest("open", rule)).digest is not None

    # Whoever taught nothing takes nothing along: the weights stay as they are.
    before = await newest(shop)
    async with shop.kernel.db.transaction() as conn:
        await shop.learning.erase(conn, await shop.person("new"))
    assert await newest(shop) == before


async def test_states_go_on_their_day_and_the_newest_stays(shop):
    now = shop.clock.now()
    async with shop.kernel.db.transaction() as conn:
        for placement, days in (("open", 9), ("open", 8), ("open", 1), ("cart", 9)):
            content = b"%s %d" % (placement.encode(), days)
            at = now - timedelta(days=days)
            await online_store.add_state(conn, placement, "sha256:p", digest_of(content), content, at)
        term = Term("learned_states", now - timedelta(days=5))
        keeping = shop.learning.keeping
        assert await keeping.overdue(conn, term) == 2
        assert [await keeping.let_go(conn, term, 1) for _ in range(3)] == [1, 1, 0]
        told = await learned_store.told(conn)
    assert {name: one.states for name, one in told.items()} == {"open": 1, "cart": 1}
