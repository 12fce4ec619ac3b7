"""What features of a moment foretell, and a leak of later knowledge that is refused (features.F45, F46)."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent import precedence, purposes
from consent.acts import ActView
from consent.gate import ConsentState
from consent.precedence import Rules
from events.log import Event
from orchestration.learning.errors import LeakFound, TooLittleToLearn
from orchestration.learning.forecast import Seen, areas, forecast, refuse_leaks
from orchestration.learning.ranks import auc
from orchestration.learning.settings import LearningSettings
from profiles import survivorship
from profiles.consent_filter import see
from profiles.declarations import parse
from profiles.features import FeatureSet
from profiles.raw import RawProfile
from tests.support.shared import shared_path

QUICK = LearningSettings(trees=60)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_the_area_is_the_chance_of_ranking_a_pair_rightly(rows):
    score = np.array([one for one, _ in rows], dtype=np.float64)
    did = np.array([two for _, two in rows])
    pairs = [(a > b) + 0.5 * (a == b) for a in score[did] for b in score[~did]]
    assert auc(score, did) == pytest.approx(np.mean(pairs) if pairs else 0.5)


def test_an_absent_score_is_the_lowest():
    assert auc(np.array([np.nan, 1.0]), np.array([False, True])) == 1.0


def made(leak: float) -> Seen:
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(1500, 2))
    did = rng.random(1500) < 1 / (1 + np.exp(-rows[:, 0]))
    later = rows.copy()
    later[:, 1] += leak * did
    return Seen([f"per_{n}" for n in range(1500)], rows, later, did)


def test_features_that_know_the_answer_are_refused_by_name():
    with pytest.raises(LeakFound, match="look at b first"):
        refuse_leaks(made(leak=2.0), ("a", "b"), QUICK)
    honest, offered = refuse_leaks(made(leak=0.0), ("a", "b"), QUICK)
    assert honest == offered > 0.65


def test_too_few_people_or_nobody_who_did_it_foretell_nothing():
    seen = made(leak=0.0)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    plain = {"event": "x", "at": at, "until": at, "features_at": at, "names": ("a", "b"), "settings": QUICK}
    for one in (Seen(seen.people[:50], seen.rows[:50], seen.rows[:50], seen.did[:50]),
                Seen(seen.people, seen.rows, seen.rows, np.zeros(1500, dtype=bool))):  # fmt: skip
        with pytest.raises(TooLittleToLearn):
            forecast(one, **plain)


RFM = FeatureSet(parse("""
version: t
features:
  - {name: recency, take: recency, event: Order Completed, half_life_days: 60}
  - {name: frequency, take: count, event: Order Completed}
  - {name: monetary, take: sum, event: Order Completed, property: revenue}
"""))  # fmt: skip


def test_the_thirty_day_leak_of_cdnow_is_refused():
    """features.F46: recency, frequency and monetary value of the right day foretell later purchases; of a month later, too well."""
    path = shared_path("data/cdnow/CDNOW_master.txt")
    split, end = datetime(1998, 1, 1, tzinfo=UTC), datetime(1998, 4, 1, tzinfo=UTC)
    bought: dict[str, list[tuple[datetime, float]]] = {}
    for line in path.read_text().splitlines()[1:]:
        who, day, _, dollars = line.split()
        if int(who) % 8 == 0:  # every eighth buyer is enough
            bought.setdefault(who, []).append((datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC), float(dollars)))
    rules = Rules(purposes.load(), precedence.load(), "gdpr")
    yes = ActView(
        id="act_1", subject="idn_1", purpose="marketing.personalize", channel=None, status="granted", basis="consent",
        jurisdiction="gdpr", mechanism="form", given_at=datetime(1996, 12, 1, tzinfo=UTC),
    )  # fmt: skip
    rows, later, did = [], [], []
    for number, (who, orders) in enumerate(bought.items()):
        if not any(day <= split for day, _ in orders):
            continue
        person = f"per_{who}"
        events = tuple(
            Event(
                event_id=f"evt_{number}_{n}", record_id="rec_1", type="track", name="Order Completed", event_time=day, known_time=day,
                received_at=day, source="cdnow", purpose="marketing.personalize", basis="consent", properties={"revenue": dollars},
                traits={}, context={}, machine=False, confidence=0.0,
            )
            for n, (day, dollars) in enumerate(orders)
        )  # fmt: skip
        profile = RawProfile(person, (), events, 1.0, 0, survivorship.load())
        state = ConsentState(person=person, version=1, acts=(yes,), rules=rules)
        for kept, at in ((rows, split), (later, split + timedelta(days=30))):
            kept.append(RFM.row(see(profile, state, "marketing.personalize", at), at))
        did.append(any(split < day <= end for day, _ in orders))
    seen = Seen([""] * len(rows), np.array(rows), np.array(later), np.array(did))
    honest, leaky = areas(seen, QUICK)
    assert honest > 0.75
    assert leaky - honest > 0.04
    with pytest.raises(LeakFound):
        refuse_leaks(seen, RFM.names, QUICK)
