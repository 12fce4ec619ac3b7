"""`candor bench explain`: brute force by the definition, reasons that are said wrongly are counted, bars decide the exit code."""

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from orchestration.learning.ranker import train
from orchestration.learning.settings import LearningSettings
from orchestration.service.bench import explain, explain_subject
from orchestration.service.bench.explain_brute import brute, trees_of
from orchestration.service.bench.explain_subject import Subject
from orchestration.service.bench.learning_rows import Row, Section
from orchestration.service.cli.main import build


@pytest.fixture(scope="module")
def subject() -> Subject:
    draw = np.random.default_rng(1)
    rows = np.column_stack([draw.normal(size=600).round(2), draw.integers(0, 2, 600), draw.integers(0, 4, 600)]).astype(
        float
    )
    rows[draw.random(rows.shape) < 0.05] = np.nan
    reward = np.nan_to_num(rows[:, 0] * 2 + rows[:, 1] * (rows[:, 0] > 0))
    settings = LearningSettings(trees=12, leaves=5, rate=0.3)
    model, _ = train(
        rows, reward, feature_names=("a", "b", "c"), feature_set="sha256:x", settings=settings, categories=(2,)
    )
    return Subject("made", model, rows[:40], rows, {"a": (0,), "b": (1,), "c": (2,)})


def test_the_definition_and_the_library_agree_on_absent_numbers_and_native_categories(subject) -> None:
    trees = trees_of(subject.model.booster)
    for row in subject.rows:
        base, parts = subject.model.contributions(row)
        again, forced = brute(trees, row)
        assert abs(base - again) <= 1e-9
        assert np.abs(parts - forced).max() <= 1e-9


class Lying:
    """Says of every part the opposite."""

    def __init__(self, model) -> None:
        self._model = model

    def score(self, rows):
        return self._model.score(rows)

    def contributions(self, row):
        base, parts = self._model.contributions(row)
        return base, -parts


def test_a_model_that_turns_its_reasons_round_is_found_out(subject) -> None:
    (good,) = explain_subject.direction(subject)
    (bad,) = explain_subject.direction(replace(subject, model=Lying(subject.model)))
    assert (good.ok, bad.ok) == (True, False)


def test_the_command_fails_when_a_bar_is_missed(monkeypatch) -> None:
    bad = Section(
        "bad", "one that does not hold", run=lambda full, told: [Row("explain.X0", "a", "at most 1", "2", False)]
    )
    monkeypatch.setattr(explain.run, "__kwdefaults__", {**explain.run.__kwdefaults__, "sections": (bad,)})
    got = CliRunner().invoke(build(), ["bench", "explain", "--quick", "--json"])
    assert (got.exit_code, json.loads(got.stdout)["rows"][0]["id"]) == (1, "explain.X0")
