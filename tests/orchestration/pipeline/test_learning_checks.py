"""The checks of what was learned say no when a ranker is no better, does not add up, is old, or was taught by those who may not teach it."""

import random
from datetime import timedelta

import numpy as np
import pytest

from events import mapping
from identity.identifiers import Identifier
from kernel.clock import FrozenClock
from orchestration.learning.draws import judged
from orchestration.learning.gbm import GbmModel
from orchestration.pipeline.checking import learning as checks
from orchestration.pipeline.facts import PERSONALIZE
from orchestration.pipeline.steps import learning
from tests.orchestration.pipeline.conftest import NOW, YES, settle

pytestmark = pytest.mark.anyio
COUNT = 240
CATALOGUE = """
controller: Blue Shop
contents:
  - id: news
    category: news
    variants:
      - {id: plain, label: Plain, channels: [email], subject: News, body: News.}
      - {id: offer, label: Offer, channels: [email], subject: Ten percent, body: Ten percent off.}
placements:
  - {name: open, purpose: marketing.email, channels: [email], variants: [plain, offer], reward: bought}
"""
MAP = """
source: past
what: decisions
subject: {kind: login_id, column: login}
timestamp: at
placement: open
arm: arm
propensity: {column: p, type: number}
outcomes: {bought: {column: bought, type: number}}
collect_under: {purpose: marketing.personalize, basis: consent}
"""


@pytest.fixture
def clock():
    return FrozenClock(NOW)


