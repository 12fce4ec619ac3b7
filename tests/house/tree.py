"""What the house tests look at: the rooms, their files and their imports, read as text and syntax trees."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("kernel", "audit", "identity", "consent", "events", "profiles", "channels", "explain", "orchestration")
WINGS = ("decision", "learning", "triggers", "pipeline", "service")


def sources(*folders: str) -> Iterator[Path]:
    """Every Python file of the named folders, the rooms when none is named."""
    for folder in folders or ROOMS:
        yield from sorted(p for p in (ROOT / folder).rglob("*.py") if "__pycache__" not in p.parts)


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of one file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(path: Path) -> Iterator[str]:
    """Full names of the modules a file imports, at any depth of the file."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def tracked() -> list[Path]:
    """Files that git would ship: tracked ones and new ones that are not ignored."""
    out = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    return [ROOT / name for name in out.split("\0") if name and (ROOT / name).is_file()]


def inside(path: Path) -> str:
    """A path as a reader of the project writes it."""
    return path.relative_to(ROOT).as_posix()
