"""What is weighed reaches real decisions: fatigue of real messages, a page through the door, terms shown, replays, what holds without the hot store."""

from datetime import timedelta

import pytest

from kernel.cache import CacheUnavailable
from orchestration.decision.request import DecisionRequest
from orchestration.decision.slate import Beside
from tests.orchestration.conftest import CATALOGUE

pytestmark = pytest.mark.anyio

WEIGHED = CATALOGUE.replace(
    "rewards:",
    """arbitration:
  unit: EUR
  channel_costs: {email: 0.125}
  levers: [{name: twice, factor: 2, variants: [plain]}]
  fatigue: {cost: 0.25, half_life: 1d}
page: {category: 0.5}
rewards:""",
).replace("{name: home,", "{name: held, purpose: marketing.email, channels: [email], variants: [plain, offer], holds: true, time_to_live: 1h, epsilon: {email: 1}}\n  - {name: home,").replace("{name: adults,", "{name: quiet, purpose: marketing.email, channels: [email], variants: [plain], activation: {features: [orders], least: 1}}\n  - {name: adults,")  # fmt: skip


def utility(made, name):
    return next(one.utility for one in made.outcome.judged if one.id == name)


async def test_terms_of_a_real_decision(shop):
    await shop.publish(WEIGHED)
    ada = await shop.person("ada")

    first = await shop.decide(ada, dry_run=True, seed="s")
    assert (utility(first, "plain@email"), utility(first, "offer@email")) == (2.0 - 0.125, 1.0 - 0.05 - 0.125)
    for place in range(40):  # nothing is drawn now and then
        if (await shop.decide(ada, send=True, trigger="test", seed=f"s{place}")).delivery_id is not None:
            break

    tired = await shop.decide(ada)
    assert utility(tired, "plain@email") == 2.0 - 0.125 - 0.25
    shown = await shop.decisions.show(tired.decision_id)
    assert shown["v"] == 2
    arms = {one["id"]: one for one in shown["arbitration"]["arms"]}
    assert [one["name"] for one in arms["plain@email"]["factors"]] == ["value", "twice"]
    assert arms["plain@email"]["utility"] == utility(tired, "plain@email")
    assert [one["amount"] for one in arms["offer@email"]["deductions"]] == [0.05, 0.125, 0.25]
    assert (await shop.decisions.replay(tired.decision_id)).identical

    shop.clock.advance(timedelta(days=1))
    rested = await shop.decide(ada, dry_run=True, seed="s")
    assert utility(rested, "plain@email") == 2.0 - 0.125 - 0.125

    # Below its signals a placement personalises nothing: nobody is seen, the variant of hers stays out.
    quiet = await shop.decide(ada, "quiet")
    assert quiet.withheld == "sure:too_few_signals"
    assert (await shop.decisions.replay(quiet.decision_id)).identical

    # A choice holds for its time to live, and no longer.
    for place in range(40):
        kept = await shop.decide(ada, "held", seed=f"h{place}")
        if not kept.nothing:
            break
    rest = await shop.decide(ada, "held", dry_run=True, seed="s")
    other = next(one for one in rest.outcome.judged if one.arm is not None and one.arm.variant != kept.variant)
    assert other.rejection.reason == "another_choice_holds"
    shop.clock.advance(timedelta(hours=1))
    assert (await shop.decide(ada, "held", dry_run=True, seed="s")).outcome.judged[0].propensity > 0

    # What stands beside it on the page is out before the draw, by its category too.
    asked = DecisionRequest(person=ada, placement="open", beside=Beside(categories=frozenset({"reminder"})))
    beside = await shop.decisions.decide(asked)
    assert beside.withheld == "diversity:category_full_on_page"


async def test_without_the_hot_store_the_same_is_decided_from_postgres(shop, monkeypatch):
    await shop.publish(WEIGHED)
    ada = await shop.person("ada")
    warm = await shop.decide(ada, dry_run=True, seed="s")

    async def down(work):
        raise CacheUnavailable("expected the hot store to answer, got none")

    monkeypatch.setattr(shop.kernel.cache, "run", down)
    cold = await shop.decide(ada, dry_run=True, seed="s")

    assert [(one.id, one.propensity, one.utility) for one in cold.outcome.judged] == [
        (one.id, one.propensity, one.utility) for one in warm.outcome.judged
    ]
