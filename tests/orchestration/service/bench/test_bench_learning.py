"""`candor bench learning`: sections are found by name, bars decide the exit code; estimates are near an exact truth."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from kernel.errors import InvalidInput
from orchestration.learning.evaluation import skewed_mean_of
from orchestration.learning.settings import LearningSettings
from orchestration.service.bench import learning, learning_experiments, learning_gate
from orchestration.service.bench.learning_ope import regimes, repeat
from orchestration.service.bench.learning_rows import Row, Section, find
from orchestration.service.bench.learning_simulators import world
from orchestration.service.cli.main import build


def told(_):
    """Progress nobody reads."""


def row(ok):
    return lambda full, progress: [Row("decision.D0", "a figure", "at most 1", "0" if full else "2", ok)]


SECTIONS = (
    Section("good", "one that holds", run=row(True)),
    Section("bad", "one that does not", run=row(False)),
    Section("files", "one over files", over_files=lambda full, progress, folder: [Row("x", str(folder), "", "", True)]),
)


def test_sections_are_run_by_name_and_those_over_files_only_with_a_folder(tmp_path):
    some = learning.run(["good"], full=True, told=told, shared=None, sections=SECTIONS)
    assert (some.ok, [one.figure for one in some.rows], some.left_out) == (True, ["0"], ())
    every = learning.run([], full=False, told=told, shared=None, sections=SECTIONS)
    assert (every.ok, len(every.rows), every.left_out) == (False, 2, ("files",))
    with_files = learning.run(["files"], full=True, told=told, shared=tmp_path, sections=SECTIONS)
    assert [one.what for one in with_files.rows] == [str(tmp_path)]
    with pytest.raises(InvalidInput, match="nonsense"):
        learning.run(["nonsense"], full=True, told=told, shared=None, sections=SECTIONS)


def test_the_command_prints_rows_and_fails_when_a_bar_is_missed(monkeypatch):
    monkeypatch.setattr(learning.run, "__kwdefaults__", {**learning.run.__kwdefaults__, "sections": SECTIONS})
    good = CliRunner().invoke(build(), ["bench", "learning", "--only", "good", "--json"])
    assert (good.exit_code, json.loads(good.stdout)["rows"][0]["id"]) == (0, "decision.D0")
    bad = CliRunner().invoke(build(), ["bench", "learning", "--quick"])
    assert bad.exit_code == 1
    assert "missed" in bad.stdout


def test_a_file_is_found_a_few_folders_down(tmp_path):
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "deep" / "log.csv").write_text("x")
    assert find(tmp_path, "log.csv").name == "log.csv"


def test_on_an_exact_truth_estimates_are_near_and_intervals_hold_it():
    """decision.D25, a fraction of it."""
    made = world(7)
    for logging, target in regimes(made).values():
        tally = repeat(made, logging, target, 3, LearningSettings(trees=20))
        assert np.mean(tally.errors["dr"]) < 0.12
        assert tally.truth == made.value(target)


def test_an_interval_leans_the_way_its_scores_do():
    scores = np.random.default_rng(1).exponential(size=60) ** 2
    one = skewed_mean_of(scores)
    assert one.high - one.value > one.value - one.low > 0
    flat = skewed_mean_of(np.concatenate([scores, -scores]))
    assert flat.high - flat.value == pytest.approx(flat.value - flat.low)


@pytest.mark.parametrize("section", [learning_experiments.sequential, learning_experiments.metrics])
def test_experiments_that_are_looked_at_all_the_time_keep_their_promises(section):
    """decision.D13-D15, D20, D23, D24, a fraction of it."""
    rows = section(False, told)
    assert [row.what for row in rows if not row.ok] == []


def test_refusals_stand_exactly_at_their_limits():
    """decision.D27, D29."""
    rows = learning_gate.refusals(False, told)
    assert [row.what for row in rows if not row.ok] == []
