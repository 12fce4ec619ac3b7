"""The commands of experiments that start no store: a declaration is checked, a report needs one subject."""

import json

from typer.testing import CliRunner

from orchestration.service.cli.main import build
from tests.orchestration.learning.test_experiments import WORDS


def test_a_declaration_is_checked_without_a_store(tmp_path):
    file = tmp_path / "words.yaml"
    file.write_text(WORDS)
    told = CliRunner().invoke(build(), ["experiment", "check", str(file), "--json"])
    assert (told.exit_code, json.loads(told.stdout)["min_days"]) == (0, 14)
    sized = json.loads(CliRunner().invoke(build(), ["experiment", "check", str(file), "--base", "0.1", "--people-a-day", "1000", "--json"]).stdout)["plan"]  # fmt: skip
    assert 20_000 < sized["sizes"][1]["people_an_arm"] < 23_000
    assert sized["days"] == 80  # 20,000 in the smaller half of a half of 1,000 a day
    assert "smallest seen" in CliRunner().invoke(build(), ["experiment", "check", str(file), "--base", "0.1"]).stdout
    file.write_text(WORDS.replace("control: plain", "control: offer"))
    refused = CliRunner().invoke(build(), ["experiment", "check", str(file)])
    assert refused.exit_code == 2
    assert CliRunner().invoke(build(), ["experiment", "check", str(tmp_path / "none.yaml")]).exit_code == 2


def test_lift_is_asked_of_a_placement_or_an_experiment():
    for words in ([], ["--placement", "a", "--experiment", "b"]):
        assert CliRunner().invoke(build(), ["report", "lift", *words]).exit_code == 2