def big_spenders_like_the_offer(place: int, arm: str) -> bool:
    """Of what `settle` gives them, the worth of their order tells them apart."""
    return (arm == "offer") == (place >= COUNT // 2)


def nobody_cares(place: int, arm: str) -> bool:
    return False


async def taught(
    house, tmp_path, answer=big_spenders_like_the_offer, *, shown=("plain", "offer"), p=(0.5, 0.5)
) -> None:
    """People, a catalogue, a log of choices drawn with `p` and what followed; a training set and a ranker of it."""
    rng = random.Random(4)
    await settle(house, {f"p{place}": YES for place in range(COUNT)})
    async with house.kernel.db.transaction() as conn:
        await house.decisions.publish_catalogue(conn, CATALOGUE, actor="staff:ann")
    lines = ["login,at,arm,p,bought"]
    for place in range(COUNT):
        drawn = rng.choices(range(len(shown)), p)[0]
        likes = 0.85 if answer(place, shown[drawn]) else 0.15
        bought = int(rng.random() < likes)
        lines.append(f"p{place},{(NOW - timedelta(days=2)).isoformat()},{shown[drawn]},{p[drawn]},{bought}")
    (tmp_path / "past.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "past.yaml").write_text(MAP)
    report = await house.importer.run(tmp_path / "past.csv", mapping.load(tmp_path / "past.yaml"))
    assert report.accepted == COUNT
    await learn(house)


async def learn(house) -> None:
    await learning.training_set(house)
    await learning.ranker(house)


async def test_a_ranker_that_knows_whom_to_ask_passes_every_check(house, tmp_path, monkeypatch) -> None:
    await taught(house, tmp_path)
    for check in (
        checks.only_the_permitted,
        checks.drawn_as_recorded,
        checks.nobody_inferred,
        checks.additive,
        checks.beats_the_others,
        checks.supported,
        checks.young_enough,
    ):
        found = await check(house)
        assert found.passed, (check.__name__, found.figures)
    assert (await checks.beats_the_others(house)).figures["open_decision"] == "promote"

    async def otherwise(*_):  # records that say nine in ten, choices that fall evenly
        return judged([(NOW, ("a", "b")[n % 2], {"a": 0.9, "b": 0.1}) for n in range(200)])

    monkeypatch.setattr(checks, "drawn", otherwise)
    found = await checks.drawn_as_recorded(house)
    assert (found.passed, found.grave) == (False, False)
    assert str(found.figures["open_worst_day"]).startswith(f"{NOW:%Y-%m-%d}")

    made = await house.learning.kept_set("open")
    spend = made.features[:, made.names.index("spend_180d")]

    async def told(people) -> dict:
        """What the audit would know, had they answered: those who spend more believe one thing."""
        known = {
            person: {"religion": "a" if worth > np.median(spend) else "b"}
            for person, worth in zip(made.people, spend, strict=True)
        }
        return {person: known[person] for person in people}

    monkeypatch.setattr(house.learning.proxies, "_attributes", told)
    found = await checks.nobody_inferred(house)
    assert (found.passed, found.grave) == (False, False)
    assert found.figures["open_tells_religion_spend_180d"] > 0.9


async def test_a_ranker_no_better_than_the_rules_is_told_and_does_not_rule(house, tmp_path) -> None:
    await taught(house, tmp_path, nobody_cares)
    found = await checks.beats_the_others(house)
    assert (found.passed, found.grave, found.figures["held"], found.figures["open_decision"]) == (
        False,
        False,
        1,
        "hold",
    )
    assert "open_vs_rules" in found.figures
    assert (await house.learning.active("open")).fallback == "no_model"


async def test_a_ranker_no_better_than_the_one_that_rules_is_told_and_does_not_rule(house, tmp_path) -> None:
    await taught(house, tmp_path)
    ruling = (await house.learning.active("open")).model.digest
    house.kernel.clock.advance(timedelta(hours=1))
    house.learning.settings.__dict__["trees"] = 19  # another model of the same knowledge
    await learn(house)
    found = await checks.beats_the_others(house)
    assert (found.passed, found.figures["held"], found.figures["open_decision"]) == (False, 1, "hold")
    assert "open_vs_current" in found.figures
    assert (await house.learning.active("open")).model.digest == ruling


async def test_contributions_that_do_not_add_up_are_seen(house, tmp_path, monkeypatch) -> None:
    await taught(house, tmp_path)
    whole = GbmModel.contributions

    def off(self, row):
        base, parts = whole(self, row)
        return base + 1e-6, parts

    monkeypatch.setattr(GbmModel, "contributions", off)
    found = await checks.additive(house)
    assert (found.passed, found.grave, found.figures["open_ruling_largest_error"]) == (False, True, "1e-06")


async def test_somebody_who_took_her_permission_back_is_seen_in_the_training_set(house, tmp_path) -> None:
    await taught(house, tmp_path)
    assert (await checks.only_the_permitted(house)).figures["open_forbidden"] == 0
    async with house.kernel.db.transaction() as conn:
        (subject,) = await house.identity.register_identifiers(conn, [Identifier("email", "p7@example.org")])
        await house.consent.withdraw(conn, subject, PERSONALIZE, None, mechanism="form", actor="person")
    found = await checks.only_the_permitted(house)
    assert (found.passed, found.grave, found.figures["open_forbidden"]) == (False, True, 1)
    house.kernel.clock.advance(timedelta(hours=1))  # the newest of two sets is looked at
    await learn(house)
    found = await checks.only_the_permitted(house)
    assert (found.passed, found.figures["open_rows"]) == (True, COUNT - 1)


async def test_a_log_that_cannot_speak_for_the_ranker_is_told(house, tmp_path) -> None:
    await taught(house, tmp_path, lambda place, arm: arm == "offer", p=(0.97, 0.03))
    found = await checks.supported(house)
    assert (found.passed, found.grave, found.figures["refused"]) == (False, False, 1)
    assert (await house.learning.active("open")).fallback == "no_model"


async def test_a_model_that_rules_too_long_is_told(house, tmp_path) -> None:
    await taught(house, tmp_path)
    house.kernel.clock.advance(timedelta(days=13))
    assert (await checks.young_enough(house)).passed
    house.kernel.clock.advance(timedelta(days=2))
    found = await checks.young_enough(house)
    assert (found.passed, found.grave, found.figures["too_old"]) == (False, False, 1)
