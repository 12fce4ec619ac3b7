"""What features are measured on is what it says it is: late, corrected, told out of order; small runs keep their bars (features.F44, F45, F47)."""

import pytest

from orchestration.service.bench import learning_features
from orchestration.service.bench.learning_people import END, chance, known_by, people


def test_the_crowd_has_what_it_should_be_tortured_with():
    crowd = list(people(40, 3))
    events = [one for raw in crowd for one in raw.events]
    assert 0.1 < sum(one.known_time > one.event_time for one in events) / len(events) < 0.5
    assert any(one.event_id.endswith("_c") for one in events)
    assert len({(raw.person, one.event_time, one.name) for raw in crowd for one in raw.events}) < len(events)
    assert any(one.event_time > END for one in events)
    assert all(one.known_time <= END for one in known_by(crowd[1], END).events)
    assert [raw.person for raw in people(2, 3)] == [raw.person for raw in crowd[:2]]


def test_a_declared_feature_and_a_counter_that_went_on_are_equal_in_bits(monkeypatch):
    assert learning_features._one_path(chance(1), 25) == 0
    monkeypatch.setattr(learning_features, "people", lambda _, seed: people(8, seed))
    rows = [
        *learning_features.blind_to_later(False, lambda _: None),
        *learning_features.same_bits(False, lambda _: None),
    ]
    assert [row.ok for row in rows] == [True] * 4


def test_a_leak_would_be_seen(monkeypatch):
    """The measure can fail: features that look at everything differ from the log cut by hand."""
    monkeypatch.setattr(learning_features, "people", lambda _, seed: people(8, seed))
    monkeypatch.setattr(
        learning_features,
        "known_by",
        lambda raw, at: raw.__class__(raw.person, (), (), raw.sure, raw.graph_version, raw.survivorship),
    )
    first, _ = learning_features.blind_to_later(False, lambda _: None)
    assert not first.ok


@pytest.mark.parametrize(
    "section",
    ["same_bits", "blind_to_later", "fading", "reading", "positions", "same_file", "repurchase", "calibrated"],
)
def test_every_section_can_be_asked_for(section):
    from orchestration.service.bench.learning import SECTIONS

    assert section in {one.name for one in SECTIONS}
