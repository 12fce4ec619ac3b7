"""The bench counts by rules of its own: a decision that served what may not be served, or lost a bit, would be seen."""

from dataclasses import replace

import pytest

from orchestration.decision.engine import decide
from orchestration.service.bench import learning_arbitration as bench


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(bench, "FEW", 600)


def test_any_state_at_all_serves_nothing_forbidden_and_replays():
    assert all(row.ok for row in bench.forbidden(full=False, progress=lambda _: None))


@pytest.mark.parametrize(
    "change", [{"refused": {}}, {"min_sure": 0.0, "balance": None}, {"suppressed": frozenset()}, {"blocked": None}]
)
def test_a_question_that_is_not_asked_would_be_seen(monkeypatch, change):
    monkeypatch.setattr(bench, "decide", lambda state, seed: decide(replace(state, **change), seed))

    rows = {row.id: row for row in bench.forbidden(full=False, progress=lambda _: None)}

    assert not rows["decision.D10"].ok


def test_a_page_that_keeps_no_share_would_be_seen(monkeypatch):
    monkeypatch.setattr(bench.Slate, "beside", lambda _: type("All", (), {"refusal": lambda _, __: None})())
    monkeypatch.setattr(bench, "LEVELS", (1.0, 0.3))

    assert not bench.page(full=False, progress=lambda _: None)[0].ok
