"""How the command line speaks: tables for people, `--json` for programs, errors with a remedy, exit codes 0, 1 and 2.

Every reading command hands its result here. `NO_COLOR` and pipes are respected by rich.
"""

import dataclasses
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console
from rich.table import Table

from kernel.errors import CandorError, InvalidInput

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def plain(value: object) -> Any:
    """A result as JSON types: dataclasses and mappings become objects, times become ISO 8601, sets become sorted lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if hasattr(value, "model_dump"):
        return plain(value.model_dump())
    if isinstance(value, Mapping):
        return {str(plain(k)): plain(v) for k, v in value.items()}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (set, frozenset)):
        return sorted(plain(v) for v in value)
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)


def emit_json(value: object) -> None:
    """Print one JSON document on stdout."""
    print(json.dumps(plain(value), indent=2, ensure_ascii=False))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under headings; numbers align right."""
    grid = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    body = [[("" if cell is None else str(cell)) for cell in row] for row in rows]
    for index, name in enumerate(columns):
        numeric = bool(body) and all(_number(row[index]) for row in body)
        grid.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in body:
        grid.add_row(*row)
    out.print(grid)
    if not body:
        out.print("  (nothing)", style="dim")


def facts(title: str, pairs: Iterable[tuple[str, object]]) -> None:
    """Print names and values in two columns."""
    if title:
        out.print(title, style="bold")
    grid = Table(box=None, show_header=False, pad_edge=False)
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    for name, value in pairs:
        grid.add_row(name, str(value))
    out.print(grid)


def say(text: str) -> None:
    """Tell the person something on stderr (progress, hints), so that pipes stay clean."""
    err.print(text)


def read_lines(name: str) -> list[str]:
    """Lines of a file, or of standard input for `-`; line ends removed, empty lines kept."""
    if name == "-":
        return sys.stdin.read().splitlines()
    path = Path(name)
    if not path.is_file():
        raise InvalidInput(f"expected a readable file, got {name!r}", remedy="Check the path.", code="no_such_file")
    return path.read_text(encoding="utf-8").splitlines()


def fail(error: CandorError) -> NoReturn:
    """Print an error with its remedy and leave: 2 for wrong input, 1 for everything else."""
    err.print(f"[red]✗[/red] {error.message}", soft_wrap=True)
    for fault in error.problems[:20]:
        err.print(f"    {fault.pointer}: {fault.reason}", soft_wrap=True)
    if len(error.problems) > 20:
        err.print(f"    … and {len(error.problems) - 20} more")
    err.print(f"  → {error.remedy}  [dim]({error.code})[/dim]", soft_wrap=True)
    raise SystemExit(2 if isinstance(error, InvalidInput) else 1)


def _number(cell: str) -> bool:
    return (
        bool(cell)
        and cell.replace(",", "").replace(".", "").replace("%", "").replace("-", "").replace("+", "").strip().isdigit()
    )
