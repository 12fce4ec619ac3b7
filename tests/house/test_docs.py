"""The README's commands exist, links lead somewhere, decisions and changelog keep their form."""

import re
import subprocess
import sys

import pytest

from tests.house.tree import ROOT, inside, tracked

FENCE = re.compile(r"```(?:console|sh|bash)\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def readme_commands() -> list[str]:
    lines = "\n".join(FENCE.findall((ROOT / "README.md").read_text())).splitlines()
    return [line.removeprefix("$ ").strip() for line in lines if line.strip() and not line.startswith("#")]


def test_every_make_target_of_the_readme_exists() -> None:
    help_text = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = {line.split()[1] for line in help_text.splitlines()}
    named = {line.split()[1] for line in readme_commands() if line.startswith("make ")}
    assert named
    assert named <= targets | {"help"}


def cli_commands() -> list[str]:
    return sorted(
        {
            " ".join(w for w in re.split(r"\s+(?:-|\S*[./:=]|[A-Z_]{2,})", line.split("candor ", 1)[1])[0].split()[:2])
            for line in readme_commands()
            if re.match(r"(\S*/)?candor ", line)
        }
    )


@pytest.mark.parametrize("command", cli_commands())
def test_every_candor_command_of_the_readme_exists(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "orchestration.service.cli.main", *command.split(), "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_links_between_documents_lead_somewhere() -> None:
    dead = [
        f"{inside(doc)} -> {target}"
        for doc in tracked()
        if doc.suffix == ".md"
        for target in LINK.findall(doc.read_text())
        if "://" not in target and not target.startswith("mailto:") and not (doc.parent / target).exists()
    ]
    assert dead == []


def test_decision_records_have_their_four_parts() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert records
    numbers = [r.name[:4] for r in records]
    assert len(set(numbers)) == len(numbers)
    for record in records:
        text = record.read_text()
        missing = [part for part in ("## Problem", "## Choice", "## Rejected", "## Non-goals") if part not in text]
        assert missing == [], f"{record.name} lacks {missing}"


def test_every_dependency_has_a_reason() -> None:
    """docs/decisions names each direct dependency once, with why it is there."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[\[><=;~! ]", d)[0].lower() for d in project["dependencies"]}
    reasons = (ROOT / "docs" / "decisions" / "0002-dependencies.md").read_text().lower()
    assert {n for n in names if f"`{n}`" not in reasons} == set()
