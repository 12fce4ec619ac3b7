"""The loop on real stores: shown, answered, counted by version, learned from, week by week (decision.D41, D46)."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from events.log import CollectContext, NewEvent, Source
from orchestration.learning import service as learning_service
from orchestration.learning import weekly as job
from orchestration.learning.errors import NoRewardsYet
from orchestration.learning.evaluation import mean_of
from orchestration.learning.weekly import week_of, weekly
from orchestration.learning.weights import both, inverse, recent
from tests.orchestration.conftest import NOW
from tests.orchestration.learning.test_service import past

pytestmark = pytest.mark.anyio
DAY = timedelta(days=1)


async def happens(shop, name, who, *, at=None, source="web", message=None, **properties):
    call = {
        "type": "track", "event": name, "userId": who, "properties": properties,
        "timestamp": (at or shop.clock.now()).isoformat(),
    }  # fmt: skip
    if message:
        call["messageId"] = message
    (answer,) = await shop.events.collect([call], CollectContext(source=source))
    return answer.status


@pytest.fixture
async def open_shop(shop):
    async with shop.kernel.db.transaction() as conn:
        await shop.events.register_source(conn, Source("web", "marketing.personalize", "consent"))
    for place in range(4):
        await shop.person(f"p{place}", age=20 + place)
    return shop


async def test_a_late_conversion_changes_nothing_until_it_is_counted_again(open_shop):
    shop = open_shop
    who = shop.made["p0"]
    made = await shop.decide(who, "open", seed="a")
    with pytest.raises(NoRewardsYet):
        await shop.learning.rewards.earned("open")
    shop.clock.advance(8 * DAY)
    first = await shop.learning.rewards.recompute()
    assert (await shop.learning.rewards.earned("open")).arms[0].rewarded == 0
    shop.clock.advance(timedelta(hours=1))  # it happened on the second day and is told on the eighth
    assert await happens(shop, "bought", "p0", at=NOW + 2 * DAY, decision_id=made.decision_id) == "accepted"
    assert (await shop.learning.rewards.earned("open")).arms[0].rewarded == 0
    shop.clock.advance(timedelta(hours=1))
    again = await shop.learning.rewards.recompute(as_of=first.as_of)
    assert (again.version, again.digest, again.changed) == (first.version + 1, first.digest, 0)
    last = await shop.learning.rewards.recompute()
    assert (last.changed, last.digest == first.digest) == (1, False)
    assert (await shop.learning.rewards.earned("open")).arms[0].rewarded == 1
    async with shop.kernel.db.reading() as conn:  # the first version still says what it said
        assert (await shop.learning.rewards.of(conn, first, "open"))[made.decision_id].reward == 0.0
        assert (await shop.learning.rewards.of(conn, last, "open"))[made.decision_id].reward == 1.0
    logged = await shop.rows("SELECT count(*) AS n FROM audit.entries WHERE tag = 'rewards.counted'")
    assert logged[0]["n"] == 3


async def test_an_order_that_names_nobody_is_credited_to_what_she_saw_once(open_shop):
    shop = open_shop
    await shop.publish((await _with_two()).replace("reward: bought", ""))
    one = await shop.decide(shop.made["p1"], "open", seed="b")
    shop.clock.advance(timedelta(hours=1))
    two = await shop.decide(shop.made["p1"], "cart", seed="b")
    shop.clock.advance(timedelta(hours=1))
    for message in ("m1", "m1"):  # a repeat
        await happens(shop, "Order Completed", "p1", message=message, order_id="o1", revenue=9)
    assert (
        await happens(shop, "Order Completed", "p1", order_id="o1", revenue=9) == "accepted"
    )  # told again under another id
    shop.clock.advance(8 * DAY)
    run = await shop.learning.rewards.recompute()
    async with shop.kernel.db.reading() as conn:
        found = {
            **await shop.learning.rewards.of(conn, run, "open"),
            **await shop.learning.rewards.of(conn, run, "cart"),
        }
    assert sum(reward.credits.get("Order Completed", 0) for reward in found.values()) == 1_000_000
    winner = two if not two.nothing else one
    assert found[winner.decision_id].reward == 1.0


async def _with_two():
    from tests.orchestration.conftest import CATALOGUE

    return CATALOGUE


async def test_a_machine_teaches_nothing(open_shop):
    shop = open_shop
    made = await shop.decide(shop.made["p2"], "open", seed="c")
    async with shop.kernel.db.transaction() as conn:
        await shop.events.prepare()
        await shop.events.note(conn, [NewEvent(
            name="bought", event_time=NOW, source="candor", purpose="marketing.email", basis="consent", person=made.person,
            properties={"decision_id": made.decision_id}, machine=True, confidence=0.99,
        )])  # fmt: skip
    shop.clock.advance(8 * DAY)
    assert (await shop.learning.training_set("open")).log.reward.tolist() == [0.0]


async def test_what_was_decided_anew_after_a_race_is_in_no_training_set(open_shop, monkeypatch):
    shop = open_shop
    from orchestration.decision import service as decision_service

    whole = decision_service.Decisions._keep
    raced = []

    async def once(self, request, record, gathered):
        if not raced:
            raced.append(record.decision_id)
            from orchestration.decision.commit import FENCE, Refused

            return Refused(FENCE, "consent_or_graph_moved")
        return await whole(self, request, record, gathered)

    monkeypatch.setattr(decision_service.Decisions, "_keep", once)
    found = [await shop.decide(shop.made[f"p{place}"], "open", seed=str(place)) for place in range(3)]
    assert found[0].attempts == 2
    shop.clock.advance(8 * DAY)
    made = await shop.learning.training_set("open")
    assert made.left_out["decided_again"] == 1
    assert set(made.people) == {one.person for one in found[1:]}


async def test_erasing_somebody_takes_her_rewards_along(open_shop):
    shop = open_shop
    made = await shop.decide(shop.made["p3"], "open", seed="d")
    await shop.learning.rewards.recompute()
    assert len(await shop.rows("SELECT 1 FROM learning.rewards WHERE decision = %s", made.decision_id)) == 1
    async with shop.kernel.db.transaction() as conn:
        await shop.learning.erase(conn, made.person)
    assert await shop.rows("SELECT 1 FROM learning.rewards WHERE decision = %s", made.decision_id) == []


# the weekly job


async def test_the_week_trains_promotes_and_is_done_once(shop, tmp_path):
    await past(shop, tmp_path, count=450)
    (week,) = await weekly(shop.learning)
    assert (week.outcome, week.placement, week.week, week.rows, week.fresh) == (
        "promoted",
        "open",
        week_of(NOW),
        450,
        True,
    )
    assert week.evaluation["calibration"]["ece"] < 0.2
    assert abs(sum(week.evaluation["importance"].values()) - 1) < 1e-9
    assert next(iter(week.evaluation["importance"])) in {"age", "variant=plain", "variant=offer"}
    (told,) = await weekly(shop.learning)
    assert (told.model, told.outcome, told.fresh) == (week.model, "promoted", False)
    assert len(await shop.rows("SELECT 1 FROM learning.promotions")) == 1
    shop.clock.advance(7 * DAY)
    (next_week,) = await weekly(shop.learning)
    assert next_week.outcome == "held"  # nothing new was learned: equal bytes
    assert len(await shop.rows("SELECT 1 FROM learning.promotions")) == 1
    shop.clock.advance(8 * DAY)
    assert any("older than 14 days" in fault for fault in await shop.learning.faults())
    assert any("older than 14 days" in alarm for alarm in (await weekly(shop.learning))[0].alarms)


async def test_a_week_whose_features_know_the_answer_makes_no_model_and_says_so(shop, tmp_path, monkeypatch):
    """features.F46: here everybody who bought, and nobody else, gets a trait."""
    await past(shop, tmp_path, count=450)
    made = await shop.learning.training_set("open")
    told = replace(made.log, features=np.where(made.log.reward[:, None] > 0, 1.0, made.log.features))
    monkeypatch.setattr(shop.learning, "training_set", lambda *_, **__: asyncio.sleep(0, replace(made, log=told)))
    (week,) = await weekly(shop.learning)
    assert (week.outcome, week.model, week.fresh) == ("leak", None, True)
    assert any("know the answer" in one for one in week.alarms)
    assert await shop.rows("SELECT 1 FROM learning.models") == []


class Killed(BaseException):
    """Not an Exception: nothing in the product may catch it."""


@pytest.mark.parametrize("where", ["training_set", "fit", "register", "rule", "move_week"])
async def test_killed_anywhere_the_week_goes_on_and_promotes_exactly_once(shop, tmp_path, monkeypatch, where):
    await past(shop, tmp_path, count=450)
    owner = job.rewards_store if where == "move_week" else learning_service.Learning
    whole = getattr(owner, where)

    async def kill(*given, **named):
        await whole(*given, **named)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(owner, where, kill)
        with pytest.raises(Killed):
            await weekly(shop.learning)
    assert await shop.rows("SELECT 1 FROM learning.promotions") == []  # the promotion and its note are one commit
    assert (await shop.learning.active("open")).fallback == "no_model"
    (week,) = await weekly(shop.learning)
    assert week.outcome == "promoted"
    rules = await shop.rows("SELECT digest FROM learning.promotions")
    assert [row["digest"] for row in rules] == [week.model]
    assert (await shop.learning.active("open")).model.digest == week.model


async def test_of_two_jobs_of_one_week_the_first_word_stands(shop, tmp_path, monkeypatch):
    await past(shop, tmp_path, count=450)
    whole, first = learning_service.Learning.fit, []

    async def overtaken(learning, *given, **named):
        made = await whole(learning, *given, **named)
        with monkeypatch.context() as patch:
            patch.setattr(learning_service.Learning, "fit", whole)
            first.extend(await weekly(shop.learning, actor="quick"))
        return made

    with monkeypatch.context() as patch:
        patch.setattr(learning_service.Learning, "fit", overtaken)
        (slow,) = await weekly(shop.learning, actor="slow")
    (quick,) = first
    assert (quick.outcome, quick.fresh) == ("promoted", True)
    assert (slow.outcome, slow.model, slow.fresh) == ("promoted", quick.model, False)
    assert (await weekly(shop.learning))[0].outcome == "promoted"
    assert len(await shop.rows("SELECT 1 FROM learning.promotions")) == 1


async def test_a_model_judged_against_one_that_rules_no_longer_does_not_rule(shop, tmp_path, monkeypatch):
    await past(shop, tmp_path, count=450)
    whole = learning_service.Learning.rule

    async def kill(*given, **named):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(learning_service.Learning, "rule", kill)
        with pytest.raises(Killed):
            await weekly(shop.learning)
    other = await shop.learning.train("open", actor="staff:ann", promote=False)
    await shop.learning.promote(other.digest, actor="staff:ann", reason="mine first", force=True)
    assert whole is learning_service.Learning.rule
    (week,) = await weekly(shop.learning)
    assert week.outcome in {"held", "overtaken"}
    assert len(await shop.rows("SELECT 1 FROM learning.promotions")) == 1


def test_unlikely_choices_weigh_more_up_to_the_limit_and_a_uniform_log_needs_no_weights():
    assert inverse(np.full(10, 1 / 3), 20.0)[0] is None
    weight, told = inverse(np.array([0.95] * 99 + [0.005]), 20.0)
    assert weight[-1] == weight.max() > 15 * weight[0]
    assert abs(weight.mean() - 1) < 1e-12
    assert told.clipped == 0.01
    assert told.ess < 100
    loose, _ = inverse(np.array([0.95] * 99 + [0.005]), 1000.0)
    assert loose[-1] > weight[-1]


def test_a_decision_of_a_half_life_ago_counts_half_and_hours_do_not_count():
    newest = NOW
    assert recent([newest, newest - timedelta(hours=23)], 28.0) is None
    weight = recent([newest, newest - timedelta(days=28), newest - timedelta(days=56)], 28.0)
    assert np.allclose(weight / weight[0], [1, 0.5, 0.25])
    assert abs(weight.mean() - 1) < 1e-12
    assert recent([], 28.0) is None
    assert both(None, weight) is weight
    assert both(weight, None) is weight
    assert np.allclose(both(weight, np.array([0.5, 1.0, 2.0])), [1.0, 1.0, 1.0])


def test_rows_that_count_alike_give_the_interval_of_rows_that_are_not_weighted():
    scores = np.random.default_rng(1).normal(size=500)
    plain, alike = mean_of(scores), mean_of(scores, np.ones(500))
    assert np.allclose([plain.value, plain.low, plain.high], [alike.value, alike.low, alike.high], atol=1e-4)
    half = mean_of(scores, np.repeat([1.0, 0.0], 250))
    assert abs(half.value - scores[:250].mean()) < 1e-12
    assert half.high - half.low > plain.high - plain.low
