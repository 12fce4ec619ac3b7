"""Learning online on real stores: what happens teaches a placement's policy, once, and yesterday's decision replays."""

import asyncio
from datetime import timedelta

import pytest

from events.log import NewEvent
from orchestration.decision.policies.rules import ruled
from orchestration.learning import online_store
from orchestration.learning.errors import UnknownState
from orchestration.learning.online import Online
from tests.orchestration.conftest import CATALOGUE
from tests.orchestration.learning.test_loop import happens, open_shop

__all__ = ["open_shop"]
pytestmark = pytest.mark.anyio


def told(policy: str, *, placement: str = "open") -> str:
    """The catalogue with this policy, and the shipped table of rewards instead of its own."""
    whole = CATALOGUE.replace(f"name: {placement},", f"name: {placement}, policy: {policy},")
    return whole.replace(", reward: bought", "").replace("rewards: {bought: 1.0, Order Completed: 1.0}", "")


async def learning(shop, policy: str) -> Online:
    """The shop with this policy at `open`, and ears."""
    learners = shop.learning.learners
    shop.events.on_happened.append(learners.happened)
    shop.events.on_noted.append(learners.noted)
    await shop.publish(told(policy))
    assert await learners.learn() == 0
    return learners


async def known(learners):
    (found,) = await learners.status()
    return found, {one.arm: one for one in found.arms}


async def test_outcomes_and_thumbs_are_learned_once_machines_never_and_yesterdays_decisions_replay(open_shop):
    shop = open_shop
    learners = await learning(shop, "thompson")
    first = await shop.decide(shop.made["p0"], seed="a")
    assert await learners.learn() == 1
    _, before = await known(learners)
    assert (before[first.choice].n, before[first.choice].estimate) == (1, 0)
    made = [first, await shop.decide(shop.made["p1"], seed="b"), await shop.decide(shop.made["p2"], seed="c")]
    await happens(shop, "Order Completed", "p0", decision_id=first.decision_id, message="m1", order_id="o1")
    await happens(shop, "Content Rated", "p1", decision_id=made[1].decision_id, thumb="down")
    async with shop.kernel.db.transaction() as conn:
        machine = NewEvent(
            name="Email Link Clicked", event_time=shop.clock.now(), source="web", purpose="marketing.personalize",
            basis="consent", person=shop.made["p2"], properties={"decision_id": made[2].decision_id}, machine=True,
        )  # fmt: skip
        await shop.events.note(conn, [machine])
    assert await learners.learn() == 3  # two decisions that are new, the order of the first
    rewards = {
        row["decision"]: row["reward"] for row in await shop.rows("SELECT decision, reward FROM learning.lessons")
    }
    assert rewards == {made[0].decision_id: 1_000_000, made[1].decision_id: -100_000, made[2].decision_id: 0}
    await happens(
        shop, "Order Completed", "p0", decision_id=first.decision_id, message="m2", order_id="o1"
    )  # told again
    assert await learners.learn() == 0
    made.append(await shop.decide(shop.made["p3"], seed="d"))
    after, arms = await known(learners)
    assert (sum(one.n for one in arms.values()), arms[first.choice].estimate > 0) == (3, True)
    # A process that starts now knows the same.
    again = Online(
        shop.kernel, shop.identity, shop.consent, shop.decisions.shelf, learners._counting, learners._sealer,
        shop.learning.rewards.table, shop.learning.settings, default="epsilon_greedy",
    )  # fmt: skip
    assert (await again.newest("open", ruled("thompson"))).digest == after.state
    assert [(await shop.decisions.replay(one.decision_id)).status for one in made] == ["identical"] * 4
    with pytest.raises(UnknownState):
        await again.state("sha256:none")
    # An erased person is taken out of lessons and sums.
    async with shop.kernel.db.transaction() as conn:
        assert len(await shop.learning.export(conn, shop.made["p0"])) == 1
        await shop.learning.erase(conn, shop.made["p0"])
    sums = await shop.rows("SELECT sum(n) AS n, sum(reward) AS reward FROM learning.tallies")
    assert (sums[0]["n"], sums[0]["reward"]) == (2, -100_000)


