"""Small habits that keep the place findable: file sizes, READMEs, no leftovers, no machine paths, no registry hosts."""

import ast
import re

import pytest

from tests.house.tree import ROOMS, ROOT, inside, sources, tracked, tree

TEXT = {".py", ".md", ".toml", ".yaml", ".yml", ".sh", ".html", ".css", ".lock", ".txt", ".csv", ".svg", ""}


def texts() -> list[tuple[str, str]]:
    return [
        (inside(p), p.read_text(encoding="utf-8"))
        for p in tracked()
        if p.suffix in TEXT and p.stat().st_size < 2_000_000 and inside(p) != "tests/house/test_habits.py"
    ]


def test_no_file_is_longer_than_400_lines() -> None:
    long = {inside(p): n for p in [*sources(), *sources("tests")] if (n := len(p.read_text().splitlines())) > 400}
    assert long == {}


@pytest.mark.parametrize(
    "room",
    [
        *ROOMS,
        "orchestration/decision",
        "orchestration/learning",
        "orchestration/triggers",
        "orchestration/pipeline",
        "orchestration/service",
        "orchestration/demo",
    ],
)
def test_every_room_says_what_enters_and_leaves(room: str) -> None:
    readme = ROOT / room / "README.md"
    assert readme.is_file(), f"{room}/README.md is missing"
    lines = readme.read_text().splitlines()
    assert 8 <= len(lines) <= 60, f"{room}/README.md has {len(lines)} lines, expected 10 to 30, at most 60"


def test_every_module_says_what_it_is() -> None:
    silent = [inside(p) for p in sources() if p.read_text().strip() and ast.get_docstring(tree(p)) is None]
    assert silent == []


def test_no_leftovers() -> None:
    mark = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")
    assert [(n, m.group()) for n, t in texts() if n.endswith(".py") and (m := mark.search(t))] == []


def test_no_broad_except_outside_the_two_places() -> None:
    """Accidents travel: only the HTTP top and worker loops may catch everything (and they log it)."""
    broad = [
        f"{inside(p)}:{node.lineno}"
        for p in sources()
        for node in ast.walk(tree(p))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}))
        and not any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))
        and "# broad:" not in p.read_text().splitlines()[node.lineno - 1]
    ]
    assert broad == [], "catch what you expect, re-raise, or say '# broad: reason' on the line of a worker loop"


def test_no_machine_path_and_no_registry_host_is_tracked() -> None:
    w, f, r, b = "work", "farm", "root", "bash_jobs"
    path = re.compile(rf"(?<![\w.])/(?:{w}|{f}|{r})/|/{b}")
    host = re.compile(r"(?:pythonhosted|py" + r"pi|npm" + r"js|deb" + r"ian)[.](?:org|com)/|registry[.]npm")
    found = [(n, m.group()) for n, t in texts() for m in [path.search(t) or host.search(t)] if m]
    assert found == []


def test_sql_lives_in_stores() -> None:
    verb = re.compile(r"\b(SELECT .+ FROM|INSERT INTO|UPDATE \w+(\.\w+)? SET|DELETE FROM)\b", re.DOTALL)
    allowed = re.compile(
        r"(.*/store\.py|.*/store/\w+\.py|.*_store\.py|.*/migrations/.*|kernel/.*|identity/(linkage|training)\.py|orchestration/learning/\w+\.py)"
    )
    stray = [
        f"{inside(p)}:{node.lineno}"
        for p in sources()
        if not allowed.fullmatch(inside(p))
        for node in ast.walk(tree(p))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and verb.search(node.value)
    ]
    assert stray == []


def test_a_revision_is_named_like_its_file() -> None:
    """The start asks only for the last file's name (kernel/head.py), so names and numbers must follow the chain."""
    files = sorted(
        (p for p in sources() if "migrations" in p.parts and p.name[0].isdigit() and "/keys/" not in inside(p)),
        key=lambda p: p.name,
    )
    named = {p.stem: re.search(r'^revision = "(.+)"', p.read_text(), re.MULTILINE) for p in files}
    assert {stem: m and m.group(1) for stem, m in named.items()} == {stem: stem for stem in named}
    follows = [re.search(r'^down_revision = "?(.+?)"?$', p.read_text(), re.MULTILINE) for p in files]
    assert [m and m.group(1) for m in follows] == ["None", *[p.stem for p in files[:-1]]]
