"""The README's commands exist, links lead somewhere, decisions and changelog keep their form."""

import re
import subprocess
from pathlib import Path

import click
import typer

from orchestration.service.cli.main import build
from orchestration.settings import SHORT, described
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


def documents() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".md"]


def commands_of(text: str) -> set[str]:
    """Every `candor …` of a document, in its blocks and in its lines; brackets and bars of alternatives are taken away."""
    lines = "\n".join(FENCE.findall(text)).splitlines()
    blocks = [one for line in lines for one in re.findall(r"(?:^|\$ |bin/|&& |; )candor ([^#|>;&]+)", line)]
    return {
        re.sub(r"[\[\]]", " ", one).strip()
        for one in [*blocks, *re.findall(r"(?:`|<code>)candor ([a-z][^`<\"]*)(?:`|</code>)", text)]
    }


def fault(root: click.Command, words: list[str]) -> str | None:
    """What of a command line the program does not know: a command or an option."""
    command, context = root, click.Context(root)
    for word in words:
        if not hasattr(command, "get_command"):
            break
        if word in {"--help", "--version"}:
            return None
        found = command.get_command(context, word)
        if found is None:
            return word
        command, context = found, click.Context(found, parent=context)
    known = {name for one in command.params for name in [*one.opts, *one.secondary_opts]} | {"--help"}
    return next(
        (name for word in words if re.match(r"--?[a-z]", name := word.split("=")[0]) and name not in known), None
    )


def test_every_candor_command_of_documents_pages_and_remedies_exists_with_its_options() -> None:
    root = typer.main.get_command(build())
    told = [
        path for path in tracked() if path.suffix in {".md", ".html", ".py"} and not inside(path).startswith("tests/")
    ]
    found = [(document, line) for document in told for line in sorted(commands_of(document.read_text()))]
    assert len(found) > 100
    unknown = {
        f"{inside(document)}: candor {line}": wrong
        for document, line in found
        if (wrong := fault(root, [word for word in line.split() if not set(word) & set("…|{}")]))
    }
    assert unknown == {}
    assert (fault(root, ["consent", "chek"]), fault(root, ["up", "--prot=1"])) == ("chek", "--prot")


def test_every_setting_of_the_documents_exists() -> None:
    known = {*SHORT, "CANDOR_CONFIG", "CANDOR_ACTOR", "CANDOR_STAFF_PASSWORD"}
    known |= {f"CANDOR_{section}__{field}".upper() for section, field, _ in described()}
    of_tests = {"CANDOR_SCREENSHOTS"}
    unknown = {
        f"{inside(document)}: {name}"
        for document in documents()
        for name in re.findall(r"CANDOR_[A-Z0-9_]*[A-Z0-9]", document.read_text())
        if name not in known | of_tests and not any(one.startswith(f"{name}_") for one in known)
    }
    assert unknown == set()


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