@pytest.mark.parametrize(
    "policy", ["{name: linucb, features: [age]}", "{name: vowpal_wabbit, features: [age], wait: 60}"]
)
async def test_learners_of_what_is_known_of_a_person_learn_and_replay(open_shop, policy):
    shop = open_shop
    learners = await learning(shop, policy)
    made = []
    for turn in range(3):
        for name in ("p0", "p1", "p2", "p3"):
            one = await shop.decide(shop.made[name], seed=f"{turn}{name}")
            made.append(one)
            if one.variant == "plain":
                await happens(shop, "Order Completed", name, decision_id=one.decision_id, order_id=f"{turn}{name}")
        await learners.learn()
    states = await shop.rows("SELECT DISTINCT digest FROM learning.learned")
    assert len(states) == len({one["learned"] for one in [await shop_policy(shop, one) for one in made]} - {None}) + 1
    assert {(await shop.decisions.replay(one.decision_id)).status for one in made} == {"identical"}
    assert [row["n"] for row in await shop.rows("SELECT count(*) AS n FROM learning.lessons")] == [12]


async def test_what_fails_half_way_is_learned_again_and_once(open_shop, monkeypatch):
    shop = open_shop
    learners = await learning(shop, "{name: vowpal_wabbit, wait: 60}")
    made = await shop.decide(shop.made["p0"], seed="a")
    await happens(shop, "Order Completed", "p0", decision_id=made.decision_id, order_id="1")

    async def broken(*_, **__):
        raise PoweredOff

    with monkeypatch.context() as patch:
        patch.setattr(online_store, "add_state", broken)  # the last of all
        with pytest.raises(PoweredOff):
            await learners.learn()
    counts = (
        "SELECT (SELECT count(*) FROM learning.lessons) AS lessons, (SELECT count(*) FROM learning.learned) AS states"
    )
    assert await shop.rows(counts) == [{"lessons": 0, "states": 0}]
    stop = asyncio.Event()
    running = asyncio.create_task(learners.run(stop))
    async with asyncio.timeout(20):
        while (await known(learners))[0].state is None:
            await asyncio.sleep(0.05)
    stop.set()
    await running
    sums = await shop.rows("SELECT sum(n) AS n, sum(reward) AS reward FROM learning.tallies")
    assert (sums[0]["n"], sums[0]["reward"]) == (1, 1_000_000)


class PoweredOff(Exception):
    """The process is no more."""


async def test_another_rule_takes_over_what_still_holds_and_nothing_else(open_shop):
    """Sums over one feature are none over another, however many there are; a library that begins anew hears its lessons again."""
    shop = open_shop
    learners = await learning(shop, "{name: linucb, features: [age]}")
    made = await shop.decide(shop.made["p0"], seed="a")
    await happens(shop, "Order Completed", "p0", decision_id=made.decision_id, order_id="1")
    await learners.learn()

    async def state(policy):
        await shop.publish(told(policy))
        learners._shelf.forget()  # a process looks again by itself within a second
        await learners.learn()
        learners.states.forget_newest()
        return await learners.newest("open", (await learners._plan()).rules["open"][1])

    first = await state("{name: linucb, features: [age], width: 2}")
    assert len(first.arm(made.choice).theta) == 2
    other = await state("{name: linucb, features: [orders]}")
    assert (other.arm(made.choice).theta, other.arm(made.choice).reward) == ((), 1.0)
    again = await shop.decide(shop.made["p1"], seed="b")
    await learners.learn()
    other = await learners.newest("open", (await learners._plan()).rules["open"][1])
    assert len(other.arm(again.choice).theta) == 2
    slow = await state("{name: vowpal_wabbit, rate: 0.1}")
    quick = await state("{name: vowpal_wabbit, rate: 0.9}")
    assert None not in (slow.library, quick.library)
    arms = [made.choice, "nothing"]
    assert slow.library.shares(arms, {}) != quick.library.shares(arms, {})
    assert (await shop.decisions.replay(again.decision_id)).identical


async def test_what_was_let_go_is_not_learned_a_second_time(open_shop):
    """A campaign that ended long ago: its last decisions are no news, however often somebody looks."""
    shop = open_shop
    learners = await learning(shop, "thompson")
    for turn in range(2):
        made = await shop.decide(shop.made[f"p{turn}"], seed=f"{turn}")
        await happens(shop, "Order Completed", f"p{turn}", decision_id=made.decision_id, order_id=f"{turn}")
    assert await learners.learn() == 2
    sums = "SELECT sum(n) AS n, sum(reward) AS reward FROM learning.tallies"
    before = await shop.rows(sums)
    # A week later part of what people said in that week may be beyond what is counted: they are let go together or not at all.
    for days in (shop.learning.settings.reward_days + 1.5, 30, 30):
        shop.clock.advance(timedelta(days=days))
        learners._let_go_at = float("-inf")
        assert await learners.learn() == 0
        assert await shop.rows(sums) == before
    assert await shop.rows("SELECT 1 FROM learning.lessons") == []


async def shop_policy(shop, made):
    opened = await shop.decisions._sealer.open(made.decision_id)
    return opened.inputs.policy
