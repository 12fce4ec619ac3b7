"""Learning on real stores: imported decisions to a model that rules, its file broken, rolled back, a person erased from it."""

import random
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow.parquet as pq
import pytest

from consent.requests import Rights
from events.importer import Importer
from events.log import Source
from events.mapping import load
from orchestration.learning.errors import ModelBroken, NotBetter, NothingToRollBack, TooLittleToLearn, UnknownModel
from tests.orchestration.conftest import NOW

pytestmark = pytest.mark.anyio

MAP = """
source: past
what: decisions
subject: {kind: login_id, column: login}
timestamp: at
placement: open
arm: arm
propensity: {constant: 0.3333333333333333}
outcomes: {bought: {column: bought, type: number}}
features: {age: {column: age, type: number}}
collect_under: {purpose: marketing.personalize, basis: consent}
"""


async def past(shop, tmp_path, count=160, *, seed=3):
    """People whose best arm depends on their age, and a log of uniform choices about them."""
    rng = random.Random(seed)
    lines = ["login,at,arm,bought,age"]
    ages = {f"p{place}": rng.choice([20, 60]) for place in range(count)}
    await shop.people({name: age for name, age in ages.items() if name not in shop.made})
    for name, age in ages.items():
        arm = rng.choice(["plain", "old_offer", "none"])
        good = {"plain": age < 40, "old_offer": age >= 40}.get(arm, False)
        bought = int(rng.random() < (0.9 if good else 0.1))
        lines.append(f"{name},{(NOW - timedelta(days=10)).isoformat()},{arm},{bought},{age}")
    (tmp_path / "past.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "past.map.yaml").write_text(MAP)
    importer = Importer(shop.kernel, shop.audit, {"decisions": shop.learning.decision_rows})
    return await importer.run(
        tmp_path / "past.csv", load(tmp_path / "past.map.yaml"), dry_run=False, progress=lambda _: None
    )


async def test_imported_decisions_become_a_model_that_rules_and_can_be_taken_back(shop, tmp_path):
    report = await past(shop, tmp_path, count=450)
    assert report.accepted == 450
    made = await shop.learning.train("open", actor="staff:ann")
    assert made.rows == 450
    assert made.evaluation["vs_best_fixed"]["decision"] == "promote"
    assert made.evaluation["vs_rules"]["decision"] == "promote"
    assert made.promoted
    young, old = "email:y@example.org", "email:o@example.org"
    await shop.person("y", age=20)
    await shop.person("o", age=60)
    best = {}
    for who in (young, old):
        found = await shop.decide(who, seed="a")
        assert found.outcome.ranked_by == "ranker"
        best[who] = max(found.outcome.judged, key=lambda one: one.propensity).id
        assert (await shop.decisions.replay(found.decision_id)).identical
        facts = await shop.decisions.facts(found.decision_id)
        ages = [one for one in facts.features if one.name == "age"]
        assert ages[0].value in {20.0, 60.0}
        assert ages[0].provenance[0].trait == "age"
    assert best == {young: "plain@email", old: "offer@email"}
    back = await shop.learning.rollback("open", actor="staff:ann")
    assert back.digest is None
    assert (await shop.decide(young)).outcome.fallback == "no_model"
    with pytest.raises(NothingToRollBack):
        await shop.learning.rollback("open", actor="staff:ann")
    again = await shop.learning.promote(made.digest, actor="staff:ann", reason="it was good")
    assert again.digest == made.digest
    assert (await shop.decide(young)).outcome.ranked_by == "ranker"


async def test_training_again_on_the_same_data_gives_the_same_file(shop, tmp_path):
    await past(shop, tmp_path, count=120)
    one = await shop.learning.train("open", promote=False)
    two = await shop.learning.train("open", promote=False)
    assert (one.digest, one.training_set) == (two.digest, two.training_set)
    assert not one.promoted
    with pytest.raises(UnknownModel):
        await shop.learning.promote("sha256:" + "0" * 64, actor="staff:ann", reason="?")


@pytest.mark.parametrize("harm", ["missing", "altered", "empty"])
async def test_a_broken_model_file_means_named_rules_with_an_exact_vector_and_a_word_from_the_doctor(
    shop, tmp_path, harm
):
    """decision.D11."""
    await past(shop, tmp_path, count=120)
    made = await shop.learning.train("open")
    await shop.learning.promote(made.digest, actor="staff:ann", reason="try it", force=True)
    assert await shop.learning.faults() == []
    path = shop.learning._registry.path(made.digest)
    if harm == "missing":
        path.unlink()
    else:
        path.write_bytes(b"" if harm == "empty" else path.read_bytes()[:-9] + b"nonsense}")
    shop.learning._registry._loaded.clear()
    await shop.person("y", age=20)
    found = await shop.decide("email:y@example.org")
    assert (found.outcome.ranked_by, found.outcome.fallback) == ("rules", "model_broken")
    assert abs(sum(one.propensity for one in found.outcome.judged) - 1) <= 1e-12
    (told,) = await shop.learning.faults()
    assert "placement open" in told
    assert "candor learn" in told
    assert (await shop.decisions.replay(found.decision_id)).identical
    with pytest.raises(ModelBroken):
        await shop.learning.promote(made.digest, actor="staff:ann", reason="again")


async def test_importing_the_same_rows_again_changes_nothing(shop, tmp_path):
    await past(shop, tmp_path, count=30)
    before = await shop.rows("SELECT * FROM learning.logged ORDER BY key")
    copy = tmp_path / "copy.csv"
    copy.write_text((tmp_path / "past.csv").read_text() + "\n")
    importer = Importer(shop.kernel, shop.audit, {"decisions": shop.learning.decision_rows})
    report = await importer.run(copy, load(tmp_path / "past.map.yaml"), dry_run=False, progress=lambda _: None)
    assert before == await shop.rows("SELECT * FROM learning.logged ORDER BY key")
    assert (report.accepted, report.duplicates) == (0, 30)


async def test_too_few_rows_are_an_error_with_a_remedy(shop, tmp_path):
    await past(shop, tmp_path, count=30)
    with pytest.raises(TooLittleToLearn, match="got 30"):
        await shop.learning.train("open")


async def test_what_the_gate_holds_is_promoted_by_force_only(shop, tmp_path, monkeypatch):
    await past(shop, tmp_path, count=120)
    from orchestration.learning import promotion

    judge = promotion.judge
    monkeypatch.setattr(promotion, "judge", lambda *given: judge(*given) | {"decision": "hold"})
    made = await shop.learning.train("open")
    assert not made.promoted
    with pytest.raises(NotBetter):
        await shop.learning.promote(made.digest, actor="staff:ann", reason="I like it")
    forced = await shop.learning.promote(made.digest, actor="staff:ann", reason="I know better", force=True)
    assert forced.digest == made.digest


async def test_our_own_decisions_teach_with_the_features_they_were_made_on(shop, tmp_path):
    async with shop.kernel.db.transaction() as conn:
        await shop.events.register_source(conn, Source("web", "service", "contract"))
    for place in range(6):
        await shop.person(f"p{place}", age=20 + place)
    made = [await shop.decide(f"email:p{place}@example.org", seed=f"s{place}") for place in range(6)]
    from events.log import CollectContext

    call = {"type": "track", "event": "bought", "userId": "p0", "messageId": "m1",
            "properties": {"decision_id": made[0].decision_id}, "timestamp": NOW.isoformat()}  # fmt: skip
    (answer,) = await shop.events.collect([call], CollectContext(source="web"))
    assert answer.status == "accepted"
    young = await shop.learning.training_set("open")
    assert len(young.people) == 0  # the window is not over
    shop.clock.advance(timedelta(days=8))
    found = await shop.learning.training_set("open")
    kept = [one for one in made if one.propensity < 1]
    assert len(found.people) == len(kept)
    rewards = dict(zip(found.people, found.log.reward.tolist(), strict=True))
    assert rewards[made[0].person] == 1.0
    assert sum(rewards.values()) == 1.0
    ages = dict(zip(found.people, found.log.features[:, 0].tolist(), strict=True))
    assert ages == {one.person: 20.0 + place for place, one in enumerate(made)}


async def test_an_erased_person_is_in_no_training_set_and_no_log(shop, tmp_path):
    await past(shop, tmp_path, count=40)
    first = await shop.learning.training_set("open")
    person = shop.made["p7"]
    assert person in first.people
    rights = Rights(shop.kernel, shop.audit, shop.identity, shop.consent)
    rights.register(shop.decisions)
    rights.register(shop.learning)
    request = await rights.open("erasure", "email:p7@example.org", actor="staff:ann")
    await rights.approve(request.id, actor="staff:bob")
    await rights.run(request.id, actor="staff:bob")
    (file,) = (shop.kernel.settings.data_dir / "training").glob("*.parquet")
    table = pq.read_table(file)
    assert person not in table["person_id"].to_pylist()
    assert table.num_rows == 39
    again = await shop.learning.training_set("open")
    assert person not in again.people
    # Proved by hash (features.F49): what is learned from next is what was there before without her rows, in every bit.
    hers = np.array([one == person for one in first.people])
    log = {key: getattr(first.log, key)[~hers] for key in ("arm", "reward", "propensity", "features")}
    people = tuple(one for one in first.people if one != person)
    assert again.digest == replace(first, people=people, log=replace(first.log, **log)).digest != first.digest


async def test_a_training_file_holds_pseudonymous_ids_and_numbers_only(shop, tmp_path):
    await past(shop, tmp_path, count=20)
    await shop.learning.training_set("open")
    (file,) = (shop.kernel.settings.data_dir / "training").glob("*.parquet")
    content = file.read_bytes()
    table = pq.read_table(file)
    assert table.column_names == ["person_id", "arm", "propensity", "reward", "age", "orders", "days_since_order"]
    for word in (b"example.org", b"first_name", b"login"):
        assert word not in content
