"""Learners follow the log of decisions whole, whatever comes at one moment; what was learned goes with a decision whoever it stands under."""

import numpy as np
import pytest

from identity.identifiers import Identifier
from identity.records import NewRecord
from identity.regrouping import By
from kernel import metrics
from orchestration.decision.commit import FENCE, Refused
from orchestration.decision.service import Decisions
from orchestration.learning import following, store
from tests.orchestration.learning.test_loop import open_shop
from tests.orchestration.learning.test_online import learning

__all__ = ["open_shop"]
pytestmark = pytest.mark.anyio
BY = By("staff:ann")


def lag() -> float:
    return float(next(line.split()[-1] for line in metrics.render().decode().splitlines() if line.startswith('candor_learning_lag_seconds{placement="open"}')))  # fmt: skip


async def test_more_decisions_of_one_moment_than_one_go_takes_are_all_followed(open_shop, monkeypatch):
    shop = open_shop
    monkeypatch.setattr(following, "MOST", 1)
    monkeypatch.setattr(following, "_PAGE", 2)
    learners = await learning(shop, "thompson")
    made = [await shop.decide(shop.made[f"p{place % 4}"], seed=str(place)) for place in range(5)]
    moved, waited = [], []
    for _ in range(3):
        moved.append(await learners.learn())
        waited.append(learners.following.waits)
    assert (moved, waited) == ([1, 4, 0], [True, False, False])
    assert lag() == 0
    assert {row["decision"] for row in await shop.rows("SELECT decision FROM learning.lessons")} == {
        one.decision_id for one in made
    }


async def test_how_far_learning_is_behind_stands_in_the_metrics(open_shop, monkeypatch):
    shop = open_shop
    monkeypatch.setattr(following, "MOST", 1)
    learners = await learning(shop, "thompson")
    for place in range(3):
        await shop.decide(shop.made["p0"], seed=str(place))
        shop.clock.advance(following._OVERLAP * 2)
    behind = []
    for _ in range(3):
        await learners.learn()
        behind.append(lag())
    assert behind == [60, 40, 0]


async def test_a_library_does_not_learn_what_was_decided_anew_after_a_race(open_shop, monkeypatch):
    shop = open_shop
    learners = await learning(shop, "{name: vowpal_wabbit, features: [age], wait: 60}")
    whole, raced = Decisions._keep, []

    async def once(self, request, record, gathered):
        if not raced:
            raced.append(record.decision_id)
            return Refused(FENCE, "consent_or_graph_moved")
        return await whole(self, request, record, gathered)

    monkeypatch.setattr(Decisions, "_keep", once)
    learned = []
    monkeypatch.setattr("orchestration.learning.vowpal.Vowpal.learn", lambda *_, **more: learned.append(more))
    anew, plain = [await shop.decide(shop.made[name], seed=name) for name in ("p0", "p1")]
    assert (anew.attempts, plain.attempts) == (2, 1)
    shop.clock.advance(following._OVERLAP * 7)
    await learners.learn()
    assert [one["probability"] for one in learned] == [pytest.approx(plain.propensity)]


async def test_of_people_parted_what_was_learned_goes_with_the_one_it_was_sealed_for(open_shop):
    """A decision of before stands under the id that the others keep; the key it is sealed under is hers."""
    shop = open_shop
    learners = await learning(shop, "thompson")

    def record(key, **more):
        return NewRecord(
            source="crm", source_key=key, identifiers=(Identifier("email", f"{key}@example.org"),), traits={}, kinds={},
            observed_at=shop.clock.now(), purpose="service", basis="contract", also_for=("marketing.personalize",), **more,
        )  # fmt: skip

    hers = await shop.person("ada", age=40)
    async with shop.kernel.db.transaction() as conn:
        others = await shop.identity.add_records(conn, [record("b"), record("c")])
        for one in others:
            (who,) = (await shop.identity.subjects(conn, [one]))[one].people
            assert (await shop.identity.judging.merge(conn, hers, who, BY)).refused is None
        (mine,) = [one for one in (await shop.identity.members(conn, [hers]))[hers].records if one not in others]
    made = [await shop.decide(hers, seed="a"), await shop.decide(shop.made["p0"], seed="b")]
    assert await learners.learn() == 2
    table = {"person_id": [hers, shop.made["p0"]], "propensity": np.array([0.5, 0.5])}
    file = shop.learning._folder / "of-before.parquet"
    store.write_table(file, table, {})
    async with shop.kernel.db.transaction() as conn:
        assert (await shop.identity.judging.split(conn, hers, [mine], BY)).refused is None
        (parted,) = (await shop.identity.subjects(conn, [mine]))[mine].people
        assert parted != hers  # the others kept the id
        assert await shop.learning.export(conn, parted) == []  # of when they were one, neither is told
        await shop.learning.erase(conn, parted)
    assert [row["decision"] for row in await shop.rows("SELECT decision FROM learning.lessons")] == [
        made[1].decision_id
    ]
    assert (await shop.rows("SELECT sum(n) AS n FROM learning.tallies"))[0]["n"] == 1
    assert store.read_kept(file, []).people == [shop.made["p0"]]
