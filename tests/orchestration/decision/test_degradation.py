"""What happens when a part of the house is not what it should be: a named fallback, probabilities that stay exact, no error, and a record that says so and replays. decision.D11.

A model that is missing or altered is in learning's test_service, one that is slow or raises on its own in test_steady; Postgres down is in test_service.
"""

import math
from datetime import timedelta

import pytest

from kernel.cache import CacheUnavailable
from orchestration.decision.engine import total
from orchestration.decision.models import ActiveModel
from tests.orchestration.decision.support import Linear

pytestmark = pytest.mark.anyio


async def sound(shop, made) -> dict:
    """The vector sums to one, the choice has the probability that is recorded, and the record replays to its bytes; the record."""
    assert math.isclose(total(made.outcome), 1.0, abs_tol=1e-12)
    assert made.outcome.chosen.propensity == made.outcome.propensity > 0
    assert (await shop.decisions.replay(made.decision_id)).identical
    return dict(await shop.decisions.show(made.decision_id))


async def test_a_model_that_raises_while_it_scores_is_done_without(shop, monkeypatch):
    class Bursting(Linear):
        def score(self, rows):
            raise MemoryError("words of a library")

    model = Bursting(["variant=plain", "variant=offer"], [0.1, 0.9])
    ada = await shop.person("ada")

    async def active(placement):
        return ActiveModel(model)

    monkeypatch.setattr(shop.learning, "active", active)
    for seed in ("a", "b"):  # the proof finds it out; afterwards it is set aside
        made = await shop.decide(ada, seed=seed)
        assert (made.outcome.ranked_by, made.outcome.fallback) == ("rules", "model_failed")
        kept = await sound(shop, made)
        assert (kept["fallback"], kept["digests"]["model"]) == ("model_failed", None)


async def test_features_that_do_not_hold_any_more_are_made_anew_from_postgres(shop):
    ada = await shop.person("ada", age=30)
    fresh = await shop.decide(ada, seed="a")
    assert "without" not in await sound(shop, fresh)
    held = await shop.profiles.hot(ada, "marketing.email")
    shop.clock.advance(timedelta(seconds=shop.profiles.settings.hot_seconds + 1))
    made = await shop.decide(ada, seed="a")
    kept = await sound(shop, made)
    assert kept["without"] == ["hot_profile"]
    assert made.outcome.judged == fresh.outcome.judged
    assert (await shop.profiles.hot(ada, "marketing.email")).at > held.at


async def test_without_the_hot_store_everything_is_read_from_postgres(shop, monkeypatch):
    ada = await shop.person("ada")
    warm = await shop.decide(ada, "open", seed="a")

    async def down(_):
        raise CacheUnavailable("expected the hot store to answer, got nothing")

    monkeypatch.setattr(shop.kernel.cache, "run", down)
    monkeypatch.setattr(type(shop.kernel.cache), "available", property(lambda _: False))
    made = await shop.decide("email:ada@example.org", "open", seed="a")
    kept = await sound(shop, made)
    assert kept["without"] == ["hot_store"]
    assert made.outcome.judged == warm.outcome.judged
