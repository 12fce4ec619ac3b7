"""`candor trigger …` and `candor campaign …` as somebody at a terminal sees them."""

import json
import os
import subprocess
import sys

import pytest

from tests.house.tree import ROOT

FILE = "triggers:\n  - {name: cart, placement: cart_rescue, when: {event: Product Added, delay: PT1H}}\n"


def candor(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "CANDOR_DATABASE_URL": "postgresql://127.0.0.1:1/none",
    }
    command = [sys.executable, "-m", "orchestration.service.cli.main", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_file_is_checked_alone_without_any_store(tmp_path):
    file = tmp_path / "triggers.yaml"
    file.write_text(FILE)
    done = candor("trigger", "check", str(file), "--alone", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["triggers"] == ["cart"]
    shown = candor("trigger", "check", str(ROOT / "examples" / "triggers" / "triggers.yaml"), "--alone")
    assert "cart_abandoned  event → cart_rescue" in shown.stdout


def test_a_faulty_file_is_wrong_usage_with_its_lines_and_a_remedy(tmp_path):
    file = tmp_path / "triggers.yaml"
    file.write_text(FILE.replace("delay: PT1H", "delay: soon"))
    done = candor("trigger", "check", str(file), "--alone")
    assert (done.returncode, done.stdout) == (2, "")
    assert "line 2 (/triggers/0/when/delay): expected a duration such as PT1H" in done.stderr
    assert "candor trigger check FILE" in done.stderr
    assert candor("trigger", "check", str(tmp_path / "none.yaml"), "--alone").returncode == 2


@pytest.mark.parametrize("group", ["trigger", "campaign"])
def test_every_command_of_the_contract_is_there(group):
    wanted = {
        "trigger": {"check", "publish", "list", "test", "fire", "pause", "resume", "runs", "show"},
        "campaign": {"preview", "start", "pause", "resume", "kill", "status"},
    }[group]
    done = candor(group, "--help")
    assert done.returncode == 0
    assert {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ") and line.split()} >= wanted
